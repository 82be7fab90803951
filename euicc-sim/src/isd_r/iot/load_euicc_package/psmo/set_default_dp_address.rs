//! setDefaultDpAddress: SGP.32 section 3.4.9. It is the function of ES10b.

use rsp::sgp32::EuiccResultData;
use rsp::sgp32::es10b::{SetDefaultDpAddressRequest, SetDefaultDpAddressResult};

use super::super::super::set_default_dp_address as es10b;
use super::super::results::Outcome;
use crate::consumer::ConsumerContext;

pub(super) fn set_default_dp_address(
    context: &mut ConsumerContext<'_>,
    request: SetDefaultDpAddressRequest,
) -> Outcome {
    let response = es10b::set_default_dp_address(context, request);
    Outcome {
        is_success: response.set_default_dp_address_result == SetDefaultDpAddressResult::OK,
        data: EuiccResultData::SetDefaultDpAddressResult(response),
    }
}
