//! ES3.DeleteISDP: SGP.02 section 5.4. The ISD-P is deleted with the profile in it, or empty when its download has failed.

use rsp::sgp02::{BaseResponse, es3};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    context::Context,
    procedures::{Function, Outcome},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::DeleteIsdpRequest,
) -> Decision<Answer<es3::DeleteIsdpResponse>> {
    super::later(context, call, &request.base, request.eid, Function::DeleteProfile(request.iccid)).await
}

pub(crate) fn response(base: BaseResponse, outcome: Outcome) -> es3::DeleteIsdpResponse {
    es3::DeleteIsdpResponse { base, euicc_response_data: outcome.data }
}
