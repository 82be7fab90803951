//! The M2M eUICC from outside: scripts in, answers out.
//!
//! [`bench`] is the card and what an SM-SR has of it, [`oce`] an off-card entity (an SM-DP, or an SM-SR for its own keys)
//! that is written over the same arithmetic as the real one, but apart from it.

pub(crate) mod bench;
mod chaining;
mod door;
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
mod terminal;
mod vectors;
