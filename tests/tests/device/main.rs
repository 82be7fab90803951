//! The device of `euicc-sim` with the card of `euicc-sim` and the SM-DP+ of `sm-dp`, over a TS.48 profile, in one
//! process and on a clock that stands still.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod at;
mod bench;
mod cancel;
mod cuts;
mod discovery;
mod download;
mod swap;
mod trace;
