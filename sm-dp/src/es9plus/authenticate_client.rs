//! ES9+.AuthenticateClient: SGP.22 section 5.6.3.
//!
//! Checks the eUICC's authentication response and offers the profile of the requested order. The
//! order of the checks is observable and must not change.

use certs::EuiccCertificate;
use rsp::{
    der::Raw,
    ids::{CertificateDer, Eid},
    sgp22::{
        CtxParams1,
        es2plus::NotificationPointId,
        es9plus::{AuthenticateClientOk, AuthenticateClientRequest},
        es10b::{AuthenticateResponseOk, SmdpSigned2},
        operation_type,
    },
    status::{Refusal, Status},
};
use rsp_server::{Decision, Rejection, mutual_authentication::SentChallenge};

use super::{advance, session, unknown, with_signature};
use crate::{
    context::Context,
    eligibility, outbox,
    profile_state::{ProfileEvent, ProfileState},
    records::{
        Awaits, BINDINGS, MATCHING_IDS, ORDERS_BY_EID, Octets, Offer, OrderEnded, PROFILES, Profile,
        SESSIONS, Session, iccid_key,
    },
};

/// Maximum length of an activation code. The MatchingID is a part of it (section 4.1).
pub(crate) const MAX_MATCHING_ID: usize = 255;

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    request: &AuthenticateClientRequest,
) -> Decision<AuthenticateClientOk> {
    let id = &request.transaction_id;
    let session = session(context, id).await?;
    let Awaits::AuthenticateClient { server_challenge } = &session.awaits else {
        return Err(unknown(id).into());
    };
    let server_challenge = server_challenge.0.clone();
    let offered = decide(context, request, session, &server_challenge).await;
    // req: SGP.22-5.6.3-Once
    if let Err(Rejection::Refusal(_)) = &offered {
        // Each challenge can be answered only once.
        context.tx.delete(&SESSIONS, &id.to_string());
    }
    offered
}

async fn decide(
    context: &mut Context<'_, '_>,
    request: &AuthenticateClientRequest,
    mut session: Session,
    server_challenge: &[u8],
) -> Decision<AuthenticateClientOk> {
    let id = &request.transaction_id;
    let challenged = SentChallenge {
        transaction_id: id,
        server_challenge,
        server_address: &session.server_address,
        euicc_ci: &session.euicc_ci,
    };
    let answer = &request.authenticate_server_response;
    // req: SGP.22-5.6.3-Order
    let (euicc, response) = challenged.check(&context.credentials.anchors, context.now, answer)?;
    // An eUICC that guesses MatchingIDs would find one at some time.
    if context.failed_attempts.is_blocked(&euicc.eid, context.now) {
        let why = "too many requests of this eUICC were refused; it can try again after a minute";
        return Err(Status::MatchingIdRefused.because(why).about(euicc.eid).into());
    }
    let profile = offer(context, &euicc, response).await.inspect_err(|rejection| {
        if matches!(rejection, Rejection::Refusal(_)) {
            context.failed_attempts.failed(&euicc.eid, context.now);
        }
    })?;

    let dp = context.credentials.below(&session.server_ci).ok_or_else(|| {
        Status::CiForVerificationUnavailable
            .because("the server no longer has the certificates of this session")
    })?;
    let order = profile.order()?;
    let bound = match order.reusable || order.handed_to == Some(euicc.eid) {
        true => context.tx.get(&BINDINGS, &iccid_key(profile.iccid, euicc.eid)).await?,
        false => None,
    };
    let smdp_signed2 = Raw::new(SmdpSigned2 {
        transaction_id: id.clone(),
        cc_required_flag: order.confirmation_code_hash.is_some(),
        bpp_euicc_otpk: bound.map(|bound| bound.euicc_otpk.0),
    });
    let signed = with_signature(smdp_signed2.bytes(), &response.euicc_signature1);
    let smdp_signature2 = dp.pb.key.sign(&signed).as_bytes().to_vec();

    session.expires = context.now.plus(context.config.server.session_lifetime);
    session.awaits = Awaits::GetBoundProfilePackage {
        offer: Offer {
            iccid: profile.iccid,
            order: order.id.clone(),
            matching_id: requested_matching_id(response)?.to_owned(),
            namespace: profile.namespace.clone(),
            eid: euicc.eid,
            euicc_key: Octets(euicc.public_key.to_sec1().to_vec()),
            euicc_curve: euicc.public_key.curve().into(),
        },
        smdp_signature2: Octets(smdp_signature2.clone()),
    };
    context.tx.put(&SESSIONS, &id.to_string(), &session)?;
    Ok(AuthenticateClientOk {
        transaction_id: id.clone(),
        profile_metadata: profile.metadata,
        smdp_signed2,
        smdp_signature2,
        smdp_certificate: CertificateDer(dp.pb.certificate.der().to_vec()),
    })
}

