//! ES4, called by the operator: SGP.02 section 5.5. Functions that an SM-DP can call too (ES3) are
//! in `router.rs` and `shared_functions.rs`. A function that the card must execute becomes a
//! [`Function`] and is answered by `procedures/answer.rs`.

mod prepare_smsr_change;

use rsp::sgp02::es4;
use rsp_server::soap::{Answer, Call, Decision};

pub(crate) use prepare_smsr_change::prepare_smsr_change;

use crate::{
    context::Context,
    shared_functions,
    state::{Function, Interface},
};

/// ES4.SMSRChange, called at the SM-SR that manages the card: SGP.02 section 3.8. Hands the card
/// over to another SM-SR.
pub(crate) async fn smsr_change(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::SmsrChangeRequest,
) -> Decision<Answer<es4::SmsrChangeResponse>> {
    let function = Function::SmsrChange(request.target_smsr_id.clone());
    shared_functions::accept(context, call, Interface::Es4, &request.base, request.eid, function).await
}
