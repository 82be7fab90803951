//! ES9+.InitiateAuthentication: SGP.22 section 5.6.1.
//!
//! Checks that the request is addressed to this server and that both sides have a CI in common,
//! then creates a session.

use rsp::{
    sgp22::es9plus::{InitiateAuthenticationOk, InitiateAuthenticationRequest},
    status::Status,
};
use rsp_server::{
    Decision,
    mutual_authentication::{Challenge, InitiationRules, InitiationStatuses},
};

use crate::{
    context::Context,
    records::{Awaits, Octets, SESSIONS, Session},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    request: &InitiateAuthenticationRequest,
) -> Decision<InitiateAuthenticationOk> {
    let (config, credentials) = (context.config, context.credentials);
    let rules = InitiationRules {
        role: "SM-DP+",
        statuses: InitiationStatuses {
            address: Status::SmdpAddressRefused,
            version: Status::SvnUnsupported,
            verification: Status::CiForVerificationUnavailable,
            signing: Status::CiForSigningUnsupported,
        },
        settings: &config.server,
        anchors: &credentials.anchors,
    };
    // req: SGP.22-5.6.1-Order
    let selected = rules.select(&request.smdp_address, &request.euicc_info1, |ci| credentials.below(ci))?;

    let auth = &selected.credentials.auth;
    let challenge = Challenge::new(context.world, &auth.key, request.euicc_challenge, &request.smdp_address);
    let session = Session {
        server_address: request.smdp_address.clone(),
        server_ci: selected.server_ci.clone(),
        euicc_ci: selected.euicc_ci.clone(),
        expires: context.now.plus(config.server.session_lifetime),
        awaits: Awaits::AuthenticateClient { server_challenge: Octets(challenge.server_challenge.to_vec()) },
    };
    context.tx.put(&SESSIONS, &challenge.transaction_id.to_string(), &session)?;
    Ok(challenge.reply(selected.euicc_ci, &auth.certificate))
}
