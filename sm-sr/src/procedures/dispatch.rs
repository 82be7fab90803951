//! Execution of the functions in a card's queue: begins the next function, and passes events to the
//! function that they concern.

use rsp::{
    ids::{Eid, Iccid},
    sgp02::{notification::DefaultNotification, status::Status},
    time::Timestamp,
};
use rsp_server::soap::Rejection;
use world::Fault;

use super::{
    AtCard, Caller, Function, Operation, Purpose, Started, Step, answer,
    answer::Outcome,
    attributes, check, connectivity, create, delete, euicc_audit, handover, handover_finalisation,
    notification, profile_changes,
    queue::{end, enqueue, enqueue_own, operations},
    send_data, switch, takeover,
};
use crate::{
    context::Context,
    es5::{self, Bearer, Job, JobOutcome},
    outgoing,
    records::{Card, Deadline, OPERATIONS, PREPARED, numbered, of_card},
};

/// Accepts a function. It begins at once if no other function is in progress. A refusal is sent as
/// the function's response.
pub(crate) async fn submit(
    context: &mut Context<'_, '_>,
    eid: Eid,
    function: Function,
    caller: Option<Caller>,
    expires: Timestamp,
) -> Result<(), Fault> {
    enqueue(context, eid, function, caller, expires).await?;
    advance(context, eid).await
}

/// Handles a notification of the card.
pub(crate) async fn notified(
    context: &mut Context<'_, '_>,
    eid: Eid,
    notification: DefaultNotification,
    via: Bearer,
) -> Result<(), Fault> {
    if notification::notified(context, eid, notification, via).await? {
        advance(context, eid).await?;
    }
    Ok(())
}

/// Begins the next function unless one is in progress. A function that is refused ends, and the
/// next one begins.
pub(crate) async fn advance(context: &mut Context<'_, '_>, eid: Eid) -> Result<(), Fault> {
    loop {
        let Some(card) = context.card(eid).await? else { return refuse_all(context, eid).await };
        let waiting = operations(context, eid).await?;
        // The deadline of this function is due, or the record of the deadline was lost. The
        // function is ended here, because all later functions would wait for it.
        if let Some(over) = waiting.iter().find(|operation| operation.expires <= context.now) {
            expire(context, card, over.clone()).await?;
            continue;
        }
        if waiting.iter().any(|operation| !matches!(operation.step, Step::Waiting)) {
            return Ok(());
        }
        let Some(operation) = next(context, &card, waiting) else { return Ok(()) };
        if begin(context, card, operation).await? {
            return Ok(());
        }
    }
}

/// Returns the next function: the first one, unless a caller has exclusive use of the card.
fn next(context: &Context<'_, '_>, card: &Card, waiting: Vec<Operation>) -> Option<Operation> {
    let reservation = card.reservation.as_ref().filter(|reservation| reservation.until > context.now);
    let may = |operation: &Operation| {
        reservation.is_none_or(|reservation| operation.caller_id() == Some(&reservation.by))
    };
    waiting.into_iter().find(may)
}

/// Begins a function. Returns true if it is in progress now, false if it has ended.
async fn begin(
    context: &mut Context<'_, '_>,
    mut card: Card,
    mut operation: Operation,
) -> Result<bool, Fault> {
    let started = start(context, &mut card, &operation).await;
    if !matches!(operation.function, Function::SendData { .. }) {
        // Any other script to the card ends a chain of scripts for the ISD-R.
        card.personalised = None;
    }
    match started {
        Ok(Started::AtCard(what)) => {
            let job = operation.send(context, 0, what).await?;
            operation.step = switch::first_step(&mut card, &operation.function, AtCard { job, part: 0 });
            card.store(context.tx)?;
            operation.store(context)?;
            Ok(true)
        }
        Ok(Started::Step(step)) => {
            operation.step = step;
            card.store(context.tx)?;
            operation.store(context)?;
            Ok(true)
        }
        Ok(Started::Done(outcome)) => {
            end(context, card, operation, outcome).await?;
            Ok(false)
        }
        Err(Rejection::Refusal(refusal)) => {
            end(context, card, operation, Outcome::refused(refusal)).await?;
            Ok(false)
        }
        Err(Rejection::Fault(fault)) => Err(fault),
    }
}

