//! The crate `device` with the card of `euicc-sim` and the SM-DP+ of `sm-dp`, with generated profiles,
//! in one process and with a manual clock.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod at;
mod at_host;
mod cancel;
mod discovery;
mod download;
mod interruptions;
mod moves;
mod testbed;
mod trace;
