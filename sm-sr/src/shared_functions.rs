//! Functions that SM-DPs (ES3) and operators (ES4) have in common: SGP.02 sections 5.4 and 5.5. The
//! caller determines which profiles it can access.

use rsp::{
    ids::{Eid, Iccid},
    sgp02::{
        BaseRequest,
        common::SubscriptionAddress,
        eis::{Eis, Pol2},
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
    check_caller(context, Requester { interface, id: &call.caller }).await?;
    procedures::take_in(context, call, interface, base, eid, function).await
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

/// Returns the EIS as visible to the caller.
pub(crate) async fn eis(context: &mut Context<'_, '_>, by: Requester<'_>, eid: Eid) -> Decision<Eis> {
    check_caller(context, by).await?;
    let card = check::managed(context, eid).await?;
    let why = match by.interface {
        Interface::Es3 => Disclosure::GetEisToSmDp,
        Interface::Es4 => Disclosure::GetEisToOperator,
    };
    Ok(visibility::visible_eis(&card.eis, Vec::new(), by.id, why, &[]))
}

/// Replaces POL2 of a profile.
pub(crate) async fn update_policy_rules(
    context: &mut Context<'_, '_>,
    by: Requester<'_>,
    eid: Eid,
    iccid: Iccid,
    pol2: Pol2,
) -> Decision<()> {
    let mut card = own_profile(context, by, eid, iccid).await?;
    if let Some(profile) = card.profile_mut(iccid) {
        profile.pol2 = pol2.clone();
    }
    card.store(context.tx)?;
    if let Some(profile) = card.profile(iccid) {
        notifications::notify_owner(context, eid, profile, ProfileChange::Pol2Updated(pol2), Some(by))
            .await?;
    }
    Ok(())
}

/// Replaces the subscription address of a profile. The device is reached by it while the profile is
/// enabled.
pub(crate) async fn update_subscription_address(
    context: &mut Context<'_, '_>,
    by: Requester<'_>,
    eid: Eid,
    iccid: Iccid,
    address: SubscriptionAddress,
) -> Decision<()> {
    let mut card = own_profile(context, by, eid, iccid).await?;
    if let Some(profile) = card.profile_mut(iccid) {
        profile.subscription_address = address;
    }
    card.check_addresses(context.tx).await?;
    card.store_addresses(context.tx).await?;
    Ok(card.store(context.tx)?)
}
