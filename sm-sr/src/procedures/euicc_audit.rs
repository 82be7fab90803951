//! Audit of a card: SGP.02 sections 3.13 and 4.1.1.5. The card returns its ISD-Ps, their states and
//! the available memory, and the EIS is updated accordingly.

use rsp::{
    ids::Iccid,
    ota::script::{Script, ScriptResponse},
    sgp02::{
        eis::{FreeMemory, ProfileInfo, ProfileState},
        es5::{self, CardResources, IsdPStatus},
        status::{Refusal, Status},
    },
};
use rsp_server::soap::Rejection;
use world::Fault;

use super::{
    CardScript, Operation, Started,
    answer::{self, Outcome},
    card_status::{Answers, Command},
    check,
    profile_changes::NotifiedState,
};
use crate::{context::Context, es5::Effect, records::Card};

/// Minimum number of ISD-Ps in one response of a card: a status has about 40 octets, a response
/// 255.
const ISD_PS_PER_RESPONSE: usize = 5;

/// Maximum number of commands for further ISD-Ps in one script. It is enough for 300 ISD-Ps, more
/// than any card has, and the script still fits into short messages.
const MAX_CONTINUATIONS: usize = 64;

/// Returns the profiles that the caller names, or all of its profiles, of which there must be one.
fn requested_profiles<'c>(
    card: &'c Card,
    operation: &Operation,
    iccids: &[Iccid],
) -> Result<Vec<&'c ProfileInfo>, Refusal> {
    if !iccids.is_empty() {
        return iccids.iter().map(|iccid| check::own_profile(card, operation, *iccid)).collect();
    }
    let own = |profile: &&ProfileInfo| match &operation.caller {
        Some(caller) => caller.requester().owns(profile),
        None => true,
    };
    let own: Vec<_> = card.eis.profile_info.iter().filter(own).collect();
    if own.is_empty() && operation.caller.is_some() {
        // req: SGP.02-5.5-AuditOwner
        return Err(Status::EidNotAllowed
            .because("only the owner of a profile on the card can audit the card")
            .about(card.eid()));
    }
    Ok(own)
}

pub(super) fn start(card: &Card, operation: &Operation, iccids: &[Iccid]) -> Result<Started, Rejection> {
    requested_profiles(card, operation, iccids)?;
    Ok(Started::AtCard(audit_script(card.eis.profile_info.len() / ISD_PS_PER_RESPONSE)))
}

/// Returns the script of an audit. A card continues a list only within the script, so the script
/// has one command for every response that may be needed.
fn audit_script(more: usize) -> CardScript {
    let mut apdus = vec![es5::get_card_resources(), es5::get_status(None)];
    apdus.extend(std::iter::repeat_with(es5::get_next_status).take(more));
    CardScript::isd_r(Script::of_apdus(apdus), Effect::Audit)
}

/// Returns a script with more commands if the card has not returned all its ISD-Ps. Such a card has
/// more ISD-Ps than its EIS lists. The audit starts again from the first ISD-P.
pub(super) fn extended_script(response: &ScriptResponse) -> Option<CardScript> {
    let answers = Answers::of(response);
    let last = answers.commands.len().checked_sub(1)?;
    let more = answers.commands.len().saturating_mul(2);
    (last > 0 && answers.has_more(last) && more <= MAX_CONTINUATIONS).then(|| audit_script(more))
}

/// Updates the EIS with the card's response and notifies the owners of changes.
pub(super) async fn answered(
    context: &mut Context<'_, '_>,
    card: &mut Card,
    operation: &Operation,
    response: &ScriptResponse,
) -> Result<Outcome, Fault> {
    let notified_state = NotifiedState::of(card);
    if let Err(refusal) = update_eis(card, &Answers::of(response)) {
        return Ok(Outcome::refused(refusal).with_data(answer::octets_of(response)));
    }
    card.eis.last_audit_date = Some(context.now);
    if let Some(last) = &mut card.last_notification {
        last.owners_not_notified = false;
    }
    notified_state.notify_owners(context, card, Some(operation)).await?;
    Ok(Outcome::done())
}

fn update_eis(card: &mut Card, answers: &Answers) -> Result<(), Refusal> {
    let resources = CardResources::parse(answers.nth(0, Command::Audit)?).map_err(answer::unreadable)?;
    let mut reported = Vec::new();
    for position in 1.. {
        let data = answers.nth(position, Command::Audit)?;
        reported.extend(IsdPStatus::parse_all(data).map_err(answer::unreadable)?);
        if !answers.has_more(position) {
            break;
        }
    }
    if reported.is_empty() {
        return Err(Status::IsdRExecutionError
            .because("the card reports no ISD-P, although it uses the network of one"));
    }
    // A profile that the card does not list was deleted by POL1 or never created.
    let is_missing = |profile: &&ProfileInfo| !reported.iter().any(|isd_p| isd_p.aid == profile.isd_p_aid);
    let missing: Vec<Iccid> =
        card.eis.profile_info.iter().filter(is_missing).map(|profile| profile.iccid).collect();
    for iccid in missing {
        let _ = card.remove(iccid);
    }
    card.eis.available_memory_for_profiles = resources.free_non_volatile;
    for isd_p in reported {
        let found = card.eis.profile_info.iter_mut().find(|profile| profile.isd_p_aid == isd_p.aid);
        let Some(profile) = found else {
            let eid = card.eid();
            tracing::warn!(%eid, isd_p = %isd_p.aid, "the card has an ISD-P that is not in its EIS");
            continue;
        };
        // An installed profile stays Created until its SM-DP reports its properties.
        if let Some(state) = isd_p.state.filter(|_| profile.state != ProfileState::Created) {
            profile.state = state.profile_state();
        }
        if let Some(fallback) = isd_p.fallback {
            profile.fallback_attribute = fallback;
        }
        profile.free_memory = isd_p.free_memory.map(FreeMemory).or(profile.free_memory);
    }
    Ok(())
}
