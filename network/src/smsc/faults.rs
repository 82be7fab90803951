//! What may go wrong in a service centre.

use std::time::Duration;

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmsFaultKind {
    /// It is taken, and nobody hears of it again.
    Lose,
    /// It comes later.
    Delay(Duration),
    /// It comes twice.
    Double,
    /// It comes, and that it did is not heard.
    LoseAnswer,
}

/// Towards a device or from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Mobile terminated.
    ToDevice,
    /// Mobile originated.
    FromDevice,
}
