//! Profile switches: SGP.22 sections 5.7.16 to 5.7.19.

use rsp::ids::Aid;
use rsp::sgp22::{ProfileClass, notification_event};

use super::consumer::ConsumerContext;
use super::context::Context;
use super::kind::CardContext;
use super::m2m;
use super::notifications;
use super::state::{InstalledProfile, ProfileSwitch};
use crate::state::channel::Selection;

/// A proactive session is in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CatBusy;

/// Applies the switch at once, or announces a REFRESH that applies it.
pub(crate) fn request(
    context: &mut ConsumerContext<'_>,
    switch: ProfileSwitch,
    refresh: bool,
) -> Result<(), CatBusy> {
    if context.volatile.cat.is_busy() {
        return Err(CatBusy);
    }
    if refresh {
        context.persistent.to_mut().switch = Some(switch);
        context.volatile.cat.announce_switch();
    } else {
        context.persistent.to_mut().switch = None;
        apply(&mut CardContext::Consumer(context), switch);
    }
    Ok(())
}

/// Applies the pending switch after the terminal has performed the REFRESH or the card has been
/// reset.
pub(crate) fn apply_pending(context: &mut CardContext<'_, '_>) {
    if let Some(switch) = context.persistent.switch.clone() {
        context.persistent.to_mut().switch = None;
        apply(context, switch);
    }
}

fn apply(context: &mut CardContext<'_, '_>, switch: ProfileSwitch) {
    let before = context.persistent.enabled.clone();
    let after = match switch {
        ProfileSwitch::Enable(isd_p) if context.persistent.profile(&isd_p).is_some() => Some(isd_p),
        // The profile has been deleted by a memory reset in the meantime.
        ProfileSwitch::Enable(_) => return,
        // Disabling a test profile re-enables the profile that was enabled before it (SGP.21
        // TPRO10). In other cases no profile is enabled.
        ProfileSwitch::Disable => context.persistent.previous_profile.clone(),
    };
    // A pending switch was replaced by one to the profile that is still enabled.
    if before == after && matches!(context, CardContext::Consumer(_)) {
        return;
    }
    update_previous_profile(context, before.as_ref(), after.as_ref());
    context.persistent.to_mut().enabled.clone_from(&after);
    match context {
        CardContext::Consumer(context) => {
            if let Some(disabled) = &before {
                notifications::notify(context, disabled, notification_event::DISABLE);
            }
            if let Some(enabled) = &after {
                notifications::notify(context, enabled, notification_event::ENABLE);
            }
        }
        CardContext::M2m(context) => {
            m2m::notification::switched(context, before.as_ref(), after.as_ref());
        }
    }
    clear_file_state(context);
}

/// Updates `previous_profile`, the only profile that can then replace the enabled one. A test
/// profile can be replaced only by the profile that was enabled before it. The same applies to a
/// provisioning profile that replaced a profile that must not be disabled.
fn update_previous_profile(context: &mut Context<'_>, before: Option<&Aid>, after: Option<&Aid>) {
    let persistent = &context.persistent;
    let profile = |isd_p: Option<&Aid>| isd_p.and_then(|isd_p| persistent.profile(isd_p));
    let known = persistent.previous_profile.as_ref().filter(|previous| Some(*previous) != after);
    let previous = match profile(after).map(InstalledProfile::class) {
        // If a test or provisioning profile replaces another one, `previous_profile` stays the
        // same.
        Some(ProfileClass::TEST | ProfileClass::PROVISIONING) if known.is_some() => known,
        Some(ProfileClass::TEST) => before.filter(|_| !has_class(profile(before), ProfileClass::TEST)),
        Some(ProfileClass::PROVISIONING) => before.filter(|_| {
            has_class(profile(before), ProfileClass::OPERATIONAL)
                && profile(before).is_some_and(|before| !before.may_be_disabled())
        }),
        _ => None,
    };
    let previous = previous.cloned();
    if context.persistent.previous_profile != previous {
        context.persistent.to_mut().previous_profile = previous;
    }
}

fn has_class(profile: Option<&InstalledProfile>, class: ProfileClass) -> bool {
    profile.is_some_and(|profile| profile.class() == class)
}

/// Clears selections and verified PINs, which belonged to the previous profile.
pub(crate) fn clear_file_state(context: &mut Context<'_>) {
    context.volatile.verified.clear();
    for channel in context.volatile.channels.values_mut() {
        if matches!(channel.selection, Selection::Files(_) | Selection::SecurityDomain(_)) {
            channel.selection = Selection::Nothing;
        }
    }
}
