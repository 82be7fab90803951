//! The default notification: SGP.02 sections 3.15 and 4.1.1.11. It reports the enabled profile to
//! the SM-SR, which confirms it.
//!
//! There is at most one pending notification: a new event replaces an unconfirmed notification. A
//! notification is sent by short message if the ISD-R has an SMS address, otherwise over HTTPS. The
//! card repeats it with the same number until it is confirmed. If no confirmation arrives, the
//! profile switch counts as failed.

use rsp::ids::Aid;

use super::{delivery, scp81};
use crate::StatusWord;
use crate::m2m::context::M2mContext;
use crate::m2m::toolkit::timers::stop;
use crate::state::cat::queue::Owner;
use crate::state::m2m::toolkit::TimerPurpose;
use crate::state::m2m::toolkit_state::{Cause, Kind, Pending};

/// Creates the notification after a profile switch by command, roll-back or fallback.
pub(crate) fn switched(context: &mut M2mContext<'_>, before: Option<&Aid>, after: Option<&Aid>) {
    if before == after {
        context.update_toolkit_state(|state| state.change = None);
        return;
    }
    let cause = context.state.toolkit.change.as_ref().filter(|change| after == Some(&change.to));
    let cause = cause.map(|change| change.cause);
    let kind = match cause {
        None => Kind::Changed,
        Some(Cause::RollBack) => Kind::RolledBack,
        Some(Cause::FallBack) => Kind::FellBack,
    };
    create(context, kind, before.cloned());
    context.update_toolkit_state(|state| {
        state.change = None;
        if kind == Kind::FellBack {
            state.fell_back_from = before.cloned();
        }
    });
}

fn create(context: &mut M2mContext<'_>, kind: Kind, before: Option<Aid>) {
    let state = context.state.to_mut();
    let sequence_number = state.take_notification_number();
    state.toolkit.notification = Some(Pending { kind, sequence_number, before, attempts: 0 });
    state.toolkit.is_declared = true;
    // Earlier notifications are no longer pending.
    state.toolkit.drop_sessions(|session| session.notification.is_some());
}

/// Declares the eUICC or resends the pending notification when the enabled profile has registered.
pub(super) fn network_available(context: &mut M2mContext<'_>) {
    if !context.state.toolkit.is_declared && context.persistent.enabled.is_some() {
        create(context, Kind::Declaration, None);
    }
    let Some(pending) = &context.state.toolkit.notification else { return };
    let cat = &context.volatile.cat;
    // While attempts are counted, the running timer determines the time of the next one. Otherwise,
    // for example in the delay before the attempts restart, the notification is sent at once when a
    // network is found.
    let is_waiting = pending.attempts > 0 && cat.toolkit.timers.is_running(TimerPurpose::Notification);
    if !is_waiting && !cat.queue.has(Owner::Notification) {
        delivery::send(context, scp81::notify);
    }
}

/// Discards all requests to send notifications.
pub(super) fn discard(context: &mut M2mContext<'_>) {
    context.volatile.cat.queue.withdraw(Owner::Notification);
    context.volatile.cat.toolkit.notification_waits = false;
    stop(context, TimerPurpose::Notification);
    scp81::discard_notifications(context);
}

/// True if the card can still roll back the last switch.
pub(crate) fn is_unconfirmed(context: &M2mContext<'_>) -> bool {
    let state = &context.state.toolkit;
    let pending = state.notification.as_ref();
    state.change.is_some() || pending.is_some_and(|pending| pending.kind == Kind::Changed)
}

/// ES5.HandleNotificationConfirmation, SGP.02 section 4.1.1.12. Returns the ISD-Ps that were
/// deleted because of POL1.
///
/// # Errors
/// 6A88 if no notification with this number is pending. A repeated confirmation of the last one
/// succeeds.
pub(crate) fn confirm(context: &mut M2mContext<'_>, sequence_number: u16) -> Result<Vec<Aid>, StatusWord> {
    let state = &context.state.toolkit;
    let confirmed = match state.notification.clone() {
        Some(pending) if pending.sequence_number == sequence_number => pending,
        _ if state.confirmed == Some(sequence_number) => return Ok(Vec::new()),
        // req: SGP.02-4.1.1.12-Unknown
        _ => return Err(StatusWord::REFERENCED_DATA_NOT_FOUND),
    };
    context.update_toolkit_state(|state| {
        state.notification = None;
        state.confirmed = Some(sequence_number);
        // The switch could be rolled back until its confirmation, so the fallback state was kept
        // until now.
        if confirmed.kind == Kind::Changed {
            state.fell_back_from = None;
        }
    });
    discard(context);
    // A profile that the card left on its own is not deleted, so that it can be enabled again.
    let left = confirmed.before.filter(|_| confirmed.kind == Kind::Changed);
    let is_fallback = |isd_p: &Aid| context.state.fallback.as_ref() == Some(isd_p);
    match left {
        Some(left)
            // req: SGP.02-3.15-Pol1
            if context.persistent.pol1(&left).delete_when_disabled
                && !is_fallback(&left)
                && context.persistent.enabled.as_ref() != Some(&left)
                && context.persistent.profile(&left).is_some() =>
        {
            context.remove_isd_p(&left);
            Ok(vec![left])
        }
        _ => Ok(Vec::new()),
    }
}
