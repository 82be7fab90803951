//! ES10b.ReturnFromFallback: SGP.32 section 5.9.21. Enables the profile that the Fallback Profile
//! replaced.

use rsp::sgp32::es10b::{ReturnFromFallbackRequest, ReturnFromFallbackResponse, ReturnFromFallbackResult};

use crate::consumer::ConsumerContext;
use crate::state::ProfileSwitch;
use crate::switch::{self, CatBusy};

pub(super) fn return_from_fallback(
    context: &mut ConsumerContext<'_>,
    request: ReturnFromFallbackRequest,
) -> ReturnFromFallbackResponse {
    let result = decide(context, request.refresh_flag.0).err().unwrap_or(ReturnFromFallbackResult::OK);
    ReturnFromFallbackResponse { return_from_fallback_result: result }
}

fn decide(context: &mut ConsumerContext<'_>, refresh: bool) -> Result<(), ReturnFromFallbackResult> {
    let iot = context.state.iot();
    let is_in_use = iot.fallback.is_some() && iot.fallback == context.persistent.enabled;
    // req: SGP.32-5.9.21-NotAvailable
    let Some(previous) = iot.before_fallback.clone().filter(|_| is_in_use) else {
        return Err(ReturnFromFallbackResult::FALLBACK_NOT_AVAILABLE);
    };
    switch::request(context, ProfileSwitch::Enable(previous), refresh)
        .map_err(|CatBusy| ReturnFromFallbackResult::CAT_BUSY)?;
    let iot = context.state.to_mut().iot_mut();
    iot.before_fallback = None;
    iot.rollback = None;
    Ok(())
}
