//! ES1.UpdateEISAdditionalProperties: SGP.02 section 5.2, version 4. Replaces the additional
//! properties of a card.

use rsp::sgp02::{BaseResponse, es1, status::Status};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{caller::check_role, context::Context, procedures, records::PeerRole};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es1::UpdateEisAdditionalPropertiesRequest,
) -> Decision<Answer<es1::UpdateEisAdditionalPropertiesResponse>> {
    check_role(context, &call.caller, |role| matches!(role, PeerRole::Eum { .. })).await?;
    let mut card = procedures::check::managed(context, request.eid).await?;
    // req: SGP.02-5.2-Properties
    if card.eis.eum_signed_info.eum_id != call.caller {
        return Err(Status::EidNotAllowed
            .because("another EUM manufactured this card")
            .about(request.eid)
            .into());
    }
    procedures::check::not_handed_over(context, request.eid).await?;
    card.eis.additional_properties = Some(request.additional_properties.clone());
    card.store(context.tx)?;
    Ok(Answer::Now(es1::UpdateEisAdditionalPropertiesResponse { base: BaseResponse::default() }))
}
