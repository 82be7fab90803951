//! Library behind the `landfall` binary, also used by the end-to-end tests.
//!
//! This crate implements no protocol. Each module composes a party from the crates below it and the
//! sockets of `net`. Each command of the binary is a file in [`command`].

pub mod admin;
pub mod advice;
pub mod api_client;
pub mod cards;
pub mod check;
pub mod command;
pub mod demo;
pub mod device_check;
mod eim_check;
mod eim_configuration;
pub mod eum;
pub mod exit_status;
pub mod explain;
pub mod faults;
pub mod files;
mod hidden_value;
mod ipa_check;
pub mod json_schema;
pub mod json_view;
pub mod listener;
pub mod live;
pub mod load;
pub mod m2m;
pub mod output;
pub mod parties;
pub mod peers;
pub mod pki;
pub mod preset;
pub mod progress;
pub mod readiness;
pub mod report;
pub mod scenario_file;
mod secret_file;
pub mod settings;
pub mod trace;
