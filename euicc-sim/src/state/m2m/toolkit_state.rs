//! The persistent state of the toolkit application.

use profile::Octets;
use rsp::ids::Aid;
use rsp::ota::admin::ScriptStatus;
use serde::{Deserialize, Serialize};

/// The persistent state, stored with the state of the M2M eUICC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ToolkitState {
    /// True if the first network attachment has been or is being reported to the SM-SR.
    pub(crate) is_declared: bool,
    /// The notification that the SM-SR has not confirmed.
    pub(crate) notification: Option<Pending>,
    /// The number of the last confirmed notification.
    pub(crate) confirmed: Option<u16>,
    /// A pending profile switch that the card itself decided.
    pub(crate) change: Option<Change>,
    /// The profile whose network was lost, until a later switch is confirmed or the profile is
    /// deleted.
    pub(crate) fell_back_from: Option<Aid>,
    /// The current HTTPS session, until it ends.
    pub(crate) session: Option<StoredSession>,
    /// The sessions that wait for the current one.
    pub(crate) waiting: Vec<StoredSession>,
}

/// Maximum number of waiting sessions. The last in the queue is discarded first.
const MAX_WAITING: usize = 4;

impl ToolkitState {
    /// The state of a new card.
    pub(crate) const NEW: Self = Self {
        is_declared: false,
        notification: None,
        confirmed: None,
        change: None,
        fell_back_from: None,
        session: None,
        waiting: Vec::new(),
    };

    /// Adds a session request. The new session has priority over the waiting sessions. It also has
    /// priority over the current session, unless `is_active` is true. If an equal request is
    /// already stored, its session continues with the stored state.
    pub(crate) fn request_session(&mut self, requested: StoredSession, is_active: bool) {
        let is_same = |session: &StoredSession| {
            (&session.parameters, session.notification) == (&requested.parameters, requested.notification)
        };
        if let Some(session) = self.session.as_mut().filter(|session| is_same(session)) {
            // A repeated request shows that the server is reachable, so all failed attempts
            // together count as one.
            session.attempts = session.attempts.min(1);
            return;
        }
        let known = self.waiting.iter().position(is_same).map(|at| self.waiting.remove(at));
        let requested = known.unwrap_or(requested);
        let next = if is_active { Some(requested) } else { self.session.replace(requested) };
        self.waiting.splice(0..0, next);
        self.waiting.truncate(MAX_WAITING);
    }

    /// Selects the next session after the current one ended or was interrupted. Sessions that were
    /// never tried have priority over retries. Returns true if the session changed.
    pub(crate) fn take_turn(&mut self) -> bool {
        let new = self.waiting.iter().position(|session| session.attempts == 0);
        let first = (self.session.is_none() && !self.waiting.is_empty()).then_some(0);
        let Some(at) = new.or(first) else { return false };
        let next = self.waiting.remove(at);
        self.waiting.extend(self.session.replace(next));
        true
    }

    /// Removes the sessions for which `is_obsolete` is true. Returns true if the current session was
    /// removed.
    pub(crate) fn drop_sessions(&mut self, is_obsolete: impl Fn(&StoredSession) -> bool) -> bool {
        self.waiting.retain(|session| !is_obsolete(session));
        self.session.take_if(|session| is_obsolete(session)).is_some()
    }
}

impl Default for ToolkitState {
    fn default() -> Self {
        Self::NEW
    }
}

/// A notification that the SM-SR has not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) kind: Kind,
    pub(crate) sequence_number: u16,
    /// The profile that was enabled before the switch.
    pub(crate) before: Option<Aid>,
    /// Number of attempts.
    pub(crate) attempts: u8,
}

/// The kind of a notification: SGP.02 section 4.1.1.11.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The first attachment to a network.
    Declaration,
    /// A profile switch by command.
    Changed,
    /// The switch failed, and the previous profile was enabled again.
    RolledBack,
    /// The network was lost.
    FellBack,
}

/// A profile switch decided by the card itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) cause: Cause,
    /// The target profile. If a command requests a switch in the meantime, the pending switch has
    /// another target or is cancelled.
    pub(crate) to: Aid,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Cause {
    RollBack,
    FallBack,
}

/// The part of an HTTPS session that is needed to resume it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredSession {
    /// The session triggering parameters including tag 81; empty if the card started the session
    /// with its stored parameters.
    pub(crate) parameters: Octets,
    /// The number of the notification reported in the first request. Its contents are in the
    /// pending notification. `None` after the server has replied.
    #[serde(default)]
    pub(crate) notification: Option<u16>,
    /// The URI of the next request; `None` for the first one.
    pub(crate) next_uri: Option<String>,
    /// The response to the last script, until the server has acknowledged it with its next reply.
    pub(crate) answer: Option<ScriptAnswer>,
    /// Number of attempts.
    pub(crate) attempts: u16,
}

/// The body of a request: the response to a script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScriptAnswer {
    /// X-Admin-Script-Status.
    pub(crate) status: ScriptStatus,
    pub(crate) body: Octets,
}
