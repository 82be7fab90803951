//! SGP.02 between separate processes over TLS: networks with a service centre, SM-SRs, an SM-DP, a device with its card, and
//! in this process the EUMs, operators, SM-DPs and SM-SRs that are strangers to them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says no by panicking"
)]

mod bearers;
#[path = "../common/mod.rs"]
mod common;
mod eis;
mod errors;
mod faults;
mod functions;
mod restarts;
mod stage;
mod story;
mod stranger;
