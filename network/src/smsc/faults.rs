//! Faults that can be injected into an SMSC.

use std::time::Duration;

/// A fault that happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmsFaultKind {
    /// The message is accepted and dropped silently.
    Lose,
    /// The message is delayed.
    Delay(Duration),
    /// The message is delivered twice.
    Double,
    /// The message is delivered, but its acknowledgement is lost.
    LoseAnswer,
}

/// The direction of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Mobile terminated.
    ToDevice,
    /// Mobile originated.
    FromDevice,
}
