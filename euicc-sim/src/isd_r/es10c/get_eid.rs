//! ES10c.GetEID: SGP.22 section 5.7.20.

use rsp::sgp22::es10c::{GetEuiccDataRequest, GetEuiccDataResponse};

use crate::consumer::ConsumerContext;

pub(crate) fn get_eid(context: &mut ConsumerContext<'_>, _: GetEuiccDataRequest) -> GetEuiccDataResponse {
    GetEuiccDataResponse { eid_value: context.description.eid }
}
