//! ES2+.CancelOrder: SGP.22 section 5.3.3.

use rsp::{
    sgp22::{
        es2plus::{CancelOrderRequest, FinalProfileStatusIndicator},
        json::NoOutput,
    },
    status::Status,
};
use rsp_server::Decision;

use super::{Caller, forget, own_profile, retry::CallId};
use crate::{context::Context, profile_state::ProfileEvent};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    caller: &Caller,
    request: &CancelOrderRequest,
) -> Decision<NoOutput> {
    caller.check(context, &request.header).await?;
    let iccid = request.iccid;
    let call = CallId::of("CancelOrder", &request.header, request)?;
    let mut profile = own_profile(context, iccid, &request.header).await?;
    if let Some(answer) = call.answer(context, &profile).await? {
        return Ok(answer);
    }
    // req: SGP.22-5.3.3-IccidUnknown
    let not_ordered = |_| Status::IccidUnknown.because("the profile is not ordered").about(iccid);
    let order = profile.order().map_err(not_ordered)?.clone();
    match (order.eid, request.eid) {
        (Some(_), None) => {
            // req: SGP.22-5.3.3-EidMissing
            return Err(Status::EidMissing
                .because("the order has an EID, so the request must contain it")
                .about(iccid)
                .into());
        }
        // req: SGP.22-5.3.3-EidAssociation
        (ordered, Some(given)) if ordered != Some(given) => {
            return Err(Status::EidAssociation.because("the order is for another eUICC").about(given).into());
        }
        _ => {}
    }
    if let Some(given) = &request.matching_id
        && order.matching_id.as_ref() != Some(given)
    {
        // req: SGP.22-5.3.3-MatchingIdAssociation
        return Err(Status::MatchingIdAssociation
            .because("the order has another MatchingID")
            .about(given)
            .into());
    }
    let event = match request.final_profile_status_indicator {
        FinalProfileStatusIndicator::Available => ProfileEvent::OrderCancelled,
        FinalProfileStatusIndicator::Unavailable => ProfileEvent::OrderCancelledForGood,
    };
    // req: SGP.22-5.3.3-Transition
    profile.apply(event)?;
    forget(context, iccid, &order).await?;
    call.save(context, &mut profile, &())?;
    profile.save(context.tx)?;
    Ok(NoOutput)
}
