//! deleteEim: SGP.32 section 3.5.1. An eIM can delete itself; it still gets the result of the package.

use rsp::sgp32::package::DeleteEim;
use rsp::sgp32::result::DeleteEimResult;

use crate::consumer::ConsumerContext;

pub(super) fn delete_eim(context: &mut ConsumerContext<'_>, operation: &DeleteEim) -> DeleteEimResult {
    if operation.eim_id.is_empty() {
        return DeleteEimResult::COMMAND_ERROR;
    }
    if context.state.iot().eim(&operation.eim_id).is_none() {
        return DeleteEimResult::EIM_NOT_FOUND;
    }
    let eims = &mut context.state.to_mut().iot_mut().eims;
    eims.retain(|eim| eim.id() != operation.eim_id);
    if eims.is_empty() { DeleteEimResult::LAST_EIM_DELETED } else { DeleteEimResult::OK }
}
