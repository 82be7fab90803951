//! ES4, from the operator: SGP.02 section 5.5. A function a file.

pub(crate) mod audit_eis;
pub(crate) mod delete_profile;
pub(crate) mod disable_profile;
pub(crate) mod enable_profile;
pub(crate) mod get_eis;
pub(crate) mod prepare_smsr_change;
pub(crate) mod set_emergency_profile_attribute;
pub(crate) mod set_fall_back_attribute;
pub(crate) mod smsr_change;
pub(crate) mod update_policy_rules;
pub(crate) mod update_subscription_address;

use rsp::{
    ids::{Eid, Iccid},
    sgp02::BaseRequest,
};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{
    context::Context,
    procedures::{self, Function, Interface},
    records::{Card, PeerRole},
    router::{By, check_role},
};

/// That the caller is an operator that is known here.
pub(crate) async fn known(context: &mut Context<'_, '_>, call: &Call) -> Decision<()> {
    check_role(context, call, |role| matches!(role, PeerRole::Operator)).await
}

/// The card, if it is managed here.
pub(crate) async fn card(context: &mut Context<'_, '_>, eid: Eid) -> Decision<Card> {
    procedures::check::managed(context, eid).await
}

/// A card with a profile of the caller's, to be changed here and not on the card.
pub(crate) async fn own_profile(
    context: &mut Context<'_, '_>,
    call: &Call,
    eid: Eid,
    iccid: Iccid,
) -> Decision<Card> {
    known(context, call).await?;
    let card = card(context, eid).await?;
    procedures::check::not_handed_over(context, eid).await?;
    let by = By { interface: Interface::Es4, id: &call.caller };
    procedures::check::profile_of(&card, by, iccid)?;
    Ok(card)
}

/// Takes in a function that the card has to do; it is answered when it has.
pub(crate) async fn later<R>(
    context: &mut Context<'_, '_>,
    call: &Call,
    base: &BaseRequest,
    eid: Eid,
    function: Function,
) -> Decision<Answer<R>> {
    known(context, call).await?;
    procedures::take_in(context, call, Interface::Es4, base, eid, function).await
}
