//! ES10c.DisableProfile: SGP.22 section 5.7.17.

use rsp::sgp22::es10c::{DisableProfileRequest, DisableProfileResponse, DisableResult};

use super::find;
use crate::consumer::ConsumerContext;
use crate::state::ProfileSwitch;
use crate::switch::{self, CatBusy};

pub(crate) fn disable_profile(
    context: &mut ConsumerContext<'_>,
    request: DisableProfileRequest,
) -> DisableProfileResponse {
    DisableProfileResponse { disable_result: decide(context, &request).err().unwrap_or(DisableResult::OK) }
}

fn decide(context: &mut ConsumerContext<'_>, request: &DisableProfileRequest) -> Result<(), DisableResult> {
    let persistent = &context.persistent;
    // req: SGP.22-5.7.17-NotFound
    let target =
        find(persistent, &request.profile_identifier).ok_or(DisableResult::ICCID_OR_AID_NOT_FOUND)?;
    if persistent.enabled.as_ref() != Some(&target.isd_p) {
        // req: SGP.22-5.7.17-State
        return Err(DisableResult::PROFILE_NOT_IN_ENABLED_STATE);
    }
    // req: SGP.22-2.9-Disabling
    if !target.may_be_disabled() {
        return Err(DisableResult::DISALLOWED_BY_POLICY);
    }
    switch::request(context, ProfileSwitch::Disable, request.refresh_flag.0)
        .map_err(|CatBusy| DisableResult::CAT_BUSY)
}
