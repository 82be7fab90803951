//! ES10b.eUICCMemoryReset: SGP.32 section 5.9.5. Deletes profiles regardless of their state and
//! policy rules, and resets the data of the eIMs. Results for eIMs stay until they are removed.

use rsp::ids::Aid;
use rsp::sgp22::ProfileClass;
use rsp::sgp32::es10b::{
    EuiccMemoryResetRequest, EuiccMemoryResetResponse, ResetEimResult, ResetImmediateEnableConfigResult,
    ResetResult, reset_options,
};

use crate::consumer::ConsumerContext;
use crate::isd_r::es10c::delete_profile::delete;
use crate::state::InDer;
use crate::state::iot::NOT_ALLOWED;
use crate::state::session::Session;
use crate::switch;

pub(super) fn euicc_memory_reset(
    context: &mut ConsumerContext<'_>,
    request: EuiccMemoryResetRequest,
) -> EuiccMemoryResetResponse {
    let refusal = if context.state.iot().emergency.is_some() {
        Some(ResetResult::ECALL_ACTIVE)
    } else {
        context.volatile.cat.is_busy().then_some(ResetResult::CAT_BUSY)
    };
    if let Some(reset_result) = refusal {
        return EuiccMemoryResetResponse {
            reset_result,
            reset_eim_result: None,
            reset_immediate_enable_config_result: None,
        };
    }
    let option = |bit| request.reset_options.has(bit);
    EuiccMemoryResetResponse {
        reset_result: reset_profiles(context, option),
        reset_eim_result: option(reset_options::RESET_EIM_CONFIG_DATA).then(|| reset_eims(context)),
        reset_immediate_enable_config_result: option(reset_options::RESET_IMMEDIATE_ENABLE_CONFIG)
            .then(|| reset_immediate_enable(context)),
    }
}

/// Deletes the profiles of the requested classes and resets the default SM-DP+ address. The result
/// is "ok" if neither was requested.
fn reset_profiles(context: &mut ConsumerContext<'_>, option: impl Fn(usize) -> bool) -> ResetResult {
    let is_deleted_class = |class: ProfileClass| match class {
        ProfileClass::OPERATIONAL => option(reset_options::DELETE_OPERATIONAL_PROFILES),
        ProfileClass::PROVISIONING => option(reset_options::DELETE_PROVISIONING_PROFILES),
        // The manufacturer of this card loads no test profiles: all are field-loaded.
        ProfileClass::TEST => option(reset_options::DELETE_FIELD_LOADED_TEST_PROFILES),
        _ => false,
    };
    let profiles = context.persistent.profiles.iter();
    let deleted: Vec<Aid> =
        profiles.filter(|profile| is_deleted_class(profile.class())).map(|each| each.isd_p.clone()).collect();
    let resets_address = option(reset_options::RESET_DEFAULT_SMDP_ADDRESS)
        && context.state.default_dp_address != context.description.default_dp_address;
    let is_requested = (0..reset_options::RESET_EIM_CONFIG_DATA).any(&option);
    if is_requested && deleted.is_empty() && !resets_address {
        return ResetResult::NOTHING_TO_DELETE;
    }
    if resets_address {
        context.state.to_mut().default_dp_address = context.description.default_dp_address.clone();
    }
    if context.persistent.enabled.as_ref().is_some_and(|enabled| deleted.contains(enabled)) {
        let persistent = context.persistent.to_mut();
        persistent.enabled = None;
        persistent.switch = None;
        switch::clear_file_state(context);
        // The REFRESH notifies the terminal that the profile was removed.
        context.volatile.cat.announce_reset();
    }
    for isd_p in &deleted {
        delete(context, isd_p);
        context.state.to_mut().iot_mut().forget_profile(isd_p);
    }
    if is_requested {
        context.volatile.session = Session::Idle;
    }
    ResetResult::OK
}

fn reset_eims(context: &mut ConsumerContext<'_>) -> ResetEimResult {
    if !context.description.iot().eim_reset_supported {
        return ResetEimResult::EIM_RESET_NOT_SUPPORTED;
    }
    if context.state.iot().eims.is_empty() {
        return ResetEimResult::NOTHING_TO_DELETE;
    }
    context.state.to_mut().iot_mut().eims.clear();
    ResetEimResult::OK
}

fn reset_immediate_enable(context: &mut ConsumerContext<'_>) -> ResetImmediateEnableConfigResult {
    if !context.description.iot().immediate_enable_reset_supported {
        return ResetImmediateEnableConfigResult::RESET_IEC_NOT_SUPPORTED;
    }
    context.state.to_mut().iot_mut().immediate_enable = InDer(NOT_ALLOWED);
    ResetImmediateEnableConfigResult::OK
}
