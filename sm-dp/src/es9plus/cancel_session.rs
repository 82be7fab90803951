//! ES9+.CancelSession: SGP.22 section 5.6.5.
//!
//! The LPA gives up. Whether the order lives on depends on the reason, which the eUICC has signed.

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
    mutual_authentication::{same_transaction, verify},
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
        // No eUICC is authenticated yet, so nobody could have signed.
        Awaits::AuthenticateClient { .. } => return Err(unknown(id).into()),
    };
    let CancelSessionResponseOk {
        euicc_cancel_session_signed: signed,
        euicc_cancel_session_signature: signature,
    } = match &request.cancel_session_response {
        CancelSessionResponse::CancelSessionResponseOk(response) => response,
        CancelSessionResponse::CancelSessionResponseError(code) => {
            return Err(Status::EuiccVerificationFailed
                .because(format!("the eUICC did not cancel its side: error {code}"))
                .into());
        }
    };
    verify(&offer.euicc_public_key()?, signed.bytes(), signature, "euiccCancelSessionSignature")?;
    same_transaction(id, &signed.transaction_id)?;
    if context.credentials.smdp_oid(&session.server_ci) != Some(&signed.smdp_oid) {
        return Err(Status::SmdpOidMismatch
            .because("the eUICC cancelled another SM-DP+'s session")
            .about(&signed.smdp_oid)
            .into());
    }
    if !signed.reason.keeps_the_order() {
        match offered(context, offer).await {
            Ok(mut profile) => {
                if advance(context, &mut profile, ProfileEvent::DownloadEnded)? {
                    tell_operator(context, &profile, offer.eid, signed.reason).await?;
                }
            }
            // The order has ended already; there is nothing left to end but the session.
            Err(Rejection::Refusal(_)) => {}
            Err(fault) => return Err(fault),
        }
    }
    // Once a package is out, its result may still come, and only the session can verify it.
    if let Awaits::GetBoundProfilePackage { .. } = session.awaits {
        context.tx.delete(&SESSIONS, &id.to_string());
    }
    Ok(CancelSessionOk {})
}

/// Why the download comes to nothing. The standard does not say in which status; these are the nearest.
async fn tell_operator(
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
    outbox::tell_operator(context, profile, progress).await
}
