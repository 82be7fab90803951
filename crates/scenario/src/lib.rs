//! Simulated deployments: all parties of remote provisioning run in one process and in virtual
//! time.
//!
//! A scenario file describes networks, servers, devices, events and expectations. This crate plays
//! it
//! and reports the result. The same seed gives the same run. It opens no sockets.
//!
//! | module | contents |
//! |---|---|
//! | [`time`] | the virtual-time runner: one thread, one seed; a year takes moments |
//! | [`bearer`] | one device's use of a bearer of `fleet::bearers`, with transmission times and losses |
//! | [`mod@file`] | the scenario language: its types, parser and checks |
//! | [`play`] | runs a scenario with every party, and collects the outcome |
//! | [`host`] | a party whose process can crash and is restarted with its records |
//! | [`consumer`] | a testbed with the parties of a consumer swap (SGP.22) |
//! | [`m2m`] | a testbed with the parties of an M2M swap (SGP.02) |
//! | [`library`] | the built-in scenarios |
//! | [`report`] | the report of a run |
//! | [`subscription`] | the subscriptions in a profile package, and generated packages |
//!
//! The parties contain no test code. Faults are injected by the wrappers of the `faults` crate
//! around
//! links, records, memories, radios and card interfaces. These wrappers do not depend on virtual
//! time,
//! so the same faults can be injected in front of parties at sockets.

pub mod bearer;
pub mod consumer;
mod fault_places;
pub mod file;
pub mod host;
pub mod library;
pub mod m2m;
pub mod play;
pub mod report;
pub mod subscription;
pub mod time;
mod transport;
