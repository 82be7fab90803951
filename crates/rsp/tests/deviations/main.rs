//! Every message of SGP.22 and SGP.32, and every message of SGP.02 that is not XML, with one deviation that no standard requires to refuse: an unknown
//! element, a reserved bit, or a value that is longer than usual. It is decoded, and the deviation
//! is a finding.
//!
//! The tests read the sources of the crate, and fail if a type or a field is not covered by a
//! message of the table in `samples`. The XML messages of SGP.02
//! are tested in `tests/sgp02`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod asn1;
mod asn1_encoder;
mod asn1_module;
mod json;
mod m2m;
mod samples;
mod tree;
