//! ES10b.GetConnectivityParameters: SGP.32 section 5.9.24.

use rsp::der::{Tag, tlv};
use rsp::sgp32::es10b::{
    ConnectivityParameters, ConnectivityParametersError, GetConnectivityParametersRequest,
    GetConnectivityParametersResponse,
};

use crate::consumer::ConsumerContext;

/// The HTTPS parameters in the connectivity parameters of a profile: SGP.02 section 4.1.3.4.
const HTTPS: Tag = Tag(0xA1);

pub(super) fn get_connectivity_parameters(
    context: &mut ConsumerContext<'_>,
    _: GetConnectivityParametersRequest,
) -> GetConnectivityParametersResponse {
    let profile = context.persistent.enabled_profile();
    let all = profile.and_then(|profile| profile.content.facts.connectivity_parameters.as_ref());
    let https = all.and_then(|all| tlv::find(&all.0, HTTPS).ok().flatten()).and_then(tlv::split);
    match https {
        Some((_, parameters)) => {
            GetConnectivityParametersResponse::ConnectivityParameters(ConnectivityParameters {
                http_params: Some(parameters.to_vec()),
            })
        }
        None => GetConnectivityParametersResponse::ConnectivityParametersError(
            ConnectivityParametersError::PARAMETERS_NOT_AVAILABLE,
        ),
    }
}
