//! Tests of the card through its APDU interface.
//!
//! [`testbed`] has a reader and the LPA's side of ES10. [`server`] is an SM-DP+ that uses the same
//! library crates as the real one, but not its code.

mod authenticate;
mod cat;
mod chains;
mod commands;
mod conversations;
pub(super) mod cut_memory;
mod deviations;
mod download;
mod file_by_file;
mod files;
mod functions;
mod get_identity;
mod hostile;
mod independent_milenage;
mod installation;
mod iot;
mod multi_imsi;
mod mutual_authentication;
mod notifications;
mod power_cuts;
mod profiles;
mod results;
mod revocation;
mod server;
pub(super) mod stored;
mod testbed;
mod value_notation;
