//! enable: SGP.32 section 3.4.1.

use rsp::sgp22::ProfileIdentifier;
use rsp::sgp22::es10c::EnableResult;
use rsp::sgp32::package::Enable;
use rsp::sgp32::result::EnableProfileResult;

use super::super::marks::Marks;
use crate::consumer::ConsumerContext;
use crate::isd_r::es10c::enable_profile::check_replacement;
use crate::isd_r::es10c::find;

pub(super) fn enable(
    context: &ConsumerContext<'_>,
    marks: &mut Marks,
    operation: &Enable,
) -> EnableProfileResult {
    mark(context, marks, operation).err().unwrap_or(EnableProfileResult::OK)
}

fn mark(
    context: &ConsumerContext<'_>,
    marks: &mut Marks,
    operation: &Enable,
) -> Result<(), EnableProfileResult> {
    // A package has at most one enable.
    // req: SGP.32-2.11.1.1-OneEnable
    if marks.enable.is_some() {
        return Err(EnableProfileResult::UNDEFINED_ERROR);
    }
    let persistent = &context.persistent;
    let target = find(persistent, &ProfileIdentifier::Iccid(operation.iccid))
        .ok_or(EnableProfileResult::ICCID_OR_AID_NOT_FOUND)?;
    let enabled = marks.enabled(context);
    if enabled.is_some_and(|enabled| enabled.isd_p == target.isd_p) {
        return Err(EnableProfileResult::PROFILE_NOT_IN_DISABLED_STATE);
    }
    if let Some(enabled) = enabled {
        check_replacement(context, enabled, target).map_err(|refusal| match refusal {
            EnableResult::DISALLOWED_BY_POLICY => EnableProfileResult::DISALLOWED_BY_POLICY,
            // SGP.32 has no code for a test profile that must be replaced by another profile.
            _ => EnableProfileResult::UNDEFINED_ERROR,
        })?;
    }
    // The profile to return to can be marked to be disabled.
    // req: SGP.32-3.4.1-Rollback
    let rollback = match operation.rollback_flag {
        None => None,
        Some(_) => Some(persistent.enabled.clone().ok_or(EnableProfileResult::ROLLBACK_NOT_AVAILABLE)?),
    };
    if context.volatile.cat.is_busy() {
        return Err(EnableProfileResult::CAT_BUSY);
    }
    marks.enable = Some(target.isd_p.clone());
    marks.rollback = rollback;
    Ok(())
}
