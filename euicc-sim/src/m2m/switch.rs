//! Changing which profile is enabled: SGP.02 sections 3.2 to 3.4.
//!
//! A change is made by the REFRESH that follows the answer to the script, or by the next reset: [`super::super::switch`].

use rsp::ids::Aid;

use crate::context::Context;
use crate::state::ProfileSwitch;

/// The profile in this ISD-P is to be enabled, in the place of the present one.
pub(crate) fn request(context: &mut Context<'_>, isd_p: Aid) {
    context.persistent.to_mut().switch = Some(ProfileSwitch::Enable(isd_p));
    context.volatile.cat.announce_change();
}

/// Whether a change has been asked for and not been made yet, or could still be taken back.
pub(crate) fn is_under_way(context: &Context<'_>) -> bool {
    context.persistent.switch.is_some() || super::notification::is_unconfirmed(context)
}
