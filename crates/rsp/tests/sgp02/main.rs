//! The messages of SGP.02: encoding and decoding in both namespaces, messages of real peers,
//! hostile XML.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod canonical;
mod captured;
mod headers;
mod hostile;
mod round_trip;
mod samples;
mod schema;
mod unknown;
