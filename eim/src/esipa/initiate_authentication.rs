//! ESipa.InitiateAuthentication: SGP.32 section 5.14.1. Relayed to the SM-DP+ or SM-DS of the download.

use rsp::{
    activation_code::ActivationCode,
    der::Raw,
    ids::{Oid, SmdpAddress},
    sgp22::{CtxParams1, EuiccInfo1, es9plus, es11},
    sgp32::{
        esipa::{
            InitiateAuthenticationError as Error, InitiateAuthenticationOk, InitiateAuthenticationRequest,
            InitiateAuthenticationResponse,
        },
        ipa_data::ipa_features,
    },
    status::Status,
};
use rsp_server::Decision;

use super::{Call, relay};
use crate::{
    context::Context,
    records::{
        DEVICES, Device, Download, DownloadSource, ORDERS, Octets, Order, Package, ServerKind, Session,
        SessionState, order_key,
    },
};

/// What the eIM knows of a download before it calls the server.
struct Prepared {
    server: SmdpAddress,
    kind: ServerKind,
    /// The MatchingID, if the eIM keeps the download data.
    matching_id: Option<String>,
    /// The OID that the server must have.
    oid: Option<Oid>,
    ctx_params1: Option<Raw<CtxParams1>>,
    euicc_info1: EuiccInfo1,
    eid: Option<rsp::ids::Eid>,
}

pub(crate) async fn execute(
    call: &Call<'_>,
    request: &InitiateAuthenticationRequest,
) -> Decision<InitiateAuthenticationResponse> {
    let prepared = call.transact(request, |context, request| Box::pin(prepare(context, request))).await?;
    let prepared = match prepared {
        Ok(prepared) => prepared,
        Err(code) => return Ok(InitiateAuthenticationResponse::Error(code)),
    };
    let mut session = Session {
        server: prepared.server.clone(),
        kind: prepared.kind,
        order: request.eim_transaction_id.clone(),
        eid: prepared.eid,
        server_signed1: Octets::default(),
        server_oid: None,
        ctx_params1: prepared.ctx_params1.as_ref().map(|params| Octets::from(params.bytes())),
        cancel_reason: None,
        state: SessionState::AuthenticateClient,
        expires: call.now,
    };
    let (euicc_challenge, euicc_info1) = (request.euicc_challenge, prepared.euicc_info1.clone());
    // req: SGP.32-5.14.1-Relay
    let relayed = match prepared.kind {
        ServerKind::SmDp => {
            let smdp_address = prepared.server.to_string();
            let request =
                es9plus::InitiateAuthenticationRequest { euicc_challenge, smdp_address, euicc_info1 };
            relay::relay::<es9plus::InitiateAuthentication>(call, &session, &request).await
        }
        ServerKind::SmDs => {
            let smds_address = prepared.server.to_string();
            let request = es11::InitiateAuthenticationRequest { euicc_challenge, smds_address, euicc_info1 };
            relay::relay::<es11::InitiateAuthentication>(call, &session, &request).await
        }
    };
    let ok = match relayed {
        Ok(ok) => ok,
        Err(status) => {
            let code = status.map_or(Error::UNDEFINED_ERROR, Error::from);
            return Ok(InitiateAuthenticationResponse::Error(code));
        }
    };
    session.server_signed1 = ok.server_signed1.bytes().into();
    session.server_oid = relay::oid_in(&ok.server_certificate);
    // req: SGP.32-5.14.1-SmdpAddressMismatch
    let signed: Option<SmdpAddress> = ok.server_signed1.server_address.parse().ok();
    if prepared.matching_id.is_some() && signed.as_ref() != Some(&prepared.server) {
        return Ok(InitiateAuthenticationResponse::Error(Error::SMDP_ADDRESS_MISMATCH));
    }
    // req: SGP.32-5.14.1-SmdpOidMismatch
    if prepared.oid.is_some() && prepared.oid != session.server_oid {
        return Ok(InitiateAuthenticationResponse::Error(Error::SMDP_OID_MISMATCH));
    }
    call.transact(&(&ok.transaction_id, &session), |context, (id, session)| {
        Box::pin(async move { Ok(relay::put(context, id, Session::clone(session))?) })
    })
    .await?;
    let sends_ctx_params1 = prepared.ctx_params1.is_some();
    Ok(InitiateAuthenticationResponse::Ok(Box::new(InitiateAuthenticationOk {
        transaction_id: Some(ok.transaction_id),
        server_signed1: ok.server_signed1,
        server_signature1: ok.server_signature1,
        euicc_ci_pk_identifier_to_be_used: ok.euicc_ci_pk_id_to_be_used,
        server_certificate: ok.server_certificate,
        // ctxParams1 contains the MatchingID.
        matching_id: prepared.matching_id.filter(|_| !sends_ctx_params1),
        ctx_params1: prepared.ctx_params1,
    })))
}

