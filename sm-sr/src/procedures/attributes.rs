//! The fall-back attribute (SGP.02 sections 3.12, 3.16 and 4.1.1.7) and the emergency profile
//! attribute (SGP.02 version 4).

use rsp::{
    ids::Iccid,
    ota::script::ScriptResponse,
    sgp02::{eis::ProfileState, es5, status::Status},
};
use rsp_server::soap::Rejection;
use world::Fault;

use super::{
    Operation, Started,
    answer::{self, Outcome},
    card_status::{Answers, Command},
    check,
    profile_changes::NotifiedState,
};
use crate::{
    context::Context,
    es5::Effect,
    notifications::{self, ProfileChange},
    records::Card,
};

/// Moves the attribute to this profile. Exactly one profile has it at any time.
pub(super) fn start_fallback(card: &Card, operation: &Operation, iccid: Iccid) -> Result<Started, Rejection> {
    let profile = check::own_profile(card, operation, iccid)?;
    check::state(profile, &[ProfileState::Disabled, ProfileState::Enabled])?;
    // req: SGP.02-5.5-FallBackAttribute
    if card.emergency == Some(iccid) {
        return Err(Status::IccidRefused
            .because("the profile has the emergency profile attribute")
            .about(iccid)
            .into());
    }
    if profile.fallback_attribute {
        return Ok(Started::Done(Outcome::done()));
    }
    let aid = &profile.isd_p_aid;
    Ok(Started::one_command(es5::set_fallback_attribute(aid), Effect::SetFallBack(aid.clone())))
}

pub(super) async fn fallback_answered(
    context: &mut Context<'_, '_>,
    card: &mut Card,
    operation: &Operation,
    iccid: Iccid,
    response: &ScriptResponse,
    found_done: bool,
) -> Result<Outcome, Fault> {
    let data = answer::octets_of(response);
    if !found_done && let Err(refusal) = Answers::of(response).only(Command::SetAttribute) {
        return Ok(Outcome::refused(refusal).with_data(data));
    }
    let notified_state = NotifiedState::current(card);
    for profile in &mut card.eis.profile_info {
        profile.fallback_attribute = profile.iccid == iccid;
    }
    notified_state.notify_owners(context, card, Some(operation)).await?;
    Ok(Outcome::done().with_data(data))
}

/// Moves the attribute to this profile. At most one profile has the attribute. The profile must be
/// disabled and must not have the fall-back attribute.
pub(super) fn start_emergency(
    card: &Card,
    operation: &Operation,
    iccid: Iccid,
) -> Result<Started, Rejection> {
    let profile = check::own_profile(card, operation, iccid)?;
    check::state(profile, &[ProfileState::Disabled])?;
    check::not_fallback(profile)?;
    match card.emergency {
        Some(has_it) if has_it == iccid => return Ok(Started::Done(Outcome::done())),
        // The operator of the profile that has the attribute would have to agree (PLMA), and this
        // server has no function for that.
        Some(_) if !owns_the_other(card, operation) => {
            return Err(Status::IccidNotAllowed
                .because("another operator's profile has the emergency profile attribute")
                .about(iccid)
                .into());
        }
        _ => {}
    }
    let aid = &profile.isd_p_aid;
    Ok(Started::one_command(es5::set_emergency_profile_attribute(aid), Effect::SetEmergency(aid.clone())))
}

fn owns_the_other(card: &Card, operation: &Operation) -> bool {
    card.emergency.is_none_or(|iccid| check::own_profile(card, operation, iccid).is_ok())
}

pub(super) async fn emergency_answered(
    context: &mut Context<'_, '_>,
    card: &mut Card,
    operation: &Operation,
    iccid: Iccid,
    response: &ScriptResponse,
) -> Result<Outcome, Fault> {
    let data = answer::octets_of(response);
    if let Err(refusal) = Answers::of(response).only(Command::SetAttribute) {
        return Ok(Outcome::refused(refusal).with_data(data));
    }
    let before = card.emergency.replace(iccid);
    for (iccid, change) in [
        (before, ProfileChange::EmergencyProfileAttributeUnset),
        (Some(iccid), ProfileChange::EmergencyProfileAttributeSet),
    ] {
        if let Some(profile) = iccid.and_then(|iccid| card.profile(iccid)).cloned() {
            let by = operation.answers_for(&profile);
            notifications::notify_owner(context, operation.eid, &profile, change, by).await?;
        }
    }
    Ok(Outcome::done().with_data(data))
}
