//! ES3.DisableProfile: SGP.02 section 5.4. The profile with the fall-back attribute is in use from then on, if the card says so over its network.

use rsp::sgp02::{BaseResponse, es3};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    context::Context,
    procedures::{Function, Outcome},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::DisableProfileRequest,
) -> Decision<Answer<es3::DisableProfileResponse>> {
    super::later(context, call, &request.base, request.eid, Function::DisableProfile(request.iccid)).await
}

pub(crate) fn response(base: BaseResponse, outcome: Outcome) -> es3::DisableProfileResponse {
    es3::DisableProfileResponse { base, euicc_response_data: outcome.data }
}
