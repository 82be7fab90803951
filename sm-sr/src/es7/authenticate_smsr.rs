//! ES7.AuthenticateSMSR, called at the SM-SR that manages the card: SGP.02 section 5.6. The card
//! checks the certificate of the other SM-SR and returns a challenge.

use rsp::sgp02::{es7, status::Status};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{context::Context, procedures::handover};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es7::AuthenticateSmsrRequest,
) -> Decision<Answer<es7::AuthenticateSmsrResponse>> {
    super::check_caller(context, call).await?;
    let Some(eid) = request.target() else {
        // req: SGP.02-5.6-AuthenticateSmsr-Eid
        return Err(Status::ConditionalElementMissing.because("there is neither an Eid nor an Eis").into());
    };
    let certificate = request.smsr_certificate.as_slice();
    handover::authenticate(context, &call.caller, call.ticket(), eid, certificate).await?;
    Ok(Answer::Later)
}
