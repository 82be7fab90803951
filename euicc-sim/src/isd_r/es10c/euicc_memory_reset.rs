//! ES10c.eUICCMemoryReset: SGP.22 section 5.7.19. Deletes profiles regardless of their state and
//! policy rules.

use rsp::ids::Aid;
use rsp::sgp22::ProfileClass;
use rsp::sgp22::es10c::{EuiccMemoryResetRequest, EuiccMemoryResetResponse, ResetResult, reset_options};

use super::delete_profile::delete;
use crate::consumer::ConsumerContext;
use crate::state::session::Session;
use crate::switch;

pub(crate) fn euicc_memory_reset(
    context: &mut ConsumerContext<'_>,
    request: EuiccMemoryResetRequest,
) -> EuiccMemoryResetResponse {
    EuiccMemoryResetResponse { reset_result: decide(context, &request) }
}

fn decide(context: &mut ConsumerContext<'_>, request: &EuiccMemoryResetRequest) -> ResetResult {
    if context.volatile.cat.is_busy() {
        return ResetResult::CAT_BUSY;
    }
    let option = |bit| request.reset_options.has(bit);
    let is_deleted_class = |class: ProfileClass| match class {
        ProfileClass::OPERATIONAL => option(reset_options::DELETE_OPERATIONAL_PROFILES),
        // All test profiles of this card count as field-loaded.
        ProfileClass::TEST => option(reset_options::DELETE_FIELD_LOADED_TEST_PROFILES),
        _ => false,
    };
    let deleted: Vec<Aid> = context
        .persistent
        .profiles
        .iter()
        .filter(|profile| is_deleted_class(profile.class()))
        .map(|p| p.isd_p.clone())
        .collect();
    let resets_address = option(reset_options::RESET_DEFAULT_SMDP_ADDRESS)
        && context.state.default_dp_address != context.description.default_dp_address;
    // req: SGP.22-5.7.19-Nothing
    if deleted.is_empty() && !resets_address {
        return ResetResult::NOTHING_TO_DELETE;
    }
    if resets_address {
        context.state.to_mut().default_dp_address = context.description.default_dp_address.clone();
    }
    let deletes_enabled =
        context.persistent.enabled.as_ref().is_some_and(|enabled| deleted.contains(enabled));
    if deletes_enabled {
        let persistent = context.persistent.to_mut();
        persistent.enabled = None;
        persistent.switch = None;
        switch::clear_file_state(context);
        // The REFRESH notifies the terminal that the profile was removed.
        context.volatile.cat.announce_reset();
    }
    for isd_p in &deleted {
        delete(context, isd_p);
    }
    context.volatile.session = Session::Idle;
    ResetResult::OK
}
