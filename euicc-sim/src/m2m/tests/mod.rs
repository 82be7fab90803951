//! Tests of the M2M eUICC through scripts.
//!
//! [`testbed`] is the card with the keys of its SM-SR. [`oce`] is an off-card entity (an SM-DP, or an
//! SM-SR for its own keys) that uses the same cryptographic primitives as the real one, but not its
//! code.

mod card_interface;
mod chaining;
mod deviations;
mod download;
mod es5;
mod establishment;
mod garbage;
mod hostile;
mod key_sets;
mod master_delete;
mod oce;
mod online;
mod personalisation;
mod power_cuts;
mod servers;
mod stored;
mod terminal;
pub(crate) mod testbed;
mod vectors;
