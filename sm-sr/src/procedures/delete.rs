//! Deletion of profiles: SGP.02 sections 3.6, 3.10 and 4.1.1.4, 4.1.1.6.

use rsp::{
    StatusWord,
    ids::Iccid,
    ota::script::ScriptResponse,
    sgp02::{
        eis::{Pol2Action, ProfileInfo, ProfileState},
        es5,
        status::Status,
    },
};
use rsp_server::soap::Rejection;
use world::Fault;

use super::{
    Caller, Function, MasterDeleteToken, Operation, Started,
    answer::{self, Outcome},
    card_status::{Answers, Command},
    check,
};
use crate::{
    context::Context,
    es5::Effect,
    notifications::{self, ProfileChange},
    policy,
    records::Card,
};

/// Starts a deletion requested by a caller.
pub(super) fn start(card: &Card, operation: &Operation, iccid: Iccid) -> Result<Started, Rejection> {
    let profile = check::own_profile(card, operation, iccid)?;
    check::state(profile, &[ProfileState::Created, ProfileState::Disabled])?;
    check::not_fallback(profile)?;
    policy::check(profile, Pol2Action::Delete)?;
    Ok(delete(profile))
}

/// Starts a deletion by POL2. Does nothing if the profile has changed so that POL2 does not delete
/// it any more.
pub(super) fn start_auto(card: &Card, iccid: Iccid) -> Started {
    let is_deleted_by_pol2 = |profile: &&ProfileInfo| {
        profile.state == ProfileState::Disabled
            && !profile.fallback_attribute
            && policy::deletes_itself(&profile.pol2)
    };
    card.profile(iccid).filter(is_deleted_by_pol2).map_or(Started::Done(Outcome::done()), delete)
}

/// Starts the deletion of an ISD-P after a failed download. Does nothing if the download has been
/// completed since.
pub(super) fn start_clean_up(card: &Card, iccid: Iccid) -> Started {
    let is_empty = |profile: &&ProfileInfo| profile.state == ProfileState::Created;
    card.profile(iccid).filter(is_empty).map_or(Started::Done(Outcome::done()), delete)
}

fn delete(profile: &ProfileInfo) -> Started {
    let aid = &profile.isd_p_aid;
    Started::one_command(es5::delete_profile(aid), Effect::Delete(aid.clone()))
}

/// Starts a deletion with a token. The token proves to the ISD-P that its SM-DP agrees. POL1 and POL2
/// do not apply, but a profile with the fall-back attribute cannot be deleted.
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
    Ok(Started::one_command(token.master_delete(aid), Effect::Delete(aid.clone())))
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
        // The card deleted the ISD-P without this server's knowledge, for example by POL1 or by an
        // earlier command whose response was lost.
        Err(_) if answers.status_word() == Some(StatusWord::REFERENCED_DATA_NOT_FOUND) => {
            Outcome::with_warning(
                Status::IsdPUnknown.because("the ISD-P had already been deleted on the card").about(iccid),
            )
        }
        Err(refusal) => return Ok(Outcome::refused(refusal).with_data(data)),
    };
    removed(context, card, iccid, operation).await?;
    Ok(outcome.with_data(data))
}

/// Removes a deleted profile from the EIS and notifies its owner.
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
    notifications::notify_owner(
        context,
        operation.eid,
        &profile,
        ProfileChange::Deleted,
        operation.caller.as_ref().map(Caller::requester),
    )
    .await
}
