//! The SM-DP+ (SGP.22) and the SM-DP (SGP.02). This crate opens no sockets.
//!
//! [`SmDpPlus`] handles HTTP requests on ES9+ (from LPAs) and ES2+ (from operators). There is one
//! directory for each interface and one file for each function.
//!
//! The module `router` lists the functions. [`rsp_server::server`] decodes a request and runs the
//! function's file in a transaction. It commits the transaction in one place and sends the reply
//! only after the commit. All state between requests is in [`records`]. The [`admin`] API is for
//! the tester who runs the server and is not part of the protocol.

pub mod admin;
pub mod config;
mod context;
mod credentials;
mod delivery;
mod eligibility;
mod es2;
mod es2plus;
mod es3;
mod es8;
mod es8plus;
mod es9plus;
pub mod m2m;
mod operators;
mod outbox;
mod peers;
pub mod profile_state;
mod protection;
pub mod records;
mod router;
pub mod server;
pub mod stock;
mod template;

pub use config::{Config, HostId, PersonalisedHook, Requesters};
pub use credentials::Credentials;
pub use m2m::SmDp;
pub use peers::Peers;
pub use profile_state::{ProfileEvent, ProfileState};
pub use records::Operator;
pub use server::SmDpPlus;
pub use stock::{ProfileOptions, Protection, Rebinding};
