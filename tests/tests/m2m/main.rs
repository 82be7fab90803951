//! Tests of SGP.02 end to end: a profile that is ordered over ES2 is installed on a card without
//! action of its device, even if messages are lost or duplicated, or if servers restart.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod failures;
mod refusals;
mod schema;
mod support;
mod walk;
