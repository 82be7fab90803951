//! Records of the engine: jobs with their transmissions, counters, and processed notifications.

use std::collections::BTreeMap;

use rsp::{
    ids::{Aid, Eid},
    ota::{
        script::{Chaining, ScriptResponse},
        secured_packet::{Counter, Tar},
        sms::Reassembler,
    },
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use world::{Collection, MessageId, PhoneNumber};

use super::{
    Effect, Job, JobId, JobOutcome,
    policy::{self, Repetition},
};

/// Jobs by [`JobId`], which sorts in the order of execution.
pub const JOBS: Collection<Pending> = Collection::new("es5-jobs");
/// Data of cards that is not in their EIS, by EID.
pub(super) const CARDS: Collection<Card> = Collection::new("es5-cards");
/// Time of the next work for a card, by EID. It avoids reading the jobs of all cards.
pub(super) const DUE: Collection<Timestamp> = Collection::new("es5-due");
/// Jobs of submitted short messages, by the message ID of the SMSC.
pub(super) const MESSAGES: Collection<JobId> = Collection::new("es5-messages");

/// A job with its state.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pending {
    /// The job.
    pub job: Job,
    /// Time at which it was enqueued.
    pub since: Timestamp,
    /// Event that it waits for.
    pub(super) awaits: Awaits,
    /// Number of transmissions since the last message of the card.
    pub(super) tries: u32,
    /// All transmissions that may still be answered, in order.
    pub(super) sent: Vec<Sent>,
    /// Response to the repetition of a command that the card may have executed before. An audit has to
    /// show if the card did.
    #[serde(rename = "doubt")]
    pub(super) uncertain_response: Option<ScriptResponse>,
    /// Latest failure, for the final report.
    #[serde(rename = "trouble")]
    pub(super) last_failure: Option<String>,
}

/// Event that a job waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Awaits {
    /// The end of the jobs before it.
    Turn,
    /// The response to a secured packet.
    Answer {
        /// Time of the next repetition.
        until: Timestamp,
    },
    /// A triggered session.
    Session {
        /// Time of the next trigger.
        until: Timestamp,
    },
    /// The card's response in a session.
    Response {
        /// Time at which the session is considered lost.
        until: Timestamp,
    },
    /// Any message of the card, which has not answered the transmissions.
    Card,
}

/// A transmission for a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sent {
    pub(super) at: Timestamp,
    pub(super) what: What,
    pub(super) by: TransmissionRef,
}

/// Content of a transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    Script,
    Audit,
    Trigger,
}

/// Data by which the response is matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TransmissionRef {
    /// A secured packet.
    Packet {
        kvn: u8,
        counter: Counter,
        tar: Tar,
        /// Number of transmissions of this packet.
        times: u32,
        /// True if the card has reported that the counter is too low: it has received this packet
        /// or a later one before.
        low: bool,
        /// Message IDs of its parts at the SMSC.
        messages: Vec<MessageId>,
    },
    /// The response to an HTTPS request. `number` is in the URI for the next request.
    Session {
        number: u32,
        /// Number in the URI of the request itself, if it had one. A card that repeats the request
        /// has not received the response.
        #[serde(default)]
        after: Option<u32>,
    },
}

/// Maximum transmissions stored for one job. A card that is reachable but never answers gets the
/// same script until its validity ends; a response to an older transmission is not needed.
const MAX_SENT: usize = 64;

/// Engine data of a card.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Card {
    /// Number of the next job.
    pub(super) next_job: u64,
    /// Last used counter values, by key version number.
    pub(super) counters: BTreeMap<u8, Counter>,
    /// Received parts of incomplete messages.
    pub(super) partial: Reassembler,
    /// Latest notification.
    pub(super) notification: Option<LastNotification>,
    /// Time until which a session is kept open for further jobs.
    pub(super) session_until: Option<Timestamp>,
    /// Number in the latest URI given to the card.
    pub(super) last_number: u32,
    /// Chain of scripts that the card waits to continue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) chain: Option<OpenChain>,
}

/// Chain of scripts (TS 102 226 section 5.2.1.2) whose next script is not there yet. The card may
/// end the chain if the same security domain executes another script in between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OpenChain {
    pub(super) target: Aid,
    /// End of the time for which other scripts for the security domain wait.
    pub(super) until: Timestamp,
}

/// A processed notification.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LastNotification {
    pub(super) sequence_number: u16,
    /// Sender, if it arrived by short message.
    pub(super) from: Option<PhoneNumber>,
    /// Confirmation job, once one was enqueued.
    pub(super) confirmation: Option<Job>,
}

/// Returns the key of records by card.
pub(super) fn key(eid: Eid) -> String {
    eid.to_string()
}

impl Card {
    /// Updates the open chain when a job has ended.
    pub(super) fn note_chain(&mut self, job: &Job, outcome: &JobOutcome, until: Timestamp) {
        let continues = matches!(
            (outcome, job.script.chaining),
            (
                JobOutcome::Answered(response),
                Some(Chaining::First | Chaining::FirstKept | Chaining::Following)
            ) if response.chaining.is_none() && response.apdus().all(|apdu| apdu.status.is_success())
        );
        if continues {
            self.chain = Some(OpenChain { target: job.target.clone(), until });
        } else if self.chain.as_ref().is_some_and(|chain| chain.target == job.target) {
            self.chain = None;
        }
    }

    /// Returns the end of the time for which a job must wait because it could end a chain. A job
    /// that continues the chain does not wait.
    pub(super) fn waits_for_chain(&self, pending: &Pending, now: Timestamp) -> Option<Timestamp> {
        let chain = self.chain.as_ref().filter(|chain| chain.until > now)?;
        let waits =
            pending.job.urgent && pending.job.target == chain.target && pending.awaits == Awaits::Turn;
        waits.then_some(chain.until)
    }
}

impl Pending {
    /// Records a transmission. If there are too many, removes the oldest one and returns it.
    pub(super) fn record(&mut self, sent: Sent) -> Option<Sent> {
        let forgotten = (self.sent.len() >= MAX_SENT).then(|| self.sent.remove(0));
        self.sent.push(sent);
        forgotten
    }

    /// The name of a transmission in events.
    pub(super) fn name(&self, what: What) -> &'static str {
        match what {
            What::Trigger => "SessionTrigger",
            What::Audit => Effect::Audit.name(),
            What::Script => self.job.effect.name(),
        }
    }

    /// Returns true if the script cannot be executed twice and may have been executed. Then it must
    /// not be sent again, unless as the same packet or as the response to the same request.
    pub(super) fn is_unrepeatable(&self) -> bool {
        policy::row(&self.job.effect).repetition == Repetition::Same
            && self.sent.iter().any(|sent| sent.what == What::Script)
    }

    /// Returns the number given in the response to this request, if nothing was sent since.
    pub(super) fn given_after(&self, request: Option<u32>) -> Option<u32> {
        let last = self.sent.last()?;
        let is_same_content = (last.what == What::Audit) == self.uncertain_response.is_some();
        match last.by {
            TransmissionRef::Session { number, after: Some(after) }
                if is_same_content && Some(after) == request =>
            {
                Some(number)
            }
            TransmissionRef::Session { .. } | TransmissionRef::Packet { .. } => None,
        }
    }

    /// Returns true if the response to the transmission with index `answered` may result from an
    /// earlier execution of the script.
    pub(super) fn may_have_run_before(&self, answered: usize) -> bool {
        self.sent.iter().take(answered).any(|sent| sent.what == What::Script)
    }
}
