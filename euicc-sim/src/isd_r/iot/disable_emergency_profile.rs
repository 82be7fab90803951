//! ES10b.DisableEmergencyProfile: SGP.32 section 5.9.23. Enables the profile that was enabled before.

use rsp::sgp32::es10b::{
    DisableEmergencyProfileRequest, DisableEmergencyProfileResponse, DisableEmergencyProfileResult,
};

use super::enable_emergency_profile::emergency_profile;
use crate::consumer::ConsumerContext;
use crate::description::IotVersion;
use crate::state::ProfileSwitch;
use crate::switch::{self, CatBusy};

pub(super) fn disable_emergency_profile(
    context: &mut ConsumerContext<'_>,
    request: DisableEmergencyProfileRequest,
) -> DisableEmergencyProfileResponse {
    let result = decide(context, request.refresh_flag.0).err().unwrap_or(DisableEmergencyProfileResult::OK);
    DisableEmergencyProfileResponse { disable_emergency_profile_result: result }
}

fn decide(context: &mut ConsumerContext<'_>, refresh: bool) -> Result<(), DisableEmergencyProfileResult> {
    let Some(active) = context.state.iot().emergency.clone() else {
        let has_code = context.description.iot().version == IotVersion::V1_3;
        return Err(match emergency_profile(context) {
            None if has_code => DisableEmergencyProfileResult::ECALL_NOT_AVAILABLE,
            _ => DisableEmergencyProfileResult::PROFILE_NOT_IN_ENABLED_STATE,
        });
    };
    let switch = active.previous.map_or(ProfileSwitch::Disable, ProfileSwitch::Enable);
    switch::request(context, switch, refresh).map_err(|CatBusy| DisableEmergencyProfileResult::CAT_BUSY)?;
    let iot = context.state.to_mut().iot_mut();
    iot.emergency = None;
    if refresh {
        iot.rollback = None;
    }
    Ok(())
}
