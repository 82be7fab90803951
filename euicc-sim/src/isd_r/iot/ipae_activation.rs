//! IpaeActivation: SGP.32 section 3.8.4. The card has no IPAe.

use rsp::sgp32::es10b::{IpaeActivationRequest, IpaeActivationResponse, IpaeActivationResult};

use crate::consumer::ConsumerContext;

pub(super) fn ipae_activation(
    _: &mut ConsumerContext<'_>,
    _: IpaeActivationRequest,
) -> IpaeActivationResponse {
    IpaeActivationResponse { ipae_activation_result: IpaeActivationResult::NOT_SUPPORTED }
}
