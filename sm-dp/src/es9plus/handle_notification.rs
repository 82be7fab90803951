//! ES9+.HandleNotification: SGP.22 section 5.6.4.
//!
//! What happened on the eUICC. The function has no answer but HTTP 204 (section 6.5.2.9), so what cannot be believed
//! is told to the log and to the events, not to the LPA, which would otherwise send it for ever. A notification that
//! comes again is answered again and changes nothing.
//!
//! What was not believed is gone: the card forgets it. A later word of the same eUICC about the same profile proves that the
//! profile is there all the same, and is taken for what was missed.

use certs::{Certificate, check_euicc};
use crypto::PublicKey;
use rsp::{
    der::{BitString, Raw},
    ids::{Eid, Iccid, Oid},
    sgp22::{
        NotificationMetadata, OtherSignedNotification, PendingNotification,
        es2plus::{NotificationPointId, ResultData},
        es8plus::{ErrorReason, FinalResult, ProfileInstallationResult},
        es9plus::HandleNotificationRequest,
        notification_event,
    },
    status::{Refusal, Status},
};
use rsp_server::{
    Decision, Rejection,
    mutual_authentication::{refusal_of, verify},
};

use super::{advance, offered, session, unknown};
use crate::{
    context::Context,
    outbox::{self, Progress},
    profile_state::{ProfileEvent, ProfileState},
    records::{
        Awaits, BINDINGS, DELETIONS, INSTALLATIONS, Installation, NOTIFICATIONS, ORDERS_BY_EID, PROFILES,
        Profile, TakenNotification, eid_key, iccid_key,
    },
};

/// `Ok(Err(..))`: not believed, nothing changed, and still HTTP 204.
pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    request: &HandleNotificationRequest,
) -> Decision<Result<(), Refusal>> {
    match &*request.pending_notification {
        PendingNotification::ProfileInstallationResult(result) => {
            installed(context, result, request.pending_notification.bytes()).await
        }
        PendingNotification::OtherSignedNotification(notification) => changed(context, notification).await,
    }
}

/// How an installation ended. Signed by the eUICC that the session authenticated; no certificate comes with it.
async fn installed(
    context: &mut Context<'_, '_>,
    result: &ProfileInstallationResult,
    octets: &[u8],
) -> Decision<Result<(), Refusal>> {
    let data = &result.profile_installation_result_data;
    let id = &data.transaction_id;
    let session = match session(context, id).await {
        Ok(session) => session,
        Err(Rejection::Refusal(refusal)) => return Ok(Err(refusal)),
        Err(fault) => return Err(fault),
    };
    let Awaits::ProfileInstallationResult { offer, .. } = &session.awaits else {
        return Ok(Err(unknown(id)));
    };
    let smdp_oid = context.credentials.smdp_oid(&session.server_ci);
    if let Err(refusal) = check_result(smdp_oid, &offer.euicc_public_key()?, result, offer.iccid) {
        return Ok(Err(refusal));
    }
    // A card that was made anew counts from the beginning again; a transaction never comes twice.
    let notification = format!("{}/{id}", notification_key(offer.eid, &data.notification_metadata));
    if was_taken(context, &notification).await? {
        return Ok(Ok(()));
    }
    take(context, &notification, "installation result")?;
    // Its key is spent, whatever came of it.
    context.tx.delete(&BINDINGS, &iccid_key(offer.iccid, offer.eid));
    // What is on the eUICC is there, however long its message took and whatever became of the order.
    if let FinalResult::SuccessResult(_) = &data.final_result {
        let installation = Installation { eid: offer.eid, at: context.now };
        context.tx.put(&INSTALLATIONS, &iccid_key(offer.iccid, offer.eid), &installation)?;
    }
    let mut profile = match offered(context, offer).await {
        Ok(profile) => profile,
        Err(Rejection::Refusal(_)) => return Ok(Ok(())),
        Err(fault) => return Err(fault),
    };
    // Proved already by what the eUICC told meanwhile.
    if profile.state == ProfileState::Installed {
        return Ok(Ok(()));
    }
    match &data.final_result {
        FinalResult::SuccessResult(_) => {
            tell_operator(context, &profile, offer.eid, Ok(()), Some(octets)).await?;
            succeeded(context, &mut profile, offer.eid)?;
        }
        FinalResult::ErrorResult(error) => {
            tracing::info!(iccid = %offer.iccid, eid = %offer.eid, reason = %error.error_reason, "installation failed");
            let status = match error.error_reason {
                ErrorReason::INSTALL_FAILED_DUE_TO_INSUFFICIENT_MEMORY_FOR_PROFILE => {
                    Status::EuiccInsufficientMemory
                }
                _ => Status::EuiccExecutionError,
            };
            let why = status.because(error.error_reason.to_string()).about(offer.iccid);
            tell_operator(context, &profile, offer.eid, Err(&why), Some(octets)).await?;
            advance(context, &mut profile, ProfileEvent::InstallationFailed)?;
        }
    }
    Ok(Ok(()))
}

