//! ES4.UpdateSubscriptionAddress: SGP.02 section 5.5. By which the device is reached while the profile is enabled.

use rsp::sgp02::{BaseResponse, es4};
use rsp_server::soap::{Answer, Call, Decision};

use crate::context::Context;

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::UpdateSubscriptionAddressRequest,
) -> Decision<Answer<es4::UpdateSubscriptionAddressResponse>> {
    let mut card = super::own_profile(context, call, request.eid, request.iccid).await?;
    if let Some(profile) = card.profile_mut(request.iccid) {
        profile.subscription_address = request.new_subscription_address.clone();
    }
    card.keep_addresses(context.tx)?;
    card.keep(context.tx)?;
    Ok(Answer::Now(es4::UpdateSubscriptionAddressResponse { base: BaseResponse::default() }))
}
