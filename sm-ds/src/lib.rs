//! The SM-DS: SGP.22. No sockets.
//!
//! [`SmDs`] answers HTTP requests: ES12 for SM-DP+s, ES11 for LPAs. Directory = interface, file = function.
//!
//! A request is decoded at the edge, decided in a transaction by the file of its function, committed in one place, and
//! only then answered. What is kept between requests is in [`records`].
//!
//! It is a root SM-DS: nobody registers events here on behalf of another SM-DS (ES15), and none are passed on.

pub mod config;
mod context;
mod es11;
mod es12;
pub mod records;
mod router;
pub mod server;

pub use config::Config;
pub use server::{Credentials, SmDs};
