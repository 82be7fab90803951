//! ES3.SetEmergencyProfileAttribute: SGP.02 section 5.4. The profile is the one for emergencies. Version 4.

use rsp::sgp02::{BaseResponse, es3};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    context::Context,
    procedures::{Function, Outcome},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::SetEmergencyProfileAttributeRequest,
) -> Decision<Answer<es3::SetEmergencyProfileAttributeResponse>> {
    super::later(
        context,
        call,
        &request.base,
        request.eid,
        Function::SetEmergencyProfileAttribute(request.iccid),
    )
    .await
}

pub(crate) fn response(base: BaseResponse, outcome: Outcome) -> es3::SetEmergencyProfileAttributeResponse {
    es3::SetEmergencyProfileAttributeResponse { base, euicc_response_data: outcome.data }
}
