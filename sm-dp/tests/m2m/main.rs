//! The SM-DP between an operator, an SM-SR that says what the test wants, and a card of the test's own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

#[path = "../support/mod.rs"]
mod support;

mod card;
mod connectivity;
mod downloads;
mod eligibility;
mod notifications;
mod relayed;
mod rig;
mod stock;
