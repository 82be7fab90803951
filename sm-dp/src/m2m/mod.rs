//! The SM-DP of SGP.02, which pushes profiles to eUICCs that an SM-SR manages.
//!
//! [`SmDp`] shares the stock with [`SmDpPlus`](crate::SmDpPlus). It serves ES2 for operators and
//! calls SM-SRs over ES3. Scripts of ES8 reach the card through ES3. Each procedure is a record that
//! advances when an SM-SR responds, so it survives a restart.

pub mod config;
pub(crate) mod connectivity;
pub(crate) mod context;
pub(crate) mod credentials;
pub mod download;
mod eligibility;
pub mod records;
pub mod relay;
mod server;
pub(crate) mod stock;

pub use config::Config;
pub use connectivity::ConnectivityUpdate;
pub use credentials::Credentials;
pub use server::SmDp;