/// The order has come to what it was for. Says whether it was waited for.
fn succeeded(context: &mut Context<'_, '_>, profile: &mut Profile, eid: Eid) -> Decision<bool> {
    let was_waited_for = advance(context, profile, ProfileEvent::InstallationSucceeded)?;
    if profile.order.as_ref().is_none_or(|order| !order.reusable) {
        context.tx.delete(&ORDERS_BY_EID, &eid_key(eid, profile.iccid));
    }
    Ok(was_waited_for)
}

async fn tell_operator(
    context: &mut Context<'_, '_>,
    profile: &Profile,
    eid: Eid,
    outcome: Result<(), &Refusal>,
    result: Option<&[u8]>,
) -> Decision<()> {
    let point = NotificationPointId::BPP_INSTALLATION;
    let result_data = result.map(|result| ResultData(result.to_vec()));
    let progress = Progress { point, eid, outcome, result_data };
    outbox::tell_operator(context, profile, progress).await
}

fn check_result(
    smdp_oid: Option<&Oid>,
    key: &PublicKey,
    result: &ProfileInstallationResult,
    iccid: Iccid,
) -> Result<(), Refusal> {
    let data = &result.profile_installation_result_data;
    verify(key, data.bytes(), &result.euicc_sign_pir, "euiccSignPIR")?;
    if data.smdp_oid.is_none() {
        return Err(Status::ElementMissing.because("the result names no SM-DP+"));
    }
    if data.smdp_oid.as_ref() != smdp_oid {
        return Err(Status::SmdpOidMismatch.because("the result is for another SM-DP+"));
    }
    let told = &data.notification_metadata;
    if !told.profile_management_operation.has(notification_event::INSTALL) {
        return Err(
            Status::FormatInvalid.because("an installation result is a notification of an installation")
        );
    }
    match (told.iccid, &data.final_result) {
        (Some(named), _) if named != iccid => Err(Status::IccidUnknown
            .because("the result names another profile than the session")
            .about(named)),
        // Only an installation that broke off before StoreMetadata has no ICCID to name.
        (None, FinalResult::SuccessResult(_)) => {
            Err(Status::IccidUnknown.because("the result of an installation that succeeded names no profile"))
        }
        _ => Ok(()),
    }
}

