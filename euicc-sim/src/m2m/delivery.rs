//! Delivery of the pending notification to the SM-SR by short message or over HTTPS.

use rsp::ota::cat::TerminalResponse;
use rsp::sgp02::notification::{DefaultNotification, NotificationType};

use super::handlers::Notify;
use super::scp80;
use crate::m2m::context::M2mContext;
use crate::m2m::toolkit::timers::start;
use crate::state::cat::queue::is_done;
use crate::state::m2m::toolkit::{Network, TimerPurpose};
use crate::state::m2m::toolkit_state::Kind;

/// Sends the pending notification by short message, or over HTTPS with `notify`.
pub(crate) fn send(context: &mut M2mContext<'_>, notify: Notify) {
    let Some(number) = context.state.toolkit.notification.as_ref().map(|pending| pending.sequence_number)
    else {
        return;
    };
    let Some(notification) = encoded(context, number) else { return };
    let settings = context.toolkit_settings();
    let must_wait = !scp80::can_notify(context) && context.volatile.cat.toolkit.agent.is_active();
    context.volatile.cat.toolkit.notification_waits = must_wait;
    if must_wait {
        // Wait for the end of the current session. This does not count as an attempt.
        return start(context, TimerPurpose::Notification, settings.notification_retry_seconds);
    }
    context.update_toolkit_state(|state| {
        if let Some(pending) = &mut state.notification {
            pending.attempts = pending.attempts.saturating_add(1);
        }
    });
    start(context, TimerPurpose::Notification, settings.confirmation_seconds);
    if !scp80::send_notification(context, &notification) && !notify(context, number) {
        start(context, TimerPurpose::Notification, settings.notification_retry_seconds);
    }
}

/// Sends a notification that waited for the end of a session.
pub(crate) fn session_ended(context: &mut M2mContext<'_>, notify: Notify) {
    if context.volatile.cat.toolkit.notification_waits
        && context.volatile.cat.toolkit.network == Network::Normal
    {
        send(context, notify);
    }
}

/// Processes the result of sending the notification by short message or in a session.
pub(crate) fn response_received(context: &mut M2mContext<'_>, response: Option<&TerminalResponse>) {
    let is_sent = response.is_some_and(|response| is_done(response.result));
    if context.state.toolkit.notification.is_some() && !is_sent {
        start(context, TimerPurpose::Notification, context.toolkit_settings().notification_retry_seconds);
    }
}

/// Encodes the notification with tag E1, as it is sent in a packet (short message) or a request
/// (HTTPS). Returns `None` unless this number is pending.
pub(crate) fn encoded(context: &M2mContext<'_>, number: u16) -> Option<Vec<u8>> {
    let pending =
        context.state.toolkit.notification.as_ref().filter(|pending| pending.sequence_number == number)?;
    let enabled = context.persistent.enabled.clone()?;
    let kind = match pending.kind {
        Kind::Declaration => NotificationType::EuiccDeclaration,
        Kind::Changed => NotificationType::ProfileChangeSucceeded,
        Kind::RolledBack => NotificationType::ProfileChangeFailed,
        Kind::FellBack => NotificationType::ProfileChangeAfterFallback,
    };
    let imei = context.volatile.cat.toolkit.imei;
    let notification = DefaultNotification {
        eid: context.description.eid,
        kind,
        sequence_number: pending.sequence_number,
        isd_p: enabled,
        imei: imei.map(|imei| imei.0.as_slice().into()),
        meid: None,
    };
    Some(notification.to_bytes())
}
