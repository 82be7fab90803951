//! ESipa.AuthenticateClient: SGP.32 section 5.14.3. Relayed to the server of the session, with the
//! verification of the metadata if the IPA leaves it to the eIM.

use rsp::{
    der::{Asn1, Raw},
    ids::{CertificateDer, TransactionId},
    sgp22::{
        CancelSessionReason, CtxParams1, ServerSigned1, es8plus::StoreMetadataRequest, es9plus,
        es10b::AuthenticateServerResponse as Whole, es11,
    },
    sgp32::{
        compact::AuthenticateServerResponse,
        esipa::{
            AuthenticateClientError as Error, AuthenticateClientOkDp, AuthenticateClientOkDs,
            AuthenticateClientRequest, AuthenticateClientResponse,
        },
        ipa_data::{ProfileDownloadData, ProfileDownloadTriggerRequest, ipa_features},
    },
    status::Status,
};
use rsp_server::Decision;
use sha2::{Digest, Sha256};

use super::{Call, relay};
use crate::{
    context::Context,
    devices,
    orders::{self, NewOrder},
    records::{
        Device, Download, DownloadSource, Event, ORDERS, Octets, Offer, Order, Package, SESSIONS, ServerKind,
        Session, SessionState, order_key,
    },
};

/// Number of octets in the identifier of the order of a further event.
const EVENT_ORDER_ID: usize = 8;

pub(crate) async fn execute(
    call: &Call<'_>,
    request: &AuthenticateClientRequest,
) -> Decision<AuthenticateClientResponse> {
    let id = &request.transaction_id;
    let (session, response) =
        match call.transact(request, |context, request| Box::pin(prepare(context, request))).await? {
            Ok(prepared) => prepared,
            Err(code) => return Ok(AuthenticateClientResponse::Error(code)),
        };
    let relayed = es9plus::AuthenticateClientRequest {
        transaction_id: id.clone(),
        authenticate_server_response: response,
    };
    // req: SGP.32-5.14.3-Relay
    match session.kind {
        ServerKind::SmDp => {
            let reply = relay::relay::<es9plus::AuthenticateClient>(call, &session, &relayed).await;
            let input = (id, &session, &reply);
            call.transact(&input, |context, (id, session, reply)| {
                Box::pin(offered(context, id, session, reply))
            })
            .await
        }
        ServerKind::SmDs => {
            let reply = relay::relay::<es11::AuthenticateClient>(call, &session, &relayed).await;
            let input = (id, &session, &reply);
            call.transact(&input, |context, (id, session, reply)| {
                Box::pin(event(context, id, session, reply))
            })
            .await
        }
    }
}

/// Returns the session, with the EID of the eUICC, and the whole response of the eUICC.
async fn prepare(
    context: &mut Context<'_, '_>,
    request: &AuthenticateClientRequest,
) -> Decision<Result<(Session, Whole), Error>> {
    let id = &request.transaction_id;
    let mut session = relay::session(context, id).await?;
    if !matches!(session.state, SessionState::AuthenticateClient) {
        return Ok(Err(Error::INVALID_TRANSACTION_ID));
    }
    // The challenge can be answered only once.
    context.tx.delete(&SESSIONS, &id.to_string());
    let whole = match &request.authenticate_server_response {
        AuthenticateServerResponse::AuthenticateResponseOk(ok) => Whole::AuthenticateResponseOk(ok.clone()),
        AuthenticateServerResponse::AuthenticateResponseError(error) => {
            Whole::AuthenticateResponseError(error.clone())
        }
        // req: SGP.32-5.14.3-Compact
        AuthenticateServerResponse::CompactAuthenticateResponseOk(compact) => {
            let device = relay::device(context, &session).await?;
            let mut known = device.as_ref().map(Device::known).unwrap_or_default();
            if let Some(params) = &session.ctx_params1 {
                known.ctx_params1 = Some(relay::stored::<Raw<CtxParams1>>(params)?);
            }
            let server_signed1: ServerSigned1 = relay::stored(&session.server_signed1)?;
            let expanded = compact
                .expand(&server_signed1, &known)
                .map_err(|error| Status::EuiccExecutionError.because(error.to_string()))?;
            Whole::AuthenticateResponseOk(Box::new(expanded))
        }
    };
    if let Whole::AuthenticateResponseOk(ok) = &whole {
        let eid = devices::eid_in(&ok.euicc_certificate);
        // req: SGP.32-5.14.3-EidMismatch
        if session.eid.is_some() && session.eid != eid {
            return Ok(Err(Error::EID_MISMATCH));
        }
        session.eid = eid;
    }
    Ok(Ok((session, whole)))
}

