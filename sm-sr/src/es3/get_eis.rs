//! ES3.GetEIS: SGP.02 section 5.4. What this SM-SR knows of a card, as far as it is the caller's business.

use rsp::sgp02::{BaseResponse, es3};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    context::Context,
    visibility::{self, Showing},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::GetEisRequest,
) -> Decision<Answer<es3::GetEisResponse>> {
    super::known(context, call).await?;
    let card = super::card(context, request.eid).await?;
    let why = Showing::GetEisToSmDp;
    let eis = visibility::shown(&card.eis, Vec::new(), &call.caller, why, &[]);
    Ok(Answer::Now(es3::GetEisResponse { base: BaseResponse::default(), eis: Some(eis) }))
}
