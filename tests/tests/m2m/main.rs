//! SGP.02 end to end: a profile ordered over ES2 arrives at a card that asks for nothing, whatever is lost, doubled or
//! started anew on the way.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::await_holding_lock,
    reason = "a test says no by panicking"
)]

mod bench;
mod mishaps;
mod refusals;
mod schema;
mod walk;
