//! ESipa.CancelSession: SGP.32 section 5.14.8. Relayed to the SM-DP+ of the session.

use rsp::{
    ids::Oid,
    sgp22::{es9plus, es10b::CancelSessionResponse as Whole},
    sgp32::{
        compact::CancelSessionResponse,
        esipa::{
            CancelSessionError as Error, CancelSessionOk, CancelSessionRequest,
            CancelSessionResponse as Response,
        },
    },
    status::Status,
};
use rsp_server::Decision;

use super::{Call, relay};
use crate::{
    context::Context,
    records::{SESSIONS, Session},
};

pub(crate) async fn execute(call: &Call<'_>, request: &CancelSessionRequest) -> Decision<Response> {
    let id = &request.transaction_id;
    let (session, cancel_session_response) =
        call.transact(request, |context, request| Box::pin(prepare(context, request))).await?;
    let relayed = es9plus::CancelSessionRequestEs9 { transaction_id: id.clone(), cancel_session_response };
    // req: SGP.32-5.14.8-Relay
    match relay::relay::<es9plus::CancelSession>(call, &session, &relayed).await {
        Ok(_) => {}
        Err(status) => return Ok(Response::Error(status.map_or(Error::UNDEFINED_ERROR, Error::from))),
    }
    call.transact(id, |context, id| {
        Box::pin(async move {
            context.tx.delete(&SESSIONS, &id.to_string());
            Ok(())
        })
    })
    .await?;
    Ok(Response::Ok(CancelSessionOk {}))
}

async fn prepare(
    context: &mut Context<'_, '_>,
    request: &CancelSessionRequest,
) -> Decision<(Session, Whole)> {
    let session = relay::session(context, &request.transaction_id).await?;
    let whole = match &request.cancel_session_response {
        CancelSessionResponse::CancelSessionResponseOk(ok) => Whole::CancelSessionResponseOk(ok.clone()),
        CancelSessionResponse::CancelSessionResponseError(error) => Whole::CancelSessionResponseError(*error),
        // req: SGP.32-5.14.8-Compact
        CancelSessionResponse::CompactCancelSessionResponseOk(compact) => {
            let oid: Oid = session.server_oid.clone().ok_or_else(|| {
                Status::EuiccExecutionError.because("the certificate of the SM-DP+ has no OID")
            })?;
            let expanded = compact
                .expand(request.transaction_id.clone(), oid, session.cancel_reason)
                .map_err(|error| Status::EuiccExecutionError.because(error.to_string()))?;
            Whole::CancelSessionResponseOk(expanded)
        }
    };
    Ok((session, whole))
}
