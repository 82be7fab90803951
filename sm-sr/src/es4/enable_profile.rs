//! ES4.EnableProfile: SGP.02 section 5.5. The profile in use is another one from then on, if the card says so over its network.

use rsp::sgp02::{BaseResponse, es4};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    context::Context,
    procedures::{Function, Outcome},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::EnableProfileRequest,
) -> Decision<Answer<es4::EnableProfileResponse>> {
    super::later(context, call, &request.base, request.eid, Function::EnableProfile(request.iccid)).await
}

pub(crate) fn response(base: BaseResponse, outcome: Outcome) -> es4::EnableProfileResponse {
    es4::EnableProfileResponse { base, euicc_response_data: outcome.data }
}