/// A profile was enabled, disabled or deleted. Signed by the eUICC on which we know it to be.
async fn changed(
    context: &mut Context<'_, '_>,
    notification: &OtherSignedNotification,
) -> Decision<Result<(), Refusal>> {
    let eid = match check_notification(context, notification) {
        Ok(eid) => eid,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let told = &notification.tbs_other_notification;
    let Some(iccid) = told.iccid else {
        return Ok(Err(Status::IccidUnknown.because("the notification names no profile")));
    };
    let notification = notification_key(eid, told);
    if was_taken(context, &notification).await? {
        return Ok(Ok(()));
    }
    let key = iccid_key(iccid, eid);
    if context.tx.get(&INSTALLATIONS, &key).await?.is_none()
        && !was_missed(context, iccid, eid, told.seq_number).await?
    {
        return Ok(Err(Status::EidAssociation
            .because("the profile was not installed on this eUICC")
            .about(eid)));
    }
    take(context, &notification, event_name(&told.profile_management_operation))?;
    if told.profile_management_operation.has(notification_event::DELETE) {
        context.tx.delete(&INSTALLATIONS, &key);
        context.tx.put(&DELETIONS, &key, &told.seq_number)?;
    }
    Ok(Ok(()))
}

/// What the eUICC has signed about a profile that is not known to be there proves that it is: the result of its installation
/// was missed, or somebody told us falsely that it was deleted. Only of what was handed to that eUICC, and not what it
/// told before the deletion.
async fn was_missed(
    context: &mut Context<'_, '_>,
    iccid: Iccid,
    eid: Eid,
    seq_number: i64,
) -> Decision<bool> {
    let key = iccid_key(iccid, eid);
    match context.tx.get(&DELETIONS, &key).await? {
        Some(deleted) if seq_number < deleted => return Ok(false),
        Some(_) => context.tx.delete(&DELETIONS, &key),
        None => {
            let profile = context.tx.get(&PROFILES, &iccid.to_string()).await?;
            let was_handed = |profile: &Profile| {
                profile.order.as_ref().is_some_and(|order| order.handed_to == Some(eid) && !order.reusable)
            };
            let Some(mut profile) = profile.filter(was_handed) else { return Ok(false) };
            if !succeeded(context, &mut profile, eid)? {
                return Ok(false);
            }
            tracing::info!(%iccid, %eid, "installed, by what the eUICC tells of it; no result of the installation was believed");
            tell_operator(context, &profile, eid, Ok(()), None).await?;
            context.tx.delete(&BINDINGS, &key);
        }
    }
    context.tx.put(&INSTALLATIONS, &key, &Installation { eid, at: context.now })?;
    Ok(true)
}

fn check_notification(
    context: &Context<'_, '_>,
    notification: &OtherSignedNotification,
) -> Result<Eid, Refusal> {
    let eum = Certificate::from_der(notification.eum_certificate.0.clone())
        .map_err(|e| Status::EumCertificateVerificationFailed.because(e.to_string()))?;
    let euicc = Certificate::from_der(notification.euicc_certificate.0.clone())
        .map_err(|e| Status::EuiccCertificateVerificationFailed.because(e.to_string()))?;
    let euicc = check_euicc(&context.credentials.anchors, &euicc, &eum, context.now).map_err(refusal_of)?;
    let tbs: &Raw<NotificationMetadata> = &notification.tbs_other_notification;
    verify(
        &euicc.public_key,
        tbs.bytes(),
        &notification.euicc_notification_signature,
        "euiccNotificationSignature",
    )?;
    Ok(euicc.eid)
}

/// The key of a notification among those that were taken.
fn notification_key(eid: Eid, told: &NotificationMetadata) -> String {
    let iccid = told.iccid.map(|iccid| iccid.to_string()).unwrap_or_default();
    format!("{eid}/{}/{iccid}", told.seq_number)
}

async fn was_taken(context: &mut Context<'_, '_>, key: &str) -> Decision<bool> {
    Ok(context.tx.get(&NOTIFICATIONS, key).await?.is_some())
}

fn take(context: &mut Context<'_, '_>, key: &str, what: &str) -> Decision<()> {
    let taken = TakenNotification { at: context.now, told: what.to_owned() };
    Ok(context.tx.put(&NOTIFICATIONS, key, &taken)?)
}

fn event_name(operation: &BitString) -> &'static str {
    match operation.ones().as_slice() {
        [notification_event::INSTALL] => "install",
        [notification_event::ENABLE] => "enable",
        [notification_event::DISABLE] => "disable",
        [notification_event::DELETE] => "delete",
        _ => "other",
    }
}
