//! The commands of the binary, a file each.

pub mod certs;
pub mod demo;
pub mod euicc;
pub mod operator;
pub mod sm_dp;
