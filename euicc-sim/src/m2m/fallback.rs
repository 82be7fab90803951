//! Loss of the network: SGP.02 sections 3.16 (fallback) and 3.2, 3.14 (roll-back).
//!
//! If a newly enabled profile does not reach its network, the card rolls back to the previous
//! profile. If that profile, or any other, is without network for too long, the card falls back to
//! the profile with the fallback attribute. The manufacturer defines the time limits
//! (`ToolkitSettings`). POL1 affects neither procedure.

use rsp::ids::Aid;

use super::{delivery, notification, scp81};
use crate::m2m::context::M2mContext;
use crate::m2m::toolkit::timers::{start, stop};
use crate::state::ProfileSwitch;
use crate::state::m2m::toolkit::{Network, TimerPurpose};
use crate::state::m2m::toolkit_state::{Cause, Change, Kind};

/// Processes a new location status. The status is [`Network::Unknown`] if the card starts to wait
/// for the first one.
pub(super) fn network_status_changed(context: &mut M2mContext<'_>, network: Network) {
    let toolkit = &mut context.volatile.cat.toolkit;
    toolkit.network = network;
    if network == Network::Normal {
        stop(context, TimerPurpose::Network);
        notification::network_available(context);
        scp81::network_available(context);
    } else if !toolkit.timers.is_running(TimerPurpose::Network) {
        let settings = context.toolkit_settings();
        let is_new = network == Network::Unknown || can_roll_back(context);
        start(
            context,
            TimerPurpose::Network,
            if is_new { settings.attach_seconds } else { settings.loss_seconds },
        );
    }
}

/// Processes the expiration of the network timer.
pub(super) fn timer_expired(context: &mut M2mContext<'_>) {
    if context.volatile.cat.toolkit.network == Network::Normal || is_switch_pending(context) {
        return;
    }
    match context.state.toolkit.notification.as_ref().map(|pending| pending.kind) {
        // req: SGP.02-3.16-Network
        Some(Kind::Changed) => roll_back(context),
        // req: SGP.02-3.16-Loss
        Some(Kind::Declaration | Kind::RolledBack | Kind::FellBack) | None => {
            fall_back(context);
        }
    }
}

/// Processes the expiration of the notification timer: the confirmation is missing, or the retry
/// delay is over.
pub(super) fn notification_timer_expired(context: &mut M2mContext<'_>) {
    let Some(pending) = &context.state.toolkit.notification else { return };
    // Without a network the network timer runs, and the notification is sent when the network
    // returns.
    if context.volatile.cat.toolkit.network != Network::Normal {
        return;
    }
    let settings = context.toolkit_settings();
    // req: SGP.02-3.15-Repeat
    if pending.attempts < settings.notification_attempts {
        return delivery::send(context, scp81::notify);
    }
    let has_changed = match pending.kind {
        // req: SGP.02-3.16-Confirmation
        Kind::Changed => {
            roll_back(context);
            context.state.toolkit.change.is_some()
        }
        // req: SGP.02-3.16-Failed
        Kind::RolledBack => fall_back(context),
        Kind::Declaration | Kind::FellBack => false,
    };
    if !has_changed {
        context.update_toolkit_state(|state| {
            if let Some(pending) = &mut state.notification {
                pending.attempts = 0;
            }
        });
        start(context, TimerPurpose::Notification, settings.notification_again_seconds);
    }
}

/// True if a switch is pending that the terminal has not let the card apply yet. No further
/// decision is made before it is applied: a roll-back returns to the previous profile, and only
/// then a fallback is possible.
fn is_switch_pending(context: &M2mContext<'_>) -> bool {
    context.persistent.switch.is_some()
}

/// True if the card can still roll back the last switch.
fn can_roll_back(context: &M2mContext<'_>) -> bool {
    let pending = context.state.toolkit.notification.as_ref();
    pending.is_some_and(|pending| matches!(pending.kind, Kind::Changed | Kind::RolledBack))
}

/// Rolls back a failed switch to the previous profile. Without a previous profile it falls back.
pub(super) fn roll_back(context: &mut M2mContext<'_>) {
    let before = context.state.toolkit.notification.as_ref().and_then(|pending| pending.before.clone());
    match before {
        Some(before) if is_other_profile(context, &before) => change(context, Cause::RollBack, before),
        _ => {
            fall_back(context);
        }
    }
}

/// Falls back to the profile with the fallback attribute, unless it is enabled already or the
/// enabled profile is the emergency profile, which needs no network. Test profiles would also be
/// exempt, but SGP.02 has them only together with local enabling, which this card does not support.
/// Returns true if a switch is pending afterwards.
pub(super) fn fall_back(context: &mut M2mContext<'_>) -> bool {
    if is_switch_pending(context) {
        return true;
    }
    let enabled = context.persistent.enabled.as_ref();
    let is_emergency = context.state.emergency.is_some() && context.state.emergency.as_ref() == enabled;
    match context.state.fallback.clone() {
        Some(fallback) if !is_emergency && is_other_profile(context, &fallback) => {
            change(context, Cause::FallBack, fallback);
            true
        }
        _ => false,
    }
}

fn is_other_profile(context: &M2mContext<'_>, isd_p: &Aid) -> bool {
    context.persistent.profile(isd_p).is_some() && context.persistent.enabled.as_ref() != Some(isd_p)
}

/// Stores the decision and announces a REFRESH. If the terminal does not perform it, the next reset
/// applies the switch.
fn change(context: &mut M2mContext<'_>, cause: Cause, to: Aid) {
    context.update_toolkit_state(|state| {
        // The previous switch can no longer be confirmed.
        state.notification = None;
        state.change = Some(Change { cause, to: to.clone() });
    });
    context.persistent.to_mut().switch = Some(ProfileSwitch::Enable(to));
    context.volatile.cat.announce_switch();
    notification::discard(context);
}

/// True if the profile may be enabled. After a fallback from a profile with the POL1 rule "disable
/// not allowed", only that profile may.
pub(crate) fn may_enable(context: &M2mContext<'_>, isd_p: &Aid) -> bool {
    kept_by_pol1(context).is_none_or(|kept| kept == isd_p)
}

/// True if the fallback attribute may move to another profile. It may not after a fallback from a
/// profile with the POL1 rule "disable not allowed".
pub(crate) fn may_move_attribute(context: &M2mContext<'_>) -> bool {
    kept_by_pol1(context).is_none()
}

fn kept_by_pol1<'a>(context: &'a M2mContext<'_>) -> Option<&'a Aid> {
    let kept = context.state.toolkit.fell_back_from.as_ref()?;
    context.persistent.pol1(kept).disable_not_allowed.then_some(kept)
}
