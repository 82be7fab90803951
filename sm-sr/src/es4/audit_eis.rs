//! ES4.AuditEIS: SGP.02 section 5.5. The same as GetEIS, after the card was asked.

use rsp::sgp02::{BaseResponse, eis::Eis, es4};
use rsp_server::soap::{Answer, Call, Decision};

use crate::{context::Context, procedures::Function};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    call: &Call,
    request: &es4::AuditEisRequest,
) -> Decision<Answer<es4::AuditEisResponse>> {
    let function = Function::AuditEis(request.iccid.clone());
    super::later(context, call, &request.base, request.eid, function).await
}

pub(crate) fn response(base: BaseResponse, eis: Option<Eis>) -> es4::AuditEisResponse {
    es4::AuditEisResponse { base, eis }
}
