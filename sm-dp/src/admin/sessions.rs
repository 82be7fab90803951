//! /admin/v1/sessions: downloads in progress. A session belongs to the namespace of the profile that
//! it offers. Before the eUICC is authenticated, it belongs to the default namespace.

use rsp::{
    ids::{Eid, Iccid, SubjectKeyIdentifier, TransactionId},
    time::Timestamp,
};
use rsp_server::{
    Namespace,
    api::{self, Arguments, Listing, NoId, Page, Revised, Waiting},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Problem, schema::MatchingIdText};
use crate::records::{Awaits, Offer, SESSIONS, Session};

/// Selects sessions. A field that is absent selects all.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SessionFilter {
    /// The next ES9+ function that the session allows.
    awaits: Option<Awaited>,
    /// The eUICC. A session has its EID once the eUICC is authenticated.
    eid: Option<Eid>,
}

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
enum Awaited {
    AuthenticateClient,
    GetBoundProfilePackage,
    ProfileInstallationResult,
}

/// GET /admin/v1/sessions
pub(super) async fn list(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, Listing<SessionFilter>>,
) -> Result<Page<SessionView>, Problem> {
    let listing = &arguments.query;
    let (namespace, now) = (&context.decision.namespace, context.decision.now);
    let select = |id: &str, session| listing.filter.select(namespace, now, id, session);
    Ok(listing.page(context.decision.tx, &SESSIONS, select).await?)
}

/// GET /admin/v1/sessions/latest
pub(super) async fn latest(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, SessionFilter>,
) -> Result<Option<Revised<SessionView>>, Problem> {
    let (namespace, now) = (&context.decision.namespace, context.decision.now);
    let select = |id: &str, session| arguments.query.select(namespace, now, id, session);
    Ok(api::latest(context.decision.tx, &SESSIONS, select).await?)
}

/// GET /admin/v1/sessions/wait
pub(super) async fn wait(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<NoId, Waiting<SessionFilter>>,
) -> Result<Option<Revised<SessionView>>, Problem> {
    let Waiting { filter, after, .. } = &arguments.query;
    let (namespace, now) = (&context.decision.namespace, context.decision.now);
    let select = |id: &str, session| filter.select(namespace, now, id, session);
    Ok(api::first_after(context.decision.tx, &SESSIONS, *after, select).await?)
}

/// DELETE /admin/v1/sessions/{transactionId}
pub(super) async fn remove(
    context: &mut Context<'_, '_>,
    arguments: &Arguments<TransactionId>,
) -> Result<(), Problem> {
    let id = arguments.id.to_string();
    let namespace = &context.decision.namespace;
    let tx = &mut *context.decision.tx;
    let found = tx.get(&SESSIONS, &id).await?;
    if found.is_none_or(|session| session.namespace() != *namespace) {
        return Err(Problem::not_found(
            format!("cannot delete session {id}"),
            "no session of the namespace has this TransactionID",
            "GET /admin/v1/sessions lists all sessions",
        ));
    }
    tx.delete(&SESSIONS, &id);
    Ok(())
}

impl SessionFilter {
    fn select(
        &self,
        namespace: &Namespace,
        now: Timestamp,
        transaction_id: &str,
        session: Session,
    ) -> Option<SessionView> {
        let is_alive = session.expires > now && session.namespace() == *namespace;
        let view = SessionView::of(transaction_id.to_owned(), session);
        let is_selected = is_alive
            && self.awaits.is_none_or(|awaits| view.awaits == awaits)
            && self.eid.is_none_or(|eid| view.eid == Some(eid));
        is_selected.then_some(view)
    }
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
