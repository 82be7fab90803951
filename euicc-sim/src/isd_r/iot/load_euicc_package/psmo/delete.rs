//! delete: SGP.32 section 3.4.3. A profile that is enabled until the end of the package cannot be
//! deleted in it.

use rsp::ids::Aid;
use rsp::sgp22::ProfileIdentifier;
use rsp::sgp32::package::Delete;
use rsp::sgp32::result::DeleteProfileResult;

use super::super::marks::Marks;
use crate::consumer::ConsumerContext;
use crate::isd_r::es10c::{delete_profile, find};

pub(super) fn delete(
    context: &mut ConsumerContext<'_>,
    marks: &mut Marks,
    operation: &Delete,
) -> DeleteProfileResult {
    match target(context, marks, operation) {
        Ok(isd_p) => {
            delete_profile::delete(context, &isd_p);
            context.state.to_mut().iot_mut().forget_profile(&isd_p);
            marks.has_deleted = true;
            DeleteProfileResult::OK
        }
        Err(code) => code,
    }
}

fn target(
    context: &ConsumerContext<'_>,
    marks: &Marks,
    operation: &Delete,
) -> Result<Aid, DeleteProfileResult> {
    let persistent = &context.persistent;
    let target = find(persistent, &ProfileIdentifier::Iccid(operation.iccid))
        .ok_or(DeleteProfileResult::ICCID_OR_AID_NOT_FOUND)?;
    let is_target = |profile: &Option<Aid>| profile.as_ref() == Some(&target.isd_p);
    // req: SGP.32-3.4.3-Rollback
    if is_target(&marks.rollback) {
        return Err(DeleteProfileResult::ROLLBACK_NOT_AVAILABLE);
    }
    if is_target(&persistent.enabled) || is_target(&marks.enable) {
        return Err(DeleteProfileResult::PROFILE_NOT_IN_DISABLED_STATE);
    }
    let iot = context.state.iot();
    // req: SGP.32-3.4.3-Fallback
    if is_target(&iot.before_fallback) && iot.fallback == persistent.enabled {
        return Err(DeleteProfileResult::RETURN_FALLBACK_PROFILE);
    }
    if !target.may_be_deleted() {
        return Err(DeleteProfileResult::DISALLOWED_BY_POLICY);
    }
    Ok(target.isd_p.clone())
}
