//! ES5.EnableProfile, DisableProfile, SetFallBackAttribute, SetEmergencyProfileAttribute: SGP.02
//! sections 4.1.1.2, 4.1.1.3, 4.1.1.7, and in version 4 the corresponding section for emergency
//! profiles.

use rsp::ids::Aid;

use crate::StatusWord;
use crate::m2m::context::M2mContext;
use crate::m2m::{fallback, switch};
use crate::state::m2m::LifeCycle;

/// ES5.EnableProfile.
// req: SGP.02-4.1.1.2-Checks
pub(super) fn enable(context: &mut M2mContext<'_>, isd_p: Aid) -> Result<(), StatusWord> {
    // req: SGP.02-4.1.1.2-Reset
    if state_of(context, &isd_p)? != LifeCycle::Disabled || switch::is_under_way(context) {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    }
    let enabled = context.persistent.enabled.clone();
    if enabled.is_some_and(|enabled| context.persistent.pol1(&enabled).disable_not_allowed)
        || !fallback::may_enable(context, &isd_p)
    {
        return Err(StatusWord::POL1_PREVENTS);
    }
    switch::request(context, isd_p);
    Ok(())
}

/// ES5.DisableProfile: enables the profile with the fallback attribute instead.
// req: SGP.02-4.1.1.3-Checks
pub(super) fn disable(context: &mut M2mContext<'_>, isd_p: &Aid) -> Result<(), StatusWord> {
    let state = state_of(context, isd_p)?;
    // Without a fallback profile there is no profile to enable instead.
    let other = context.state.fallback.clone().filter(|fallback| fallback != isd_p);
    let other = other.filter(|other| context.persistent.profile(other).is_some());
    let other = other.ok_or(StatusWord::CONDITIONS_NOT_SATISFIED)?;
    if state != LifeCycle::Enabled || switch::is_under_way(context) {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    }
    if context.persistent.pol1(isd_p).disable_not_allowed {
        return Err(StatusWord::POL1_PREVENTS);
    }
    switch::request(context, other);
    Ok(())
}

/// ES5.SetFallBackAttribute: moves the attribute to this profile.
pub(super) fn set_fallback_attribute(context: &mut M2mContext<'_>, isd_p: Aid) -> Result<(), StatusWord> {
    // req: SGP.02-4.1.1.7-Checks
    if state_of(context, &isd_p)? < LifeCycle::Disabled || context.state.emergency.as_ref() == Some(&isd_p) {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    }
    if !fallback::may_move_attribute(context) {
        return Err(StatusWord::POL1_PREVENTS);
    }
    context.state.to_mut().fallback = Some(isd_p);
    Ok(())
}

/// ES5.SetEmergencyProfileAttribute: the profile must be disabled and must not have the fallback
/// attribute.
pub(super) fn set_emergency_profile_attribute(
    context: &mut M2mContext<'_>,
    isd_p: Aid,
) -> Result<(), StatusWord> {
    if state_of(context, &isd_p)? != LifeCycle::Disabled || context.state.fallback.as_ref() == Some(&isd_p) {
        return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
    }
    context.state.to_mut().emergency = Some(isd_p);
    Ok(())
}

fn state_of(context: &M2mContext<'_>, isd_p: &Aid) -> Result<LifeCycle, StatusWord> {
    context.life_cycle(isd_p).ok_or(StatusWord::REFERENCED_DATA_NOT_FOUND)
}
