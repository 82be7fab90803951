//! ES10b.EnableEmergencyProfile: SGP.32 section 5.9.22.

use rsp::sgp32::es10b::{
    EnableEmergencyProfileRequest, EnableEmergencyProfileResponse, EnableEmergencyProfileResult,
};

use crate::consumer::ConsumerContext;
use crate::state::iot::ActiveEmergency;
use crate::state::{InstalledProfile, ProfileSwitch};
use crate::switch::{self, CatBusy};

pub(super) fn enable_emergency_profile(
    context: &mut ConsumerContext<'_>,
    request: EnableEmergencyProfileRequest,
) -> EnableEmergencyProfileResponse {
    let result = decide(context, request.refresh_flag.0).err().unwrap_or(EnableEmergencyProfileResult::OK);
    EnableEmergencyProfileResponse { enable_emergency_profile_result: result }
}

fn decide(context: &mut ConsumerContext<'_>, refresh: bool) -> Result<(), EnableEmergencyProfileResult> {
    let target = emergency_profile(context).map(|profile| profile.isd_p.clone());
    let target = target.ok_or(EnableEmergencyProfileResult::ECALL_NOT_AVAILABLE)?;
    let previous = context.persistent.enabled.clone();
    if context.state.iot().emergency.is_some() || previous.as_ref() == Some(&target) {
        return Err(EnableEmergencyProfileResult::PROFILE_NOT_IN_DISABLED_STATE);
    }
    // The policy rules of the enabled profile do not apply to an emergency.
    switch::request(context, ProfileSwitch::Enable(target), refresh)
        .map_err(|CatBusy| EnableEmergencyProfileResult::CAT_BUSY)?;
    let iot = context.state.to_mut().iot_mut();
    iot.emergency = Some(ActiveEmergency { previous });
    if refresh {
        iot.rollback = None;
    }
    Ok(())
}

/// The Emergency Profile: the first profile with ecallIndication.
pub(super) fn emergency_profile<'c>(context: &'c ConsumerContext<'_>) -> Option<&'c InstalledProfile> {
    let is_supported = context.description.iot().ecall_supported;
    let mut profiles = context.persistent.profiles.iter().filter(|_| is_supported);
    profiles.find(|profile| profile.metadata.0.ecall_indication == Some(true)).map(AsRef::as_ref)
}
