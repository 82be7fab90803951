//! ES3.AuditEIS: SGP.02 section 5.4. The same as GetEIS, after the card was asked.

use rsp::sgp02::{BaseResponse, eis::Eis, es3};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{context::Context, procedures::Function};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es3::AuditEisRequest,
) -> Decision<Answer<es3::AuditEisResponse>> {
    let function = Function::AuditEis(request.iccid.clone());
    super::later(context, call, &request.base, request.eid, function).await
}

pub(crate) fn response(base: BaseResponse, eis: Option<Eis>) -> es3::AuditEisResponse {
    es3::AuditEisResponse { base, eis }
}
