//! The SM-DP+: SGP.22. No sockets.
//!
//! [`SmDpPlus`] answers HTTP requests: ES9+ for LPAs, ES2+ for operators. Directory = interface, file = function.
//!
//! A request is decoded at the edge ([`server`]), decided in a transaction by the file of its function, committed in
//! one place, and only then answered. What is kept between requests is in [`records`]. For the operator of a test bench
//! there is the [`admin`] API, apart from the protocol.

pub mod admin;
pub mod config;
mod context;
mod delivery;
mod eligibility;
mod es2plus;
mod es8plus;
mod es9plus;
mod event_log;
mod operators;
mod outbox;
pub mod profile_state;
pub mod records;
mod router;
pub mod server;
pub mod stock;

pub use config::{Config, HostId, Requesters};
pub use delivery::Peers;
pub use profile_state::{ProfileEvent, ProfileState};
pub use records::Operator;
pub use server::{Credentials, SmDpPlus};
pub use stock::{ProfileOptions, Protection, Rebinding};
