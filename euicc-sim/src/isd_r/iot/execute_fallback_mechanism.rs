//! ES10b.ExecuteFallbackMechanism: SGP.32 section 5.9.20. Enables the Fallback Profile, and remembers
//! the profile that it replaces.

use rsp::sgp32::es10b::{
    ExecuteFallbackMechanismRequest, ExecuteFallbackMechanismResponse, ExecuteFallbackMechanismResult,
};

use crate::consumer::ConsumerContext;
use crate::state::ProfileSwitch;
use crate::switch::{self, CatBusy};

pub(super) fn execute_fallback_mechanism(
    context: &mut ConsumerContext<'_>,
    request: ExecuteFallbackMechanismRequest,
) -> ExecuteFallbackMechanismResponse {
    let result = decide(context, request.refresh_flag.0).err().unwrap_or(ExecuteFallbackMechanismResult::OK);
    ExecuteFallbackMechanismResponse { execute_fallback_mechanism_result: result }
}

// req: SGP.32-5.9.20-Order
fn decide(context: &mut ConsumerContext<'_>, refresh: bool) -> Result<(), ExecuteFallbackMechanismResult> {
    let Some(enabled) = context.persistent.enabled.clone() else {
        return Err(ExecuteFallbackMechanismResult::COMMAND_ERROR);
    };
    let Some(fallback) = context.state.iot().fallback.clone() else {
        return Err(ExecuteFallbackMechanismResult::FALLBACK_NOT_AVAILABLE);
    };
    if context.state.iot().emergency.is_some() {
        return Err(ExecuteFallbackMechanismResult::ECALL_ACTIVE);
    }
    if fallback == enabled {
        return Err(ExecuteFallbackMechanismResult::PROFILE_NOT_IN_DISABLED_STATE);
    }
    switch::request(context, ProfileSwitch::Enable(fallback), refresh)
        .map_err(|CatBusy| ExecuteFallbackMechanismResult::CAT_BUSY)?;
    let iot = context.state.to_mut().iot_mut();
    iot.before_fallback = Some(enabled);
    // A rollback would bypass ReturnFromFallback.
    iot.rollback = None;
    Ok(())
}
