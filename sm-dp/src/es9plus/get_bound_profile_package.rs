//! ES9+.GetBoundProfilePackage: SGP.22 section 5.6.2.
//!
//! Binds the package to the one-time key of the eUICC. A retry gets the same package. The order of
//! the checks is observable and must not change.

use crypto::ConfirmationCodeHash;
use rsp::{
    ids::{SubjectKeyIdentifier, TransactionId},
    sgp22::{
        es2plus::NotificationPointId,
        es9plus::{BoundProfilePackageDer, GetBoundProfilePackageOk, GetBoundProfilePackageRequest},
        es10b::{EuiccSigned2, PrepareDownloadResponse},
    },
    status::{Refusal, Status},
};
use rsp_server::{
    Decision, Rejection,
    mutual_authentication::{check_transaction_id, verify},
};
use world::Fault;

use super::{advance, offered, session, unknown, with_signature};
use crate::{
    config::HostId,
    context::Context,
    es8plus::Binder,
    outbox,
    profile_state::ProfileEvent,
    records::{
        Awaits, BINDINGS, Binding, Octets, Offer, OrderEnded, PACKAGES, Profile, SESSIONS, Session, iccid_key,
    },
    stock::Rebinding,
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    request: &GetBoundProfilePackageRequest,
) -> Decision<GetBoundProfilePackageOk> {
    let id = &request.transaction_id;
    let session = session(context, id).await?;
    // After the package was delivered, an invalid request must not delete the session, because the
    // session is needed to verify the installation result. Before the eUICC is authenticated, an
    // invalid request must not delete it either, because anyone could have sent it.
    let ends_with_a_refusal = matches!(session.awaits, Awaits::GetBoundProfilePackage { .. });
    let bound = decide(context, request, session).await;
    if let (Err(Rejection::Refusal(refusal)), true) = (&bound, ends_with_a_refusal)
        && !is_about_confirmation_code(refusal)
    {
        // The procedure stops here (section 3.1.3). A later CancelSession of the LPA finds no
        // session. If the order has not ended, it can be downloaded in a new session.
        context.tx.delete(&SESSIONS, &id.to_string());
    }
    bound
}

/// True if the refusal leaves the session usable. The user can enter the right confirmation code, or
/// the LPA can cancel the session, which needs a session too. Wrong codes are counted in the order.
fn is_about_confirmation_code(refusal: &Refusal) -> bool {
    matches!(
        refusal.status,
        Status::ConfirmationCodeMissing
            | Status::ConfirmationCodeRefused
            | Status::ConfirmationCodeRetriesExceeded
    )
}

async fn decide(
    context: &mut Context<'_, '_>,
    request: &GetBoundProfilePackageRequest,
    mut session: Session,
) -> Decision<GetBoundProfilePackageOk> {
    let id = &request.transaction_id;
    let (offer, smdp_signature2) = match &session.awaits {
        Awaits::GetBoundProfilePackage { offer, smdp_signature2 }
        | Awaits::ProfileInstallationResult { offer, smdp_signature2 } => {
            (offer.clone(), smdp_signature2.clone())
        }
        Awaits::AuthenticateClient { .. } => return Err(unknown(id).into()),
    };
    let response = match &request.prepare_download_response {
        PrepareDownloadResponse::DownloadResponseOk(response) => response,
        // req: SGP.22-5.6.2-EuiccError
        PrepareDownloadResponse::DownloadResponseError(error) => {
            check_transaction_id(id, &error.transaction_id)?;
            return Err(Status::EuiccVerificationFailed
                .because(format!("the eUICC refused to prepare the download: {}", error.download_error_code))
                .into());
        }
    };
    let signed = with_signature(response.euicc_signed2.bytes(), &smdp_signature2.0);
    // req: SGP.22-5.6.2-Signature
    verify(&offer.euicc_public_key()?, &signed, &response.euicc_signature2, "euiccSignature2")?;
    // req: SGP.22-5.6.2-SignedTransactionId
    check_transaction_id(id, &response.euicc_signed2.transaction_id)?;

    let mut profile = offered(context, &offer).await?;
    let confirmed = check_confirmation_code(context, &mut profile, &response.euicc_signed2);
    if confirmed.is_err() {
        let point = NotificationPointId::CONFIRMATION_FAILURE;
        outbox::report_outcome(context, &profile, offer.eid, point, &confirmed).await?;
    }
    confirmed?;
    profile.after(ProfileEvent::PackageHandedOut).map_err(|error| OrderEnded { iccid: error.iccid })?;
    let package =
        bind(context, id, &session.server_ci, &profile, &offer, &response.euicc_signed2.euicc_otpk).await;
    // A repeated request in the same session gets the same package and is not reported again.
    if matches!(session.awaits, Awaits::GetBoundProfilePackage { .. }) {
        let point = NotificationPointId::BPP_DOWNLOAD;
        outbox::report_outcome(context, &profile, offer.eid, point, &package).await?;
    }
    let package = package?;

    let order = profile.order_mut()?;
    if !order.reusable {
        order.handed_to = Some(offer.eid);
    }
    advance(context, &mut profile, ProfileEvent::PackageHandedOut)?;
    session.expires = context.now.plus(context.config.notification_lifetime);
    session.awaits = Awaits::ProfileInstallationResult { offer, smdp_signature2 };
    context.tx.put(&SESSIONS, &id.to_string(), &session)?;
    Ok(GetBoundProfilePackageOk {
        transaction_id: id.clone(),
        bound_profile_package: BoundProfilePackageDer(package),
    })
}

