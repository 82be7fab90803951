//! ES10a.GetEuiccConfiguredAddresses: SGP.22 section 5.7.3.

use rsp::sgp22::es10b::{EuiccConfiguredAddressesRequest, EuiccConfiguredAddressesResponse};

use crate::context::Context;

pub(crate) fn get_euicc_configured_addresses(
    context: &mut Context<'_>,
    _: EuiccConfiguredAddressesRequest,
) -> EuiccConfiguredAddressesResponse {
    EuiccConfiguredAddressesResponse {
        default_dp_address: context.persistent.default_dp_address.clone(),
        root_ds_address: context.description.root_ds_address.clone(),
    }
}
