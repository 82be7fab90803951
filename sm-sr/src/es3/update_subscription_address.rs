//! ES3.UpdateSubscriptionAddress: SGP.02 section 5.4. By which the device is reached while the profile is enabled.

use rsp::sgp02::{BaseResponse, es3};
use rsp_server::soap::{Answer, Call, Decision};

use crate::context::Context;

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::UpdateSubscriptionAddressRequest,
) -> Decision<Answer<es3::UpdateSubscriptionAddressResponse>> {
    let mut card = super::own_profile(context, call, request.eid, request.iccid).await?;
    if let Some(profile) = card.profile_mut(request.iccid) {
        profile.subscription_address = request.new_subscription_address.clone();
    }
    card.keep_addresses(context.tx)?;
    card.keep(context.tx)?;
    Ok(Answer::Now(es3::UpdateSubscriptionAddressResponse { base: BaseResponse::default() }))
}
