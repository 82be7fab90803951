//! The card from outside: everything here goes through the APDU door.
//!
//! [`bench`] is a reader and the LPA's side of ES10, [`server`] an SM-DP+ written over the same crates as the real
//! one, but apart from it.

mod authenticate;
mod bench;
mod cat;
mod commands;
mod conversations;
pub(super) mod cut_memory;
mod download;
mod file_by_file;
mod files;
mod functions;
mod get_identity;
mod hostile;
mod independent_milenage;
mod installation;
mod multi_imsi;
mod mutual_authentication;
mod notifications;
mod power_cuts;
mod profiles;
mod results;
mod revocation;
mod server;
mod value_notation;
