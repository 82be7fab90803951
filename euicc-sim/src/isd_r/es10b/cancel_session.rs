//! ES10b.CancelSession: SGP.22 section 5.7.14. Ends the session and returns a signed confirmation.

use rsp::der::Raw;
use rsp::sgp22::EuiccCancelSessionSigned;
use rsp::sgp22::es10b::{
    CancelSessionError, CancelSessionRequest, CancelSessionResponse, CancelSessionResponseOk,
};

use crate::consumer::ConsumerContext;
use crate::state::session::Session;

pub(crate) fn cancel_session(
    context: &mut ConsumerContext<'_>,
    request: CancelSessionRequest,
) -> CancelSessionResponse {
    match decide(context, request) {
        Ok(ok) => {
            context.volatile.session = Session::Idle;
            CancelSessionResponse::CancelSessionResponseOk(ok)
        }
        Err(code) => CancelSessionResponse::CancelSessionResponseError(code),
    }
}

fn decide(
    context: &ConsumerContext<'_>,
    request: CancelSessionRequest,
) -> Result<CancelSessionResponseOk, CancelSessionError> {
    // req: SGP.22-5.7.14-TransactionId
    let server = context
        .volatile
        .session
        .server()
        .filter(|server| server.transaction_id == request.transaction_id)
        .ok_or(CancelSessionError::INVALID_TRANSACTION_ID)?;
    let credential = context.ecasd.credential(&server.ci).ok_or(CancelSessionError::UNDEFINED_ERROR)?;
    let signed = Raw::new(EuiccCancelSessionSigned {
        transaction_id: request.transaction_id,
        smdp_oid: server.certificate.oid.clone(),
        reason: request.reason,
    });
    let signature = credential.sign(signed.bytes()).as_bytes().to_vec();
    Ok(CancelSessionResponseOk {
        euicc_cancel_session_signed: signed,
        euicc_cancel_session_signature: signature,
    })
}