/// Checks the hash of confirmation code and TransactionID that the eUICC returned. Counts a wrong
/// code; too many wrong codes end the order.
fn check_confirmation_code(
    context: &mut Context<'_, '_>,
    profile: &mut Profile,
    signed: &EuiccSigned2,
) -> Decision<()> {
    let order = profile.order_mut()?;
    let Some(kept) = &order.confirmation_code_hash else { return Ok(()) };
    if order.wrong_confirmation_codes >= context.config.max_confirmation_code_attempts {
        return Err(Status::ConfirmationCodeRetriesExceeded
            .because("too many wrong confirmation codes")
            .into());
    }
    // req: SGP.22-5.6.2-ConfirmationCodeMissing
    let Some(hash_cc) = &signed.hash_cc else {
        return Err(Status::ConfirmationCodeMissing.because("this order needs a confirmation code").into());
    };
    // req: SGP.22-5.6.2-ConfirmationCode
    let refused = || Status::ConfirmationCodeRefused.because("the confirmation code is wrong");
    let kept: [u8; 32] = kept.0.as_slice().try_into().map_err(|_| {
        Fault::new(
            "cannot check the confirmation code",
            "its hash in the record does not have 32 octets",
            "place the order again",
        )
    })?;
    if ConfirmationCodeHash::from_bytes(kept).matches(hash_cc, &signed.transaction_id.0) {
        return Ok(());
    }
    if order.reusable {
        return Err(refused().into());
    }
    order.wrong_confirmation_codes += 1;
    let last = order.wrong_confirmation_codes >= context.config.max_confirmation_code_attempts;
    profile.save(context.tx)?;
    // req: SGP.22-5.6.2-ConfirmationCodeRetries
    if last {
        advance(context, profile, ProfileEvent::DownloadEnded)?;
        return Err(Status::ConfirmationCodeRetriesExceeded
            .because("too many wrong confirmation codes; the order has ended")
            .into());
    }
    Err(refused().into())
}

/// Returns the package for this one-time key: the stored one, or a newly bound one.
async fn bind(
    context: &mut Context<'_, '_>,
    id: &TransactionId,
    server_ci: &SubjectKeyIdentifier,
    profile: &Profile,
    offer: &Offer,
    euicc_otpk: &[u8],
) -> Decision<Vec<u8>> {
    let key = iccid_key(profile.iccid, offer.eid);
    let order = profile.order()?;
    // req: SGP.22-5.6.2-OtherEuicc
    if order.handed_to.is_some_and(|eid| eid != offer.eid) {
        return Err(Status::ProfileUnavailable
            .because("another eUICC has already downloaded the profile")
            .about(profile.iccid)
            .into());
    }
    let dp = context.credentials.below(server_ci);
    let smdp_oid = context.credentials.smdp_oid(server_ci);
    let (Some(dp), Some(smdp_oid)) = (dp, smdp_oid) else {
        return Err(Status::ProfileUnavailable
            .because("the server no longer has the certificates of this session")
            .into());
    };
    let host_id = context.config.host_id.as_ref().map_or_else(
        || context.world.random::<{ HostId::MAX_OCTETS }>().to_vec(),
        |host_id| host_id.octets().to_vec(),
    );
    let binder = Binder {
        signing_key: &dp.pb.key,
        transaction_id: id,
        host_id,
        smdp_oid: smdp_oid.clone(),
        world: context.world,
    };
    let bound = context.tx.get(&BINDINGS, &key).await?;
    let package = match bound {
        Some(bound) if bound.euicc_otpk.0 == euicc_otpk => {
            // req: SGP.22-5.6.2-Repetition
            if bound.transaction_id == *id {
                return Ok(bound.bound_profile_package.0);
            }
            binder.bind_to_this_transaction(&bound.bound_profile_package.0, euicc_otpk)?
        }
        // req: SGP.22-5.6.2-Rebinding
        Some(_) if order.rebinding == Rebinding::Refused => {
            return Err(Status::ProfileUnavailable
                .because("the profile is bound to another one-time key and cannot be bound again")
                .about(profile.iccid)
                .into());
        }
        _ => {
            let Some(package) = context.tx.get(&PACKAGES, &profile.iccid.to_string()).await? else {
                return Err(Status::ProfileUnavailable.because("the package is no longer in stock").into());
            };
            binder.bind(&package.0, &profile.metadata, order.protection, offer.eid, euicc_otpk)?
        }
    };
    let binding = Binding {
        euicc_otpk: Octets(euicc_otpk.to_vec()),
        transaction_id: id.clone(),
        bound_profile_package: Octets(package.clone()),
    };
    context.tx.put(&BINDINGS, &key, &binding)?;
    Ok(package)
}
