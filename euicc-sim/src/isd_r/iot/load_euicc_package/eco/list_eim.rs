//! listEim: SGP.32 section 3.5.1.

use rsp::der::List;
use rsp::sgp32::EuiccResultData;
use rsp::sgp32::eim_configuration::EimIdInfo;
use rsp::sgp32::result::ListEimResult;

use crate::consumer::ConsumerContext;

pub(super) fn list_eim(context: &ConsumerContext<'_>) -> EuiccResultData {
    let eims =
        context.state.iot().eims.iter().map(|eim| EimIdInfo {
            eim_id: eim.id().to_owned(),
            eim_id_type: eim.configuration.0.eim_id_type,
        });
    EuiccResultData::ListEimResult(ListEimResult::EimIdList(List(eims.collect())))
}
