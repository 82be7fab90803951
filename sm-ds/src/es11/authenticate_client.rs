//! ES11.AuthenticateClient: SGP.22 section 5.8.2.
//!
//! Checks the eUICC's proof of identity and returns the events registered for it. The order of the
//! checks is observable and must not change.

use certs::EuiccCertificate;
use rsp::{
    sgp22::{
        CtxParams1,
        es10b::AuthenticateResponseOk,
        es11::{AuthenticateClientOk, AuthenticateClientRequest, EventEntries},
    },
    status::{Refusal, Status},
};
use rsp_server::{Decision, mutual_authentication::SentChallenge};

use crate::{
    context::Context,
    records::{EVENTS, RegisteredEvent, SESSIONS, event_key, events_of},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    request: &AuthenticateClientRequest,
) -> Decision<AuthenticateClientOk> {
    let id = &request.transaction_id;
    let session = context.tx.get(&SESSIONS, &id.to_string()).await?;
    let session = session.filter(|session| session.expires > context.now).ok_or_else(|| {
        // req: SGP.22-5.8.2-TransactionId
        Status::TransactionUnknown.because("no session with this TransactionID is open").about(id)
    })?;
    // A challenge can be answered only once, whether the answer is valid or not.
    // req: SGP.22-5.8.2-Once
    context.tx.delete(&SESSIONS, &id.to_string());
    let challenged = SentChallenge {
        transaction_id: id,
        server_challenge: &session.server_challenge,
        server_address: &session.server_address,
        euicc_ci: &session.euicc_ci,
    };
    let answer = &request.authenticate_server_response;
    let (euicc, answer) = challenged.check(&context.credentials.anchors, context.now, answer)?;
    Ok(AuthenticateClientOk {
        transaction_id: id.clone(),
        event_entries: waiting(context, &euicc, requested_event_id(answer)?).await?,
    })
}

/// Returns the ID of the requested event. A missing ID is equivalent to an empty one.
fn requested_event_id(answer: &AuthenticateResponseOk) -> Result<&str, Refusal> {
    match &*answer.euicc_signed1.ctx_params1 {
        CtxParams1::CtxParamsForCommonAuthentication(params) => {
            Ok(params.matching_id.as_deref().unwrap_or_default())
        }
        // req: SGP.22-5.8.2-Function
        _ => Err(Status::FunctionUnsupported.because("this SM-DS supports the retrieval of events only")),
    }
}

/// Returns the event with this ID or, if the ID is empty, all events of the eUICC, oldest first.
async fn waiting(
    context: &mut Context<'_, '_>,
    euicc: &EuiccCertificate,
    event_id: &str,
) -> Decision<Vec<EventEntries>> {
    if event_id.is_empty() {
        let mut events = context.tx.list(&EVENTS, &events_of(euicc.eid)).await?;
        events.sort_by_key(|(_, event)| event.registered);
        return Ok(events.into_iter().map(|(_, event)| entry(event)).collect());
    }
    match context.tx.get(&EVENTS, &event_key(euicc.eid, event_id)).await? {
        Some(event) => Ok(vec![entry(event)]),
        None => {
            let why = "no event with this id waits for this eUICC";
            // req: SGP.22-5.8.2-EventUnknown
            Err(Status::EventUnknown.because(why).about(event_id).into())
        }
    }
}

fn entry(event: RegisteredEvent) -> EventEntries {
    EventEntries { event_id: event.event_id, rsp_server_address: event.rsp_server_address.to_string() }
}
