//! ES9+.CancelSession: SGP.22 section 5.6.5.
//!
//! The LPA cancels the download. The reason, which the eUICC has signed, decides if the order can
//! still be downloaded.

use rsp::{
    ids::Eid,
    sgp22::{
        CancelSessionReason,
        es2plus::NotificationPointId,
        es9plus::{CancelSessionOk, CancelSessionRequestEs9},
        es10b::{CancelSessionResponse, CancelSessionResponseOk},
    },
    status::Status,
};
use rsp_server::{
    Decision, Rejection,
    mutual_authentication::{check_transaction_id, verify},
};

use super::{advance, offered, session, unknown};
use crate::{
    context::Context,
    outbox::{self, Progress},
    profile_state::ProfileEvent,
    records::{Awaits, Profile, SESSIONS},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    request: &CancelSessionRequestEs9,
) -> Decision<CancelSessionOk> {
    let id = &request.transaction_id;
    let session = session(context, id).await?;
    let offer = match &session.awaits {
        Awaits::GetBoundProfilePackage { offer, .. } | Awaits::ProfileInstallationResult { offer, .. } => {
            offer
        }
        // No eUICC is authenticated yet, so the signature cannot be verified.
        Awaits::AuthenticateClient { .. } => return Err(unknown(id).into()),
    };
    let CancelSessionResponseOk {
        euicc_cancel_session_signed: signed,
        euicc_cancel_session_signature: signature,
    } = match &request.cancel_session_response {
        CancelSessionResponse::CancelSessionResponseOk(response) => response,
        // req: SGP.22-5.6.5-EuiccError
        CancelSessionResponse::CancelSessionResponseError(code) => {
            return Err(Status::EuiccVerificationFailed
                .because(format!("the eUICC did not cancel its session: {code}"))
                .into());
        }
    };
    // req: SGP.22-5.6.5-Signature
    verify(&offer.euicc_public_key()?, signed.bytes(), signature, "euiccCancelSessionSignature")?;
    // req: SGP.22-5.6.5-SignedTransactionId
    check_transaction_id(id, &signed.transaction_id)?;
    // req: SGP.22-5.6.5-Oid
    if context.credentials.smdp_oid(&session.server_ci) != Some(&signed.smdp_oid) {
        return Err(Status::SmdpOidMismatch
            .because("the eUICC cancelled a session of another SM-DP+")
            .about(&signed.smdp_oid)
            .into());
    }
    // req: SGP.22-5.6.5-Reason
    if !signed.reason.allows_later_download() {
        match offered(context, offer).await {
            Ok(mut profile) => {
                if advance(context, &mut profile, ProfileEvent::DownloadEnded)? {
                    report_progress(context, &profile, offer.eid, signed.reason).await?;
                }
            }
            // The order has already ended. Only the session is left to cancel.
            Err(Rejection::Refusal(_)) => {}
            Err(fault) => return Err(fault),
        }
    }
    // After the package was delivered, its installation result may still arrive, and only the
    // session has the key that verifies it.
    if let Awaits::GetBoundProfilePackage { .. } = session.awaits {
        context.tx.delete(&SESSIONS, &id.to_string());
    }
    Ok(CancelSessionOk {})
}

/// Reports the cancelled download to the operator. The standard does not define the status; these
/// are the closest ones.
async fn report_progress(
    context: &mut Context<'_, '_>,
    profile: &Profile,
    eid: Eid,
    reason: CancelSessionReason,
) -> Decision<()> {
    let (point, status) = match reason {
        CancelSessionReason::LOAD_BPP_EXECUTION_ERROR => {
            (NotificationPointId::BPP_INSTALLATION, Status::EuiccExecutionError)
        }
        CancelSessionReason::UNDEFINED_REASON => {
            (NotificationPointId::BPP_DOWNLOAD, Status::EuiccExecutionError)
        }
        _ => (NotificationPointId::BPP_DOWNLOAD, Status::ProfileRefused),
    };
    let refusal = status.because(format!("the session was cancelled: {reason}")).about(profile.iccid);
    let progress = Progress { point, eid, outcome: Err(&refusal), result_data: None };
    outbox::report_progress(context, profile, progress).await
}
