//! ES5: transports scripts to cards and receives the messages that cards send on their own. SGP.02
//! sections 2.4 and 4.1.
//!
//! A script is a [`Job`]. The jobs of one card are executed one at a time, in order. Each is a
//! record, and everything sent for it is recorded before it is sent. A restarted server therefore
//! knows what it waits for, and nothing is sent twice under one counter unless that is intended.
//!
//! | file | content |
//! |---|---|
//! | `engine.rs` | decides in a transaction, commits, and then sends; returns the due work |
//! | `queue.rs` | enqueues, cancels and ends jobs, and keeps their order |
//! | `policy.rs` | the tables: choice of bearer, SPI, repetition; all limits and times |
//! | `packet.rs` | secured packets (SCP80): creation and opening |
//! | `sms.rs` | sending over short messages, including triggers of HTTPS sessions |
//! | `arrival.rs` | receiving over short messages |
//! | `https.rs` | the HTTPS endpoint for cards |
//! | `sessions.rs` | the sessions that cards open (SCP81) |
//! | `context.rs` | the transaction of a decision, and the messages to send after it |
//! | `audit.rs` | determines if a command was executed although its response was lost |
//! | `notification.rs` | default notifications, over either bearer |

mod arrival;
mod audit;
mod context;
mod engine;
mod https;
mod long_polls;
mod notification;
mod packet;
mod policy;
mod queue;
mod records;
mod sessions;
mod sms;

use std::{fmt, str::FromStr};

use crypto::Secret;
use rsp::{
    ids::{Aid, Eid},
    ota::{
        admin::ScriptStatus,
        script::{Script, ScriptResponse},
        secured_packet::{Counter, ResponseStatus},
    },
    sgp02::notification::DefaultNotification,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use world::{BoxFuture, Fault, PhoneNumber, Tx};

pub use engine::{Engine, Wake};
pub use policy::{Es5Config, HttpsEndpoint};
pub use queue::{cancel, enqueue, forget};
pub use records::JOBS;

/// A script for a security domain of a card.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// EID of the card.
    pub eid: Eid,
    /// AID of the security domain that executes the script: the ISD-R or an ISD-P.
    pub target: Aid,
    /// The script.
    pub script: Script,
    /// End of the validity period.
    pub valid_until: Timestamp,
    /// True if another job follows, for which a session is kept open.
    pub more_to_do: bool,
    /// True if the job precedes all jobs that are not urgent. It does not precede a job that has been
    /// sent and cannot be executed twice: a packet with another counter in between would make it
    /// impossible to find out if the card executed that job. It does not precede the next script of a
    /// chain either, because the card may end the chain if it executes another script in between.
    pub urgent: bool,
    /// Bearer, if the policy must not choose it.
    pub via: Option<Bearer>,
    /// Effect of the script on the card.
    pub effect: Effect,
    /// Opaque reference for the procedure that created the job.
    pub purpose: String,
}

/// Effect of a script on a card. It determines the security, the repetition, and how the effect can
/// be verified afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Creates this ISD-P.
    CreateIsdP(Aid),
    /// Enables this ISD-P.
    Enable(Aid),
    /// Disables this ISD-P.
    Disable(Aid),
    /// Deletes this ISD-P; also by MasterDelete.
    Delete(Aid),
    /// Gives this ISD-P the fall-back attribute.
    SetFallBack(Aid),
    /// Gives this ISD-P the emergency profile attribute.
    SetEmergency(Aid),
    /// Confirms the notification with this sequence number.
    ConfirmNotification(u16),
    /// Reads data only.
    Audit,
    /// Establishes, stores or deletes keys.
    KeySet,
    /// Changes the addresses of an SM-SR.
    Addressing,
    /// Unknown, because the script contains data of an SM-DP.
    Data,
}

/// Bearer of scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bearer {
    /// Secured packets (SCP80) in short messages.
    Sms,
    /// Sessions that the card opens (SCP81).
    Https,
}

impl fmt::Display for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sms => "SMS",
            Self::Https => "HTTPS",
        })
    }
}

/// Identifier of a job: the card, and a number that increases with each job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId {
    eid: Eid,
    urgent: bool,
    number: u64,
}

/// Outcome of a job.
#[derive(Clone, Debug)]
pub enum JobOutcome {
    /// The card executed the script and returned this response.
    Answered(ScriptResponse),
    /// The card returned this response to the repeated confirmation of a notification. The response
    /// to the first one may have been lost, and no audit can recover it.
    AnsweredAgain(ScriptResponse),
    /// The card's response was lost and the command was repeated. This response to an audit shows
    /// the effect of the script.
    FoundDone(ScriptResponse),
    /// The card did not execute the script.
    Refused(CardRefusal),
    /// The validity period ended. The card may have executed the script if it had been sent.
    Expired,
    /// The script cannot be delivered to the card, or its result cannot be determined.
    NotDelivered(String),
}

