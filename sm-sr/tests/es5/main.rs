//! The engine of ES5 against a card that shares only arithmetic with it, over both bearers: nominal, and with everything
//! lost, doubled, late or forged that can be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // A test's helpers may fail the test.

mod card;
mod hostile;
mod notifications;
mod once;
mod over_https;
mod over_sms;
mod restarts;
mod rig;
