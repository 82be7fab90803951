//! Notifications of the card: SGP.02 sections 3.15 and 4.1.1.11.
//!
//! The EIS is updated with the card's notifications. This module also decides whether a
//! notification is confirmed. The notification of a change that was given up is not confirmed, so
//! that the card rolls back to the previous profile.

use rsp::{
    ids::{Aid, Eid, Iccid},
    ota::script::ScriptResponse,
    sgp02::{
        eis::{ProfileInfo, ProfileState},
        es5,
        notification::{DefaultNotification, NotificationType},
    },
};
use world::Fault;

use super::{
    Function, Purpose,
    card_status::{Answers, Command},
    isd_r,
    profile_changes::{self, NotifiedState},
    queue::{enqueue_own, in_progress},
    single_command,
    switch::{self, NotificationEffect},
};
use crate::{
    audit,
    context::Context,
    es5::{self as es5_engine, Bearer, Effect, Job, JobOutcome},
    policy,
    records::{Card, Deadline, ProcessedNotification},
};

/// Handles a notification of the card. Returns true if the function in progress has ended.
pub(super) async fn notified(
    context: &mut Context<'_, '_>,
    eid: Eid,
    notification: DefaultNotification,
    via: Bearer,
) -> Result<bool, Fault> {
    let Some(mut card) = context.card(eid).await? else { return Ok(false) };
    if let Some(last) = &card.last_notification
        && last.sequence == notification.sequence_number
    {
        // The card repeats a notification if it did not receive the confirmation, or if this SM-SR
        // does not confirm the change.
        if last.confirmed {
            confirm(context, &card, notification.sequence_number, via).await?;
        }
        return Ok(false);
    }
    audit::record_notification(context, &mut card, &notification)?;
    if let Some(imei) = &notification.imei {
        card.imei = Some(imei.clone());
    }
    let confirmed = !is_abandoned(&mut card, &notification);
    let mut processed = ProcessedNotification {
        sequence: notification.sequence_number,
        kind: notification.kind,
        confirmed,
        disabled: None,
        owners_not_notified: false,
    };
    if !confirmed {
        card.last_notification = Some(processed);
        card.store(context.tx)?;
        return Ok(false);
    }
    let notified_state = NotifiedState::of(&card);
    let disabled = mark_enabled(&mut card, &notification.isd_p);
    // POL2 does not apply after a fall-back or a roll-back.
    processed.disabled = disabled.filter(|_| notification.kind == NotificationType::ProfileChangeSucceeded);
    card.last_notification = Some(processed);
    card.store(context.tx)?;
    let effect = match in_progress(context, eid).await? {
        Some(operation) => {
            switch::notified(
                context,
                &card,
                operation,
                notification.kind,
                &notification.isd_p,
                notification.sequence_number,
            )
            .await?
        }
        None => NotificationEffect::Nothing,
    };
    // While a function waits for the confirmation, the change is not final, and owners are notified
    // later. After a roll-back nothing has changed from their point of view.
    if effect == NotificationEffect::Confirming {
        if let Some(last) = &mut card.last_notification {
            last.owners_not_notified = true;
        }
        card.store(context.tx)?;
    } else {
        notified_state.notify_owners(context, &card, None).await?;
    }
    // req: SGP.02-3.15-Confirm
    confirm(context, &card, notification.sequence_number, via).await?;
    Ok(effect == NotificationEffect::Ended)
}

/// Returns true if the card reports the success of a change that was given up.
fn is_abandoned(card: &mut Card, notification: &DefaultNotification) -> bool {
    match (&card.abandoned, notification.kind) {
        (Some(abandoned), NotificationType::ProfileChangeSucceeded) => *abandoned == notification.isd_p,
        // The card has rolled back or enabled another profile, so the abandoned change is over.
        (Some(_), NotificationType::ProfileChangeFailed | NotificationType::ProfileChangeAfterFallback) => {
            card.abandoned = None;
            false
        }
        _ => false,
    }
}

/// Marks the profile in this ISD-P as the enabled one. Returns the profile that was enabled before.
fn mark_enabled(card: &mut Card, enabled: &Aid) -> Option<Iccid> {
    if card.profile_in(enabled).is_none() {
        tracing::warn!(eid = %card.eid(), %enabled, "the card has enabled an ISD-P that is not in its EIS");
        return None;
    }
    let mut disabled = None;
    for profile in &mut card.eis.profile_info {
        if profile.isd_p_aid == *enabled {
            profile.state = ProfileState::Enabled;
        } else if profile.state == ProfileState::Enabled {
            profile.state = ProfileState::Disabled;
            disabled = Some(profile.iccid);
        }
    }
    disabled
}

async fn confirm(
    context: &mut Context<'_, '_>,
    card: &Card,
    sequence: u16,
    via: Bearer,
) -> Result<(), Fault> {
    let job = Job {
        eid: card.eid(),
        target: isd_r(),
        script: single_command(es5::handle_notification_confirmation(sequence)),
        valid_until: context.now.plus(context.config.confirmation_time),
        more_to_do: false,
        urgent: true,
        via: Some(via),
        effect: Effect::ConfirmNotification(sequence),
        purpose: Purpose::Confirmation { sequence }.to_text()?,
    };
    es5_engine::enqueue(context.tx, context.now, job).await?;
    Ok(())
}

