//! ES10a.SetDefaultDpAddress: SGP.22 section 5.7.4.

use rsp::ids::SmdpAddress;
use rsp::sgp22::es10b::{SetDefaultDpAddressRequest, SetDefaultDpAddressResponse};

use crate::consumer::ConsumerContext;

const OK: i64 = 0;
const UNDEFINED_ERROR: i64 = 127;

pub(crate) fn set_default_dp_address(
    context: &mut ConsumerContext<'_>,
    request: SetDefaultDpAddressRequest,
) -> SetDefaultDpAddressResponse {
    let answer = |result| SetDefaultDpAddressResponse { set_default_dp_address_result: result };
    let address = request.default_dp_address;
    if address.is_empty() {
        context.state.to_mut().default_dp_address = None;
        return answer(OK);
    }
    match address.parse::<SmdpAddress>() {
        Ok(_) => {
            context.state.to_mut().default_dp_address = Some(address);
            answer(OK)
        }
        // req: SGP.22-5.7.4-Address
        Err(_) => answer(UNDEFINED_ERROR),
    }
}
