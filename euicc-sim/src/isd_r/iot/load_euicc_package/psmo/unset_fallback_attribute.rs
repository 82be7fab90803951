//! unsetFallbackAttribute: SGP.32 section 3.4.7.

use rsp::sgp32::result::UnsetFallbackAttributeResult;

use crate::consumer::ConsumerContext;

pub(super) fn unset_fallback_attribute(context: &mut ConsumerContext<'_>) -> UnsetFallbackAttributeResult {
    let present = &context.state.iot().fallback;
    if present.is_none() {
        return UnsetFallbackAttributeResult::NO_FALLBACK_ATTRIBUTE;
    }
    if *present == context.persistent.enabled {
        return UnsetFallbackAttributeResult::FALLBACK_PROFILE_ENABLED;
    }
    context.state.to_mut().iot_mut().fallback = None;
    UnsetFallbackAttributeResult::OK
}
