//! /admin/v1/sessions: downloads in progress.

use rsp::{
    ids::{Eid, Iccid, SubjectKeyIdentifier, TransactionId},
    time::Timestamp,
};
use rsp_server::api::Arguments;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Context, Problem, schema::MatchingIdText};
use crate::records::{Awaits, Offer, SESSIONS, Session};

/// An ES9+ session.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct SessionView {
    #[schemars(with = "TransactionId")]
    transaction_id: String,
    /// The server address in the signed challenge.
    server_address: String,
    /// SubjectKeyIdentifier of the CI under which the eUICC signs.
    #[schemars(with = "String")]
    euicc_ci: SubjectKeyIdentifier,
    /// The next ES9+ function that the session allows.
    awaits: Awaited,
    /// The offered profile, once it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    iccid: Option<Iccid>,
    /// The MatchingID that the eUICC requested.
    #[schemars(with = "Option<MatchingIdText>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    matching_id: Option<String>,
    /// The eUICC, once it is authenticated.
    #[serde(skip_serializing_if = "Option::is_none")]
    eid: Option<Eid>,
    /// The time at which the session expires.
    expires: Timestamp,
}

/// The function that a session waits for.
#[derive(Serialize, JsonSchema)]
enum Awaited {
    AuthenticateClient,
    GetBoundProfilePackage,
    ProfileInstallationResult,
}

/// GET /admin/v1/sessions
pub(super) async fn list(context: &mut Context<'_, '_>, _: &Arguments) -> Result<Vec<SessionView>, Problem> {
    let decision = &mut context.decision;
    let sessions = decision.tx.list(&SESSIONS, "").await?;
    let alive = sessions.into_iter().filter(|(_, session)| session.expires > decision.now);
    Ok(alive.map(|(id, session)| SessionView::of(id, session)).collect())
}

/// DELETE /admin/v1/sessions/{transactionId}
pub(super) async fn remove(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<TransactionId>,
) -> Result<(), Problem> {
    let id = arguments.id.to_string();
    let tx = &mut *context.decision.tx;
    if tx.get(&SESSIONS, &id).await?.is_none() {
        return Err(Problem::not_found(
            format!("cannot delete session {id}"),
            "no session has this TransactionID",
            "GET /admin/v1/sessions lists all sessions",
        ));
    }
    tx.delete(&SESSIONS, &id);
    Ok(())
}

impl SessionView {
    fn of(transaction_id: String, session: Session) -> Self {
        let (awaits, offer): (_, Option<Offer>) = match session.awaits {
            Awaits::AuthenticateClient { .. } => (Awaited::AuthenticateClient, None),
            Awaits::GetBoundProfilePackage { offer, .. } => (Awaited::GetBoundProfilePackage, Some(offer)),
            Awaits::ProfileInstallationResult { offer, .. } => {
                (Awaited::ProfileInstallationResult, Some(offer))
            }
        };
        Self {
            transaction_id,
            server_address: session.server_address,
            euicc_ci: session.euicc_ci,
            awaits,
            iccid: offer.as_ref().map(|offer| offer.iccid),
            eid: offer.as_ref().map(|offer| offer.eid),
            matching_id: offer.map(|offer| offer.matching_id),
            expires: session.expires,
        }
    }
}
