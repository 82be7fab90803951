//! ES9+.HandleNotification: SGP.22 section 5.6.4.
//!
//! The function has no response other than HTTP 204 (section 6.5.2.9). A notification that fails
//! verification is therefore recorded in the log and in the events, but not reported to the LPA,
//! which would otherwise send it again forever. A repeated notification is acknowledged again and
//! changes nothing.
//!
//! The card deletes a notification after HTTP 204, so a rejected one is lost. If the same eUICC
//! later signs another notification about the same profile, this proves that the profile is
//! installed, and it replaces the lost one.

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
        Awaits, BINDINGS, DELETIONS, INSTALLATIONS, Installation, NOTIFICATIONS, ORDERS_BY_EID, PACKAGES,
        PROFILES, Profile, TakenNotification, eid_key, iccid_key,
    },
};

/// Returns `Ok(Err(..))` for a notification that failed verification. Nothing is changed, and the
/// reply is still HTTP 204.
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

/// Processes an installation result. It is signed by the eUICC that the session authenticated and
/// contains no certificate.
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
    // A card that was reset restarts its sequence numbers, but a TransactionID is never reused.
    let notification = format!("{}/{id}", notification_key(offer.eid, &data.notification_metadata));
    // req: SGP.22-5.6.4-Repetition
    if is_recorded(context, &notification).await? {
        return Ok(Ok(()));
    }
    record(context, &notification, "installation result")?;
    // The one-time key is used up, whatever the result is.
    context.tx.delete(&BINDINGS, &iccid_key(offer.iccid, offer.eid));
    // A successful installation is recorded even if its notification is late or the order has
    // ended.
    if let FinalResult::SuccessResult(_) = &data.final_result {
        let installation = Installation { eid: offer.eid, at: context.now };
        context.tx.put(&INSTALLATIONS, &iccid_key(offer.iccid, offer.eid), &installation)?;
    }
    let mut profile = match offered(context, offer).await {
        Ok(profile) => profile,
        Err(Rejection::Refusal(_)) => return Ok(Ok(())),
        Err(fault) => return Err(fault),
    };
    // A later notification has already proved the installation.
    if profile.state() == ProfileState::Installed {
        return Ok(Ok(()));
    }
    match &data.final_result {
        FinalResult::SuccessResult(_) => {
            report_progress(context, &profile, offer.eid, Ok(()), Some(octets)).await?;
            record_success(context, &mut profile, offer.eid)?;
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
            report_progress(context, &profile, offer.eid, Err(&why), Some(octets)).await?;
            // req: SGP.22-5.6.4-Failure
            advance(context, &mut profile, ProfileEvent::InstallationFailed)?;
        }
    }
    Ok(Ok(()))
}

/// Records that the order is fulfilled. Returns true if the profile was waiting for an installation
/// result.
fn record_success(context: &mut Context<'_, '_>, profile: &mut Profile, eid: Eid) -> Decision<bool> {
    let was_waited_for = advance(context, profile, ProfileEvent::InstallationSucceeded)?;
    if !profile.order().is_ok_and(|order| order.reusable) {
        context.tx.delete(&ORDERS_BY_EID, &eid_key(eid, profile.iccid));
        if context.config.remove_installed_packages {
            context.tx.delete(&PACKAGES, &profile.iccid.to_string());
        }
    }
    Ok(was_waited_for)
}

async fn report_progress(
    context: &mut Context<'_, '_>,
    profile: &Profile,
    eid: Eid,
    outcome: Result<(), &Refusal>,
    result: Option<&[u8]>,
) -> Decision<()> {
    let point = NotificationPointId::BPP_INSTALLATION;
    let result_data = result.map(|result| ResultData(result.to_vec()));
    let progress = Progress { point, eid, outcome, result_data };
    outbox::report_progress(context, profile, progress).await
}