/// Returns the MatchingID of the requested download. A missing MatchingID is treated as an empty
/// one.
fn requested_matching_id(response: &AuthenticateResponseOk) -> Result<&str, Refusal> {
    // req: SGP.22-v3.1-5.6.3-Function
    let unsupported =
        |what| Status::FunctionUnsupported.because(format!("this SM-DP+ does not support {what}"));
    let params = match &*response.euicc_signed1.ctx_params1 {
        CtxParams1::CtxParamsForCommonAuthentication(params) => params,
        CtxParams1::CtxParamsForDeviceChange(_) => return Err(unsupported("device change")),
        CtxParams1::CtxParamsForProfileRecovery(_) => return Err(unsupported("profile recovery")),
        CtxParams1::CtxParamsForPushServiceRegistration(_) => return Err(unsupported("push service")),
    };
    let matching_id = params.matching_id.as_deref().unwrap_or_default();
    // req: SGP.22-5.6.3-MatchingIdLength
    if matching_id.len() > MAX_MATCHING_ID {
        return Err(Status::MatchingIdRefused.because("a MatchingID cannot be this long"));
    }
    // req: SGP.22-v3.1-5.6.3-Operation
    if params
        .operation_type
        .as_ref()
        .is_some_and(|operations| !operations.has(operation_type::PROFILE_DOWNLOAD))
    {
        return Err(Status::MatchingIdRefused
            .because("this SM-DP+ only offers profile downloads, which the request excludes")
            .about(matching_id));
    }
    Ok(matching_id)
}

/// Returns the ordered profile for this eUICC, if the eUICC is allowed to download it.
async fn offer(
    context: &mut Context<'_, '_>,
    euicc: &EuiccCertificate,
    response: &AuthenticateResponseOk,
) -> Decision<Profile> {
    let mut profile = find(context, requested_matching_id(response)?, euicc.eid).await?;
    context.namespace = profile.namespace.clone();
    let checked = check(context, &mut profile, euicc, response).await;
    let point = NotificationPointId::ELIGIBILITY_AND_RETRY_LIMIT_CHECK;
    outbox::report_outcome(context, &profile, euicc.eid, point, &checked).await?;
    checked.map(|()| profile)
}

