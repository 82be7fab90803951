//! Profile switches of an M2M eUICC: SGP.02 sections 3.2 to 3.4.
//!
//! The switch is applied by the REFRESH after the response to the script, or by the next reset:
//! [`super::super::switch`].

use rsp::ids::Aid;

use crate::m2m::context::M2mContext;
use crate::state::ProfileSwitch;

/// Requests that the profile in this ISD-P is enabled instead of the enabled one.
pub(crate) fn request(context: &mut M2mContext<'_>, isd_p: Aid) {
    context.persistent.to_mut().switch = Some(ProfileSwitch::Enable(isd_p));
    context.volatile.cat.announce_switch();
}

/// True if a switch is pending or could still be rolled back.
pub(crate) fn is_under_way(context: &M2mContext<'_>) -> bool {
    context.persistent.switch.is_some() || super::notification::is_unconfirmed(context)
}
