//! ES4.DisableProfile: SGP.02 section 5.5. The profile with the fall-back attribute is in use from then on, if the card says so over its network.

use rsp::sgp02::{BaseResponse, es4};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    context::Context,
    procedures::{Function, Outcome},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::DisableProfileRequest,
) -> Decision<Answer<es4::DisableProfileResponse>> {
    super::later(context, call, &request.base, request.eid, Function::DisableProfile(request.iccid)).await
}

pub(crate) fn response(base: BaseResponse, outcome: Outcome) -> es4::DisableProfileResponse {
    es4::DisableProfileResponse { base, euicc_response_data: outcome.data }
}