async fn prepare(
    context: &mut Context<'_, '_>,
    request: &InitiateAuthenticationRequest,
) -> Decision<Result<Prepared, Error>> {
    let order = match &request.eim_transaction_id {
        None => None,
        Some(id) => match context.tx.get(&ORDERS, &order_key(id)).await? {
            Some(order) if matches!(order.package, Package::Download(_)) && !order.state.is_ended() => {
                Some(order)
            }
            // req: SGP.32-5.14.1-EimTransactionId
            _ => return Ok(Err(Error::INVALID_EIM_TRANSACTION_ID)),
        },
    };
    let device: Option<Device> = match &order {
        Some(order) => context.tx.get(&DEVICES, &order.eid.to_string()).await?,
        None => None,
    };
    let Some(source) = source(order.as_ref(), device.as_ref(), request) else {
        return Ok(Err(Error::INVALID_DP_ADDRESS));
    };
    // Only the user of the eIM can name any server.
    if !source.is_ordered && !context.config.rsp_servers.permit(source.server.as_str()) {
        return Ok(Err(Error::INVALID_DP_ADDRESS));
    }
    let reported = device.as_ref().and_then(Device::euicc_info1);
    let euicc_info1 = request.euicc_info1.clone().map(Raw::into_value).or(reported).ok_or_else(|| {
        Status::ElementMissing.because("euiccInfo1 is missing, and the eIM does not know that of the eUICC")
    })?;
    let generates =
        device.as_ref().is_some_and(|it| it.has_feature(ipa_features::EIM_CTX_PARAMS1_GENERATION));
    let device_info = device.as_ref().and_then(Device::device_info).filter(|_| generates);
    // req: SGP.32-5.14.1-CtxParams
    let ctx_params1 = match (&source.matching_id, device_info) {
        (Some(matching_id), Some(device_info)) => {
            let matching_id = Some(matching_id.clone()).filter(|matching_id| !matching_id.is_empty());
            Some(Raw::new(CtxParams1::download(matching_id, device_info)))
        }
        _ => None,
    };
    Ok(Ok(Prepared {
        server: source.server,
        kind: source.kind,
        matching_id: source.matching_id,
        oid: source.oid,
        ctx_params1,
        euicc_info1,
        eid: order.map(|order| order.eid),
    }))
}

struct Source {
    server: SmdpAddress,
    kind: ServerKind,
    matching_id: Option<String>,
    oid: Option<Oid>,
    /// True if the server is that of the order.
    is_ordered: bool,
}

/// Returns the source of the profile. If the eIM keeps it, an address in the request must be the same.
fn source(
    order: Option<&Order>,
    device: Option<&Device>,
    request: &InitiateAuthenticationRequest,
) -> Option<Source> {
    let requested: Option<SmdpAddress> = match &request.smdp_address {
        Some(address) => Some(address.parse().ok()?),
        None => None,
    };
    let ordered = order.and_then(|order| ordered_source(order, device));
    let is_kept = order
        .is_some_and(|order| matches!(&order.package, Package::Download(Download { kept_by_eim: true, .. })));
    match (requested, ordered) {
        (None, Some(ordered)) if is_kept => Some(ordered),
        (Some(requested), Some(ordered)) if requested == ordered.server => match is_kept {
            true => Some(ordered),
            // The IPA has the source, and keeps MatchingID and OID itself.
            false => Some(Source { matching_id: None, oid: None, ..ordered }),
        },
        (Some(_), Some(_)) if is_kept => None,
        (Some(server), ordered) => {
            let kind = match ordered {
                Some(Source { kind: ServerKind::SmDs, .. }) | None => ServerKind::SmDp,
                Some(ordered) => ordered.kind,
            };
            Some(Source { server, kind, matching_id: None, oid: None, is_ordered: false })
        }
        (None, _) => None,
    }
}

/// Returns the source of an order: the event that an SM-DS returned, or else the ordered one.
fn ordered_source(order: &Order, device: Option<&Device>) -> Option<Source> {
    if let Some(event) = &order.event {
        return Some(Source {
            server: event.address.clone(),
            kind: ServerKind::SmDp,
            matching_id: Some(event.event_id.clone()),
            oid: None,
            is_ordered: true,
        });
    }
    let Package::Download(download) = &order.package else { return None };
    let data = device.and_then(|device| device.data.as_ref());
    let (server, kind, matching_id, oid) = match &download.source {
        DownloadSource::ActivationCode(code) => {
            let code: ActivationCode = code.parse().ok()?;
            (code.smdp_address, ServerKind::SmDp, code.matching_id, code.smdp_oid)
        }
        DownloadSource::DefaultSmdp {} => {
            let address = data?.default_smdp_address.as_ref()?.parse().ok()?;
            (address, ServerKind::SmDp, String::new(), None)
        }
        DownloadSource::Smds { address } => {
            let root = data.and_then(|data| data.root_smds_address.as_ref());
            let address = address.as_ref().or(root)?.parse().ok()?;
            (address, ServerKind::SmDs, String::new(), None)
        }
    };
    Some(Source { server, kind, matching_id: Some(matching_id), oid, is_ordered: true })
}
