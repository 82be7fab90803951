//! ES10b.GetEUICCChallenge: SGP.22 section 5.7.7. Starts a new session and discards the previous
//! one.

use rsp::sgp22::es10b::{GetEuiccChallengeRequest, GetEuiccChallengeResponse};

use crate::consumer::ConsumerContext;
use crate::state::session::Session;

pub(crate) fn get_euicc_challenge(
    context: &mut ConsumerContext<'_>,
    _: GetEuiccChallengeRequest,
) -> GetEuiccChallengeResponse {
    let challenge = context.world.random();
    context.volatile.session = Session::ExpectAuthenticateServer { challenge };
    GetEuiccChallengeResponse { euicc_challenge: challenge }
}
