//! configureImmediateEnable: SGP.32 section 3.4.4.

use rsp::sgp32::es10b::ConfigureImmediateProfileEnablingRequest;
use rsp::sgp32::result::ConfigureImmediateEnableResult;

use super::super::super::configure_immediate_profile_enabling::{InvalidAddress, configure};
use crate::consumer::ConsumerContext;

pub(super) fn configure_immediate_enable(
    context: &mut ConsumerContext<'_>,
    request: ConfigureImmediateProfileEnablingRequest,
) -> ConfigureImmediateEnableResult {
    match configure(context, request) {
        Ok(()) => ConfigureImmediateEnableResult::OK,
        Err(InvalidAddress) => ConfigureImmediateEnableResult::COMMAND_ERROR,
    }
}
