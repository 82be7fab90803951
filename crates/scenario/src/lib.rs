//! The dishonest outside: virtual time, bearers that take their time, faults by name. No sockets.
//!
//! | module | what |
//! |---|---|
//! | [`time`] | a run in virtual time: one thread, one seed, a year in a moment |
//! | [`bearer`] | one of `fleet::bearers` in use: octets take time, exchanges are lost |
//! | [`mod@file`] | scenario files: a world, devices in it, what happens and what is expected |
//! | [`play`] | a scenario played: every party running, and what came of it |
//! | [`host`] | a party that dies with its process and is started again on its records |
//! | [`consumer`] | the parties of the consumer swap (SGP.22) in one process |
//! | [`m2m`] | the parties of the M2M swap (SGP.02) in one process |
//! | [`library`] | scenarios that come along, by name |
//! | [`report`] | what a run came to |
//! | [`subscription`] | what a profile package says of its subscription; packages of our own |
//!
//! No party has code that exists to fail: everything here lies round a seam of `world` (a link, records, a memory, a door)
//! or of `euicc_sim` (a radio). The layers do not know whether time is virtual or real, so that the same faults can be
//! put before parties at sockets.

pub mod bearer;
pub mod consumer;
pub mod file;
pub mod host;
pub mod library;
pub mod m2m;
pub mod play;
pub mod report;
pub mod subscription;
pub mod time;