/// Reason why a card did not execute a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardRefusal {
    /// Over short messages: the status of the response packet.
    Packet(ResponseStatus),
    /// Over HTTPS: `X-Admin-Script-Status`.
    Script(ScriptStatus),
}

/// Access parameters and keys of a card.
#[derive(Clone, Debug)]
pub struct CardAccess {
    /// Number for short messages: the number of the enabled profile.
    pub address: Option<PhoneNumber>,
    /// SCP80 key sets. This server sends with the first one. Messages of the card may use any of
    /// them.
    pub scp80: Vec<Scp80KeySet>,
    /// SCP81 keys.
    pub scp81: Vec<PskKey>,
    /// True if the card supports HTTPS.
    pub https: bool,
}

/// A key set for secured packets.
#[derive(Clone, Debug)]
pub struct Scp80KeySet {
    /// Key version number, 1 to 15.
    pub kvn: u8,
    /// Encryption key.
    pub kic: Secret<[u8; 16]>,
    /// Integrity key.
    pub kid: Secret<[u8; 16]>,
    /// Counter value at the time when the key set was stored on the card.
    pub initial_counter: Counter,
}

/// A pre-shared key for TLS.
#[derive(Clone, Debug)]
pub struct PskKey {
    /// Key version number, 0x40 to 0x4F.
    pub kvn: u8,
    /// Key identifier.
    pub key_id: u8,
    /// The key.
    pub key: Secret<Vec<u8>>,
}

/// Callbacks of the engine. They run within the transaction of the event that causes them.
pub trait Procedures: Send + Sync {
    /// Returns the current access parameters of a card; `None` if this SM-SR does not manage it.
    fn card<'a>(&'a self, tx: &'a mut Tx<'_>, eid: Eid) -> BoxFuture<'a, Result<Option<CardAccess>, Fault>>;

    /// Returns the card that has this number in any of its profiles.
    fn card_at<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        address: &'a PhoneNumber,
    ) -> BoxFuture<'a, Result<Option<Eid>, Fault>>;

    /// Handles the end of a job. Its record has been deleted.
    fn job_ended<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        now: Timestamp,
        id: &'a JobId,
        job: &'a Job,
        outcome: JobOutcome,
    ) -> BoxFuture<'a, Result<(), Fault>>;

    /// Handles a notification that the card has not sent before. To confirm it, enqueue a job with
    /// [`Effect::ConfirmNotification`].
    fn notified<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        now: Timestamp,
        eid: Eid,
        notification: DefaultNotification,
        via: Bearer,
    ) -> BoxFuture<'a, Result<(), Fault>>;
}

impl JobId {
    /// Returns the EID of the card.
    pub const fn eid(&self) -> Eid {
        self.eid
    }

    /// Returns the text without the EID.
    fn local(&self) -> String {
        format!("{}{:015}", if self.urgent { 0 } else { 1 }, self.number)
    }
}

impl fmt::Display for JobId {
    /// Writes the text of the identifier. The order of these texts is the order of the card's jobs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.eid, self.local())
    }
}

/// Error: the text is not a job identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a job identifier of the form EID/number")]
pub struct InvalidJobId(String);

impl FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, InvalidJobId> {
        let parse = || {
            let (eid, local) = text.split_once('/')?;
            let rank = local.get(..1)?;
            let number = local.get(1..).filter(|number| number.bytes().all(|each| each.is_ascii_digit()))?;
            let urgent = match rank {
                "0" => true,
                "1" => false,
                _ => return None,
            };
            Some(Self { eid: eid.parse().ok()?, urgent, number: number.parse().ok()? })
        };
        parse().ok_or_else(|| InvalidJobId(text.to_owned()))
    }
}

impl TryFrom<String> for JobId {
    type Error = InvalidJobId;

    fn try_from(text: String) -> Result<Self, InvalidJobId> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.to_string()
    }
}

impl Effect {
    /// Returns the name for the timeline.
    fn name(&self) -> &'static str {
        match self {
            Self::CreateIsdP(_) => "CreateISDP",
            Self::Enable(_) => "EnableProfile",
            Self::Disable(_) => "DisableProfile",
            Self::Delete(_) => "DeleteProfile",
            Self::SetFallBack(_) => "SetFallBackAttribute",
            Self::SetEmergency(_) => "SetEmergencyProfileAttribute",
            Self::ConfirmNotification(_) => "HandleNotificationConfirmation",
            Self::Audit => "eUICCCapabilityAudit",
            Self::KeySet => "KeySet",
            Self::Addressing => "UpdateSMSRAddressingParameters",
            Self::Data => "SendData",
        }
    }
}

impl fmt::Display for CardRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packet(status) => write!(f, "{status} (status {:02X})", status.code()),
            Self::Script(status) => write!(f, "{status}"),
        }
    }
}
