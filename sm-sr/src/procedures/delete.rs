//! Deleting: SGP.02 sections 3.6, 3.10 and 4.1.1.4, 4.1.1.6.

use rsp::{
    ids::Iccid,
    ota::script::{ScriptResponse, StatusWord},
    sgp02::{
        eis::{Pol2Action, ProfileInfo, ProfileState},
        es5,
        status::Status,
    },
};
use rsp_server::soap::Rejection;
use world::Fault;

use super::{
    Asker, Function, MasterDeleteToken, Operation, Started, ToCard,
    answer::{self, Outcome},
    card_status::{Answers, Command},
    check, one,
};
use crate::{
    context::Context,
    es5::Effect,
    notifications::{self, News},
    policy,
    records::Card,
};

/// Somebody asks for it.
pub(super) fn start(card: &Card, operation: &Operation, iccid: Iccid) -> Result<Started, Rejection> {
    let profile = check::own_profile(card, operation, iccid)?;
    check::state(profile, &[ProfileState::Created, ProfileState::Disabled])?;
    check::not_fallback(profile)?;
    policy::check(profile, Pol2Action::Delete)?;
    Ok(delete(profile))
}

/// POL2 asks for it. Whatever has changed since it did, counts.
pub(super) fn start_auto(card: &Card, iccid: Iccid) -> Started {
    let asks = |profile: &&ProfileInfo| {
        profile.state == ProfileState::Disabled
            && !profile.fallback_attribute
            && policy::deletes_itself(&profile.pol2)
    };
    card.profile(iccid).filter(asks).map_or(Started::Done(Outcome::done()), delete)
}

/// A download was given up, unless it has been completed since.
pub(super) fn start_clean_up(card: &Card, iccid: Iccid) -> Started {
    let is_empty = |profile: &&ProfileInfo| profile.state == ProfileState::Created;
    card.profile(iccid).filter(is_empty).map_or(Started::Done(Outcome::done()), delete)
}

fn delete(profile: &ProfileInfo) -> Started {
    let aid = &profile.isd_p_aid;
    Started::AtCard(ToCard::isd_r(one(es5::delete_profile(aid)), Effect::Delete(aid.clone())))
}

/// With a token by which the ISD-P knows that its SM-DP agrees. No policy rule counts; the attribute does.
pub(super) fn start_master(
    card: &Card,
    operation: &Operation,
    iccid: Iccid,
    token: &MasterDeleteToken,
) -> Result<Started, Rejection> {
    let profile = check::own_profile(card, operation, iccid)?;
    check::state(profile, &[ProfileState::Disabled])?;
    check::not_fallback(profile)?;
    let aid = &profile.isd_p_aid;
    let script = one(token.master_delete(aid));
    Ok(Started::AtCard(ToCard::isd_r(script, Effect::Delete(aid.clone()))))
}

pub(super) async fn answered(
    context: &mut Context<'_, '_>,
    card: &mut Card,
    operation: &Operation,
    iccid: Iccid,
    response: &ScriptResponse,
    found_done: bool,
) -> Result<Outcome, Fault> {
    let data = answer::octets_of(response);
    let answers = Answers::of(response);
    let command = match operation.function {
        Function::MasterDelete { .. } => Command::MasterDelete,
        _ => Command::Delete,
    };
    let outcome = match answers.only(command) {
        _ if found_done => Outcome::done(),
        Ok(_) => Outcome::done(),
        // A deletion that is not known here, such as one by POL1, or the same one whose answer was lost.
        Err(_) if answers.word() == Some(StatusWord::NOT_FOUND) => Outcome::with_warning(
            Status::IsdPUnknown.because("the card did not have the ISD-P any more").about(iccid),
        ),
        Err(refusal) => return Ok(Outcome::refused(refusal).with_data(data)),
    };
    removed(context, card, iccid, operation).await?;
    Ok(outcome.with_data(data))
}

/// The profile is not on the card any more.
async fn removed(
    context: &mut Context<'_, '_>,
    card: &mut Card,
    iccid: Iccid,
    operation: &Operation,
) -> Result<(), Fault> {
    let Some(profile) = card.remove(iccid) else { return Ok(()) };
    if profile.state == ProfileState::Created {
        return Ok(());
    }
    notifications::tell_owner(
        context,
        operation.eid,
        &profile,
        News::Deleted,
        operation.asker.as_ref().map(Asker::by),
    )
    .await
}
