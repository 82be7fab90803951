//! Preconditions that are checked before the card is used.

use rsp::{
    ids::{Eid, Iccid, Oid},
    sgp02::{
        eis::{ProfileInfo, ProfileState},
        status::{Refusal, Status},
    },
};
use rsp_server::soap::Decision;

use super::{Function, Operation, Step, queue};
use crate::{context::Context, records::Card, state::Requester};

/// Returns a card that this SM-SR manages.
pub(crate) async fn managed(context: &mut Context<'_, '_>, eid: Eid) -> Decision<Card> {
    match context.card(eid).await? {
        Some(card) => Ok(card),
        None => Err(queue::not_managed(eid).into()),
    }
}

/// Refusal of a card that this SM-SR already manages.
pub(crate) fn already_managed(eid: Eid) -> Refusal {
    // req: SGP.02-5.6-Prepare-Managed
    Status::EidInUse.because("this SM-SR already manages the card").about(eid)
}

/// Checks that the card is not being handed over. A change of its record would be lost.
pub(crate) async fn not_handed_over(context: &mut Context<'_, '_>, eid: Eid) -> Decision<()> {
    match queue::in_progress(context, eid).await? {
        Some(Operation { step: Step::HandingOver(_), .. }) => Err(queue::handed_over().into()),
        _ => match context.card(eid).await?.and_then(|card| card.handed_to) {
            Some(target) => Err(possibly_transferred(&target).into()),
            None => Ok(()),
        },
    }
}

/// Checks that the card has not created a key set with another SM-SR. If it has, the other SM-SR may
/// manage the card already, and this SM-SR does not use the card until the other SM-SR reports that
/// it does not manage it. A repeated handover to the same SM-SR gets this report.
pub(super) fn check_not_transferred(card: &Card, function: &Function) -> Result<(), Refusal> {
    match (&card.handed_to, function) {
        (None, _) => Ok(()),
        (Some(target), Function::SmsrChange(again)) if target == again => Ok(()),
        (Some(target), _) => Err(possibly_transferred(target)),
    }
}

fn possibly_transferred(target: &Oid) -> Refusal {
    // req: SGP.02-5.6-Uncertain
    Status::FunctionUnavailable
        .because(
            "another SM-SR may manage the card already; repeat SMSRChange to the same SM-SR to determine whether it does",
        )
        .about(target)
}

/// Returns the profile, which must belong to the caller.
pub(crate) fn profile_of<'c>(
    card: &'c Card,
    by: Requester<'_>,
    iccid: Iccid,
) -> Result<&'c ProfileInfo, Refusal> {
    let profile = existing_profile(card, iccid)?;
    if by.owns(profile) {
        return Ok(profile);
    }
    // req: SGP.02-5.5-Owner
    Err(Status::IccidNotAllowed.because("the profile belongs to another party").about(iccid))
}

/// Returns the profile. It must belong to the caller, if there is one.
pub(super) fn own_profile<'c>(
    card: &'c Card,
    operation: &Operation,
    iccid: Iccid,
) -> Result<&'c ProfileInfo, Refusal> {
    match &operation.caller {
        Some(caller) => profile_of(card, caller.requester(), iccid),
        None => existing_profile(card, iccid),
    }
}

fn existing_profile(card: &Card, iccid: Iccid) -> Result<&ProfileInfo, Refusal> {
    card.profile(iccid)
        // req: SGP.02-5.5-IccidUnknown
        .ok_or_else(|| Status::IccidUnknown.because("the card has no profile with this ICCID").about(iccid))
}

/// Checks that the profile is in one of these states.
pub(crate) fn state(profile: &ProfileInfo, states: &[ProfileState]) -> Result<(), Refusal> {
    if states.contains(&profile.state) {
        return Ok(());
    }
    // req: SGP.02-5.5-State
    Err(Status::IccidInvalidTransition
        .because(format!("the profile is {}", profile.state))
        .about(profile.iccid))
}

/// Checks that the profile does not have the fall-back attribute.
pub(super) fn not_fallback(profile: &ProfileInfo) -> Result<(), Refusal> {
    // req: SGP.02-5.5-DeletionOfFallBack
    if profile.fallback_attribute {
        return Err(Status::IccidRefused
            .because("the profile has the fall-back attribute")
            .about(profile.iccid));
    }
    Ok(())
}
