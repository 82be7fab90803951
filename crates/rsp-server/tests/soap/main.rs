//! The shell of SGP.02's web services between two parties, cranked by hand.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod bench;
mod eum;
mod http;
mod patterns;
mod trouble;
