//! The commands of the binary, one file each.

pub mod certs;
pub mod check;
pub mod completions;
pub mod demo;
pub mod device;
pub mod euicc;
pub mod eum;
pub mod examples;
pub mod explain;
pub mod faults;
pub mod fleet;
pub mod load;
pub mod localize;
pub mod man;
pub mod network;
pub mod operator;
pub mod profile;
pub mod replay;
pub mod run;
pub mod sm_dp;
pub mod sm_ds;
pub mod sm_sr;
pub mod smsc;
pub mod trace;
pub mod up;
