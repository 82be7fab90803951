//! ES11.InitiateAuthentication: SGP.22 section 5.8.1. The function works as in section 5.6.1, but
//! its errors have the status subjects of an SM-DS.
//!
//! The order of the checks is observable and must not change.

use rsp::{
    ids::CertificateDer,
    sgp22::es11::{InitiateAuthenticationOk, InitiateAuthenticationRequest},
    status::Status,
};
use rsp_server::{Decision, mutual_authentication::Challenge};

use crate::{
    context::Context,
    records::{SESSIONS, Session},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    request: &InitiateAuthenticationRequest,
) -> Decision<InitiateAuthenticationOk> {
    let config = context.config;
    if !config.is_own_address(&request.smds_address) {
        // req: SGP.22-5.8.1-Address
        return Err(Status::SmdsAddressRefused
            .because(format!("the address of this SM-DS is {}", config.address))
            .about(&request.smds_address)
            .into());
    }
    let info = &request.euicc_info1;
    if !(config.lowest_svn..=config.highest_svn).contains(&info.svn) {
        // req: SGP.22-5.8.1-Svn
        return Err(Status::SmdsSvnUnsupported
            .because(format!(
                "this SM-DS supports eUICCs of versions {} to {}",
                config.lowest_svn, config.highest_svn
            ))
            .about(info.svn)
            .into());
    }
    let auth = info
        .euicc_ci_pk_id_list_for_verification
        .iter()
        .find_map(|ci| context.credentials.below(ci))
        .ok_or_else(|| {
            // req: SGP.22-5.8.1-CiForVerification
            Status::SmdsCiForVerificationUnavailable
                .because("this SM-DS has no certificate issued by a CI that the eUICC can verify")
        })?;
    // The list is in the eUICC's order of preference.
    let euicc_ci = info
        .euicc_ci_pk_id_list_for_signing
        .iter()
        .find(|ci| context.credentials.anchors.find(ci).is_some())
        .ok_or_else(|| {
            // req: SGP.22-5.8.1-CiForSigning
            Status::SmdsCiForSigningUnsupported
                .because("this SM-DS trusts none of the CIs under which the eUICC can sign")
        })?;

    let challenge = Challenge::new(context.world, &auth.key, request.euicc_challenge, &request.smds_address);
    let session = Session {
        server_address: request.smds_address.clone(),
        euicc_ci: euicc_ci.clone(),
        server_challenge: challenge.server_challenge,
        expires: context.now.plus(config.session_lifetime),
    };
    context.tx.put(&SESSIONS, &challenge.transaction_id.to_string(), &session)?;
    Ok(InitiateAuthenticationOk {
        transaction_id: challenge.transaction_id,
        server_signed1: challenge.server_signed1,
        server_signature1: challenge.server_signature1,
        euicc_ci_pk_id_to_be_used: euicc_ci.clone(),
        server_certificate: CertificateDer(auth.certificate.der().to_vec()),
    })
}
