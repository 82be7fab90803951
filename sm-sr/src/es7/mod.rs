//! ES7, between two SM-SRs: SGP.02 section 5.6. One file for each function.
//!
//! AuthenticateSMSR and CreateAdditionalKeySet are called at the SM-SR that manages the card.
//! HandoverEUICC is called at the SM-SR that takes over the card.

pub(crate) mod authenticate_smsr;
pub(crate) mod create_additional_key_set;
pub(crate) mod handle_smsr_change_notification;
pub(crate) mod handover_euicc;

use rsp_server::soap::{Call, Decision};

use crate::{caller::check_role, context::Context, records::PeerRole};

/// Checks that the caller is a registered SM-SR.
pub(crate) async fn check_caller(context: &mut Context<'_, '_>, call: &Call) -> Decision<()> {
    check_role(context, &call.caller, |role| matches!(role, PeerRole::SmSr)).await
}
