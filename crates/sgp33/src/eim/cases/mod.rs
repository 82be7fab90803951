//! The table of cases, with one file for each function.

mod downloads;
mod euicc_packages;
mod get_eim_package;
mod handle_notification;
mod http;
mod provide_eim_package_result;

use super::case::Case;

/// The test of SGP.33-3 that enables a profile.
const PROFILE_ENABLE: &str = "5.2.1 TC_eIM_ProfileEnable_TLS_eIM_Pkg_Retrieval";

/// Returns all cases.
pub fn table() -> Vec<Case> {
    [
        euicc_packages::cases(),
        get_eim_package::cases(),
        provide_eim_package_result::cases(),
        handle_notification::cases(),
        downloads::cases(),
        http::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
