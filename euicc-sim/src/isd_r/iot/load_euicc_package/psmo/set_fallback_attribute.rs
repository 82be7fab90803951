//! setFallbackAttribute: SGP.32 section 3.4.6.

use rsp::sgp22::ProfileIdentifier;
use rsp::sgp32::package::SetFallbackAttribute;
use rsp::sgp32::result::SetFallbackAttributeResult;

use crate::consumer::ConsumerContext;
use crate::isd_r::es10c::find;

// req: SGP.32-3.4.6-Order
pub(super) fn set_fallback_attribute(
    context: &mut ConsumerContext<'_>,
    operation: &SetFallbackAttribute,
) -> SetFallbackAttributeResult {
    let persistent = &context.persistent;
    let Some(target) = find(persistent, &ProfileIdentifier::Iccid(operation.iccid)) else {
        return SetFallbackAttributeResult::ICCID_OR_AID_NOT_FOUND;
    };
    let present = &context.state.iot().fallback;
    if present.as_ref() == Some(&target.isd_p) {
        return SetFallbackAttributeResult::OK;
    }
    let is_supported = context.description.iot().fallback_supported;
    if !is_supported || target.metadata.0.fallback_allowed != Some(true) {
        return SetFallbackAttributeResult::FALLBACK_NOT_ALLOWED;
    }
    if present.is_some() && *present == persistent.enabled {
        return SetFallbackAttributeResult::FALLBACK_PROFILE_ENABLED;
    }
    let target = target.isd_p.clone();
    context.state.to_mut().iot_mut().fallback = Some(target);
    SetFallbackAttributeResult::OK
}
