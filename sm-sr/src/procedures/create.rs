//! Creation of an ISD-P: SGP.02 sections 3.1.1 and 4.1.1.1.
//!
//! The SM-SR chooses the AID. The profile is in the EIS from the moment the command is sent to the
//! card, so that neither the ICCID nor the AID nor the memory is allocated twice.

use rsp::{
    ids::{Aid, Eid, Iccid, Oid},
    ota::script::ScriptResponse,
    sgp02::{
        SubscriptionAddress,
        eis::{Pol2, ProfileInfo, ProfileState},
        es5,
        status::Status,
    },
};
use rsp_server::soap::Rejection;
use world::Fault;

use super::{
    CardScript, Function, Operation, Started,
    answer::{self, Outcome},
    card_status::{Answers, Command},
    queue::enqueue_own,
    single_command,
};
use crate::{
    context::Context,
    es5::Effect,
    records::{Card, Deadline},
};

/// Numbers of the ISD-Ps of profiles: SGP.02 section 2.2.3. Lower numbers are for the ISD-R, the
/// ECASD and their load files and modules.
const NUMBERS: std::ops::RangeInclusive<u16> = 0x0010..=0xFFFF;

pub(super) fn start(
    context: &mut Context<'_, '_>,
    card: &mut Card,
    operation: &Operation,
    (iccid, mno_id): (Iccid, &Oid),
    memory: u32,
    more_to_do: bool,
) -> Result<Started, Rejection> {
    // req: SGP.02-5.4-CreateIsdp-IccidInUse
    if card.profile(iccid).is_some() {
        return Err(Status::IccidInUse.because("the profile is already on the card").about(iccid).into());
    }
    // req: SGP.02-5.4-CreateIsdp-Memory
    if memory > card.eis.available_memory_for_profiles {
        let free = card.eis.available_memory_for_profiles;
        return Err(Status::EuiccInsufficientMemory
            .because(format!("{memory} octets are required and {free} are available"))
            .into());
    }
    let taken = |aid: &Aid| card.eis.profile_info.iter().any(|profile| profile.isd_p_aid == *aid);
    let Some(isd_p) = NUMBERS.map(Aid::isd_p).find(|aid| !taken(aid)) else {
        return Err(Status::EuiccInsufficientMemory.because("all ISD-P numbers are in use").into());
    };
    card.eis.available_memory_for_profiles -= memory;
    card.eis.profile_info.push(ProfileInfo {
        iccid,
        isd_p_aid: isd_p.clone(),
        mno_id: mno_id.clone(),
        fallback_attribute: false,
        subscription_address: SubscriptionAddress::default(),
        state: ProfileState::Created,
        smdp_id: operation.caller_id().cloned(),
        profile_type: None,
        allocated_memory: memory,
        free_memory: None,
        pol2: Pol2::default(),
    });
    set_download_deadline(context, card, iccid, &isd_p)?;
    let signed = &card.eis.eum_signed_info;
    let script = single_command(es5::create_isd_p(
        &signed.isd_p_loadfile_aid,
        &signed.isd_p_module_aid,
        &isd_p,
        memory,
    ));
    Ok(Started::AtCard(CardScript { more_to_do, ..CardScript::isd_r(script, Effect::CreateIsdP(isd_p)) }))
}

/// Sets the deadline for the download into an ISD-P.
pub(super) fn set_download_deadline(
    context: &mut Context<'_, '_>,
    card: &mut Card,
    iccid: Iccid,
    isd_p: &Aid,
) -> Result<(), Fault> {
    let until = context.now.plus(context.config.download_time);
    let deadline = Deadline::Download { eid: card.eid(), iccid, isd_p: isd_p.clone() };
    context.set_deadline(until, &deadline)?;
    card.downloads.insert(iccid, until);
    Ok(())
}

pub(super) fn answered(
    card: &mut Card,
    iccid: Iccid,
    response: &ScriptResponse,
    found_done: bool,
) -> Outcome {
    let data = answer::octets_of(response);
    let Some(isd_p) = card.profile(iccid).map(|profile| profile.isd_p_aid.clone()) else {
        let why =
            Status::IccidUnknown.because("the profile was deleted before the card answered").about(iccid);
        return Outcome::refused(why);
    };
    // The response names the ISD-P of the command, even if the card has refused to create it.
    match Answers::of(response).only(Command::Create) {
        Err(refusal) if !found_done => {
            undone(card, iccid);
            Outcome::refused(refusal).with_data(data).in_isd_p(isd_p)
        }
        _ => Outcome::done().with_data(data).in_isd_p(isd_p),
    }
}

/// Removes the profile of an ISD-P that the card has not created.
pub(super) fn undone(card: &mut Card, iccid: Iccid) {
    // The memory of the profile becomes available again.
    let _ = card.remove(iccid);
}

/// Handles the end of the time for a download: an ISD-P that is still empty is deleted.
pub(super) async fn download_expired(
    context: &mut Context<'_, '_>,
    eid: Eid,
    iccid: Iccid,
    isd_p: &Aid,
) -> Result<(), Fault> {
    let Some(card) = context.card(eid).await? else { return Ok(()) };
    let is_empty =
        |profile: &ProfileInfo| profile.isd_p_aid == *isd_p && profile.state == ProfileState::Created;
    // A deleted profile can be downloaded again, even into the same ISD-P. That download has
    // another deadline.
    let is_over = card.downloads.get(&iccid).is_none_or(|until| *until <= context.now);
    if !card.profile(iccid).is_some_and(is_empty) || !is_over {
        return Ok(());
    }
    enqueue_own(context, eid, Function::CleanUp(iccid)).await
}
