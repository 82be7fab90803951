//! ES10b.SetDefaultDpAddress: SGP.32 section 5.9.25.

use rsp::sgp22::es10b::{
    SetDefaultDpAddressRequest as Sgp22Request, SetDefaultDpAddressResult as Sgp22Result,
};
use rsp::sgp32::es10b::{SetDefaultDpAddressRequest, SetDefaultDpAddressResponse, SetDefaultDpAddressResult};

use crate::consumer::ConsumerContext;
use crate::isd_r::es10a::set_default_dp_address as sgp22;

pub(super) fn set_default_dp_address(
    context: &mut ConsumerContext<'_>,
    request: SetDefaultDpAddressRequest,
) -> SetDefaultDpAddressResponse {
    let request = Sgp22Request { default_dp_address: request.default_dp_address };
    let result = sgp22::set_default_dp_address(context, request).set_default_dp_address_result;
    SetDefaultDpAddressResponse {
        set_default_dp_address_result: match result {
            Sgp22Result::OK => SetDefaultDpAddressResult::OK,
            _ => SetDefaultDpAddressResult::UNDEFINED_ERROR,
        },
    }
}
