//! Records of the SOAP shell: received calls, sent calls, and the outbox.

use rsp::{ids::Oid, sgp02::Namespace, time::Timestamp};
use serde::{Deserialize, Serialize};
use world::Collection;

/// Received calls, by caller and functionCallIdentifier.
pub(super) const CALLS: Collection<ReceivedCall> = Collection::new("soap-calls");
/// Sent calls that are not answered yet, by the unique part of their MessageID.
pub(super) const SENT_CALLS: Collection<SentCall> = Collection::new("soap-asked");
/// Messages to send, by addressee and time.
pub(super) const OUTBOX: Collection<Outgoing> = Collection::new("soap-outbox");
/// Addressees with messages in the outbox, by the prefix of the outbox key. Written without being
/// read, so that concurrent transactions for the same addressee do not conflict.
pub(super) const WAITING: Collection<()> = Collection::new("soap-waiting");
/// Delivery state of addressees with failed deliveries, by the prefix of the outbox key.
pub(super) const ADDRESSEES: Collection<Addressee> = Collection::new("soap-addressees");
/// Answered calls, by the time at which they are deleted. Kept apart from [`DUE`] and read seldom,
/// because it holds all calls answered within a week.
pub(super) const ANSWERED: Collection<String> = Collection::new("soap-answered");
/// Deadlines, by time. Each received or sent call has at most one.
pub(super) const DUE: Collection<Due> = Collection::new("soap-due");

/// Reference to a call that is not answered yet. The party stores it in its own record and answers
/// by it later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// OID of the caller.
    pub caller: Oid,
    /// Name of the function, such as `ES3-CreateISDP`.
    pub function: String,
    /// functionCallIdentifier chosen by the caller.
    pub function_call_identifier: String,
    /// Time of receipt.
    pub received: Timestamp,
    /// End of the validity period, if the caller gave one.
    pub expires: Option<Timestamp>,
    pub(super) namespace: Namespace,
    /// Action of the response. It is set as soon as the function is known.
    #[serde(default)]
    pub(super) response_action: String,
    /// Address for the response.
    pub(super) reply_to: String,
    /// MessageID that the response relates to.
    pub(super) message_id: String,
    pub(super) transaction_id: Option<String>,
}

/// A received call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReceivedCall {
    /// SHA-256 of the message's element. The same functionCallIdentifier with another message is
    /// another call.
    pub(super) digest: String,
    pub(super) state: State,
    pub(super) due: Option<String>,
    /// Outbox key of the latest copy of its response.
    #[serde(default)]
    pub(super) outgoing: Option<String>,
}

/// State of a received call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// The response was returned in the HTTP response.
    Answered(ResponseMessage),
    /// The response is sent later.
    Pending(Ticket),
    /// The response was put into the outbox.
    CalledBack(Ticket, ResponseMessage),
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ResponseMessage {
    pub(super) action: String,
    /// The message's element.
    pub(super) message: String,
}

/// A sent call that is not answered yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SentCall {
    /// Continuation for the party.
    pub(super) continuation: String,
    pub(super) function: String,
    pub(super) peer: Oid,
    pub(super) is_synchronous: bool,
    pub(super) due: String,
    pub(super) outgoing: String,
}

/// A message in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// Time at which the message was put into the outbox.
    pub since: Timestamp,
    /// OID of the addressee.
    pub to: Oid,
    /// URI of the addressee.
    pub endpoint: String,
    /// Name of the message's element.
    pub element: String,
    pub(super) action: String,
    /// The SOAP envelope.
    pub(super) text: String,
    /// Unique part of the MessageID, if the message is a call.
    #[serde(rename = "asked")]
    pub(super) call: Option<String>,
    /// Key of the received call that the message answers.
    #[serde(default)]
    pub(super) answers: Option<String>,
    /// Time at which delivery is given up.
    pub until: Timestamp,
}

/// Delivery state of an addressee that did not accept a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Addressee {
    pub(super) failures: u32,
    pub(super) next_attempt: Timestamp,
    /// Time of the last warning about a message that has waited for a long time.
    #[serde(default, rename = "said")]
    pub(super) last_warning: Timestamp,
}

/// A deadline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Due {
    /// The validity period of a received call ends.
    Expires(String),
    /// The time allowed for the answer to a sent call ends.
    GiveUp(String),
}

impl Due {
    pub(super) fn key(&self, at: Timestamp) -> String {
        let (kind, key) = match self {
            Self::Expires(key) => ("expires", key),
            Self::GiveUp(key) => ("give-up", key),
        };
        at_time(at, &format!("{kind}/{key}"))
    }
}

/// Returns a key that sorts by time.
pub(super) fn at_time(at: Timestamp, what: &str) -> String {
    format!("{:015}/{what}", at.0.max(0))
}

/// Returns the time in a key.
pub(super) fn time_of(key: &str) -> Option<Timestamp> {
    key.split('/').next()?.parse().ok().map(Timestamp)
}
