//! ES3.SetFallBackAttribute: SGP.02 section 5.4. The profile is the one to which the card falls back. Version 4.

use rsp::sgp02::{BaseResponse, es3};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    context::Context,
    procedures::{Function, Outcome},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::SetFallBackAttributeRequest,
) -> Decision<Answer<es3::SetFallBackAttributeResponse>> {
    super::later(context, call, &request.base, request.eid, Function::SetFallBackAttribute(request.iccid))
        .await
}

pub(crate) fn response(base: BaseResponse, outcome: Outcome) -> es3::SetFallBackAttributeResponse {
    es3::SetFallBackAttributeResponse { base, euicc_response_data: outcome.data }
}
