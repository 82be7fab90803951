//! SGP.02 between processes over TLS: networks with an SMSC, SM-SRs, an SM-DP, and a device with
//! its card. The test process itself runs further EUMs, operators, SM-DPs and SM-SRs, which are
//! implemented independently.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod bearers;
#[path = "../common/mod.rs"]
mod common;
mod eis;
mod errors;
mod faults;
mod functions;
mod independent_peer;
mod profiles;
mod restarts;
mod testbed;
