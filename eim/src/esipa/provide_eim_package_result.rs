//! ESipa.ProvideEimPackageResult: SGP.32 section 5.14.6.

use rsp::sgp32::esipa::{
    EimAcknowledgements, EmptyResponse, ProvideEimPackageResultRequest, ProvideEimPackageResultResponse,
    SequenceNumber,
};
use rsp_server::Decision;

use super::Call;
use crate::results;

pub(crate) async fn execute(
    call: &Call<'_>,
    request: &ProvideEimPackageResultRequest,
) -> Decision<ProvideEimPackageResultResponse> {
    Ok(response(accept(call, request).await?))
}

/// Accepts a result. Returns the sequence numbers that the eUICC can remove.
pub(crate) async fn accept(
    call: &Call<'_>,
    request: &ProvideEimPackageResultRequest,
) -> Decision<Vec<SequenceNumber>> {
    let acknowledged = call
        .transact(request, |context, request| {
            Box::pin(results::accept(context, request.eid_value, &request.eim_package_result))
        })
        .await?;
    call.eim.wake();
    Ok(acknowledged)
}

// req: SGP.32-5.14.6-Acknowledgements
fn response(acknowledged: Vec<SequenceNumber>) -> ProvideEimPackageResultResponse {
    match acknowledged.is_empty() {
        true => ProvideEimPackageResultResponse::EmptyResponse(EmptyResponse {}),
        false => ProvideEimPackageResultResponse::EimAcknowledgements(EimAcknowledgements(acknowledged)),
    }
}
