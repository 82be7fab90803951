//! Tests of an IoT eUICC (SGP.32) through its APDU interface.
//!
//! [`testbed`] has a card with an eIM that signs packages with the crates of the real one, but not
//! with its code.

mod configuration;
mod download;
mod emergency;
mod fallback;
mod hostile;
mod ipae;
mod kind;
mod operations;
mod packages;
mod power_cuts;
mod rollback;
mod stored;
mod testbed;
