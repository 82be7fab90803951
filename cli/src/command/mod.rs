//! The commands of the binary, one file each.

pub mod certs;
pub mod check;
pub mod completions;
pub mod demo;
pub mod device;
pub mod eim;
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
pub mod records;
pub mod replay;
pub mod run;
pub mod sm_dp;
pub mod sm_ds;
pub mod sm_sr;
pub mod smsc;
pub mod trace;
pub mod up;

use crate::json_schema::CommandOutput;

/// Returns the JSON output of all commands. `completions` and `man` print none.
pub fn outputs() -> impl Iterator<Item = &'static CommandOutput> {
    [
        certs::OUTPUTS,
        check::OUTPUTS,
        demo::OUTPUTS,
        device::OUTPUTS,
        eim::OUTPUTS,
        euicc::OUTPUTS,
        eum::OUTPUTS,
        explain::OUTPUTS,
        faults::OUTPUTS,
        fleet::OUTPUTS,
        load::OUTPUTS,
        localize::OUTPUTS,
        network::OUTPUTS,
        operator::OUTPUTS,
        profile::OUTPUTS,
        records::OUTPUTS,
        replay::OUTPUTS,
        run::OUTPUTS,
        sm_dp::OUTPUTS,
        sm_ds::OUTPUTS,
        sm_sr::OUTPUTS,
        trace::OUTPUTS,
        up::OUTPUTS,
    ]
    .into_iter()
    .flatten()
}
