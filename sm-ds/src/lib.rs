//! The SM-DS: SGP.22. The crate opens no sockets.
//!
//! [`SmDs`] answers HTTP requests: ES12 for SM-DP+s, ES11 for LPAs. Each interface is a directory
//! and each function a file.
//!
//! The module `router` lists the functions. [`rsp_server::server`] decodes a request, and the
//! function's file decides on it in a transaction. The transaction is committed in one place, and
//! only then is the response sent. Everything kept between requests is in [`records`].
//!
//! This server is a root SM-DS: no other SM-DS registers events here (ES15), and no events are
//! forwarded.

pub mod config;
mod context;
mod credentials;
mod es11;
mod es12;
pub mod records;
mod router;
pub mod server;

pub use config::Config;
pub use credentials::Credentials;
pub use server::SmDs;
