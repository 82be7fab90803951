//! disable: SGP.32 section 3.4.2.

use rsp::sgp22::ProfileIdentifier;
use rsp::sgp32::package::Disable;
use rsp::sgp32::result::DisableProfileResult;

use super::super::marks::Marks;
use crate::consumer::ConsumerContext;
use crate::isd_r::es10c::find;

pub(super) fn disable(
    context: &ConsumerContext<'_>,
    marks: &mut Marks,
    operation: &Disable,
) -> DisableProfileResult {
    mark(context, marks, operation).err().unwrap_or(DisableProfileResult::OK)
}

fn mark(
    context: &ConsumerContext<'_>,
    marks: &mut Marks,
    operation: &Disable,
) -> Result<(), DisableProfileResult> {
    // A package has at most one disable, and it precedes enable.
    // req: SGP.32-2.11.1.1-OneDisable
    if marks.enable.is_some() || marks.disable.is_some() {
        return Err(DisableProfileResult::UNDEFINED_ERROR);
    }
    let persistent = &context.persistent;
    let target = find(persistent, &ProfileIdentifier::Iccid(operation.iccid))
        .ok_or(DisableProfileResult::ICCID_OR_AID_NOT_FOUND)?;
    if persistent.enabled.as_ref() != Some(&target.isd_p) {
        return Err(DisableProfileResult::PROFILE_NOT_IN_ENABLED_STATE);
    }
    if !target.may_be_disabled() {
        return Err(DisableProfileResult::DISALLOWED_BY_POLICY);
    }
    if context.volatile.cat.is_busy() {
        return Err(DisableProfileResult::CAT_BUSY);
    }
    marks.disable = Some(target.isd_p.clone());
    Ok(())
}
