//! ES10b.GetEimConfigurationData: SGP.32 section 5.9.18. The counter is never returned.

use rsp::der::List;
use rsp::sgp32::es10b::{EimSearch, GetEimConfigurationDataRequest, GetEimConfigurationDataResponse};

use crate::consumer::ConsumerContext;

pub(super) fn get_eim_configuration_data(
    context: &mut ConsumerContext<'_>,
    request: GetEimConfigurationDataRequest,
) -> GetEimConfigurationDataResponse {
    let is_wanted = |id: &str| match &request.search_criteria {
        None => true,
        Some(EimSearch::EimId(wanted)) => wanted == id,
    };
    let eims = context.state.iot().eims.iter().filter(|eim| is_wanted(eim.id()));
    GetEimConfigurationDataResponse {
        eim_configuration_data_list: List(eims.map(|eim| eim.configuration.0.clone()).collect()),
    }
}
