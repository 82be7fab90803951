//! ES11.InitiateAuthentication: SGP.22 section 5.8.1. The function works as in section 5.6.1, but
//! its errors have the status subjects of an SM-DS.

use rsp::{
    sgp22::es11::{InitiateAuthenticationOk, InitiateAuthenticationRequest},
    status::Status,
};
use rsp_server::{
    Decision,
    mutual_authentication::{Challenge, InitiationRules, InitiationStatuses},
};

use crate::{
    context::Context,
    records::{SESSIONS, Session},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    request: &InitiateAuthenticationRequest,
) -> Decision<InitiateAuthenticationOk> {
    let (config, credentials) = (context.config, context.credentials);
    let rules = InitiationRules {
        role: "SM-DS",
        statuses: InitiationStatuses {
            address: Status::SmdsAddressRefused,
            version: Status::SmdsSvnUnsupported,
            verification: Status::SmdsCiForVerificationUnavailable,
            signing: Status::SmdsCiForSigningUnsupported,
        },
        settings: &config.server,
        anchors: &credentials.anchors,
    };
    let selected = rules.select(&request.smds_address, &request.euicc_info1, |ci| credentials.below(ci))?;

    let auth = selected.credentials;
    let challenge = Challenge::new(context.world, &auth.key, request.euicc_challenge, &request.smds_address);
    let session = Session {
        server_address: request.smds_address.clone(),
        euicc_ci: selected.euicc_ci.clone(),
        server_challenge: challenge.server_challenge,
        expires: context.now.plus(config.server.session_lifetime),
    };
    context.tx.put(&SESSIONS, &challenge.transaction_id.to_string(), &session)?;
    Ok(challenge.reply(selected.euicc_ci, &auth.certificate))
}
