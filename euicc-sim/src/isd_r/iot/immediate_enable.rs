//! ES10b.ImmediateEnable: SGP.32 section 5.9.15. Enables the profile that was just installed, if the
//! configuration allows it for the SM-DP+ of the session.

use rsp::sgp32::es10b::{ImmediateEnableRequest, ImmediateEnableResponse, ImmediateEnableResult};

use crate::consumer::ConsumerContext;
use crate::isd_r::es10c::enable_profile::check_replacement;
use crate::state::ProfileSwitch;
use crate::state::session::{Installed, Session};
use crate::switch::{self, CatBusy};

pub(super) fn immediate_enable(
    context: &mut ConsumerContext<'_>,
    request: ImmediateEnableRequest,
) -> ImmediateEnableResponse {
    let result = decide(context, request.refresh_flag.0).err().unwrap_or(ImmediateEnableResult::OK);
    ImmediateEnableResponse { immediate_enable_result: result }
}

fn decide(context: &mut ConsumerContext<'_>, refresh: bool) -> Result<(), ImmediateEnableResult> {
    // req: SGP.32-5.9.15-NotAvailable
    if context.state.iot().immediate_enable.0.immediate_enable_flag.is_none() {
        return Err(ImmediateEnableResult::IMMEDIATE_ENABLE_NOT_AVAILABLE);
    }
    // req: SGP.32-5.9.15-Session
    let Session::ExpectImmediateEnable(installed) = &context.volatile.session else {
        return Err(ImmediateEnableResult::NO_SESSION_CONTEXT);
    };
    if !is_allowed(context, installed) {
        return Err(ImmediateEnableResult::IMMEDIATE_ENABLE_NOT_AVAILABLE);
    }
    let isd_p = installed.isd_p.clone();
    let persistent = &context.persistent;
    let profile = persistent.profile(&isd_p).ok_or(ImmediateEnableResult::NO_SESSION_CONTEXT)?;
    if let Some(enabled) = persistent.enabled_profile() {
        let is_same = enabled.isd_p == isd_p;
        if is_same || check_replacement(context, enabled, profile).is_err() {
            return Err(ImmediateEnableResult::UNDEFINED_ERROR);
        }
    }
    switch::request(context, ProfileSwitch::Enable(isd_p), refresh)
        .map_err(|CatBusy| ImmediateEnableResult::CAT_BUSY)?;
    let iot = context.state.to_mut().iot_mut();
    iot.before_fallback = None;
    if refresh {
        iot.rollback = None;
    }
    context.volatile.session = Session::Idle;
    Ok(())
}

/// True if the configuration names this SM-DP+. An absent OID or address allows any.
fn is_allowed(context: &ConsumerContext<'_>, installed: &Installed) -> bool {
    let allowed = &context.state.iot().immediate_enable.0;
    allowed.default_smdp_oid.as_ref().is_none_or(|oid| *oid == installed.smdp_oid)
        && allowed
            .default_smdp_address
            .as_ref()
            .is_none_or(|address| address.eq_ignore_ascii_case(&installed.smdp_address))
}
