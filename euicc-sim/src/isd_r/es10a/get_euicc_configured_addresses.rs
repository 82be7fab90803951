//! ES10a.GetEuiccConfiguredAddresses: SGP.22 section 5.7.3.

use rsp::sgp22::es10b::{EuiccConfiguredAddressesRequest, EuiccConfiguredAddressesResponse};

use crate::consumer::ConsumerContext;

pub(crate) fn get_euicc_configured_addresses(
    context: &mut ConsumerContext<'_>,
    _: EuiccConfiguredAddressesRequest,
) -> EuiccConfiguredAddressesResponse {
    EuiccConfiguredAddressesResponse {
        default_dp_address: context.state.default_dp_address.clone(),
        root_ds_address: context.description.root_ds_address.clone(),
    }
}
