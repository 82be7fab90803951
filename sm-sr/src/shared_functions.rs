//! Functions that SM-DPs (ES3) and operators (ES4) have in common: SGP.02 sections 5.4 and 5.5. The
//! caller determines which profiles it can access.

use rsp::{
    ids::{Eid, Iccid},
    sgp02::{
        BaseRequest, BaseResponse,
        shared_functions::{
            GetEisRequest, GetEisResponse, UpdatePolicyRulesRequest, UpdatePolicyRulesResponse,
            UpdateSubscriptionAddressRequest, UpdateSubscriptionAddressResponse,
        },
    },
};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    caller::check_role,
    context::Context,
    notifications::{self, ProfileChange},
    procedures::{self, check},
    records::{Card, PeerRole},
    state::{Function, Interface, Requester},
    visibility::{self, Disclosure},
};

/// Checks that the caller has the role of the interface.
pub(crate) async fn check_caller(context: &mut Context<'_, '_>, by: Requester<'_>) -> Decision<()> {
    check_role(context, by.id, |role| match by.interface {
        Interface::Es3 => matches!(role, PeerRole::SmDp),
        Interface::Es4 => matches!(role, PeerRole::Operator),
    })
    .await
}

/// Accepts a function that the card must execute. The response is sent later.
pub(crate) async fn accept<R>(
    context: &mut Context<'_, '_>,
    call: &Call,
    interface: Interface,
    base: &BaseRequest,
    eid: Eid,
    function: Function,
) -> Decision<Answer<R>> {
    check_caller(context, interface.requester(call)).await?;
    procedures::accept(context, call, interface, base, eid, function).await
}

/// Returns a card with a profile of the caller, for a change that does not involve the card.
pub(crate) async fn own_profile(
    context: &mut Context<'_, '_>,
    by: Requester<'_>,
    eid: Eid,
    iccid: Iccid,
) -> Decision<Card> {
    check_caller(context, by).await?;
    let card = check::managed(context, eid).await?;
    check::not_handed_over(context, eid).await?;
    check::profile_of(&card, by, iccid)?;
    Ok(card)
}

/// Returns the stored EIS of a card, as visible to the caller.
pub(crate) async fn get_eis<const ES: u8>(
    context: &mut Context<'_, '_>,
    by: Requester<'_>,
    request: &GetEisRequest<ES>,
) -> Decision<Answer<GetEisResponse<ES>>> {
    check_caller(context, by).await?;
    let card = check::managed(context, request.eid).await?;
    let why = match by.interface {
        Interface::Es3 => Disclosure::GetEisToSmDp,
        Interface::Es4 => Disclosure::GetEisToOperator,
    };
    let eis = visibility::visible_eis(&card.eis, Vec::new(), by.id, why, &[]);
    Ok(Answer::Now(GetEisResponse { base: BaseResponse::default(), eis: Some(eis) }))
}

/// Replaces POL2 of a profile. Without a value, the profile has no rules.
pub(crate) async fn update_policy_rules<const ES: u8>(
    context: &mut Context<'_, '_>,
    by: Requester<'_>,
    request: UpdatePolicyRulesRequest<ES>,
) -> Decision<Answer<UpdatePolicyRulesResponse<ES>>> {
    let UpdatePolicyRulesRequest { eid, iccid, pol2, .. } = request;
    let pol2 = pol2.unwrap_or_default();
    let mut card = own_profile(context, by, eid, iccid).await?;
    if let Some(profile) = card.profile_mut(iccid) {
        profile.pol2 = pol2.clone();
    }
    card.store(context.tx)?;
    if let Some(profile) = card.profile(iccid) {
        notifications::notify_owner(context, eid, profile, ProfileChange::Pol2Updated(pol2), Some(by))
            .await?;
    }
    Ok(Answer::Now(UpdatePolicyRulesResponse::default()))
}

/// Replaces the subscription address of a profile. The device is reached by it while the profile is
/// enabled.
pub(crate) async fn update_subscription_address<const ES: u8>(
    context: &mut Context<'_, '_>,
    by: Requester<'_>,
    request: UpdateSubscriptionAddressRequest<ES>,
) -> Decision<Answer<UpdateSubscriptionAddressResponse<ES>>> {
    let mut card = own_profile(context, by, request.eid, request.iccid).await?;
    if let Some(profile) = card.profile_mut(request.iccid) {
        profile.subscription_address = request.new_subscription_address;
    }
    card.check_addresses(context.tx).await?;
    card.store_addresses(context.tx).await?;
    card.store(context.tx)?;
    Ok(Answer::Now(UpdateSubscriptionAddressResponse::default()))
}
