//! What is remembered of calls: those that others made, those that we made, and what waits to be sent.

use rsp::{ids::Oid, sgp02::Namespace, time::Timestamp};
use serde::{Deserialize, Serialize};
use world::Collection;

/// Calls of others, by caller and functionCallIdentifier.
pub(super) const CALLS: Collection<Taken> = Collection::new("soap-calls");
/// Calls of ours that are not answered yet, by what is unique in their MessageID.
pub(super) const ASKED: Collection<Asked> = Collection::new("soap-asked");
/// What waits to be sent, by addressee and time.
pub(super) const OUTBOX: Collection<Outgoing> = Collection::new("soap-outbox");
/// Those for whom something waits, by the same beginning of the key. Written without being read, so that many may write to
/// one at the same time.
pub(super) const WAITING: Collection<()> = Collection::new("soap-waiting");
/// How it stands with those to whom something could not be sent, by the same beginning of the key.
pub(super) const ADDRESSEES: Collection<Addressee> = Collection::new("soap-addressees");
/// Calls whose answers need not be known any more, by the time at which they are forgotten. Apart from what is due, and
/// read seldom, because there are as many as were answered in a week.
pub(super) const ANSWERED: Collection<String> = Collection::new("soap-answered");
/// When a record is to be looked at again, by time; each record of the first two kinds has one at most.
pub(super) const DUE: Collection<Due> = Collection::new("soap-due");

/// What answers a call that is not answered yet. Kept by the party in the record of what it does for the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Who has called.
    pub caller: Oid,
    /// The function, such as `ES3-CreateISDP`.
    pub function: String,
    /// The caller's identifier of the call.
    pub function_call_identifier: String,
    /// When it came.
    pub received: Timestamp,
    /// When it is to have ended, if the caller has said so.
    pub expires: Option<Timestamp>,
    pub(super) namespace: Namespace,
    /// The Action of the answer, known once the function is.
    #[serde(default)]
    pub(super) response_action: String,
    /// Where the answer goes.
    pub(super) reply_to: String,
    /// To what it relates.
    pub(super) message_id: String,
    pub(super) transaction_id: Option<String>,
}

/// A call that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Taken {
    /// The name of the message's element.
    pub(super) element: String,
    /// Of the message's element: the same identifier with another message is another call.
    pub(super) digest: String,
    pub(super) state: State,
    pub(super) due: Option<String>,
    /// Where in the outbox its answer was put last.
    #[serde(default)]
    pub(super) outgoing: Option<String>,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// It was answered at once.
    Answered(Said),
    /// It will be answered.
    Pending(Ticket),
    /// The answer was put into the outbox.
    CalledBack(Ticket, Said),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) action: String,
    /// The message's element.
    pub(super) message: String,
}

/// A call of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    /// What the party goes on with.
    pub(super) continuation: String,
    pub(super) function: String,
    pub(super) peer: Oid,
    pub(super) is_synchronous: bool,
    pub(super) due: String,
    pub(super) outgoing: String,
}

/// A message that waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outgoing {
    /// When it was put.
    pub since: Timestamp,
    /// To whom.
    pub to: Oid,
    /// Where to: a URI.
    pub endpoint: String,
    /// The name of the message's element.
    pub element: String,
    pub(super) action: String,
    /// The envelope.
    pub(super) text: String,
    /// The call of ours that it is.
    pub(super) asked: Option<String>,
    /// The call that it answers, by the key of its record.
    #[serde(default)]
    pub(super) answers: Option<String>,
    /// When it is given up.
    pub until: Timestamp,
}

/// An addressee that did not take what was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Addressee {
    pub(super) failures: u32,
    pub(super) next_attempt: Timestamp,
    /// When it was said last that something waits for long.
    #[serde(default)]
    pub(super) said: Timestamp,
}

/// What is to be looked at again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Due {
    /// A call that has not been answered in its validity period.
    Expires(String),
    /// A call of ours whose answer is not waited for any longer.
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

/// A key by time.
pub(super) fn at_time(at: Timestamp, what: &str) -> String {
    format!("{:015}/{what}", at.0.max(0))
}

/// The time in a key.
pub(super) fn time_of(key: &str) -> Option<Timestamp> {
    key.split('/').next()?.parse().ok().map(Timestamp)
}
