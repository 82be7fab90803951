//! The ES5 engine with a simulated card that shares only the cryptography with it, over both
//! bearers: normal operation, and messages that are lost, duplicated, late or forged.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's helpers may fail the test"
)]

mod card;
mod hostile;
mod notifications;
mod once;
mod over_https;
mod over_sms;
mod restarts;
mod testbed;
