//! What the engine keeps: jobs and what was sent for them, counters, notifications taken.

use std::collections::BTreeMap;

use rsp::{
    ids::Eid,
    ota::{
        script::ScriptResponse,
        secured_packet::{Counter, Tar},
        sms::Reassembler,
    },
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use world::{Collection, MessageId, PhoneNumber};

use super::{
    Job, JobId,
    policy::{self, Repetition},
};

/// Jobs by [`JobId`], which is in the order in which the jobs of a card are done.
pub const JOBS: Collection<Pending> = Collection::new("es5-jobs");
/// What is known of cards beside their EIS, by EID.
pub(super) const CARDS: Collection<Card> = Collection::new("es5-cards");
/// When there is something to do for a card next, by EID: so that nobody reads the jobs of all cards to find out.
pub(super) const DUE: Collection<Timestamp> = Collection::new("es5-due");
/// For which job a short message was sent, by the name that the message centre gave it.
pub(super) const MESSAGES: Collection<JobId> = Collection::new("es5-messages");

/// A job, and how far it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pending {
    /// What is wanted.
    pub job: Job,
    /// Since when.
    pub since: Timestamp,
    /// What is waited for.
    pub(super) awaits: Awaits,
    /// How often it was sent since the card was heard of last.
    pub(super) tries: u32,
    /// Everything that was sent for it, in order, and may still be answered.
    pub(super) sent: Vec<Sent>,
    /// What the card said to the repetition of a command that it may have run before; the job is now to find that out.
    pub(super) doubt: Option<ScriptResponse>,
    /// What went wrong last, for whoever has to be told that it did not work.
    pub(super) trouble: Option<String>,
}

/// What a job waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Awaits {
    /// Its turn.
    Turn,
    /// The answer to a secured packet.
    Answer {
        /// When it is sent again.
        until: Timestamp,
    },
    /// A session that was triggered.
    Session {
        /// When it is triggered again.
        until: Timestamp,
    },
    /// What the card says in a session.
    Response {
        /// When the session is taken for lost.
        until: Timestamp,
    },
    /// A sign of life of a card that does not answer.
    Card,
}

/// Something that was sent for a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sent {
    pub(super) at: Timestamp,
    pub(super) what: What,
    pub(super) by: By,
}

/// What was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    Script,
    Audit,
    Trigger,
}

/// By what its answer is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum By {
    /// A secured packet.
    Packet {
        kvn: u8,
        counter: Counter,
        tar: Tar,
        /// How often this same packet was sent.
        times: u32,
        /// The card has said that the counter is too low: this, or a later one, has come to it before.
        low: bool,
        /// What the message centre calls its parts.
        messages: Vec<MessageId>,
    },
    /// The answer to a request: the number in the URI that the next request has.
    Session {
        number: u32,
        /// That in the URI of the request itself, if it had one. A card that makes the same request again has not got the
        /// answer.
        #[serde(default)]
        after: Option<u32>,
    },
}

/// How much is remembered of what was sent for one job. A card that is heard of again and again and never answers is sent
/// the same until its validity ends; an answer to what lies further back is not worth waiting for.
const MAX_SENT: usize = 64;

/// What is known of a card.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Card {
    /// The number of the next job.
    pub(super) next_job: u64,
    /// The last counter that was used, by key version number.
    pub(super) counters: BTreeMap<u8, Counter>,
    /// Messages of which some parts have come.
    pub(super) partial: Reassembler,
    /// The last notification.
    pub(super) notification: Option<Noticed>,
    /// Until when a session of it is kept open for what is to come.
    pub(super) session_until: Option<Timestamp>,
    /// The number in the URI that was given to it last.
    pub(super) last_number: u32,
}

/// A notification that was taken.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Noticed {
    pub(super) sequence_number: u16,
    /// Who sent it, if it came by a short message.
    pub(super) from: Option<PhoneNumber>,
    /// What confirms it, once somebody wanted it confirmed.
    pub(super) confirmation: Option<Job>,
}

/// The key of what is kept by card.
pub(super) fn key(eid: Eid) -> String {
    eid.to_string()
}

impl Pending {
    /// Writes down that this was sent; gives what is forgotten for it.
    pub(super) fn remember(&mut self, sent: Sent) -> Option<Sent> {
        let forgotten = (self.sent.len() >= MAX_SENT).then(|| self.sent.remove(0));
        self.sent.push(sent);
        forgotten
    }

    /// Whether its script must not leave another time, unless as the same packet or as the answer to the same request: it
    /// cannot be run twice, and may have been run.
    pub(super) fn is_out(&self) -> bool {
        policy::row(&self.job.effect).repetition == Repetition::Same
            && self.sent.iter().any(|sent| sent.what == What::Script)
    }

    /// The number of what was given in answer to this very request, if nothing has left since.
    pub(super) fn given_after(&self, request: Option<u32>) -> Option<u32> {
        let last = self.sent.last()?;
        let is_still_it = (last.what == What::Audit) == self.doubt.is_some();
        match last.by {
            By::Session { number, after: Some(after) } if is_still_it && Some(after) == request => {
                Some(number)
            }
            By::Session { .. } | By::Packet { .. } => None,
        }
    }

    /// That the card's answer to `answered` may come from its having run the script before.
    pub(super) fn may_have_run_before(&self, answered: usize) -> bool {
        self.sent.iter().take(answered).any(|sent| sent.what == What::Script)
    }
}
