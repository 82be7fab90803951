//! ES11.AuthenticateClient: SGP.22 section 5.8.2.
//!
//! The eUICC has proved itself; we check the proof and say what waits for it.
//! The order of the checks is observable, so keep it.

use certs::{Certificate, ChainError, EuiccCertificate, Flaw, Verified, check_euicc};
use crypto::Signature;
use rsp::{
    ids::TransactionId,
    sgp22::{
        CtxParams1,
        es10b::{AuthenticateResponseOk, AuthenticateServerResponse},
        es11::{AuthenticateClientOk, AuthenticateClientRequest, EventEntries},
    },
    status::{Refusal, Status},
};

use crate::{
    decision::{Context, Decision},
    records::{EVENTS, RegisteredEvent, SESSIONS, Session, event_key, events_of},
};

pub(crate) async fn execute(
    context: &mut Context<'_, '_>,
    request: &AuthenticateClientRequest,
) -> Decision<AuthenticateClientOk> {
    let id = &request.transaction_id;
    let session = context.tx.get(&SESSIONS, &id.to_string()).await?;
    let session = session.filter(|session| session.expires > context.now).ok_or_else(|| {
        Status::TransactionUnknown.because("no session with this TransactionID is open").about(id)
    })?;
    // A challenge is answered once, well or badly.
    context.tx.delete(&SESSIONS, &id.to_string());
    let response = match &request.authenticate_server_response {
        AuthenticateServerResponse::AuthenticateResponseOk(response) => response,
        AuthenticateServerResponse::AuthenticateResponseError(error) => {
            same_transaction(id, &error.transaction_id)?;
            return Err(Status::EuiccVerificationFailed
                .because(format!("the eUICC refused this server: {}", error.authenticate_error_code))
                .into());
        }
    };
    let euicc = check_euicc_answer(context, id, &session, response)?;
    Ok(AuthenticateClientOk {
        transaction_id: id.clone(),
        event_entries: waiting(context, &euicc, wanted(response)?).await?,
    })
}

/// That it is an eUICC of a CI we trust, and that it answers this session's challenge.
fn check_euicc_answer(
    context: &Context<'_, '_>,
    id: &TransactionId,
    session: &Session,
    response: &AuthenticateResponseOk,
) -> Result<Verified<EuiccCertificate>, Refusal> {
    let eum = Certificate::from_der(response.eum_certificate.0.clone())
        .map_err(|e| Status::EumCertificateVerificationFailed.because(e.to_string()))?;
    let euicc = Certificate::from_der(response.euicc_certificate.0.clone())
        .map_err(|e| Status::EuiccCertificateVerificationFailed.because(e.to_string()))?;
    let euicc = check_euicc(&context.credentials.anchors, &euicc, &eum, context.now).map_err(refusal_of)?;
    if euicc.ci_key_id != session.euicc_ci {
        return Err(Status::CiUnknown
            .because("the eUICC signed under another CI than it was told to")
            .about(&euicc.ci_key_id));
    }
    let signed = &response.euicc_signed1;
    Signature::from_slice(&response.euicc_signature1)
        .and_then(|signature| euicc.public_key.verify(signed.bytes(), &signature))
        .map_err(|e| {
            Status::EuiccVerificationFailed.because(format!("euiccSignature1 does not verify: {e}"))
        })?;
    same_transaction(id, &signed.transaction_id)?;
    if signed.server_challenge != session.server_challenge {
        return Err(Status::EuiccVerificationFailed.because("serverChallenge is not the one that was given"));
    }
    if signed.server_address != session.server_address {
        return Err(Status::EuiccVerificationFailed.because("the eUICC signed another server address"));
    }
    Ok(euicc)
}

/// The TransactionID inside the eUICC's answer must be the one outside.
fn same_transaction(outside: &TransactionId, signed: &TransactionId) -> Result<(), Refusal> {
    if outside == signed {
        return Ok(());
    }
    Err(Status::TransactionUnknown.because("the eUICC's answer names another TransactionID").about(signed))
}

/// A chain that does not hold, in the words of ES11.
fn refusal_of(error: ChainError) -> Refusal {
    let status = match &error {
        ChainError::UnknownCi { .. } | ChainError::Ci(_) => Status::CiUnknown,
        ChainError::Eum(Flaw::Expired(_)) => Status::EumCertificateExpired,
        ChainError::Eum(_) => Status::EumCertificateVerificationFailed,
        ChainError::Euicc(Flaw::Expired(_)) => Status::EuiccCertificateExpired,
        _ => Status::EuiccCertificateVerificationFailed,
    };
    status.because(error.to_string())
}

/// The event that the LPA asks for; none is as good as an empty one.
fn wanted(response: &AuthenticateResponseOk) -> Result<&str, Refusal> {
    match &response.euicc_signed1.ctx_params1 {
        CtxParams1::CtxParamsForCommonAuthentication(wanted) => {
            Ok(wanted.matching_id.as_deref().unwrap_or_default())
        }
        _ => Err(Status::FunctionUnsupported.because("this SM-DS lists events and does nothing else")),
    }
}

/// The event with this id, or everything that waits for the eUICC, longest first.
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
            Err(Status::EventUnknown.because(why).about(event_id).into())
        }
    }
}

fn entry(event: RegisteredEvent) -> EventEntries {
    EventEntries { event_id: event.event_id, rsp_server_address: event.rsp_server_address.to_string() }
}
