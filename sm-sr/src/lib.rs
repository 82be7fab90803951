//! SM-SR: the Subscription Manager Secure Routing of SGP.02. The crate opens no sockets.
//!
//! [`SmSr`] answers calls of EUMs (ES1), SM-DPs (ES3), operators (ES4) and other SM-SRs (ES7), and
//! executes them on cards (ES5). Each interface is a directory; functions that ES3 and ES4 have in
//! common are in `shared_functions.rs`.
//!
//! A function that needs no card is decided in a transaction by its file. A function that needs the
//! card is a record ([`procedures`]) from its acceptance until its response is in the outbox;
//! [`es5`] transports its scripts. All persistent data is in [`records`].

mod audit;
mod caller;
mod check_eis;
pub mod config;
mod context;
mod credentials;
mod es1;
mod es3;
mod es4;
pub mod es5;
mod es7;
mod keys;
mod notifications;
mod outgoing;
mod policy;
pub mod procedures;
pub mod records;
mod router;
pub mod server;
mod shared_functions;
pub mod state;
pub mod transport;
mod visibility;

pub use config::{CardAddress, Config};
pub use credentials::Credentials;
pub use server::SmSr;

#[cfg(test)]
mod tests;
