//! The table of cases, with one file for each function.

mod coap;
mod downloads;
mod eim_changes;
mod euicc_packages;
mod events;
mod forwarding;
mod get_eim_package;
mod handle_notification;
mod http;
mod provide_eim_package_result;
mod transfer_eim_package;

use super::case::Case;

/// The test of SGP.33-3 that enables a profile.
const PROFILE_ENABLE: &str = "5.2.1 TC_eIM_ProfileEnable_TLS_eIM_Pkg_Retrieval";

/// Returns all cases.
pub fn table() -> Vec<Case> {
    [
        euicc_packages::cases(),
        eim_changes::cases(),
        get_eim_package::cases(),
        provide_eim_package_result::cases(),
        handle_notification::cases(),
        transfer_eim_package::cases(),
        forwarding::cases(),
        downloads::cases(),
        events::cases(),
        http::cases(),
        coap::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
