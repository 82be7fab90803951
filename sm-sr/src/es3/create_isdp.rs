//! ES3.CreateISDP: SGP.02 section 5.4. Room on the card for a profile; the SM-SR chooses where.

use rsp::sgp02::{BaseResponse, es3};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    context::Context,
    procedures::{Function, Outcome},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::CreateIsdpRequest,
) -> Decision<Answer<es3::CreateIsdpResponse>> {
    let function = Function::CreateIsdP {
        iccid: request.iccid,
        mno_id: request.mno_id.clone(),
        required_memory: request.required_memory,
        more_to_do: request.more_to_do.unwrap_or(false),
    };
    super::later(context, call, &request.base, request.eid, function).await
}

pub(crate) fn response(base: BaseResponse, outcome: Outcome) -> es3::CreateIsdpResponse {
    es3::CreateIsdpResponse { base, isd_p_aid: outcome.isd_p, euicc_response_data: outcome.data }
}
