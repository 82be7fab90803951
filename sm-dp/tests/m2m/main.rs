//! Tests of the SM-DP between an operator, a scripted SM-SR, and a simulated card.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a panic fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod card;
mod connectivity;
mod downloads;
mod eligibility;
mod notifications;
mod relayed;
mod stock;
mod testbed;
