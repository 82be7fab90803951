//! ES4.DeleteProfile: SGP.02 section 5.5. The profile is deleted with its ISD-P.

use rsp::sgp02::{BaseResponse, es4};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    context::Context,
    procedures::{Function, Outcome},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::DeleteProfileRequest,
) -> Decision<Answer<es4::DeleteProfileResponse>> {
    super::later(context, call, &request.base, request.eid, Function::DeleteProfile(request.iccid)).await
}

pub(crate) fn response(base: BaseResponse, outcome: Outcome) -> es4::DeleteProfileResponse {
    es4::DeleteProfileResponse { base, euicc_response_data: outcome.data }
}
