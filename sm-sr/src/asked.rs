//! What SM-DPs (ES3) and operators (ES4) ask for alike: SGP.02 sections 5.4 and 5.5. Who asks decides what is theirs.

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
    context::Context,
    notifications::{self, News},
    procedures::{self, Function, Interface, check},
    records::{Card, PeerRole},
    router::{By, check_role},
    visibility::{self, Showing},
};

/// That the caller is known here as what the interface is for.
pub(crate) async fn known(context: &mut Context<'_, '_>, by: By<'_>) -> Decision<()> {
    check_role(context, by.id, |role| match by.interface {
        Interface::Es3 => matches!(role, PeerRole::SmDp),
        Interface::Es4 => matches!(role, PeerRole::Operator),
    })
    .await
}

/// Takes in a function that the card has to do; it is answered when it has.
pub(crate) async fn later<R>(
    context: &mut Context<'_, '_>,
    call: &Call,
    interface: Interface,
    base: &BaseRequest,
    eid: Eid,
    function: Function,
) -> Decision<Answer<R>> {
    known(context, By { interface, id: &call.caller }).await?;
    procedures::take_in(context, call, interface, base, eid, function).await
}

/// A card with a profile of the caller's, to be changed here and not on the card.
pub(crate) async fn own_profile(
    context: &mut Context<'_, '_>,
    by: By<'_>,
    eid: Eid,
    iccid: Iccid,
) -> Decision<Card> {
    known(context, by).await?;
    let card = check::managed(context, eid).await?;
    check::not_handed_over(context, eid).await?;
    check::profile_of(&card, by, iccid)?;
    Ok(card)
}

/// The EIS as the caller sees it.
pub(crate) async fn eis(context: &mut Context<'_, '_>, by: By<'_>, eid: Eid) -> Decision<Eis> {
    known(context, by).await?;
    let card = check::managed(context, eid).await?;
    let why = match by.interface {
        Interface::Es3 => Showing::GetEisToSmDp,
        Interface::Es4 => Showing::GetEisToOperator,
    };
    Ok(visibility::shown(&card.eis, Vec::new(), by.id, why, &[]))
}

/// POL2 of a profile is this from now on.
pub(crate) async fn update_policy_rules(
    context: &mut Context<'_, '_>,
    by: By<'_>,
    eid: Eid,
    iccid: Iccid,
    pol2: Pol2,
) -> Decision<()> {
    let mut card = own_profile(context, by, eid, iccid).await?;
    if let Some(profile) = card.profile_mut(iccid) {
        profile.pol2 = pol2.clone();
    }
    card.keep(context.tx)?;
    if let Some(profile) = card.profile(iccid) {
        notifications::tell_owner(context, eid, profile, News::Pol2Updated(pol2), Some(by)).await?;
    }
    Ok(())
}

/// The device is reached by this while the profile is enabled.
pub(crate) async fn update_subscription_address(
    context: &mut Context<'_, '_>,
    by: By<'_>,
    eid: Eid,
    iccid: Iccid,
    address: SubscriptionAddress,
) -> Decision<()> {
    let mut card = own_profile(context, by, eid, iccid).await?;
    if let Some(profile) = card.profile_mut(iccid) {
        profile.subscription_address = address;
    }
    card.check_addresses(context.tx).await?;
    card.keep_addresses(context.tx).await?;
    Ok(card.keep(context.tx)?)
}
