//! ES7.CreateAdditionalKeySet, called at the SM-SR that manages the card: SGP.02 section 5.6. The
//! card creates a key set with the other SM-SR and proves it with a receipt.

use rsp::sgp02::es7;
use rsp_server::soap::{Answer, Call, Decision};

use crate::{context::Context, procedures::handover};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es7::CreateAdditionalKeySetRequest,
) -> Decision<Answer<es7::CreateAdditionalKeySetResponse>> {
    super::check_caller(context, call).await?;
    handover::create_key_set(context, &call.caller, call.ticket(), request).await?;
    Ok(Answer::Later)
}
