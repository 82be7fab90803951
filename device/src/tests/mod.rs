//! Unit tests of the device with simple cards and networks. `tests/tests/device` of the workspace
//! tests it with the simulated card and the SM-DP+.

mod at;
pub(crate) mod fake_usim;
mod modem;
mod multi_imsi;
mod online;
mod terminal;
