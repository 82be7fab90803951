//! The SM-DP of SGP.02: profiles are pushed to eUICCs that an SM-SR manages.
//!
//! [`SmDp`] stands beside [`SmDpPlus`](crate::SmDpPlus) on the same stock. It answers ES2 for operators and asks SM-SRs
//! over ES3; ES8 goes through both. Each procedure is a record and moves when an SM-SR answers, so that a restart finds
//! it where it was.

pub mod config;
pub(crate) mod connectivity;
pub(crate) mod context;
pub(crate) mod credentials;
pub mod download;
mod eligibility;
pub(crate) mod goods;
pub mod records;
pub mod relay;
mod server;

pub use config::Config;
pub use connectivity::ConnectivityUpdate;
pub use credentials::Credentials;
pub use server::SmDp;
