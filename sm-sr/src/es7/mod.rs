//! ES7, between two SM-SRs: SGP.02 section 5.6. A function a file.
//!
//! The one that has the card is asked AuthenticateSMSR and CreateAdditionalKeySet, the one that gets it HandoverEUICC.

pub(crate) mod authenticate_smsr;
pub(crate) mod create_additional_key_set;
pub(crate) mod handle_smsr_change_notification;
pub(crate) mod handover_euicc;

use rsp_server::soap::{Call, Decision};

use crate::{context::Context, records::PeerRole, router::check_role};

/// That the caller is an SM-SR that is known here.
pub(crate) async fn known(context: &mut Context<'_, '_>, call: &Call) -> Decision<()> {
    check_role(context, &call.caller, |role| matches!(role, PeerRole::SmSr)).await
}
