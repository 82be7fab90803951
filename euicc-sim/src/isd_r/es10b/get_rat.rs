//! ES10b.GetRAT: SGP.22 section 5.7.22.

use rsp::sgp22::es10b::{GetRatRequest, GetRatResponse};

use crate::consumer::ConsumerContext;

pub(crate) fn get_rat(context: &mut ConsumerContext<'_>, _: GetRatRequest) -> GetRatResponse {
    GetRatResponse { rat: context.description.rat() }
}
