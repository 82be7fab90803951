//! ES10b.ProfileRollback: SGP.32 sections 3.3.2 and 5.9.16. Enables the previous profile after a
//! package whose result cannot be delivered.

use rsp::der::{Opaque, Raw};
use rsp::sgp22::notification_event;
use rsp::sgp32::es10b::{ProfileRollbackRequest, ProfileRollbackResponse, ProfileRollbackResult};
use rsp::sgp32::result::RollbackProfileResult;
use rsp::sgp32::{EuiccPackageResult, EuiccResultData};

use super::package_result::{PackageId, sign_and_keep};
use crate::consumer::ConsumerContext;
use crate::state::ProfileSwitch;
use crate::switch::{self, CatBusy};

pub(super) fn profile_rollback(
    context: &mut ConsumerContext<'_>,
    request: ProfileRollbackRequest,
) -> ProfileRollbackResponse {
    match decide(context, request.refresh_flag.0) {
        Ok(result) => ProfileRollbackResponse {
            cmd_result: ProfileRollbackResult::OK,
            euicc_package_result: Some(result),
        },
        Err(cmd_result) => ProfileRollbackResponse { cmd_result, euicc_package_result: None },
    }
}

fn decide(
    context: &mut ConsumerContext<'_>,
    refresh: bool,
) -> Result<Raw<EuiccPackageResult>, ProfileRollbackResult> {
    let iot = context.state.iot();
    // req: SGP.32-5.9.16-NotAllowed
    let rollback = iot.rollback.clone().ok_or(ProfileRollbackResult::ROLLBACK_NOT_ALLOWED)?;
    let result = iot.result(rollback.result).map(|result| &*result.signed.0);
    let Some(EuiccPackageResult::EuiccPackageResultSigned(result)) = result else {
        return Err(ProfileRollbackResult::ROLLBACK_NOT_ALLOWED);
    };
    let data = &result.euicc_package_result_data_signed;
    // The memory reset deletes the eIM and leaves its results.
    let eim = iot.eim(&data.eim_id).cloned().ok_or(ProfileRollbackResult::ROLLBACK_NOT_ALLOWED)?;
    let package =
        PackageId { counter_value: data.counter_value, eim_transaction_id: data.eim_transaction_id.clone() };
    let may_be_replaced = context
        .persistent
        .enabled_profile()
        .is_none_or(|enabled| enabled.isd_p == rollback.profile || enabled.may_be_disabled());
    if !may_be_replaced {
        return Err(ProfileRollbackResult::COMMAND_ERROR);
    }
    drop_notifications_since(context, rollback.result);
    switch::request(context, ProfileSwitch::Enable(rollback.profile), refresh)
        .map_err(|CatBusy| ProfileRollbackResult::CAT_BUSY)?;
    let iot = context.state.to_mut().iot_mut();
    iot.remove_result(rollback.result);
    iot.before_fallback = None;
    let outcome = Raw::new(EuiccResultData::RollbackResult(RollbackProfileResult::OK));
    Ok(sign_and_keep(context, &eim, package, vec![Opaque::from(outcome)]))
}

/// Drops the notifications of the switch that is undone. Their numbers are greater than that of the
/// result, because the switch follows the package.
fn drop_notifications_since(context: &mut ConsumerContext<'_>, result: i64) {
    const SWITCH: [usize; 2] = [notification_event::ENABLE, notification_event::DISABLE];
    if context.volatile.cat.is_busy() {
        return;
    }
    let state = context.state.to_mut();
    state.notifications.retain(|each| each.sequence_number < result || !SWITCH.contains(&each.event));
}
