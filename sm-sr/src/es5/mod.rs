//! ES5: brings scripts to cards, and takes what cards say on their own. SGP.02 sections 2.4 and 4.1.
//!
//! A script is a [`Job`]. The jobs of one card are done one at a time, in their order; each is a record, and so is
//! everything that was sent for it, before it was sent. A restart therefore finds what it has to wait for, and nothing is
//! sent twice under one counter unless that is wanted.
//!
//! | file | what it does |
//! |---|---|
//! | `engine.rs` | the shell: decides in a transaction, commits, then sends; the crank |
//! | `queue.rs` | jobs: put, taken out, ended; which one is next |
//! | `policy.rs` | the tables: which bearer, which SPI, how something is repeated; every number |
//! | `packet.rs` | secured packets (SCP80): sealed, opened |
//! | `sms.rs` | the way out over short messages, triggers of HTTPS sessions among them |
//! | `arrival.rs` | what comes in over short messages |
//! | `https.rs` | the sessions that cards open (SCP81) |
//! | `audit.rs` | what has become of a command whose answer was lost |
//! | `notification.rs` | default notifications, over either bearer |

mod arrival;
mod audit;
mod engine;
mod held;
mod https;
mod notification;
mod packet;
mod policy;
mod queue;
mod records;
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
pub use policy::{Es5Config, HttpsDoor};
pub use queue::{cancel, enqueue, forget};
pub use records::JOBS;

/// A script for a security domain of a card.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The card.
    pub eid: Eid,
    /// The security domain that runs the script: the ISD-R or an ISD-P.
    pub target: Aid,
    /// What it runs.
    pub script: Script,
    /// When nobody is interested in it any more.
    pub valid_until: Timestamp,
    /// Another one follows: a session is kept open for it.
    pub more_to_do: bool,
    /// It goes before those that are not, but not before one that has left and cannot be run twice: a counter of its own
    /// in between would leave nothing to find out with whether that was run.
    pub urgent: bool,
    /// Over which bearer, if that is not for the policy to say.
    pub via: Option<Bearer>,
    /// What the script does to the card.
    pub effect: Effect,
    /// By what the procedure that wants it knows it again. Means nothing here.
    pub purpose: String,
}

/// What a script does to a card: decides how it is secured and repeated, and by what its effect can be seen afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// This ISD-P is created.
    CreateIsdP(Aid),
    /// This ISD-P is enabled.
    Enable(Aid),
    /// This ISD-P is disabled.
    Disable(Aid),
    /// This ISD-P is deleted; by MasterDelete too.
    Delete(Aid),
    /// This ISD-P gets the fallback attribute.
    SetFallBack(Aid),
    /// This ISD-P gets the emergency profile attribute.
    SetEmergency(Aid),
    /// The notification with this number is confirmed.
    ConfirmNotification(u16),
    /// Something is read.
    Audit,
    /// Keys are established, put or deleted.
    KeySet,
    /// The addresses of an SM-SR are changed.
    Addressing,
    /// Whatever an SM-DP sends.
    Data,
}

/// How a card is reached.
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

/// Which job: the card, and a number that grows with each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId {
    eid: Eid,
    urgent: bool,
    number: u64,
}

/// How a job ended.
#[derive(Clone, Debug)]
pub enum JobOutcome {
    /// The card ran the script and said this.
    Answered(ScriptResponse),
    /// The card said this to the repetition of a notification's confirmation: an answer to the first may have been lost, and
    /// nothing can be seen of it afterwards.
    AnsweredAgain(ScriptResponse),
    /// The card's answer was lost and the command repeated; what it did can be seen in this answer to an audit.
    FoundDone(ScriptResponse),
    /// The card did not run the script.
    Refused(CardRefusal),
    /// Its time ran out. The card may have run it, if it was on its way.
    Expired,
    /// It cannot be brought to the card, or what became of it cannot be known.
    NotDelivered(String),
}

/// Why a card did not run a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardRefusal {
    /// Over short messages: the status of its answer.
    Packet(ResponseStatus),
    /// Over HTTPS: `X-Admin-Script-Status`.
    Script(ScriptStatus),
}

/// How a card can be reached, and with which keys.
#[derive(Clone, Debug)]
pub struct CardAccess {
    /// Where it receives short messages: the number of the profile that is enabled.
    pub address: Option<PhoneNumber>,
    /// Its SCP80 key sets. The first one is used; what comes from the card may be secured with any.
    pub scp80: Vec<Scp80KeySet>,
    /// Its SCP81 keys.
    pub scp81: Vec<PskKey>,
    /// Whether it is capable of HTTPS.
    pub https: bool,
}

/// A key set for secured packets.
#[derive(Clone, Debug)]
pub struct Scp80KeySet {
    /// Key version number, 1 to 15.
    pub kvn: u8,
    /// Ciphers.
    pub kic: Secret<[u8; 16]>,
    /// Vouches.
    pub kid: Secret<[u8; 16]>,
    /// What its counter was when it was put onto the card.
    pub initial_counter: Counter,
}

/// A key for TLS.
#[derive(Clone, Debug)]
pub struct PskKey {
    /// Key version number, 0x40 to 0x4F.
    pub kvn: u8,
    /// Key identifier.
    pub key_id: u8,
    /// The key.
    pub key: Secret<Vec<u8>>,
}

/// Those for whom scripts are brought to cards. Everything here happens within the transaction of the event itself.
pub trait Procedures: Send + Sync {
    /// How a card can be reached now; `None` if it is not managed here.
    fn card<'a>(&'a self, tx: &'a mut Tx<'_>, eid: Eid) -> BoxFuture<'a, Result<Option<CardAccess>, Fault>>;

    /// The card that has this number, in whichever of its profiles.
    fn card_at<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        address: &'a PhoneNumber,
    ) -> BoxFuture<'a, Result<Option<Eid>, Fault>>;

    /// A job has ended and is no more.
    fn job_ended<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        now: Timestamp,
        id: &'a JobId,
        job: &'a Job,
        outcome: JobOutcome,
    ) -> BoxFuture<'a, Result<(), Fault>>;

    /// A card has told something on its own that it has not told before. Whoever wants it confirmed enqueues a job with
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
    /// The card that it is for.
    pub const fn eid(&self) -> Eid {
        self.eid
    }

    /// Without the card.
    fn local(&self) -> String {
        format!("{}{:015}", if self.urgent { 0 } else { 1 }, self.number)
    }
}

impl fmt::Display for JobId {
    /// In the order of these texts the jobs of a card are done.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.eid, self.local())
    }
}

/// The text is not that of a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the number of a job; such a one is EID/number")]
pub struct NotAJob(String);

impl FromStr for JobId {
    type Err = NotAJob;

    fn from_str(text: &str) -> Result<Self, NotAJob> {
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
        parse().ok_or_else(|| NotAJob(text.to_owned()))
    }
}

impl TryFrom<String> for JobId {
    type Error = NotAJob;

    fn try_from(text: String) -> Result<Self, NotAJob> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.to_string()
    }
}

impl Effect {
    /// In the timeline.
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