/// Checks that this eUICC can download the profile now. Counts the download attempt.
async fn check(
    context: &mut Context<'_, '_>,
    profile: &mut Profile,
    euicc: &EuiccCertificate,
    response: &AuthenticateResponseOk,
) -> Decision<()> {
    let matching_id = requested_matching_id(response)?;
    let iccid = profile.iccid;
    let refused = |why: String| Status::MatchingIdRefused.because(why).about(matching_id);
    let state = profile.state();
    let order = profile.order_mut().map_err(|error| refused(error.to_string()))?;
    let max_attempts = order.max_download_attempts.unwrap_or(context.config.max_download_attempts);
    // Once an eUICC has received the package, no other eUICC can use the order, even if the order
    // did not name an EID.
    // req: SGP.22-5.6.3-Eid
    if [order.eid, order.handed_to].into_iter().flatten().any(|eid| eid != euicc.eid) {
        return Err(Status::EidNotAllowed.because("the order is for another eUICC").about(euicc.eid).into());
    }
    let too_often =
        || Status::DownloadAttemptsExceeded.because("the download was attempted too often").about(iccid);
    match state {
        ProfileState::Released | ProfileState::Downloaded => {}
        // req: SGP.22-5.6.3-Installed
        ProfileState::Installed => return Err(refused("the profile is already installed".to_owned()).into()),
        ProfileState::Error if order.download_attempts > max_attempts => return Err(too_often().into()),
        // req: SGP.22-5.6.3-OrderEnded
        ProfileState::Error | ProfileState::Unavailable | ProfileState::Available => {
            return Err(refused(OrderEnded { iccid }.to_string()).into());
        }
        ProfileState::Allocated | ProfileState::Linked | ProfileState::Confirmed => {
            // req: SGP.22-5.6.3-NotReleased
            return Err(Status::ProfileNotReleased
                .because("the operator has not released the profile")
                .about(iccid)
                .into());
        }
    }
    // The attempt counts even if it is refused below.
    if !order.reusable {
        order.download_attempts = order.download_attempts.saturating_add(1);
    }
    let (attempts, expires) = (order.download_attempts, order.expires);
    if !order.reusable {
        profile.save(context.tx)?;
    }
    eligibility::check(context, profile, &response.euicc_signed1.euicc_info2)?;
    // req: SGP.22-5.6.3-Attempts
    if attempts > max_attempts {
        advance(context, profile, ProfileEvent::DownloadEnded)?;
        return Err(too_often().into());
    }
    // req: SGP.22-5.6.3-Expired
    if expires.is_some_and(|expires| expires <= context.now) {
        delete_event(context, profile)?;
        return Err(Status::OrderExpired.because("the download order has expired").about(iccid).into());
    }
    Ok(())
}

/// Deletes the event of an expired order, so that the SM-DS no longer announces it.
fn delete_event(context: &mut Context<'_, '_>, profile: &mut Profile) -> Decision<()> {
    if let Ok(order) = profile.order_mut()
        && order.event_registered
    {
        outbox::delete_event(context, order)?;
        order.event_registered = false;
        profile.save(context.tx)?;
    }
    Ok(())
}

/// Finds the order by its MatchingID. Without a MatchingID, finds an order for this EID (default
/// SM-DP+, section 3.1.3).
async fn find(context: &mut Context<'_, '_>, matching_id: &str, eid: Eid) -> Decision<Profile> {
    if matching_id.is_empty() {
        // req: SGP.22-5.6.3-NoOrderForEid
        return find_by_eid(context, eid).await?.ok_or_else(|| {
            let why = "no order without a MatchingID is pending for this eUICC";
            Status::EidNotAllowed.because(why).about(eid).into()
        });
    }
    let profile = match context.tx.get(&MATCHING_IDS, matching_id).await? {
        Some(iccid) => context.tx.get(&PROFILES, &iccid.to_string()).await?,
        None => None,
    };
    profile.ok_or_else(|| {
        // req: SGP.22-5.6.3-MatchingId
        Status::MatchingIdRefused.because("no order has this MatchingID").about(matching_id).into()
    })
}

/// Finds an order without MatchingID for this eUICC. Returns an expired order only if there is no
/// other one.
async fn find_by_eid(context: &mut Context<'_, '_>, eid: Eid) -> Decision<Option<Profile>> {
    let mut expired = None;
    for (_, iccid) in context.tx.list(&ORDERS_BY_EID, &format!("{eid}/")).await? {
        let Some(profile) = context.tx.get(&PROFILES, &iccid.to_string()).await? else { continue };
        let Ok(order) = profile.order() else { continue };
        let waits = matches!(profile.state(), ProfileState::Released | ProfileState::Downloaded)
            && order.matching_id.as_deref() == Some("");
        match (waits, order.expires) {
            (true, Some(expires)) if expires <= context.now => expired = expired.or(Some(profile)),
            (true, _) => return Ok(Some(profile)),
            (false, _) => {}
        }
    }
    Ok(expired)
}
