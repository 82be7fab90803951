//! Auditing a card: SGP.02 sections 3.13 and 4.1.1.6. The card is asked which ISD-Ps it has, how they stand and how much
//! memory is left, and the EIS is made to say the same.

use rsp::{
    ids::Iccid,
    ota::script::{Script, ScriptResponse},
    sgp02::{
        eis::{Eis, ProfileInfo, ProfileState},
        es5,
        status::{Refusal, Status},
    },
};
use rsp_server::No;
use world::Fault;

use super::{
    Asker, AtCard, Interface, Operation, Started, Step, ToCard,
    answer::{self, Outcome},
    card_status::{Answers, Command, MORE},
    check,
    queue::end,
};
use crate::{
    context::Context,
    es5::Effect,
    records::Card,
    visibility::{self, Showing},
};

/// How often a card may say that there is more. It has at most as many ISD-Ps as fit into that many answers.
const MOST_PARTS: u32 = 64;

/// Those of the asker that it names, or all of its own.
fn asked<'c>(card: &'c Card, operation: &Operation, iccids: &[Iccid]) -> Result<Vec<&'c ProfileInfo>, Refusal> {
    if !iccids.is_empty() {
        return iccids.iter().map(|iccid| check::own_profile(card, operation, *iccid)).collect();
    }
    let own = |profile: &&ProfileInfo| match &operation.asker {
        Some(asker) => check::is_own(profile, asker.interface, &asker.id),
        None => true,
    };
    Ok(card.eis.profile_info.iter().filter(own).collect())
}

pub(super) fn start(card: &Card, operation: &Operation, iccids: &[Iccid]) -> Result<Started, No> {
    asked(card, operation, iccids)?;
    let script = Script::of_all([es5::card_resources(), es5::isd_p_status(None, false)]);
    Ok(Started::AtCard(ToCard::isd_r(script, Effect::Audit)))
}

/// What the card says goes into the EIS, and the next part is asked for while there is one.
pub(super) async fn answered(
    context: &mut Context<'_, '_>,
    mut card: Card,
    mut operation: Operation,
    response: &ScriptResponse,
) -> Result<(), Fault> {
    let Step::AtCard(at_card) = &operation.step else { return Ok(()) };
    let part = at_card.part;
    let answers = Answers::of(response);
    let data = answer::octets_of(response);
    match taken(&mut card, &answers, part) {
        Ok(more) if more && part < MOST_PARTS => {
            let script = one(es5::isd_p_status(None, true));
            let job = operation.send(context, part + 1, ToCard::isd_r(script, Effect::Audit)).await?;
            operation.step = Step::AtCard(AtCard { job, part: part + 1 });
            card.keep(context.tx)?;
            operation.keep(context)
        }
        Ok(_) => {
            card.eis.last_audit_date = Some(context.now);
            end(context, card, operation, Outcome::done()).await
        }
        Err(refusal) => end(context, card, operation, Outcome::refused(refusal).with_data(data)).await,
    }
}

/// Whether there is more to ask for.
fn taken(card: &mut Card, answers: &Answers, part: u32) -> Result<bool, Refusal> {
    let unreadable = |e| Status::IsdRExecutionError.because(format!("the card's answer cannot be read: {e}"));
    let mut status = 0;
    if part == 0 {
        let resources = es5::CardResources::from_bytes(answers.nth(0, Command::Audit)?).map_err(unreadable)?;
        card.eis.available_memory_for_profiles = resources.free_non_volatile.into();
        status = 1;
    }
    let data = answers.nth(status, Command::Audit)?;
    for isd_p in es5::IsdPStatus::list(data).map_err(unreadable)? {
        let found = card.eis.profile_info.iter_mut().find(|profile| profile.isd_p_aid == isd_p.aid);
        let Some(profile) = found else {
            tracing::warn!(eid = %card.eid(), isd_p = %isd_p.aid, "the card has an ISD-P that is not in its EIS");
            continue;
        };
        // A profile that is installed is Created for its SM-DP until it says so.
        if let Some(state) = isd_p.state
            && profile.state != ProfileState::Created
        {
            profile.state = state;
        }
        if let Some(fallback) = isd_p.fallback {
            profile.fallback_attribute = fallback;
        }
        if let Some(free) = isd_p.free_memory {
            profile.free_memory = Some(free.into());
        }
    }
    Ok(answers.commands.get(status).is_some_and(|(_, word)| *word == MORE))
}

/// The EIS as the asker is shown it after the audit.
pub(super) fn shown(card: &Card, asker: &Asker, iccids: &[Iccid]) -> Eis {
    let why = match asker.interface {
        Interface::Es3 => Showing::AuditEisToSmDp,
        Interface::Es4 => Showing::AuditEisToOperator,
    };
    visibility::shown(&card.eis, Vec::new(), &asker.id, why, iccids)
}
