//! Tests of the owner's platform, with a simulated SM-DP+ that only stores orders.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy takes only #[test] functions for tests, not the helpers beside them"
)]

mod api;
mod campaigns;
mod check_in;
mod crash;
mod eim_agent;
mod invariants;
mod lists;
#[path = "../../../sm-dp/tests/support/openapi.rs"]
mod openapi;
mod operator;
mod pace;
mod reads;
mod reconciler;
mod records;
mod rules;
mod stored;
#[path = "../../../crates/world/tests/support/stored.rs"]
mod stored_records;
mod testbed;
