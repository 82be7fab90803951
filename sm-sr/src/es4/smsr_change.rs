//! ES4.SMSRChange, to the SM-SR that has the card: SGP.02 sections 3.8 and 5.5. It is handed over to another one.

use rsp::sgp02::{BaseResponse, es4};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{context::Context, procedures::Function};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::SmsrChangeRequest,
) -> Decision<Answer<es4::SmsrChangeResponse>> {
    let function = Function::SmsrChange(request.target_smsr_id.clone());
    super::later(context, call, &request.base, request.eid, function).await
}

pub(crate) fn response(base: BaseResponse) -> es4::SmsrChangeResponse {
    es4::SmsrChangeResponse { base }
}
