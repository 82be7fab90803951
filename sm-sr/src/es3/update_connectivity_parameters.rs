//! ES3.UpdateConnectivityParameters: SGP.02 section 5.4. Which network access the card uses while the profile is enabled.

use rsp::sgp02::{BaseResponse, es3};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    context::Context,
    procedures::{Function, Outcome},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::UpdateConnectivityParametersRequest,
) -> Decision<Answer<es3::UpdateConnectivityParametersResponse>> {
    let function = Function::UpdateConnectivityParameters {
        iccid: request.iccid,
        parameters: request.connectivity_parameters.clone(),
    };
    super::later(context, call, &request.base, request.eid, function).await
}

pub(crate) fn response(base: BaseResponse, outcome: Outcome) -> es3::UpdateConnectivityParametersResponse {
    es3::UpdateConnectivityParametersResponse { base, euicc_response_data: outcome.data }
}
