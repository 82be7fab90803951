//! ProfileInstallationResult: SGP.22 section 2.5.6. The result is signed, returned and stored as a
//! notification.

use std::sync::Arc;

use profile::EuiccResponse;
use rsp::der::{Asn1, Raw};
use rsp::ids::{Aid, Iccid};
use rsp::sgp22::es8plus::{
    BppCommandId, ErrorReason, ErrorResult, FinalResult, ProfileInstallationResult,
    ProfileInstallationResultData, SuccessResult,
};
use rsp::sgp22::{PendingNotification, notification_event};

use super::Failure;
use super::package::Loaded;
use crate::consumer::ConsumerContext;
use crate::notifications;
use crate::state::session::{Installed, Outline, PreparedDownload, Session};
use crate::state::{InDer, InstalledProfile};

/// Installs the profile, in disabled state, and returns the result.
pub(super) fn installed(
    context: &mut ConsumerContext<'_>,
    prepared: &PreparedDownload,
    outline: Outline,
    loaded: Loaded,
) -> Vec<u8> {
    let iccid = outline.metadata.iccid;
    let number = context.state.next_isd_p;
    let Some(next) = number.checked_add(1) else {
        // ISD-P numbers are never reused, and all numbers are used up.
        let reason = ErrorReason::INSTALL_FAILED_DUE_TO_UNKNOWN_ERROR;
        return failed(
            context,
            prepared,
            Some(iccid),
            Failure::new(BppCommandId::LOAD_PROFILE_ELEMENTS, reason),
        );
    };
    let isd_p = Aid::isd_p(number);
    let state = context.state.to_mut();
    state.next_isd_p = next;
    // The package will not be sent again, so the one-time key is no longer needed.
    state.one_time_keys.retain(|key| *key != prepared.one_time_key);
    context.persistent.to_mut().profiles.push(Arc::new(InstalledProfile {
        isd_p: isd_p.clone(),
        metadata: InDer(outline.metadata),
        nickname: None,
        identities: Default::default(),
        dp_oid: outline.dp_oid,
        ci: prepared.server.ci.clone(),
        memory: loaded.octets,
        content: loaded.content,
    }));

    let success = SuccessResult {
        aid: isd_p.clone(),
        sima_response: EuiccResponse::installed(loaded.warnings).to_der(),
    };
    let answer = finish(context, prepared, Some(iccid), FinalResult::SuccessResult(success));
    notifications::notify_others(context, &isd_p, notification_event::INSTALL, &prepared.server.address);
    if context.is_iot() {
        context.volatile.session = Session::ExpectImmediateEnable(Box::new(Installed {
            isd_p,
            smdp_oid: prepared.profile_binding.oid.clone(),
            smdp_address: prepared.server.address.clone(),
        }));
    }
    answer
}

/// Returns the result of a failed installation.
pub(super) fn failed(
    context: &mut ConsumerContext<'_>,
    prepared: &PreparedDownload,
    iccid: Option<Iccid>,
    failure: Failure,
) -> Vec<u8> {
    let error = ErrorResult {
        bpp_command_id: failure.command,
        error_reason: failure.reason,
        sima_response: failure.response.map(|response| response.to_der()),
    };
    finish(context, prepared, iccid, FinalResult::ErrorResult(error))
}

/// Signs the result, stores it as a notification for the SM-DP+ of the session, and returns it.
fn finish(
    context: &mut ConsumerContext<'_>,
    prepared: &PreparedDownload,
    iccid: Option<Iccid>,
    final_result: FinalResult,
) -> Vec<u8> {
    let event = notification_event::INSTALL;
    let metadata = notifications::next_metadata(context, event, prepared.server.address.clone(), iccid);
    let data = Raw::new(ProfileInstallationResultData {
        transaction_id: prepared.server.transaction_id.clone(),
        notification_metadata: metadata.clone(),
        smdp_oid: Some(prepared.profile_binding.oid.clone()),
        final_result,
    });
    let credential = context.ecasd.credential_or_preferred(&prepared.server.ci);
    let signature = credential.sign(data.bytes());
    let result = ProfileInstallationResult {
        profile_installation_result_data: data,
        euicc_sign_pir: signature.as_bytes().to_vec(),
    };
    let answer = result.to_der();
    notifications::keep(context, metadata, event, PendingNotification::ProfileInstallationResult(result));
    answer
}
