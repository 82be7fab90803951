//! All parties of remote provisioning in one process, for tests.
//!
//! The parties are the same code as in the servers and devices. They are connected by links in
//! memory, and run in virtual time from one seed. The crate opens no sockets.
//!
//! | module | contents |
//! |---|---|
//! | [`Testbed`] | single parties of SGP.22, for any test |
//! | [`operator`] | an operator as a client of ES2+ |
//! | [`consumer`] | the parties of a consumer swap (SGP.22) |
//! | [`iot`] | the parties of the provisioning of an IoT device (SGP.32) |
//! | [`m2m`] | the parties of an M2M swap (SGP.02) |
//! | [`background`] | the background work of a party |
//! | [`time`] | the virtual-time runner: one thread, one seed; a year takes moments |
//! | [`host`] | a party whose process can crash and is restarted with its records |
//! | [`transport`] | the transport between the parties, in process or over sockets |
//! | [`bearer`] | one device's use of a bearer of `fleet::bearers`, with transmission times and losses |
//! | [`subscription`] | the subscriptions in a profile package, and generated packages |
//! | [`fault_places`] | the names of the servers in fault specifications |
//!
//! The parties contain no test code. Faults are injected by the wrappers of the `faults` crate
//! around links, records, memories, radios and card interfaces. These wrappers do not depend on
//! virtual time, so the same faults can be injected in front of parties at sockets.

mod assembly;
pub mod background;
pub mod bearer;
pub mod consumer;
pub mod fault_places;
pub mod host;
pub mod iot;
pub mod m2m;
pub mod move_report;
pub mod operator;
pub mod subscription;
mod swap;
pub mod time;
pub mod transport;

pub use assembly::{OPERATOR, Testbed, bad_pki};
