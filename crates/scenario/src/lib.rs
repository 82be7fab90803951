//! Scenario files: networks, servers, devices, events and expectations. This crate plays them with
//! the parties of the `testbed` crate, in virtual time, and reports the result. The same seed gives
//! the same run. It opens no sockets.
//!
//! | module | contents |
//! |---|---|
//! | [`mod@file`] | the scenario language: its types, parser and checks |
//! | [`play`] | runs a scenario with every party, and collects the outcome |
//! | [`library`] | the built-in scenarios |
//! | [`report`] | the report of a run |

pub mod file;
pub mod library;
pub mod play;
pub mod report;
