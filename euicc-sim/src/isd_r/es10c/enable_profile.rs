//! ES10c.EnableProfile: SGP.22 section 5.7.16.

use rsp::sgp22::ProfileClass;
use rsp::sgp22::es10c::{EnableProfileRequest, EnableProfileResponse, EnableResult};

use super::find;
use crate::consumer::ConsumerContext;
use crate::state::{InstalledProfile, ProfileSwitch};
use crate::switch::{self, CatBusy};

pub(crate) fn enable_profile(
    context: &mut ConsumerContext<'_>,
    request: EnableProfileRequest,
) -> EnableProfileResponse {
    EnableProfileResponse { enable_result: decide(context, &request).err().unwrap_or(EnableResult::OK) }
}

fn decide(context: &mut ConsumerContext<'_>, request: &EnableProfileRequest) -> Result<(), EnableResult> {
    let persistent = &context.persistent;
    // req: SGP.22-5.7.16-NotFound
    let target = find(persistent, &request.profile_identifier).ok_or(EnableResult::ICCID_OR_AID_NOT_FOUND)?;
    if persistent.enabled.as_ref() == Some(&target.isd_p) {
        // req: SGP.22-5.7.16-State
        return Err(EnableResult::PROFILE_NOT_IN_DISABLED_STATE);
    }
    if let Some(enabled) = persistent.enabled_profile() {
        check_replacement(context, enabled, target)?;
    }
    let switch = ProfileSwitch::Enable(target.isd_p.clone());
    switch::request(context, switch, request.refresh_flag.0).map_err(|CatBusy| EnableResult::CAT_BUSY)
}

/// Checks that the enabled profile may be replaced by `target`.
pub(in crate::isd_r) fn check_replacement(
    context: &ConsumerContext<'_>,
    enabled: &InstalledProfile,
    target: &InstalledProfile,
) -> Result<(), EnableResult> {
    let to_test = target.class() == ProfileClass::TEST;
    // A test or provisioning profile may temporarily replace any other profile regardless of its
    // policy rules (sections 2.4.5.2 and 2.9.3).
    let is_temporary = to_test || target.class() == ProfileClass::PROVISIONING;
    // req: SGP.22-2.9-Replacement
    if !enabled.may_be_disabled() && !is_temporary {
        return Err(EnableResult::DISALLOWED_BY_POLICY);
    }
    let persistent = &context.persistent;
    let previous = persistent.previous_profile.as_ref().filter(|isd_p| persistent.profile(isd_p).is_some());
    let must_return_to_another = previous.is_some_and(|previous| *previous != target.isd_p);
    match enabled.class() {
        // req: SGP.22-5.7.16-TestReturn
        ProfileClass::TEST if must_return_to_another && !to_test => {
            Err(EnableResult::WRONG_PROFILE_REENABLING)
        }
        // The profile that this provisioning profile replaced is protected by PPR1, so it must be
        // enabled next.
        ProfileClass::PROVISIONING if must_return_to_another && !is_temporary => {
            Err(EnableResult::DISALLOWED_BY_POLICY)
        }
        _ => Ok(()),
    }
}
