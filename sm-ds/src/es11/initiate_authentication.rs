//! ES11.InitiateAuthentication: SGP.22 section 5.8.1, which is 5.6.1 with the subjects of an SM-DS.
//!
//! The order of the checks is observable, so keep it.

use rsp::{
    der::Raw,
    ids::{CertificateDer, TransactionId},
    sgp22::{
        ServerSigned1,
        es11::{InitiateAuthenticationOk, InitiateAuthenticationRequest},
    },
    status::Status,
};

use crate::{
    decision::{Context, Decision},
    records::{SESSIONS, Session},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    request: &InitiateAuthenticationRequest,
) -> Decision<InitiateAuthenticationOk> {
    let config = context.config;
    if !config.is_own_address(&request.smds_address) {
        return Err(Status::SmdsAddressRefused
            .because(format!("this SM-DS is {}", config.address))
            .about(&request.smds_address)
            .into());
    }
    let info = &request.euicc_info1;
    if !(config.lowest_svn..=config.highest_svn).contains(&info.svn) {
        return Err(Status::SmdsSvnUnsupported
            .because(format!(
                "this SM-DS serves eUICCs of versions {} to {}",
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
            Status::SmdsCiForVerificationUnavailable
                .because("this SM-DS has no certificate below any CI that the eUICC can verify")
        })?;
    // In the eUICC's order of preference.
    let euicc_ci = info
        .euicc_ci_pk_id_list_for_signing
        .iter()
        .find(|ci| context.credentials.anchors.find(ci).is_some())
        .ok_or_else(|| {
            Status::SmdsCiForSigningUnsupported
                .because("this SM-DS trusts no CI below which the eUICC can sign")
        })?;

    let transaction_id = TransactionId(context.world.random::<16>().to_vec());
    let server_challenge = context.world.random::<16>();
    let server_signed1 = Raw::new(ServerSigned1 {
        transaction_id: transaction_id.clone(),
        euicc_challenge: request.euicc_challenge,
        server_address: request.smds_address.clone(),
        server_challenge,
    });
    let session = Session {
        server_address: request.smds_address.clone(),
        euicc_ci: euicc_ci.clone(),
        server_challenge,
        expires: context.now.plus(config.session_lifetime),
    };
    context.tx.put(&SESSIONS, &transaction_id.to_string(), &session)?;
    Ok(InitiateAuthenticationOk {
        server_signature1: auth.key.sign(server_signed1.bytes()).as_bytes().to_vec(),
        transaction_id,
        server_signed1,
        euicc_ci_pk_id_to_be_used: euicc_ci.clone(),
        server_certificate: CertificateDer(auth.certificate.der().to_vec()),
    })
}
