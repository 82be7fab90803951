//! SM-SR: the subscription-routing server of SGP.02. No sockets.
//!
//! [`SmSr`] answers EUMs (ES1), SM-DPs (ES3), operators (ES4) and other SM-SRs (ES7), and has cards do what they ask (ES5).
//! Directory = interface; what SM-DPs and operators ask for alike is decided in `asked.rs`.
//!
//! A function that needs no card is decided in a transaction by its file. One that does is a record ([`procedures`]) from
//! the moment it is taken in until its answer is in the outbox; [`es5`] carries its scripts. What is kept is in
//! [`records`].

mod asked;
mod audit;
mod check_eis;
pub mod config;
mod context;
mod credentials;
mod es1;
mod es3;
mod es4;
pub mod es5;
mod es7;
mod notifications;
mod outward;
mod policy;
pub mod procedures;
pub mod records;
mod router;
pub mod server;
pub mod transport;
mod visibility;

pub use config::{CardAddress, Config};
pub use credentials::Credentials;
pub use server::SmSr;

#[cfg(test)]
mod tests;
