//! Timers and retry limits, which the standard leaves to the card manufacturer.

use serde::{Deserialize, Serialize};

/// Timers and retry limits of an M2M eUICC. SGP.02 leaves them to the EUM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolkitSettings {
    /// Requested interval of STATUS commands.
    pub poll_seconds: u64,
    /// Time for a profile to register with its network after a start or a switch.
    pub attach_seconds: u64,
    /// Time without network after which the card falls back.
    pub loss_seconds: u64,
    /// Time for the SM-SR to confirm a notification before it is sent again.
    pub confirmation_seconds: u64,
    /// Delay after a failed attempt to send a notification.
    pub notification_retry_seconds: u64,
    /// Maximum number of attempts to send a notification before the profile switch counts as
    /// failed.
    pub notification_attempts: u8,
    /// Delay before the attempts restart for a notification on which no profile switch depends.
    pub notification_again_seconds: u64,
    /// Maximum number of attempts to send a response packet by short message while the terminal
    /// fails temporarily.
    pub tries_of_a_command: u8,
    /// Maximum number of retries of an HTTPS session, unless the trigger or the card's parameters
    /// define it.
    pub session_retries: u16,
    /// Delay before a retry of an HTTPS session, unless the trigger or the card's parameters define
    /// it.
    pub session_retry_seconds: u64,
    /// Timeout for the server in a session.
    pub session_answer_seconds: u64,
}

impl ToolkitSettings {
    /// The default values.
    pub const DEFAULT: &'static Self = &Self {
        poll_seconds: 30,
        attach_seconds: 180,
        loss_seconds: 300,
        confirmation_seconds: 120,
        notification_retry_seconds: 30,
        notification_attempts: 3,
        notification_again_seconds: 3600,
        tries_of_a_command: 3,
        session_retries: 3,
        session_retry_seconds: 30,
        session_answer_seconds: 60,
    };
}

impl Default for ToolkitSettings {
    fn default() -> Self {
        Self::DEFAULT.clone()
    }
}
