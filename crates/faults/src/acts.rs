//! The faults of each family, as data.

use std::time::Duration;

use network::EmmCause;
use serde::Deserialize;

pub(crate) mod false_statement;

/// Time after which a sender that gets no answer gives up. `net::Client` uses the same timeout.
pub(crate) const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// A fault of a request or its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkAct {
    /// The request does not arrive.
    LoseRequest,
    /// The request is processed, but its answer does not arrive.
    LoseAnswer,
    /// The request arrives late.
    Delay,
    /// The request arrives twice.
    Duplicate,
    /// The request arrives after the next request.
    Reorder,
    /// The end of the request is missing.
    TruncateRequest,
    /// The end of the answer is missing.
    TruncateAnswer,
    /// One bit of the request is flipped.
    CorruptRequest,
    /// One bit of the answer is flipped.
    CorruptAnswer,
    /// The connection is closed before the answer.
    Reset,
    /// An intermediary answers with this status.
    HttpStatus(u16),
    /// The answer arrives octet by octet.
    SlowDrip,
    /// The answer has another content type.
    WrongContentType,
    /// The answer has no body.
    EmptyBody,
    /// The answer has an oversized body.
    HugeBody,
    /// An intermediary redirects to another host.
    Redirect,
}

/// A fault of the TLS certificate of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsAct {
    /// The certificate has expired.
    Expired,
    /// The certificate is not valid yet.
    NotYetValid,
    /// The certificate is for the name of another server.
    WrongName,
    /// The certificate is issued by an untrusted CI.
    UnknownCi,
    /// The certificate is on a revocation list of its CI.
    Revoked,
    /// The certificate has the role of another kind of server.
    WrongRole,
    /// The certificate permits only TLS clients.
    ClientOnly,
}

/// The places of the faults of CoAP messages: the direction of a message.
pub(crate) const TO_SERVER: &str = "to-server";
pub(crate) const FROM_SERVER: &str = "from-server";

/// A fault of a CoAP message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CoapAct {
    /// The message is lost.
    Lose,
    /// The message arrives twice.
    Duplicate,
    /// The message arrives after the next one of its direction.
    Reorder,
    /// The message arrives late.
    Delay,
    /// The end of the message is missing.
    Truncate,
    /// One bit of the message is flipped.
    Corrupt,
    /// A reset with the same message ID takes the place of the message.
    Reset,
    /// The message has another token.
    WrongToken,
}

/// A fault of stored records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordsAct {
    /// Nothing is written, and the store reports the failure.
    CommitFails,
    /// Half of the changes is written, and the store reports a failure.
    TornWrite,
    /// Nothing is written, and the store reports success.
    LostWrite,
    /// The store reports a conflict with a concurrent transaction.
    Conflict,
    /// The process ends before the commit.
    CrashBeforeCommit,
    /// The process ends after the commit.
    CrashAfterCommit,
    /// A record cannot be read.
    ReadFails,
}

/// A fault of the radio or of a short message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RadioAct {
    /// A network has no coverage.
    Outage,
    /// The coverage of a network disappears and returns periodically.
    Flapping,
    /// A network rejects the device.
    Refuse(EmmCause),
    /// The challenge of the home network does not fit the key of the card.
    HomeAuthenticationFailure,
    /// The attach request is lost.
    LoseAttachRequest,
    /// The attach accept is lost.
    LoseAttachAnswer,
    /// A network accepts the device but drops all of its packets.
    NoData,
    /// A short message is lost.
    SmsLose,
    /// A short message is delayed.
    SmsDelay,
    /// A short message is delivered twice.
    SmsDouble,
    /// The delivery report of a short message is lost.
    SmsLoseAnswer,
}

/// A fault of the power supply or of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PowerAct {
    /// The power fails before a write.
    CutBeforeWrite,
    /// The power fails after a write.
    CutAfterWrite,
    /// The power fails during a write.
    TornWrite,
    /// A write fails, but the power stays on.
    WriteFails,
}

/// A fault of a command to a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApduAct {
    /// The card executes the command, but its response is lost.
    LoseResponse,
    /// The card is reset and does not receive the command.
    ResetBefore,
    /// The card executes the command, and is reset before it responds.
    ResetAfter,
}