async fn start(
    context: &mut Context<'_, '_>,
    card: &mut Card,
    operation: &Operation,
) -> Result<Started, Rejection> {
    check::check_not_transferred(card, &operation.function)?;
    match &operation.function {
        Function::CreateIsdP { iccid, mno_id, required_memory, more_to_do } => {
            create::start(context, card, operation, (*iccid, mno_id), *required_memory, *more_to_do)
        }
        Function::SendData { sd_aid, data, more_to_do } => {
            send_data::start(card, operation.caller_id(), sd_aid, data, *more_to_do)
        }
        Function::UpdateConnectivityParameters { iccid, parameters } => {
            connectivity::start(card, operation, *iccid, parameters)
        }
        Function::EnableProfile(iccid) => switch::start_enable(card, operation, *iccid),
        Function::DisableProfile(iccid) => switch::start_disable(card, operation, *iccid),
        Function::DeleteProfile(iccid) => delete::start(card, operation, *iccid),
        Function::AutoDelete(iccid) => Ok(delete::start_auto(card, *iccid)),
        Function::CleanUp(iccid) => Ok(delete::start_clean_up(card, *iccid)),
        Function::MasterDelete { iccid, token } => delete::start_master(card, operation, *iccid, token),
        Function::SetFallBackAttribute(iccid) => attributes::start_fallback(card, operation, *iccid),
        Function::SetEmergencyProfileAttribute(iccid) => attributes::start_emergency(card, operation, *iccid),
        Function::AuditEis(iccids) => euicc_audit::start(card, operation, iccids),
        Function::SmsrChange(target) => handover::start(context, card, operation, target).await,
    }
}

/// Refuses all waiting functions of a card that was handed over.
async fn refuse_all(context: &mut Context<'_, '_>, eid: Eid) -> Result<(), Fault> {
    for operation in operations(context, eid).await? {
        operation.delete_record(context);
        let refusal = Status::EidUnknown.because("this SM-SR has handed the card over").about(eid);
        answer::answer(context, None, &operation, Outcome::refused(refusal)).await?;
    }
    Ok(())
}

/// Handles the end of a job at the card. A job whose function has ended is ignored.
pub(crate) async fn job_ended(
    context: &mut Context<'_, '_>,
    job: &Job,
    outcome: JobOutcome,
) -> Result<(), Fault> {
    match &outgoing::from_text(&job.purpose)? {
        Purpose::Operation { number, part } => {
            operation_answered(context, job.eid, *number, *part, outcome).await
        }
        Purpose::Confirmation { sequence } => {
            notification::confirmed(context, job.eid, *sequence, outcome).await?;
            advance(context, job.eid).await
        }
        Purpose::Takeover => handover_finalisation::ended(context, job.eid, outcome).await,
    }
}

async fn operation_answered(
    context: &mut Context<'_, '_>,
    eid: Eid,
    number: u64,
    part: u32,
    outcome: JobOutcome,
) -> Result<(), Fault> {
    let Some(operation) = context.tx.get(&OPERATIONS, &numbered(eid, number)).await? else { return Ok(()) };
    let Some(card) = context.card(eid).await? else { return Ok(()) };
    let is_this = |at_card: &AtCard| at_card.part == part;
    match &operation.step {
        Step::AtCard(at_card) if is_this(at_card) => {
            answered(context, card, operation, outcome).await?;
        }
        Step::Switching(switching) if switching.at_card().is_some_and(is_this) => match outcome {
            JobOutcome::Expired => expire(context, card, operation).await?,
            outcome => switch::answered(context, card, operation, outcome).await?,
        },
        Step::HandingOver(handing_over) if handing_over.at_card().is_some_and(is_this) => {
            handover::answered(context, card, operation, outcome).await?;
        }
        _ => return Ok(()),
    }
    advance(context, eid).await
}