// req: SGP.22-5.6.4-InvalidResult
fn check_result(
    smdp_oid: Option<&Oid>,
    key: &PublicKey,
    result: &ProfileInstallationResult,
    iccid: Iccid,
) -> Result<(), Refusal> {
    let data = &result.profile_installation_result_data;
    verify(key, data.bytes(), &result.euicc_sign_pir, "euiccSignPIR")?;
    if data.smdp_oid.is_none() {
        return Err(Status::ElementMissing.because("the installation result does not name an SM-DP+"));
    }
    if data.smdp_oid.as_ref() != smdp_oid {
        return Err(Status::SmdpOidMismatch.because("the installation result is for another SM-DP+"));
    }
    let metadata = &data.notification_metadata;
    if !metadata.profile_management_operation.has(notification_event::INSTALL) {
        return Err(
            Status::FormatInvalid.because("an installation result must have the event notificationInstall")
        );
    }
    match (metadata.iccid, &data.final_result) {
        (Some(named), _) if named != iccid => Err(Status::IccidUnknown
            .because("the installation result and the session are for different profiles")
            .about(named)),
        // The ICCID is only missing if the installation failed before StoreMetadata.
        // req: SGP.22-5.6.4-Iccid
        (None, FinalResult::SuccessResult(_)) => {
            Err(Status::IccidUnknown.because("a successful installation result must name a profile"))
        }
        _ => Ok(()),
    }
}

/// Processes a notification that a profile was enabled, disabled or deleted. It is signed by an
/// eUICC that has the profile.
async fn changed(
    context: &mut Context<'_, '_>,
    notification: &OtherSignedNotification,
) -> Decision<Result<(), Refusal>> {
    let eid = match check_notification(context, notification) {
        Ok(eid) => eid,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let metadata = &notification.tbs_other_notification;
    let Some(iccid) = metadata.iccid else {
        return Ok(Err(Status::IccidUnknown.because("the notification does not name a profile")));
    };
    if let Some(profile) = context.tx.get(&PROFILES, &iccid.to_string()).await? {
        context.namespace = profile.namespace;
    }
    let notification = notification_key(eid, metadata);
    if is_recorded(context, &notification).await? {
        return Ok(Ok(()));
    }
    let key = iccid_key(iccid, eid);
    // req: SGP.22-5.6.4-Owner
    if context.tx.get(&INSTALLATIONS, &key).await?.is_none()
        && !proves_installation(context, iccid, eid, metadata.seq_number).await?
    {
        return Ok(Err(Status::EidAssociation
            .because("the profile was not installed on this eUICC")
            .about(eid)));
    }
    record(context, &notification, event_name(&metadata.profile_management_operation))?;
    if metadata.profile_management_operation.has(notification_event::DELETE) {
        context.tx.delete(&INSTALLATIONS, &key);
        context.tx.put(&DELETIONS, &key, &metadata.seq_number)?;
    }
    Ok(Ok(()))
}

/// Handles a signed notification about a profile that is not recorded as installed. The signature
/// proves that the profile is installed: either its installation result was lost, or a reported
/// deletion was wrong. This only applies to a profile that this eUICC received, and not to
/// notifications with a sequence number below that of the deletion. Returns true if the
/// installation is recorded now.
async fn proves_installation(
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
                profile.order().is_ok_and(|order| order.handed_to == Some(eid) && !order.reusable)
            };
            let Some(mut profile) = profile.filter(was_handed) else { return Ok(false) };
            if !record_success(context, &mut profile, eid)? {
                return Ok(false);
            }
            tracing::info!(%iccid, %eid, "the profile is installed according to a later notification; no valid installation result was received");
            report_progress(context, &profile, eid, Ok(()), None).await?;
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

/// The key of a received notification.
fn notification_key(eid: Eid, metadata: &NotificationMetadata) -> String {
    let iccid = metadata.iccid.map(|iccid| iccid.to_string()).unwrap_or_default();
    format!("{eid}/{}/{iccid}", metadata.seq_number)
}

async fn is_recorded(context: &mut Context<'_, '_>, key: &str) -> Decision<bool> {
    Ok(context.tx.get(&NOTIFICATIONS, key).await?.is_some())
}

fn record(context: &mut Context<'_, '_>, key: &str, event: &str) -> Decision<()> {
    let namespace = context.namespace.clone();
    let taken = TakenNotification { at: context.now, event: event.to_owned(), namespace };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_of_a_notification_has_a_name() {
        use notification_event::{DELETE, DISABLE, ENABLE, INSTALL};
        for (events, name) in [
            (&[INSTALL][..], "install"),
            (&[ENABLE], "enable"),
            (&[DISABLE], "disable"),
            (&[DELETE], "delete"),
            (&[], "other"),
            (&[INSTALL, DELETE], "other"),
        ] {
            assert_eq!(event_name(&BitString::of(events)), name);
        }
    }
}
