//! The SM-DP+ (SGP.22) and the SM-DP (SGP.02). No sockets.
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
mod es2;
mod es2plus;
mod es3;
mod es8;
mod es8plus;
mod es9plus;
mod event_log;
pub mod m2m;
mod operators;
mod outbox;
pub mod profile_state;
pub mod records;
mod router;
pub mod server;
pub mod stock;

pub use config::{Config, HostId, Requesters};
pub use delivery::Peers;
pub use m2m::SmDp;
pub use profile_state::{ProfileEvent, ProfileState};
pub use records::Operator;
pub use server::{Credentials, SmDpPlus};
pub use stock::{ProfileOptions, Protection, Rebinding};
