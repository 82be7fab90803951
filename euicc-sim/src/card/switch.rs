//! Changing which profile is enabled: SGP.22 sections 5.7.16 to 5.7.19.

use rsp::ids::Aid;
use rsp::sgp22::{ProfileClass, notification_event};

use super::channel::Selection;
use super::context::Context;
use super::notifications;
use super::state::ProfileSwitch;

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
        ProfileSwitch::Disable(_) => context.persistent.before_test_profile.clone(),
    };
    remember_way_back(context, before.as_ref(), after.as_ref());
    context.persistent.to_mut().enabled.clone_from(&after);
    if let Some(disabled) = before {
        notifications::tell(context, &disabled, notification_event::DISABLE);
    }
    if let Some(enabled) = after {
        notifications::tell(context, &enabled, notification_event::ENABLE);
    }
    forget_files(context);
}

/// A test profile gives way only to the operational profile that was enabled before it.
fn remember_way_back(context: &mut Context<'_>, before: Option<&Aid>, after: Option<&Aid>) {
    let is_test = |isd_p: Option<&Aid>| {
        isd_p.and_then(|isd_p| context.persistent.profile(isd_p)).map(|profile| profile.class())
            == Some(ProfileClass::TEST)
    };
    let way_back = match (is_test(before), is_test(after)) {
        (false, true) => before.cloned(),
        (true, true) => context.persistent.before_test_profile.clone(),
        (_, false) => None,
    };
    if context.persistent.before_test_profile != way_back {
        context.persistent.to_mut().before_test_profile = way_back;
    }
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
