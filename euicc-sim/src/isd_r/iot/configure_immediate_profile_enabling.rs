//! ES10b.ConfigureImmediateProfileEnabling: SGP.32 sections 3.4.5 and 5.9.17. The IPA can configure
//! it only while the card has no eIM.

use rsp::ids::SmdpAddress;
use rsp::sgp32::es10b::{
    ConfigImmediateEnableResult, ConfigureImmediateProfileEnablingRequest,
    ConfigureImmediateProfileEnablingResponse,
};

use crate::consumer::ConsumerContext;

pub(super) fn configure_immediate_profile_enabling(
    context: &mut ConsumerContext<'_>,
    request: ConfigureImmediateProfileEnablingRequest,
) -> ConfigureImmediateProfileEnablingResponse {
    ConfigureImmediateProfileEnablingResponse { config_immediate_enable_result: decide(context, request) }
}

fn decide(
    context: &mut ConsumerContext<'_>,
    request: ConfigureImmediateProfileEnablingRequest,
) -> ConfigImmediateEnableResult {
    // req: SGP.32-5.9.17-Exists
    if !context.state.iot().eims.is_empty() {
        return ConfigImmediateEnableResult::ASSOCIATED_EIM_ALREADY_EXISTS;
    }
    match configure(context, request) {
        Ok(()) => ConfigImmediateEnableResult::OK,
        Err(InvalidAddress) => ConfigImmediateEnableResult::UNDEFINED_ERROR,
    }
}

/// defaultSmdpAddress is not an address.
pub(super) struct InvalidAddress;

/// Stores the configuration. An absent OID or address stays as it is.
pub(super) fn configure(
    context: &mut ConsumerContext<'_>,
    request: ConfigureImmediateProfileEnablingRequest,
) -> Result<(), InvalidAddress> {
    let address = request.default_smdp_address;
    if address.as_ref().is_some_and(|address| address.parse::<SmdpAddress>().is_err()) {
        return Err(InvalidAddress);
    }
    let before = context.state.iot().immediate_enable.0.clone();
    context.state.to_mut().iot_mut().immediate_enable.0 = ConfigureImmediateProfileEnablingRequest {
        immediate_enable_flag: request.immediate_enable_flag,
        default_smdp_oid: request.default_smdp_oid.or(before.default_smdp_oid),
        default_smdp_address: address.or(before.default_smdp_address),
    };
    Ok(())
}
