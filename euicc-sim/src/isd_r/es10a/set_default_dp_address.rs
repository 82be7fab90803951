//! ES10a.SetDefaultDpAddress: SGP.22 section 5.7.4.

use rsp::ids::SmdpAddress;
use rsp::sgp22::es10b::{SetDefaultDpAddressRequest, SetDefaultDpAddressResponse, SetDefaultDpAddressResult};

use crate::consumer::ConsumerContext;

pub(crate) fn set_default_dp_address(
    context: &mut ConsumerContext<'_>,
    request: SetDefaultDpAddressRequest,
) -> SetDefaultDpAddressResponse {
    SetDefaultDpAddressResponse { set_default_dp_address_result: set(context, request.default_dp_address) }
}

fn set(context: &mut ConsumerContext<'_>, address: String) -> SetDefaultDpAddressResult {
    // req: SGP.22-5.7.4-Address
    if !address.is_empty() && address.parse::<SmdpAddress>().is_err() {
        return SetDefaultDpAddressResult::UNDEFINED_ERROR;
    }
    context.state.to_mut().default_dp_address = Some(address).filter(|address| !address.is_empty());
    SetDefaultDpAddressResult::OK
}
