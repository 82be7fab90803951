//! What is asked of a profile before the card is.

use rsp::{
    ids::{Eid, Iccid},
    sgp02::{
        eis::{ProfileInfo, ProfileState},
        status::{Refusal, Status},
    },
};
use rsp_server::soap::Decision;

use super::{Interface, Operation, Step, queue};
use crate::{context::Context, records::Card, router::By};

/// A card that is managed here.
pub(crate) async fn managed(context: &mut Context<'_, '_>, eid: Eid) -> Decision<Card> {
    match context.card(eid).await? {
        Some(card) => Ok(card),
        None => Err(Status::EidUnknown.because("this SM-SR manages no such card").about(eid).into()),
    }
}

/// That the card is not being handed over: what was changed here now would be lost.
pub(crate) async fn not_handed_over(context: &mut Context<'_, '_>, eid: Eid) -> Decision<()> {
    match queue::under_way(context, eid).await? {
        Some(Operation { step: Step::HandingOver(_), .. }) => Err(handed_over().into()),
        _ => Ok(()),
    }
}

pub(super) fn handed_over() -> Refusal {
    Status::FunctionUnavailable.because("the card is being handed over to another SM-SR")
}

/// Whether a profile is the caller's: over ES3 that of the SM-DP that put it there, over ES4 that of its operator.
pub(crate) fn is_own(profile: &ProfileInfo, by: By<'_>) -> bool {
    match by.interface {
        Interface::Es3 => profile.smdp_id.as_ref() == Some(by.id),
        Interface::Es4 => profile.mno_id == *by.id,
    }
}

/// The profile, which must be the caller's.
pub(crate) fn profile_of<'c>(card: &'c Card, by: By<'_>, iccid: Iccid) -> Result<&'c ProfileInfo, Refusal> {
    let profile = known(card, iccid)?;
    if is_own(profile, by) {
        return Ok(profile);
    }
    Err(Status::IccidNotAllowed.because("the profile is another's").about(iccid))
}

/// The profile, which must be the asker's, if somebody asked.
pub(super) fn own_profile<'c>(
    card: &'c Card,
    operation: &Operation,
    iccid: Iccid,
) -> Result<&'c ProfileInfo, Refusal> {
    match &operation.asker {
        Some(asker) => profile_of(card, asker.by(), iccid),
        None => known(card, iccid),
    }
}

fn known(card: &Card, iccid: Iccid) -> Result<&ProfileInfo, Refusal> {
    card.profile(iccid)
        .ok_or_else(|| Status::IccidUnknown.because("there is no such profile on the card").about(iccid))
}

/// That the profile is in one of these states.
pub(super) fn state(profile: &ProfileInfo, states: &[ProfileState]) -> Result<(), Refusal> {
    if states.contains(&profile.state) {
        return Ok(());
    }
    Err(Status::IccidInvalidTransition
        .because(format!("the profile is {}", profile.state))
        .about(profile.iccid))
}

/// That the profile does not have the fall-back attribute.
pub(super) fn not_fallback(profile: &ProfileInfo) -> Result<(), Refusal> {
    if profile.fallback_attribute {
        return Err(Status::IccidRefused
            .because("the profile has the fall-back attribute")
            .about(profile.iccid));
    }
    Ok(())
}
