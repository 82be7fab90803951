//! A function of ESipa as an entry of the function table: decoding, transactions, and the reply in the
//! binding of the request.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, StatusCode};
use rsp::{
    der::{Asn1, DecodeError, Problem, Tag},
    finding::{self, Finding, FindingKind},
    sgp22::{self, headers::check_content_type},
    sgp32::esipa::{self, HandleNotificationRequest, MessageFromEim, Reply as EsipaReply},
    status::{Refusal, Status},
    time::Timestamp,
};
use rsp_server::{Binding, Decision, Interface, Rejection, Reply, ResponseEncoder, Route, without_fault};
use serde::de::DeserializeOwned;
use world::{BoxFuture, Fault, Outcome, PeerAddress};

use crate::{context::Context, records::SESSIONS, server::Eim};

/// The interface between IPA and eIM.
const ESIPA: Interface = Interface { name: "ESipa", peer: "IPA", paths: &[path] };

fn path(function: &str) -> String {
    format!("/gsma/rsp2/esipa/{function}")
}

/// A running call of a function.
pub(crate) struct Call<'a> {
    pub(crate) eim: &'a Eim,
    pub(crate) now: Timestamp,
    source: Option<std::net::IpAddr>,
    findings: Mutex<Vec<Finding>>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(eim: &'a Eim, now: Timestamp) -> Self {
        Self { eim, now, source: None, findings: Mutex::default() }
    }

    fn of(eim: &'a Eim, request: &Request<Bytes>, now: Timestamp, findings: Vec<Finding>) -> Self {
        let source = request.extensions().get::<PeerAddress>().map(|PeerAddress(address)| *address);
        Self { eim, now, source, findings: Mutex::new(findings) }
    }

    /// Runs one transaction and commits it. A refusal is committed, too.
    pub(crate) async fn transact<Q: Sync, T: Send>(
        &self,
        input: &Q,
        decide: for<'b, 'c, 'r> fn(&'b mut Context<'c, 'r>, &'b Q) -> BoxFuture<'b, Decision<T>>,
    ) -> Decision<T> {
        let core = &self.eim.0.core;
        let (decision, findings, sessions) = world::transact(&*core.records, |tx| {
            Box::pin(async move {
                let mut context = core.context(tx, self.now);
                let decision = decide(&mut context, input).await;
                let findings = context.findings;
                Ok((without_fault(decision)?, findings, tx.changes(&SESSIONS)?))
            })
        })
        .await?;
        core.sessions.committed(sessions, self.source);
        self.report(findings);
        decision.map_err(Rejection::Refusal)
    }

    /// Adds accepted deviations of the peer.
    pub(crate) fn report(&self, findings: Vec<Finding>) {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).extend(findings);
    }

    fn into_findings(self) -> Vec<Finding> {
        self.findings.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Executes a function.
pub(crate) type Execute<Q, R> = for<'a> fn(&'a Call<'a>, &'a Q) -> BoxFuture<'a, Decision<R>>;

/// A function with a reply.
pub(crate) struct Function<Q, R> {
    name: &'static str,
    title: fn() -> String,
    tag: Tag,
    execute: Execute<Q, R>,
    message: fn(R) -> MessageFromEim,
    opens_session: bool,
}

impl<Q: Asn1, R> Function<Q, R> {
    pub(crate) const fn of<F: sgp22::Function<Request = Q, Reply = R>>(
        message: fn(R) -> MessageFromEim,
        execute: Execute<Q, R>,
    ) -> Self {
        Self { name: F::NAME, title: F::title, tag: Q::TAG, execute, message, opens_session: false }
    }

    /// Marks a function with which anyone can open a session.
    pub(crate) const fn opening_a_session(mut self) -> Self {
        self.opens_session = true;
        self
    }
}

impl<Q, R> Route<Eim> for Function<Q, R>
where
    Q: Asn1 + DeserializeOwned + Send + Sync,
    R: EsipaReply + Clone + Send,
{
    fn interface(&self) -> &'static Interface {
        &ESIPA
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn title(&self) -> String {
        (self.title)()
    }

    fn asn1_tag(&self) -> Option<Tag> {
        Some(self.tag)
    }

    fn answer<'a>(
        &'a self,
        server: &'a Eim,
        request: &'a Request<Bytes>,
        encoder: ResponseEncoder,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Reply, Fault>> {
        Box::pin(async move {
            let core = &server.0.core;
            let (decoded, findings) = decode::<Q>(request, encoder);
            let decoded = match decoded {
                Ok(decoded) => decoded,
                Err(refusal) => {
                    return Ok(self.encode(server, encoder, Err(refusal)).with_findings(findings));
                }
            };
            let call = Call::of(server, request, now, findings);
            let most = core.config.server.max_unauthenticated_sessions;
            if self.opens_session && core.sessions.is_full(call.source, most, now) {
                return Ok(encoder.busy("too many sessions wait for the authentication of their eUICC"));
            }
            let decision = (self.execute)(&call, &decoded).await;
            let findings = call.into_findings();
            Ok(self.encode(server, encoder, without_fault(decision)?).with_findings(findings))
        })
    }
}

