//! ES3.SendData: SGP.02 section 5.4. A command script for a security domain of the card.

use rsp::sgp02::{BaseResponse, es3};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    context::Context,
    procedures::{Function, Outcome},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::SendDataRequest,
) -> Decision<Answer<es3::SendDataResponse>> {
    let function = Function::SendData {
        sd_aid: request.sd_aid.clone(),
        data: request.data.clone(),
        more_to_do: request.more_to_do.unwrap_or(false),
    };
    super::later(context, call, &request.base, request.eid, function).await
}

pub(crate) fn response(base: BaseResponse, outcome: Outcome) -> es3::SendDataResponse {
    es3::SendDataResponse { base, euicc_response_data: outcome.data }
}
