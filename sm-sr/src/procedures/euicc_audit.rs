//! Auditing a card: SGP.02 sections 3.13 and 4.1.1.5. The card is asked which ISD-Ps it has, how they stand and how much
//! memory is left, and the EIS is made to say the same.

use rsp::{
    der::DecodeError,
    ids::Iccid,
    ota::script::{Script, ScriptResponse},
    sgp02::{
        eis::{Eis, ProfileInfo, ProfileState},
        es5::{self, CardResources, IsdPStatus},
        status::{Refusal, Status},
    },
    time::Timestamp,
};
use rsp_server::soap::No;

use super::{
    Asker, Interface, Operation, Started, ToCard,
    answer::{self, Outcome},
    card_status::{Answers, Command},
    check,
};
use crate::{
    es5::Effect,
    records::Card,
    visibility::{self, Showing},
};

/// How many ISD-Ps a card tells of in one answer at the least: their statuses have some 40 octets, an answer 255.
const IN_ONE_ANSWER: usize = 5;

/// Those of the asker that it names, or all of its own.
fn asked<'c>(
    card: &'c Card,
    operation: &Operation,
    iccids: &[Iccid],
) -> Result<Vec<&'c ProfileInfo>, Refusal> {
    if !iccids.is_empty() {
        return iccids.iter().map(|iccid| check::own_profile(card, operation, *iccid)).collect();
    }
    let own = |profile: &&ProfileInfo| match &operation.asker {
        Some(asker) => check::is_own(profile, asker.by()),
        None => true,
    };
    Ok(card.eis.profile_info.iter().filter(own).collect())
}

pub(super) fn start(card: &Card, operation: &Operation, iccids: &[Iccid]) -> Result<Started, No> {
    asked(card, operation, iccids)?;
    // A card goes on telling only within the script, so there is a question for every answer that it may need.
    let more = card.eis.profile_info.len() / IN_ONE_ANSWER;
    let mut apdus = vec![es5::get_card_resources(), es5::get_status(None)];
    apdus.extend(std::iter::repeat_with(es5::get_next_status).take(more));
    Ok(Started::AtCard(ToCard::isd_r(Script::of_apdus(apdus), Effect::Audit)))
}

/// What the card says goes into the EIS.
pub(super) fn answered(card: &mut Card, now: Timestamp, response: &ScriptResponse) -> Outcome {
    match taken(card, &Answers::of(response)) {
        Ok(()) => {
            card.eis.last_audit_date = Some(now);
            Outcome::done()
        }
        Err(refusal) => Outcome::refused(refusal).with_data(answer::octets_of(response)),
    }
}

fn taken(card: &mut Card, answers: &Answers) -> Result<(), Refusal> {
    let unreadable =
        |e: DecodeError| Status::IsdRExecutionError.because(format!("the card's answer cannot be read: {e}"));
    let resources = CardResources::parse(answers.nth(0, Command::Audit)?).map_err(unreadable)?;
    let mut told = Vec::new();
    for position in 1.. {
        let data = answers.nth(position, Command::Audit)?;
        told.extend(IsdPStatus::parse_all(data).map_err(unreadable)?);
        if !answers.has_more(position) {
            break;
        }
    }
    card.eis.available_memory_for_profiles = resources.free_non_volatile;
    for isd_p in told {
        let found = card.eis.profile_info.iter_mut().find(|profile| profile.isd_p_aid == isd_p.aid);
        let Some(profile) = found else {
            let eid = card.eid();
            tracing::warn!(%eid, isd_p = %isd_p.aid, "the card has an ISD-P that is not in its EIS");
            continue;
        };
        // A profile that is installed is Created until its SM-DP says what it is.
        if let Some(state) = isd_p.state.filter(|_| profile.state != ProfileState::Created) {
            profile.state = state.profile_state();
        }
        if let Some(fallback) = isd_p.fallback {
            profile.fallback_attribute = fallback;
        }
        profile.free_memory = isd_p.free_memory.or(profile.free_memory);
    }
    Ok(())
}

/// The EIS as the asker is shown it after the audit.
pub(super) fn shown(card: &Card, asker: &Asker, iccids: &[Iccid]) -> Eis {
    let why = match asker.interface {
        Interface::Es3 => Showing::AuditEisToSmDp,
        Interface::Es4 => Showing::AuditEisToOperator,
    };
    visibility::shown(&card.eis, Vec::new(), asker.id(), why, iccids)
}
