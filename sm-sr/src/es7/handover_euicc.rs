//! ES7.HandoverEUICC, called at the SM-SR that takes over the card: SGP.02 section 5.6. It is
//! answered when the takeover has succeeded or failed.

use rsp::sgp02::es7;
use rsp_server::soap::{Answer, Call, Decision};

use crate::{context::Context, procedures::takeover};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es7::HandoverEuiccRequest,
) -> Decision<Answer<es7::HandoverEuiccResponse>> {
    super::check_caller(context, call).await?;
    takeover::begin(context, &call.caller, call.ticket(), request.eis.clone()).await?;
    Ok(Answer::Later)
}