/// Verifies the offer of the SM-DP+, and returns it to the IPA.
async fn offered(
    context: &mut Context<'_, '_>,
    id: &TransactionId,
    session: &Session,
    reply: &relay::Relayed<es9plus::AuthenticateClientOk>,
) -> Decision<AuthenticateClientResponse> {
    let ok = match reply {
        Ok(ok) => ok,
        Err(status) => return Ok(refused(*status)),
    };
    let order = order_of(context, session).await?;
    let device = relay::device(context, session).await?;
    // req: SGP.32-5.14.3-HashCc
    let code = order.as_ref().and_then(|order| order.confirmation_code.as_ref());
    let hash_cc =
        code.filter(|_| ok.smdp_signed2.cc_required_flag).map(|code| crypto::hash_cc(&code.0, &id.0));
    let offer = Offer {
        iccid: ok.profile_metadata.iccid,
        metadata: Octets(ok.profile_metadata.to_der()),
        smdp_signed2: ok.smdp_signed2.bytes().into(),
        hash_cc,
        smdp_oid: relay::oid_in(&ok.smdp_certificate),
    };
    let mut session = Session { state: SessionState::GetBoundProfilePackage(offer), ..session.clone() };
    let verifies = device.is_some_and(|it| it.has_feature(ipa_features::EIM_PROFILE_METADATA_VERIFICATION));
    let flaw = order.as_ref().and_then(|order| flaw(order, &ok.profile_metadata, verifies));
    session.cancel_reason = flaw.map(|(_, reason)| reason);
    relay::put(context, id, session)?;
    // req: SGP.32-5.14.3-MetadataVerification
    if let Some((code, _)) = flaw {
        return Ok(AuthenticateClientResponse::Error(code));
    }
    Ok(AuthenticateClientResponse::OkDp(Box::new(AuthenticateClientOkDp {
        transaction_id: Some(ok.transaction_id.clone()),
        profile_metadata: (!verifies).then(|| ok.profile_metadata.clone()),
        smdp_signed2: ok.smdp_signed2.clone(),
        smdp_signature2: ok.smdp_signature2.clone(),
        smdp_certificate: CertificateDer(ok.smdp_certificate.0.clone()),
        hash_cc,
    })))
}

/// Returns the reason why the order does not accept a profile: the code, and the reason with which the
/// IPA cancels the session. An expected ICCID is always verified; policy rules only if the IPA does not
/// verify the metadata itself.
fn flaw(
    order: &Order,
    metadata: &StoreMetadataRequest,
    verifies: bool,
) -> Option<(Error, CancelSessionReason)> {
    let Package::Download(download) = &order.package else { return None };
    if download.iccid.is_some_and(|expected| expected != metadata.iccid) {
        return Some((Error::UNDEFINED_ERROR, CancelSessionReason::METADATA_MISMATCH));
    }
    let has_rules = metadata.profile_policy_rules.as_ref().is_some_and(|rules| !rules.ones().is_empty());
    if verifies && has_rules && !download.policy_rules_allowed {
        return Some((Error::PPR_NOT_ALLOWED, CancelSessionReason::PPR_NOT_ALLOWED));
    }
    None
}

/// Returns the first event of an SM-DS as a trigger for the IPA. Each other event becomes an order, which
/// the same poll of the IPA finds.
async fn event(
    context: &mut Context<'_, '_>,
    id: &TransactionId,
    session: &Session,
    reply: &relay::Relayed<es11::AuthenticateClientOk>,
) -> Decision<AuthenticateClientResponse> {
    let ok = match reply {
        Ok(ok) => ok,
        Err(status) => return Ok(refused(*status)),
    };
    let mut trigger = None;
    if let Some(entry) = ok.event_entries.first() {
        let address = entry.rsp_server_address.parse().map_err(|_| {
            Status::EuiccExecutionError.because("the SM-DS returned an event with an invalid address")
        })?;
        let code = format!("1${}${}", entry.rsp_server_address, entry.event_id);
        let mut is_kept = false;
        if let Some(mut order) = order_of(context, session).await?
            && let Some(order_id) = &session.order
        {
            is_kept = matches!(&order.package, Package::Download(download) if download.kept_by_eim);
            order.event = Some(Event { address, event_id: entry.event_id.clone() });
            context.tx.put(&ORDERS, &order_key(order_id), &order)?;
            order_further_events(context, order_id, &order, ok.event_entries.get(1..).unwrap_or_default())
                .await?;
        }
        trigger = Some(ProfileDownloadTriggerRequest {
            profile_download_data: (!is_kept).then_some(ProfileDownloadData::ActivationCode(code)),
            eim_transaction_id: session.order.clone(),
        });
    }
    // req: SGP.32-5.14.3-Event
    Ok(AuthenticateClientResponse::OkDs(AuthenticateClientOkDs {
        transaction_id: id.clone(),
        profile_download_trigger: trigger,
    }))
}

/// Places an order for each of these events. Their identifiers follow from the event and from the order
/// that found it, so that a repetition of the session places none twice.
// req: SGP.32-5.14.3-FurtherEvents
async fn order_further_events(
    context: &mut Context<'_, '_>,
    order_id: &TransactionId,
    order: &Order,
    entries: &[es11::EventEntries],
) -> Result<(), world::Fault> {
    let Package::Download(download) = &order.package else { return Ok(()) };
    for entry in entries.iter().take(context.config.max_orders_per_device) {
        let code = format!("1${}${}", entry.rsp_server_address, entry.event_id);
        let digest = Sha256::digest([&order_id.0, code.as_bytes()].concat());
        let source = DownloadSource::ActivationCode(code);
        let package = Package::Download(Download { source, ..download.clone() });
        let further = NewOrder {
            transaction_id: Some(TransactionId(digest.iter().take(EVENT_ORDER_ID).copied().collect())),
            ..NewOrder::new(order.eid, package)
        };
        if let Err(fault) = orders::place(context, &further).await? {
            // The event stays at the SM-DS for the next order.
            tracing::warn!(%fault, eid = %order.eid, "cannot order the download of an event");
        }
    }
    Ok(())
}

fn refused(status: Option<Status>) -> AuthenticateClientResponse {
    AuthenticateClientResponse::Error(status.map_or(Error::UNDEFINED_ERROR, Error::from))
}

async fn order_of(context: &mut Context<'_, '_>, session: &Session) -> Result<Option<Order>, world::Fault> {
    match &session.order {
        Some(id) => context.tx.get(&ORDERS, &order_key(id)).await,
        None => Ok(None),
    }
}