/// Handles the response of the card to a function with one job.
async fn answered(
    context: &mut Context<'_, '_>,
    mut card: Card,
    operation: Operation,
    outcome: JobOutcome,
) -> Result<(), Fault> {
    let (response, found_done) = match outcome {
        JobOutcome::Answered(response) => (response, false),
        JobOutcome::FoundDone(response) => (response, true),
        JobOutcome::Expired => return expire(context, card, operation).await,
        other => {
            card.personalised = None;
            let needs_audit = matches!(other, JobOutcome::NotDelivered(_)) && operation.may_have_changed();
            let (eid, uncertain) = match (&operation.function, &other) {
                // The card has not executed the script.
                (Function::CreateIsdP { iccid, .. }, JobOutcome::Refused(_)) => {
                    create::undone(&mut card, *iccid);
                    (operation.eid, None)
                }
                (function, _) => (operation.eid, function.may_have_created()),
            };
            let refusal = answer::undelivered(other);
            end(context, card, operation, Outcome::refused(refusal)).await?;
            if needs_audit {
                notification::schedule_audit(context, eid)?;
            }
            return clean_up(context, eid, uncertain).await;
        }
    };
    let outcome = match &operation.function {
        Function::CreateIsdP { iccid, .. } => create::answered(&mut card, *iccid, &response, found_done),
        Function::SendData { .. } => send_data::answered(&mut card, &operation, &response),
        Function::UpdateConnectivityParameters { .. } => connectivity::answered(&response),
        Function::DeleteProfile(iccid)
        | Function::AutoDelete(iccid)
        | Function::CleanUp(iccid)
        | Function::MasterDelete { iccid, .. } => {
            delete::answered(context, &mut card, &operation, *iccid, &response, found_done).await?
        }
        Function::SetFallBackAttribute(iccid) => {
            attributes::fallback_answered(context, &mut card, &operation, *iccid, &response, found_done)
                .await?
        }
        Function::SetEmergencyProfileAttribute(iccid) => {
            attributes::emergency_answered(context, &mut card, &operation, *iccid, &response).await?
        }
        Function::AuditEis(_) => match (&operation.step, euicc_audit::extended_script(&response)) {
            (Step::AtCard(AtCard { part, .. }), Some(what)) => {
                let part = part.saturating_add(1);
                let job = operation.send(context, part, what).await?;
                let step = Step::AtCard(AtCard { job, part });
                return Operation { step, ..operation }.store(context);
            }
            _ => euicc_audit::answered(context, &mut card, &operation, &response).await?,
        },
        // These functions are never in this step.
        Function::EnableProfile(_) | Function::DisableProfile(_) | Function::SmsrChange(_) => return Ok(()),
    };
    // When an audit of the SM-SR itself has run, the latest change is either final or has been
    // rolled back.
    let is_certain = operation.caller.is_none() && matches!(operation.function, Function::AuditEis(_));
    let disabled =
        if is_certain && outcome.is_success() { profile_changes::make_final(&mut card) } else { None };
    let eid = operation.eid;
    end(context, card, operation, outcome).await?;
    notification::apply_pol2(context, eid, disabled).await.map(|_| ())
}

/// Deletes the ISD-P of a profile if it is unknown whether the card created it. The EIS contains
/// the profile until the ISD-P is deleted.
async fn clean_up(context: &mut Context<'_, '_>, eid: Eid, uncertain: Option<Iccid>) -> Result<(), Fault> {
    match uncertain {
        Some(iccid) => enqueue_own(context, eid, Function::CleanUp(iccid)).await,
        None => Ok(()),
    }
}

/// Ends a function whose validity period is over. The card may have executed it or not.
// req: SGP.02-5.5-Expiry
async fn expire(context: &mut Context<'_, '_>, mut card: Card, operation: Operation) -> Result<(), Fault> {
    match &operation.step {
        Step::Waiting => {}
        Step::AtCard(at_card) => es5::cancel(context.tx, context.now, &at_card.job).await?,
        Step::Switching(switching) => switch::abandon(context, &mut card, switching).await?,
        Step::HandingOver(handing_over) => handover::abandon(context, handing_over).await?,
    }
    card.personalised = None;
    let is_waiting = matches!(operation.step, Step::Waiting);
    let uncertain = operation.function.may_have_created().filter(|_| !is_waiting);
    let needs_audit = match &operation.step {
        Step::Switching(switching) => switching.is_confirming(),
        Step::AtCard(_) => operation.may_have_changed(),
        Step::Waiting | Step::HandingOver(_) => false,
    };
    let eid = operation.eid;
    end(context, card, operation, Outcome::expired()).await?;
    if needs_audit {
        notification::schedule_audit(context, eid)?;
    }
    clean_up(context, eid, uncertain).await
}

/// Handles a deadline.
pub(crate) async fn run_deadline(context: &mut Context<'_, '_>, deadline: &Deadline) -> Result<(), Fault> {
    match deadline {
        Deadline::Operation { eid, number } => {
            let Some(operation) = context.tx.get(&OPERATIONS, &numbered(*eid, *number)).await? else {
                return Ok(());
            };
            let Some(card) = context.card(*eid).await? else { return Ok(()) };
            expire(context, card, operation).await?;
            advance(context, *eid).await
        }
        Deadline::Download { eid, iccid, isd_p } => {
            create::download_expired(context, *eid, *iccid, isd_p).await?;
            advance(context, *eid).await
        }
        Deadline::Reservation(eid) => advance(context, *eid).await,
        Deadline::Prepared(eid) => {
            for (key, prepared) in context.tx.list(&PREPARED, &of_card(*eid)).await? {
                if prepared.until <= context.now {
                    context.tx.delete(&PREPARED, &key);
                }
            }
            Ok(())
        }
        Deadline::Again { eid, function } => {
            enqueue_own(context, *eid, function.clone()).await?;
            advance(context, *eid).await
        }
        Deadline::Takeover(eid) => takeover::expired(context, *eid).await,
    }
}