impl<Q, R: EsipaReply + Clone> Function<Q, R> {
    fn encode(&self, server: &Eim, encoder: ResponseEncoder, decision: Result<R, Refusal>) -> Reply {
        let outcome = match &decision {
            Err(refusal) => Outcome::Refused(refusal.to_string()),
            Ok(reply) => match reply.clone().into_output() {
                Err(refusal) => Outcome::Refused(refusal.to_string()),
                Ok(_) => refusal_in((self.message)(reply.clone())).map_or(Outcome::Done, Outcome::Refused),
            },
        };
        let response = match encoder.binding {
            Binding::Json => esipa::json::response(encoder.version, decision),
            Binding::Asn1 => {
                let reply = decision.unwrap_or_else(|refusal| R::of_status(Some(refusal.status)));
                let peer = server.0.core.config.peer_version;
                esipa::asn1::response(encoder.version, peer, &(self.message)(reply))
            }
        };
        Reply::new(response, outcome)
    }
}

/// Returns the error of a reply whose JSON form has the error as a member. That there is no package is
/// the usual reply to a poll.
fn refusal_in(message: MessageFromEim) -> Option<String> {
    use esipa::{EimPackageError, GetEimPackageResponse, ProvideEimPackageResultResponse};
    match message {
        MessageFromEim::GetEimPackageResponse(GetEimPackageResponse::EimPackageError(code))
            if code != EimPackageError::NO_EIM_PACKAGE_AVAILABLE =>
        {
            Some(code.to_string())
        }
        MessageFromEim::ProvideEimPackageResultResponse(
            ProvideEimPackageResultResponse::ProvideEimPackageResultError(code),
        ) => Some(code.to_string()),
        _ => None,
    }
}

fn decode<Q: Asn1 + DeserializeOwned>(
    request: &Request<Bytes>,
    encoder: ResponseEncoder,
) -> (Result<Q, Refusal>, Vec<Finding>) {
    // req: SGP.32-6.4-Body
    finding::collect(|| match encoder.binding {
        Binding::Asn1 => Q::from_peer(request.body()).map_err(|error| refusal_of(&error)),
        Binding::Json => {
            check_content_type(request.headers(), "application/json")?;
            esipa::json::read(request.body())
        }
    })
}

/// The tag of the EID in requests of an IPA.
const EID: Tag = Tag(0x5A);

fn refusal_of(error: &DecodeError) -> Refusal {
    let status = match error.problem {
        Problem::Missing { expected: EID } | Problem::UnexpectedTag { expected: EID, .. } => {
            Status::EidMissing
        }
        _ if error.path.ends_with("eidValue") || error.path.ends_with("eid_value") => Status::FormatInvalid,
        // Has no code of its own, and becomes undefinedError.
        _ => Status::EuiccExecutionError,
    };
    status.because(error.to_string())
}

/// HandleNotification, which has no reply.
pub(crate) struct Notifications(pub(crate) Execute<HandleNotificationRequest, ()>);

impl Route<Eim> for Notifications {
    fn interface(&self) -> &'static Interface {
        &ESIPA
    }

    fn name(&self) -> &'static str {
        <esipa::HandleNotification as sgp22::Function>::NAME
    }

    fn title(&self) -> String {
        <esipa::HandleNotification as sgp22::Function>::title()
    }

    fn asn1_tag(&self) -> Option<Tag> {
        Some(HandleNotificationRequest::TAG)
    }

    fn answer<'a>(
        &'a self,
        server: &'a Eim,
        request: &'a Request<Bytes>,
        encoder: ResponseEncoder,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Reply, Fault>> {
        Box::pin(async move {
            let (decoded, findings) = decode::<HandleNotificationRequest>(request, encoder);
            let decoded = match decoded {
                Ok(decoded) => decoded,
                Err(refusal) => {
                    return Ok(encoder
                        .rejected(StatusCode::BAD_REQUEST, refusal.message)
                        .with_findings(findings));
                }
            };
            let call = Call::of(server, request, now, findings);
            let decision = without_fault((self.0)(&call, &decoded).await)?;
            let findings = call.into_findings();
            let is_over_limit =
                findings.iter().any(|finding| finding.kind == FindingKind::NotificationOverLimit);
            // req: SGP.32-5.14.7-Status
            Ok(match decision {
                Ok(()) => Reply::new(esipa::asn1::no_content(encoder.version), Outcome::Done),
                // The IPA keeps the notification and sends it again.
                Err(refusal) if is_over_limit => encoder.busy(&refusal.message),
                Err(refusal) => encoder.rejected(StatusCode::BAD_REQUEST, refusal.to_string()),
            }
            .with_findings(findings))
        })
    }
}
