//! No network: SGP.02 sections 3.16 (fallback) and 3.2, 3.14 (roll-back).
//!
//! A profile that was just enabled and does not reach its network makes way for the one before; that one, and any profile
//! that has lost its network for too long, for the one with the fallback attribute. What "too long" is the maker decides:
//! `Numbers`. POL1 has no say in either.

use rsp::ids::Aid;

use super::super::context::Context;
use super::super::state::ProfileSwitch;
use super::toolkit::{Alarm, Cause, Change, Kind, change_stored, numbers, start, stop, stored};
use super::{notification, scp81, state};

/// Location status: TS 102 223 section 8.27.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Network {
    /// The terminal has not said it yet.
    #[default]
    Unknown,
    Normal,
    /// Emergency calls only.
    Limited,
    None,
}

/// The terminal says, or is about to, what network there is.
pub(super) fn told(context: &mut Context<'_>, network: Network) {
    let toolkit = &mut context.volatile.cat.toolkit;
    toolkit.network = network;
    if network == Network::Normal {
        stop(context, Alarm::Network);
        notification::network_is_there(context);
        scp81::network_is_there(context);
    } else if !toolkit.alarms.is_running(Alarm::Network) {
        let numbers = numbers(context);
        let is_new = network == Network::Unknown || is_changing(context);
        start(context, Alarm::Network, if is_new { numbers.attach_seconds } else { numbers.loss_seconds });
    }
}

/// There is still no network.
pub(super) fn waited_long_enough(context: &mut Context<'_>) {
    if context.volatile.cat.toolkit.network == Network::Normal || is_due(context) {
        return;
    }
    match stored(context).notification.as_ref().map(|pending| pending.kind) {
        Some(Kind::Changed) => roll_back(context),
        Some(Kind::Declaration | Kind::RolledBack | Kind::FellBack) | None => {
            fall_back(context);
        }
    }
}

/// Whether a change has been asked for, or decided, that the terminal has not let the card make yet. Nothing else is decided
/// before it is made: a roll-back goes back to the profile before, and only from there to the one to fall back on.
fn is_due(context: &Context<'_>) -> bool {
    context.persistent.switch.is_some()
}

/// Whether the card may still take back what was done last.
fn is_changing(context: &Context<'_>) -> bool {
    let pending = stored(context).notification.as_ref();
    pending.is_some_and(|pending| matches!(pending.kind, Kind::Changed | Kind::RolledBack))
}

/// The profile that was asked for has failed: the one before comes back, or else the one that is always there.
pub(super) fn roll_back(context: &mut Context<'_>) {
    let before = stored(context).notification.as_ref().and_then(|pending| pending.before.clone());
    match before {
        Some(before) if is_other_profile(context, &before) => change(context, Cause::RollBack, before),
        _ => {
            fall_back(context);
        }
    }
}

/// The profile with the fallback attribute takes over, unless it has already or the enabled one is the emergency profile: it
/// has no network to lose that another would have. The same would hold for a test profile, which no profile here can be: what
/// makes one is SGP.02's local enabling, and this card does not have that. Whether a change is due afterwards.
pub(super) fn fall_back(context: &mut Context<'_>) -> bool {
    if is_due(context) {
        return true;
    }
    let Some(m2m) = &context.persistent.m2m else { return false };
    let enabled = context.persistent.enabled.as_ref();
    let is_emergency = m2m.emergency.is_some() && m2m.emergency.as_ref() == enabled;
    match m2m.fallback.clone() {
        Some(fallback) if !is_emergency && is_other_profile(context, &fallback) => {
            change(context, Cause::FallBack, fallback);
            true
        }
        _ => false,
    }
}

fn is_other_profile(context: &Context<'_>, isd_p: &Aid) -> bool {
    context.persistent.profile(isd_p).is_some() && context.persistent.enabled.as_ref() != Some(isd_p)
}

/// Decided and stored; the terminal is told to begin anew, and if it never does the next reset makes the change.
fn change(context: &mut Context<'_>, cause: Cause, to: Aid) {
    change_stored(context, |stored| {
        // It is too late to confirm what is being taken back.
        stored.notification = None;
        stored.change = Some(Change { cause, to: to.clone() });
    });
    context.persistent.to_mut().switch = Some(ProfileSwitch::Enable(to));
    context.volatile.cat.announce_change();
    notification::forget(context);
}

/// Whether a profile may be enabled: after a fallback from a profile that POL1 keeps enabled, only that one.
pub(crate) fn may_enable(context: &Context<'_>, isd_p: &Aid) -> bool {
    kept_by_pol1(context).is_none_or(|kept| kept == isd_p)
}

/// Whether the fallback attribute may go to another profile: not while POL1 keeps a profile that was fallen back from.
pub(crate) fn may_move_attribute(context: &Context<'_>) -> bool {
    kept_by_pol1(context).is_none()
}

fn kept_by_pol1<'a>(context: &'a Context<'_>) -> Option<&'a Aid> {
    let kept = stored(context).fell_back_from.as_ref()?;
    state::pol1(context, kept).disable_not_allowed.then_some(kept)
}
