//! ES9+.InitiateAuthentication: SGP.22 section 5.6.1.
//!
//! Checks that the request is addressed to this server and that both sides have a CI in common,
//! then creates a session. The order of the checks is observable, so keep it.

use rsp::{
    ids::CertificateDer,
    sgp22::es9plus::{InitiateAuthenticationOk, InitiateAuthenticationRequest},
    status::{Refusal, Status},
};
use rsp_server::{Decision, mutual_authentication::Challenge};

use crate::{
    config::Config,
    context::Context,
    records::{Awaits, Octets, SESSIONS, Session},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    request: &InitiateAuthenticationRequest,
) -> Decision<InitiateAuthenticationOk> {
    // req: SGP.22-5.6.1-Order
    if context.config.own_address(&request.smdp_address).is_none() {
        // req: SGP.22-5.6.1-Address
        return Err(Status::SmdpAddressRefused
            .because(format!("this SM-DP+ is {}", context.config.address))
            .about(&request.smdp_address)
            .into());
    }
    check_svn(context.config, request)?;
    let info = &request.euicc_info1;
    let (server_ci, dp) = info
        .euicc_ci_pk_id_list_for_verification
        .iter()
        .find_map(|ci| Some((ci, context.credentials.below(ci)?)))
        .ok_or_else(|| {
            // req: SGP.22-5.6.1-CiForVerification
            Status::CiForVerificationUnavailable
                .because("this SM-DP+ has no certificate below any CI that the eUICC can verify")
        })?;
    // In the eUICC's order of preference.
    let euicc_ci = info
        .euicc_ci_pk_id_list_for_signing
        .iter()
        .find(|ci| context.credentials.anchors.find(ci).is_some())
        .ok_or_else(|| {
            // req: SGP.22-5.6.1-CiForSigning
            Status::CiForSigningUnsupported.because("this SM-DP+ trusts no CI below which the eUICC can sign")
        })?;

    let challenge =
        Challenge::new(context.world, &dp.auth.key, request.euicc_challenge, &request.smdp_address);
    let session = Session {
        server_address: request.smdp_address.clone(),
        server_ci: server_ci.clone(),
        euicc_ci: euicc_ci.clone(),
        expires: context.now.plus(context.config.session_lifetime),
        awaits: Awaits::AuthenticateClient { server_challenge: Octets(challenge.server_challenge.to_vec()) },
    };
    context.tx.put(&SESSIONS, &challenge.transaction_id.to_string(), &session)?;
    Ok(InitiateAuthenticationOk {
        transaction_id: challenge.transaction_id,
        server_signed1: challenge.server_signed1,
        server_signature1: challenge.server_signature1,
        euicc_ci_pk_id_to_be_used: euicc_ci.clone(),
        server_certificate: CertificateDer(dp.auth.certificate.der().to_vec()),
    })
}

fn check_svn(config: &Config, request: &InitiateAuthenticationRequest) -> Result<(), Refusal> {
    let svn = request.euicc_info1.svn;
    if (config.lowest_svn..=config.highest_svn).contains(&svn) {
        return Ok(());
    }
    // req: SGP.22-5.6.1-Svn
    Err(Status::SvnUnsupported
        .because(format!(
            "this SM-DP+ serves eUICCs of versions {} to {}",
            config.lowest_svn, config.highest_svn
        ))
        .about(svn))
}
