//! The queue of a card: its functions in order, and their end. `dispatch.rs` begins the functions.

use rsp::{
    ids::Eid,
    sgp02::status::{Refusal, Status},
    time::Timestamp,
};
use world::Fault;

use super::{Caller, Function, Operation, Step, answer, answer::Outcome};
use crate::{
    audit::{self, CompletedOperation},
    context::Context,
    records::{Card, Deadline, OPERATIONS, Reservation, of_card},
};

/// Puts a function into the queue; [`advance`](super::advance) begins it. A refusal is sent as the
/// response to the function.
pub(crate) async fn enqueue(
    context: &mut Context<'_, '_>,
    eid: Eid,
    function: Function,
    caller: Option<Caller>,
    expires: Timestamp,
) -> Result<(), Fault> {
    let mut operation =
        Operation { eid, number: 0, function, caller, received: context.now, expires, step: Step::Waiting };
    let Some(mut card) = context.card(eid).await? else {
        return answer::answer(context, None, &operation, Outcome::refused(not_managed(eid))).await;
    };
    operation.number = card.next_operation;
    card.next_operation = card.next_operation.saturating_add(1);
    let waiting: Vec<Operation> = operations(context, eid).await?;
    if let Some(refusal) = cannot_wait(context, &operation, &waiting) {
        schedule_retry(context, &operation)?;
        return answer::answer(context, Some(&card), &operation, Outcome::refused(refusal)).await;
    }
    card.store(context.tx)?;
    operation.store(context)?;
    context.set_deadline(operation.expires, &operation.deadline())
}

/// Puts a function of the SM-SR itself into the queue; [`advance`](super::advance) begins it. Does
/// nothing if the same function waits already.
pub(crate) async fn enqueue_own(
    context: &mut Context<'_, '_>,
    eid: Eid,
    function: Function,
) -> Result<(), Fault> {
    let waiting = operations(context, eid).await?;
    let is_same = |operation: &Operation| operation.caller.is_none() && operation.function == function;
    if waiting.iter().any(|operation| is_same(operation) && matches!(operation.step, Step::Waiting)) {
        return Ok(());
    }
    let until = context.now.plus(context.config.own_function_time);
    enqueue(context, eid, function, None, until).await
}

/// Schedules a retry of a failed function of the SM-SR itself, because no caller would repeat it.
fn schedule_retry(context: &mut Context<'_, '_>, operation: &Operation) -> Result<(), Fault> {
    if operation.caller.is_some() || !operation.function.is_own() {
        return Ok(());
    }
    let at = context.now.plus(context.config.own_function_retry_delay);
    let again = Deadline::Again { eid: operation.eid, function: operation.function.clone() };
    context.set_deadline(at, &again)
}

/// Returns the refusal for a function that cannot be queued: during a handover no function is
/// accepted, and the queue has a maximum length. A function of the SM-SR itself is accepted by a
/// full queue, because at most one of each kind waits for each profile and for the card.
// req: SGP.02-5.5-Queue
fn cannot_wait(context: &Context<'_, '_>, operation: &Operation, waiting: &[Operation]) -> Option<Refusal> {
    if waiting.iter().any(|operation| matches!(operation.step, Step::HandingOver(_))) {
        return Some(handed_over());
    }
    let is_full = waiting.len() >= context.config.max_queue_length;
    (is_full && operation.caller.is_some()).then(|| {
        Status::EuiccUnavailable.because(format!("{} functions already wait for this card", waiting.len()))
    })
}

pub(super) fn handed_over() -> Refusal {
    // req: SGP.02-5.6-Busy
    Status::FunctionUnavailable.because("the card is being handed over to another SM-SR")
}

/// Refusal of a card that this SM-SR does not manage.
pub(super) fn not_managed(eid: Eid) -> Refusal {
    // req: SGP.02-5.5-EidUnknown
    Status::EidUnknown.because("this SM-SR does not manage this card").about(eid)
}

/// Returns the functions of a card in the order of their acceptance.
pub(crate) async fn operations(context: &mut Context<'_, '_>, eid: Eid) -> Result<Vec<Operation>, Fault> {
    let all = context.tx.list(&OPERATIONS, &of_card(eid)).await?;
    Ok(all.into_iter().map(|(_, operation)| operation).collect())
}

/// Returns the function in progress.
pub(crate) async fn in_progress(context: &mut Context<'_, '_>, eid: Eid) -> Result<Option<Operation>, Fault> {
    let all = operations(context, eid).await?;
    Ok(all.into_iter().find(|operation| !matches!(operation.step, Step::Waiting)))
}

/// Ends a function: queues its response, records it in the audit trail, and removes it from the
/// queue. `advance` begins the next one.
pub(crate) async fn end(
    context: &mut Context<'_, '_>,
    mut card: Card,
    operation: Operation,
    outcome: Outcome,
) -> Result<(), Fault> {
    if let Some(kind) = operation.function.audited_as() {
        let isd_p = outcome.isd_p.clone().or_else(|| {
            let profile = operation.function.iccid().and_then(|iccid| card.profile(iccid));
            profile.map(|profile| profile.isd_p_aid.clone())
        });
        let done = CompletedOperation {
            kind,
            requester: operation.caller_id(),
            status: &outcome.status(),
            isd_p: isd_p.as_ref(),
            iccid: operation.function.iccid(),
        };
        audit::record_operation(context, &mut card, &done)?;
    }
    reserve(context, &mut card, &operation, &outcome)?;
    card.store(context.tx)?;
    operation.delete_record(context);
    // A card that refuses by POL1 will refuse again, so there is no retry.
    if !outcome.is_success() && !outcome.is_refused(Status::Pol1Refused) {
        schedule_retry(context, &operation)?;
    }
    answer::answer(context, Some(&card), &operation, outcome).await
}

/// Gives a caller that set MoreToDo exclusive use of the card for
/// [`RESERVATION_TIME`](crate::config::RESERVATION_TIME): the ISD-R discards an incomplete key set when it executes
/// another function in between.
fn reserve(
    context: &mut Context<'_, '_>,
    card: &mut Card,
    operation: &Operation,
    outcome: &Outcome,
) -> Result<(), Fault> {
    let more_to_do = match &operation.function {
        Function::CreateIsdP { more_to_do, .. } | Function::SendData { more_to_do, .. } => *more_to_do,
        _ => false,
    };
    match operation.caller_id() {
        Some(by) if more_to_do && outcome.is_success() => {
            let until = context.now.plus(context.config.reservation_time);
            context.set_deadline(until, &Deadline::Reservation(operation.eid))?;
            card.reservation = Some(Reservation { by: by.clone(), until });
        }
        by if card.reservation.as_ref().is_some_and(|reservation| Some(&reservation.by) == by) => {
            card.reservation = None
        }
        _ => {}
    }
    Ok(())
}
