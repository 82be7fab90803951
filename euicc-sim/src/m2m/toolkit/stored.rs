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
    /// The profile whose network was lost, until a change after the fallback is confirmed, or until it is deleted.
    pub(crate) fell_back_from: Option<Aid>,
    /// A session over HTTPS that has not come to its end.
    pub(crate) session: Option<StoredSession>,
    /// Those whose turn comes after it.
    pub(crate) waiting: Vec<StoredSession>,
}

/// How many sessions may wait for another; the last in turn goes first.
const MAX_WAITING: usize = 4;

impl Stored {
    /// Of a card fresh from the factory.
    pub(crate) const NEW: Self = Self {
        is_declared: false,
        notification: None,
        confirmed: None,
        change: None,
        fell_back_from: None,
        session: None,
        waiting: Vec::new(),
    };

    /// A session is asked for: it goes before those that wait, and unless one `is_going_on` before the present one. One
    /// that is there already, and was asked for in the same words, keeps what it has to say.
    pub(crate) fn ask_for(&mut self, asked: StoredSession, is_going_on: bool) {
        let is_same = |session: &StoredSession| {
            (&session.parameters, session.notification) == (&asked.parameters, asked.notification)
        };
        if let Some(session) = self.session.as_mut().filter(|session| is_same(session)) {
            // Who asks is there: all that was tried in vain counts as once.
            session.attempts = session.attempts.min(1);
            return;
        }
        let known = self.waiting.iter().position(is_same).map(|at| self.waiting.remove(at));
        let asked = known.unwrap_or(asked);
        let next = if is_going_on { Some(asked) } else { self.session.replace(asked) };
        self.waiting.splice(0..0, next);
        self.waiting.truncate(MAX_WAITING);
    }

    /// The present session is over, or was interrupted: whether it is another's turn now. What was never tried goes before
    /// what is tried again.
    pub(crate) fn take_turn(&mut self) -> bool {
        let new = self.waiting.iter().position(|session| session.attempts == 0);
        let first = (self.session.is_none() && !self.waiting.is_empty()).then_some(0);
        let Some(at) = new.or(first) else { return false };
        let next = self.waiting.remove(at);
        self.waiting.extend(self.session.replace(next));
        true
    }

    /// Sessions for which this holds are gone; whether the present one is among them.
    pub(crate) fn drop_sessions(&mut self, is_gone: impl Fn(&StoredSession) -> bool) -> bool {
        self.waiting.retain(|session| !is_gone(session));
        self.session.take_if(|session| is_gone(session)).is_some()
    }
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
    /// The notification that the first request tells, by its number: what it says, and whether it is still to be told,
    /// stands where it is pending. None once the server has answered.
    #[serde(default)]
    pub(crate) notification: Option<u16>,
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
