//! ESipa.GetBoundProfilePackage: SGP.32 section 5.14.2. Relayed to the SM-DP+ of the session. The
//! metadata in the package must be those that were offered.

use rsp::{
    der::{Asn1, Raw},
    ids::TransactionId,
    sgp22::{
        CancelSessionReason,
        es8plus::{BoundProfilePackage, StoreMetadataRequest},
        es9plus,
        es10b::{PrepareDownloadResponse as Whole, SmdpSigned2},
    },
    sgp32::{
        compact::PrepareDownloadResponse,
        esipa::{
            GetBoundProfilePackageError as Error, GetBoundProfilePackageOk, GetBoundProfilePackageRequest,
            GetBoundProfilePackageResponse,
        },
    },
    status::Status,
};
use rsp_server::Decision;

use super::{Call, relay};
use crate::{
    context::Context,
    records::{Offer, Session, SessionState},
};

pub(crate) async fn execute(
    call: &Call<'_>,
    request: &GetBoundProfilePackageRequest,
) -> Decision<GetBoundProfilePackageResponse> {
    let id = &request.transaction_id;
    let (session, offer, prepare_download_response) =
        call.transact(request, |context, request| Box::pin(prepare(context, request))).await?;
    let relayed =
        es9plus::GetBoundProfilePackageRequest { transaction_id: id.clone(), prepare_download_response };
    // req: SGP.32-5.14.2-Relay
    let reply = relay::relay::<es9plus::GetBoundProfilePackage>(call, &session, &relayed).await;
    call.transact(&(id, &session, &offer, &reply), |context, (id, session, offer, reply)| {
        Box::pin(received(context, id, session, offer, reply))
    })
    .await
}

async fn prepare(
    context: &mut Context<'_, '_>,
    request: &GetBoundProfilePackageRequest,
) -> Decision<(Session, Offer, Whole)> {
    let session = relay::session(context, &request.transaction_id).await?;
    // An IPA whose package was lost on its way asks for it again.
    let offer = session.state.offer().cloned().ok_or_else(|| {
        Status::TransactionUnknown
            .because("the session waits for AuthenticateClient")
            .about(&request.transaction_id)
    })?;
    let whole = match &request.prepare_download_response {
        PrepareDownloadResponse::DownloadResponseOk(ok) => Whole::DownloadResponseOk(ok.clone()),
        PrepareDownloadResponse::DownloadResponseError(error) => Whole::DownloadResponseError(error.clone()),
        // req: SGP.32-5.14.2-Compact
        PrepareDownloadResponse::CompactDownloadResponseOk(compact) => {
            let smdp_signed2: SmdpSigned2 = relay::stored(&offer.smdp_signed2)?;
            let expanded = compact
                .expand(&smdp_signed2, offer.hash_cc)
                .map_err(|error| Status::EuiccExecutionError.because(error.to_string()))?;
            Whole::DownloadResponseOk(expanded)
        }
    };
    Ok((session, offer, whole))
}

async fn received(
    context: &mut Context<'_, '_>,
    id: &TransactionId,
    session: &Session,
    offer: &Offer,
    reply: &relay::Relayed<es9plus::GetBoundProfilePackageOk>,
) -> Decision<GetBoundProfilePackageResponse> {
    let ok = match reply {
        Ok(ok) => ok,
        Err(status) => {
            let code = status.map_or(Error::UNDEFINED_ERROR, Error::from);
            return Ok(GetBoundProfilePackageResponse::Error(code));
        }
    };
    // req: SGP.32-5.14.2-MetadataMismatch
    let offered: StoreMetadataRequest = relay::stored(&offer.metadata)?;
    let metadata = Raw::<BoundProfilePackage>::from_der(&ok.bound_profile_package.0)
        .and_then(|package| package.open_metadata());
    if metadata.ok().as_ref() != Some(&offered) {
        let reason = Some(CancelSessionReason::METADATA_MISMATCH);
        relay::put(context, id, Session { cancel_reason: reason, ..session.clone() })?;
        return Ok(GetBoundProfilePackageResponse::Error(Error::METADATA_MISMATCH));
    }
    let state = SessionState::InstallationResult(offer.clone());
    relay::put(context, id, Session { state, ..session.clone() })?;
    Ok(GetBoundProfilePackageResponse::Ok(GetBoundProfilePackageOk {
        transaction_id: Some(ok.transaction_id.clone()),
        bound_profile_package: ok.bound_profile_package.clone(),
    }))
}