/// Handles the card's response to a confirmation, or its absence.
///
/// Without a valid response the result is unknown: either the card rolls back and reports it, or it
/// accepted an earlier copy of the confirmation and reports nothing.
pub(super) async fn confirmed(
    context: &mut Context<'_, '_>,
    eid: Eid,
    sequence: u16,
    outcome: JobOutcome,
) -> Result<(), Fault> {
    let Some(mut card) = context.card(eid).await? else { return Ok(()) };
    let is_again = matches!(outcome, JobOutcome::AnsweredAgain(_));
    let response = match outcome {
        JobOutcome::Answered(response) | JobOutcome::AnsweredAgain(response) => response,
        _ => return audit_if_open(context, &card, sequence).await,
    };
    if let Err(refusal) = Answers::of(&response).only(Command::Confirm) {
        tracing::warn!(%eid, %refusal, "the card has not accepted a confirmation");
        return audit_if_open(context, &card, sequence).await;
    }
    let notified_state = NotifiedState::of(&card);
    delete_by_pol1(&mut card, &response);
    let is_last = card.last_notification.as_ref().is_some_and(|last| last.sequence == sequence);
    let disabled = if is_last { profile_changes::make_final(&mut card) } else { None };
    card.store(context.tx)?;
    let operation =
        in_progress(context, eid).await?.filter(|operation| switch::waits_for(operation, sequence));
    notified_state.notify_owners(context, &card, operation.as_ref()).await?;
    if let Some(operation) = operation {
        switch::confirmed(context, card, operation).await?;
    }
    let deleted_by_pol2 = apply_pol2(context, eid, disabled).await?;
    if let Some(disabled) = disabled
        && is_again
        && !deleted_by_pol2
        && context.card(eid).await?.is_some_and(|card| card.profile(disabled).is_some())
    {
        // If POL1 had deleted the profile, only the first response would have reported it, and that
        // response was lost.
        enqueue_own(context, eid, Function::AuditEis(Vec::new())).await?;
    }
    Ok(())
}

/// Schedules an audit if the result of a change is unknown. No audit is scheduled while a function
/// waits for the confirmation. The function then waits for the card's next message, until it ends.
async fn audit_if_open(context: &mut Context<'_, '_>, card: &Card, sequence: u16) -> Result<(), Fault> {
    let last = card.last_notification.as_ref().filter(|last| last.sequence == sequence);
    let is_open = last.is_some_and(|last| last.owners_not_notified || last.disabled.is_some());
    let is_awaited = in_progress(context, card.eid())
        .await?
        .is_some_and(|operation| switch::waits_for(&operation, sequence));
    if is_open && !is_awaited { schedule_audit(context, card.eid()) } else { Ok(()) }
}

/// Schedules an audit of the card. At the time of the audit, a card that got no confirmation has
/// rolled back, so the audit shows whether the change is final, which profiles POL1 deleted, and
/// whether the card executed a command that it never answered.
pub(super) fn schedule_audit(context: &mut Context<'_, '_>, eid: Eid) -> Result<(), Fault> {
    let at = context.now.plus(context.config.confirmation_time);
    context.set_deadline(at, &Deadline::Again { eid, function: Function::AuditEis(Vec::new()) })
}

/// Applies POL2 to a profile that was disabled by a final change. Returns true if the profile is
/// deleted.
pub(super) async fn apply_pol2(
    context: &mut Context<'_, '_>,
    eid: Eid,
    disabled: Option<Iccid>,
) -> Result<bool, Fault> {
    let Some(card) = context.card(eid).await? else { return Ok(false) };
    let deletes_itself = |profile: &&ProfileInfo| policy::deletes_itself(&profile.pol2);
    match disabled.and_then(|iccid| card.profile(iccid)).filter(deletes_itself) {
        Some(profile) => {
            enqueue_own(context, eid, Function::AutoDelete(profile.iccid)).await?;
            Ok(true)
        }
        None => Ok(false),
    }
}

/// Removes the ISD-Ps that the card has deleted by POL1.
fn delete_by_pol1(card: &mut Card, response: &ScriptResponse) {
    let answers = Answers::of(response);
    let Ok(data) = answers.only(Command::Confirm) else { return };
    let deleted = match es5::deleted_isd_ps(data) {
        Ok(deleted) => deleted,
        Err(e) => {
            tracing::warn!(eid = %card.eid(), %e, "the card's answer to a confirmation cannot be read");
            return;
        }
    };
    let iccids: Vec<Iccid> =
        deleted.iter().filter_map(|aid| card.profile_in(aid)).map(|profile| profile.iccid).collect();
    for iccid in iccids {
        let _ = card.remove(iccid);
    }
}
