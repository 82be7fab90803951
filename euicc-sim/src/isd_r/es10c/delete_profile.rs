//! ES10c.DeleteProfile: SGP.22 section 5.7.18.

use rsp::ids::Aid;
use rsp::sgp22::es10c::{DeleteProfileRequest, DeleteProfileResponse, DeleteResult};
use rsp::sgp22::{ProfileIdentifier, notification_event};

use super::find;
use crate::consumer::ConsumerContext;
use crate::notifications;
use crate::state::ProfileSwitch;

pub(crate) fn delete_profile(
    context: &mut ConsumerContext<'_>,
    request: DeleteProfileRequest,
) -> DeleteProfileResponse {
    let delete_result = match decide(context, request) {
        Ok(isd_p) => {
            delete(context, &isd_p);
            DeleteResult::OK
        }
        Err(result) => result,
    };
    DeleteProfileResponse { delete_result }
}

fn decide(context: &ConsumerContext<'_>, request: DeleteProfileRequest) -> Result<Aid, DeleteResult> {
    let identifier = match request {
        DeleteProfileRequest::IsdpAid(aid) => ProfileIdentifier::IsdpAid(aid),
        DeleteProfileRequest::Iccid(iccid) => ProfileIdentifier::Iccid(iccid),
    };
    let persistent = &context.persistent;
    // req: SGP.22-5.7.18-NotFound
    let target = find(persistent, &identifier).ok_or(DeleteResult::ICCID_OR_AID_NOT_FOUND)?;
    if persistent.enabled.as_ref() == Some(&target.isd_p) {
        // req: SGP.22-5.7.18-State
        return Err(DeleteResult::PROFILE_NOT_IN_DISABLED_STATE);
    }
    // req: SGP.22-2.9-Deletion
    if !target.may_be_deleted() {
        return Err(DeleteResult::DISALLOWED_BY_POLICY);
    }
    Ok(target.isd_p.clone())
}

/// Deletes a profile and creates its delete notifications. A profile that a pending REFRESH would
/// enable is disabled until then: GetProfilesInfo lists it so, and it can be deleted. The REFRESH
/// then switches no profile.
pub(in crate::isd_r) fn delete(context: &mut ConsumerContext<'_>, isd_p: &Aid) {
    if context.persistent.switch == Some(ProfileSwitch::Enable(isd_p.clone())) {
        context.persistent.to_mut().switch = None;
    }
    notifications::notify(context, isd_p, notification_event::DELETE);
    context.persistent.to_mut().remove_profile(isd_p);
}
