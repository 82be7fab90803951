//! Changing which profile is enabled: SGP.22 sections 5.7.16 to 5.7.19.

use rsp::ids::Aid;
use rsp::sgp22::{ProfileClass, notification_event};

use super::channel::Selection;
use super::context::Context;
use super::m2m;
use super::notifications;
use super::state::{InstalledProfile, ProfileSwitch};

/// The terminal is in the middle of a proactive session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CatBusy;

/// Makes the change, now or with the REFRESH that is announced for it.
pub(crate) fn request(
    context: &mut Context<'_>,
    switch: ProfileSwitch,
    refresh: bool,
) -> Result<(), CatBusy> {
    if context.volatile.cat.is_busy() {
        return Err(CatBusy);
    }
    if refresh {
        context.persistent.to_mut().switch = Some(switch);
        context.volatile.cat.announce_change();
    } else {
        context.persistent.to_mut().switch = None;
        make(context, switch);
    }
    Ok(())
}

/// Makes the change that is due: the terminal has performed the REFRESH, or the card has been reset.
pub(crate) fn make_due(context: &mut Context<'_>) {
    if let Some(switch) = context.persistent.switch.clone() {
        context.persistent.to_mut().switch = None;
        make(context, switch);
    }
}

fn make(context: &mut Context<'_>, switch: ProfileSwitch) {
    let before = context.persistent.enabled.clone();
    let after = match switch {
        ProfileSwitch::Enable(isd_p) if context.persistent.profile(&isd_p).is_some() => Some(isd_p),
        // A memory reset has taken it away in the meantime.
        ProfileSwitch::Enable(_) => return,
        // Leaving a test profile brings back the one before it (SGP.21 TPRO10); otherwise there is none to bring back.
        ProfileSwitch::Disable => context.persistent.way_back.clone(),
    };
    remember_way_back(context, before.as_ref(), after.as_ref());
    context.persistent.to_mut().enabled.clone_from(&after);
    if let Some(disabled) = &before {
        notifications::tell(context, disabled, notification_event::DISABLE);
    }
    if let Some(enabled) = &after {
        notifications::tell(context, enabled, notification_event::ENABLE);
    }
    if context.persistent.m2m.is_some() {
        m2m::notification::switched(context, before.as_ref(), after.as_ref());
    }
    forget_files(context);
}

/// A test profile gives way only to the profile that was enabled before it, and so does one for provisioning that took the
/// place of a profile that may not be disabled.
fn remember_way_back(context: &mut Context<'_>, before: Option<&Aid>, after: Option<&Aid>) {
    let persistent = &context.persistent;
    let profile = |isd_p: Option<&Aid>| isd_p.and_then(|isd_p| persistent.profile(isd_p));
    let known = persistent.way_back.as_ref().filter(|way_back| Some(*way_back) != after);
    let way_back = match profile(after).map(InstalledProfile::class) {
        // From one such profile to the next it stays the same.
        Some(ProfileClass::TEST | ProfileClass::PROVISIONING) if known.is_some() => known,
        Some(ProfileClass::TEST) => before.filter(|_| !is_of(profile(before), ProfileClass::TEST)),
        Some(ProfileClass::PROVISIONING) => before.filter(|_| {
            is_of(profile(before), ProfileClass::OPERATIONAL)
                && profile(before).is_some_and(|before| !before.may_be_disabled())
        }),
        _ => None,
    };
    let way_back = way_back.cloned();
    if context.persistent.way_back != way_back {
        context.persistent.to_mut().way_back = way_back;
    }
}

fn is_of(profile: Option<&InstalledProfile>, class: ProfileClass) -> bool {
    profile.is_some_and(|profile| profile.class() == class)
}

/// Whatever was selected or presented belonged to the profile that is gone.
pub(crate) fn forget_files(context: &mut Context<'_>) {
    context.volatile.verified.clear();
    for channel in context.volatile.channels.values_mut() {
        if matches!(channel.selection, Selection::Files(_) | Selection::SecurityDomain(_)) {
            channel.selection = Selection::Nothing;
        }
    }
}
