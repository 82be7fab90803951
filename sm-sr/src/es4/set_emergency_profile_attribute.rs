//! ES4.SetEmergencyProfileAttribute: SGP.02 section 5.5. The profile is the one for emergencies. Version 4.

use rsp::sgp02::{BaseResponse, es4};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    context::Context,
    procedures::{Function, Outcome},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::SetEmergencyProfileAttributeRequest,
) -> Decision<Answer<es4::SetEmergencyProfileAttributeResponse>> {
    super::later(
        context,
        call,
        &request.base,
        request.eid,
        Function::SetEmergencyProfileAttribute(request.iccid),
    )
    .await
}

pub(crate) fn response(base: BaseResponse, outcome: Outcome) -> es4::SetEmergencyProfileAttributeResponse {
    es4::SetEmergencyProfileAttributeResponse { base, euicc_response_data: outcome.data }
}
