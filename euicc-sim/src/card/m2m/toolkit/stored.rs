//! What the toolkit must not forget when the power goes.

use profile::Octets;
use rsp::ids::Aid;
use rsp::ota::admin::ScriptStatus;
use serde::{Deserialize, Serialize};

/// Kept with what else an M2M card remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Stored {
    /// The SM-SR has been told, or is being told, of the first attachment.
    pub(crate) is_declared: bool,
    /// What the SM-SR has not confirmed.
    pub(crate) notification: Option<Pending>,
    /// What it confirmed last.
    pub(crate) confirmed: Option<u16>,
    /// Why the card itself changes profiles, while the change is due.
    pub(crate) change: Option<Change>,
    /// The profile whose network was lost, until a change after the fallback is confirmed.
    pub(crate) fell_back_from: Option<Aid>,
    /// A session over HTTPS that has not come to its end.
    pub(crate) session: Option<StoredSession>,
}

impl Stored {
    /// Of a card fresh from the factory.
    pub(crate) const NEW: Self = Self {
        is_declared: false,
        notification: None,
        confirmed: None,
        change: None,
        fell_back_from: None,
        session: None,
    };
}

impl Default for Stored {
    fn default() -> Self {
        Self::NEW
    }
}

/// A notification that the SM-SR has not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) kind: Kind,
    pub(crate) sequence_number: u16,
    /// The profile that was enabled before the change.
    pub(crate) before: Option<Aid>,
    /// How often it was tried.
    pub(crate) attempts: u8,
}

/// What a notification tells: SGP.02 section 4.1.1.11.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The first attachment to a network.
    Declaration,
    /// A change of profiles that was asked for.
    Changed,
    /// That change failed, and the profile before is back.
    RolledBack,
    /// The network was lost.
    FellBack,
}

/// A change of profiles that the card itself has decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) cause: Cause,
    /// To which profile: a change that was asked for in the meantime goes to another, or makes this one void.
    pub(crate) to: Aid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Cause {
    RollBack,
    FallBack,
}

/// A session of the administration agent, so far as it can be taken up again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredSession {
    /// The session triggering parameters, tag 81 and all; empty where the card begins by itself with what it has stored.
    pub(crate) parameters: Octets,
    /// Where the next request goes; none for the first one.
    pub(crate) next_uri: Option<String>,
    /// The answer to the last script, until the server has said something after it.
    pub(crate) answer: Option<ScriptAnswer>,
    /// How often it was begun.
    pub(crate) attempts: u16,
}

/// What is to be posted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScriptAnswer {
    /// X-Admin-Script-Status.
    pub(crate) status: ScriptStatus,
    pub(crate) body: Octets,
}
