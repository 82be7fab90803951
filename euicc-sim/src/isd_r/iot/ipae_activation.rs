//! IpaeActivation: SGP.32 section 3.8.4. The IPA of the card becomes active in place of that of the
//! terminal.

use rsp::sgp32::es10b::{IpaeActivationRequest, IpaeActivationResponse, IpaeActivationResult, ipae_option};

use crate::consumer::ConsumerContext;
use crate::ipae;

// req: SGP.32-3.8.4-IpaeActivation
pub(super) fn ipae_activation(
    context: &mut ConsumerContext<'_>,
    request: IpaeActivationRequest,
) -> IpaeActivationResponse {
    if context.description.iot().ipae.is_none() {
        return IpaeActivationResponse { ipae_activation_result: IpaeActivationResult::NOT_SUPPORTED };
    }
    let is_requested = request.ipae_option.has(ipae_option::ACTIVATE_IPAE);
    if is_requested && !ipae::is_active(context) {
        context.volatile.is_ipae_activated = true;
        // Without a terminal profile, TERMINAL PROFILE starts the IPA.
        if !context.volatile.cat.terminal.0.is_empty() {
            ipae::begin(context);
        }
    }
    IpaeActivationResponse { ipae_activation_result: IpaeActivationResult::OK }
}
