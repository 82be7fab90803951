//! ES4.SetFallBackAttribute: SGP.02 section 5.5. The profile is the one to which the card falls back. Version 4.

use rsp::sgp02::{BaseResponse, es4};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    context::Context,
    procedures::{Function, Outcome},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::SetFallBackAttributeRequest,
) -> Decision<Answer<es4::SetFallBackAttributeResponse>> {
    super::later(context, call, &request.base, request.eid, Function::SetFallBackAttribute(request.iccid))
        .await
}

pub(crate) fn response(base: BaseResponse, outcome: Outcome) -> es4::SetFallBackAttributeResponse {
    es4::SetFallBackAttributeResponse { base, euicc_response_data: outcome.data }
}
