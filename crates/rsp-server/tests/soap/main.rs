//! The SOAP shell of SGP.02 between two test parties, driven step by step.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a panic fails the test")]

mod eum;
#[path = "../support/failing_records.rs"]
mod failing_records;
mod http;
mod patterns;
mod testbed;
mod trouble;
