//! The fallback mechanism: SGP.02 section 3.16.

use rsp::ids::Aid;

use crate::card::context::Context;

/// Whether what fell back leaves the way open to this profile.
pub(crate) fn may_enable(_: &Context<'_>, _: &Aid) -> bool {
    true
}

/// Whether the fallback attribute may go to another profile.
pub(crate) fn may_move_attribute(_: &Context<'_>) -> bool {
    true
}
