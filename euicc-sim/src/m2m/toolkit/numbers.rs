//! Times and tries, which the standard leaves to the maker of the card.

use serde::{Deserialize, Serialize};

/// How long an M2M card waits for what, and how often it tries: SGP.02 leaves these to the EUM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Numbers {
    /// How often the terminal is asked to send STATUS.
    pub poll_seconds: u64,
    /// How long a profile has to reach its network after a start or a change.
    pub attach_seconds: u64,
    /// How long the enabled profile may be without its network before the card falls back.
    pub loss_seconds: u64,
    /// How long the SM-SR has to confirm a notification before it is sent again.
    pub confirmation_seconds: u64,
    /// How long the card waits when a notification could not be sent.
    pub notification_retry_seconds: u64,
    /// How often a notification is sent before the change that it tells of counts as failed.
    pub notification_attempts: u8,
    /// How long the card waits before it begins anew with a notification that no change depends on.
    pub notification_again_seconds: u64,
    /// How often a response packet that goes by a short message is offered to a terminal that cannot send it just now.
    pub tries_of_a_command: u8,
    /// How often a session over HTTPS is tried again when neither the trigger nor the card's parameters say it.
    pub session_retries: u16,
    /// How long the card waits before that.
    pub session_retry_seconds: u64,
    /// How long the card waits for the server in a session.
    pub session_answer_seconds: u64,
}

impl Numbers {
    /// What holds unless a description says otherwise.
    pub const STANDARD: &'static Self = &Self {
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

impl Default for Numbers {
    fn default() -> Self {
        Self::STANDARD.clone()
    }
}
