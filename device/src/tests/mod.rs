//! The device against doors and networks that are made for it. Against the real card and the real SM-DP+ it stands in
//! the workspace's `tests/tests/device`.

mod at;
pub(crate) mod fake_usim;
mod modem;
mod multi_imsi;
mod online;
mod terminal;
