//! Tampered messages: false statements that a party makes under its own valid keys.
//!
//! The party itself is correct. A wrapper around its link reads a message, changes one thing in it
//! and signs the message again with the keys of the [`TamperingPeer`]. It changes the answers of an
//! SM-DP+ on their way to the device, and the requests of a device, signed by its card, on their
//! way to the SM-DP+. [`FaultInjector::link`] installs this wrapper around the peer, inside the
//! wrapper for the faults of the link.
//!
//! Tampering is possible in the JSON binding of ES9+, on ES3 between an SM-DP and an SM-SR, and in the
//! ASN.1 binding of ESipa, over HTTPS and CoAP. ESipa includes what eIM and card sign for each other
//! (ESep).

mod card;
mod elements;
mod esipa;
mod m2m;
mod package;
mod server;

use std::sync::PoisonError;

use bytes::Bytes;
use certs::{Certificate, PkiError, Role};
use crypto::{Curve, SecretKey};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderValue, Request, Response};
use rsp::der::{Tag, tlv_bytes};
use rsp::ids::{CertificateDer, Eid, TransactionId, Version};
use rsp::sgp22::PendingNotification;
use rsp::sgp22::es9plus::{
    AuthenticateClientOk, AuthenticateClientRequest, CancelSessionRequestEs9, GetBoundProfilePackageOk,
    GetBoundProfilePackageRequest, HandleNotificationRequest, InitiateAuthenticationOk,
};
use rsp::sgp22::es10b::AuthenticateServerResponse;
use rsp::sgp22::json::{self, Answer};
use world::{Fault, Link, LinkFault, LinkFaultKind, link_from};

use super::acts::false_statement::FalseStatement;
use super::catalogue::{Entry, FaultId, Places};
use super::fault_spec::FaultSpec;
use super::function::function_of;
use super::injector::{FaultInjector, InjectedFault};
use super::tampering_peer::{ObservedSession, TamperingPeer};

/// Maximum number of sessions that are remembered at a time.
const SESSIONS: usize = 256;

const SIGNATURE: Tag = Tag(0x5F37);

/// The version in a header that is created but not sent.
const VERSION: Version = Version([2, 5, 0]);

impl TamperingPeer {
    /// Remembers the parties of the session, because later functions do not name them.
    fn observe_session(&self, call: &Call, reply: &Reply) {
        let (Call::AuthenticateClient(request), Reply::Offer(offer)) = (call, reply) else { return };
        let AuthenticateServerResponse::AuthenticateResponseOk(card) = &request.authenticate_server_response
        else {
            return;
        };
        let card = Certificate::from_der(card.euicc_certificate.0.clone());
        let binding = Certificate::from_der(offer.smdp_certificate.0.clone());
        let (Ok(card), Ok(binding)) = (card, binding) else { return };
        let Some(eid) = card.eid() else { return };
        let transaction_id = offer.transaction_id.clone();
        let session = ObservedSession {
            transaction_id,
            eid,
            card: card.curve(),
            binding: binding.curve(),
            smdp_signature2: offer.smdp_signature2.clone(),
        };
        let mut observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        observed.push_front(session);
        observed.truncate(SESSIONS);
    }

    fn observed(&self, transaction_id: &TransactionId) -> Result<ObservedSession, Fault> {
        let observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        let session = observed.iter().find(|session| session.transaction_id == *transaction_id).cloned();
        session.ok_or_else(|| cannot_falsify("the start of the session was not observed"))
    }

    /// The private key of the card of a session.
    fn card_key(&self, transaction_id: &TransactionId) -> Result<SecretKey, Fault> {
        let ObservedSession { eid, card, .. } = self.observed(transaction_id)?;
        Ok(self.pki.euicc(card, eid).map_err(no_key)?.euicc.key)
    }

    /// The private key of the server's certificate.
    fn server_key(&self, certificate: &CertificateDer) -> Result<SecretKey, Fault> {
        let certificate = read_certificate(certificate)?;
        let role = certificate.role().ok_or_else(|| cannot_falsify("the certificate has no role"))?;
        Ok(self.pki.credential(role, certificate.curve()).map_err(no_key)?.key)
    }
}

impl FaultInjector {
    /// Wraps the link to a peer with the false statements of both sides.
    pub(super) fn with_false_statements(&self, peer: Link) -> Link {
        let faults = self.clone();
        link_from(tower::service_fn(move |request: Request<Bytes>| {
            let (faults, peer) = (faults.clone(), peer.clone());
            async move {
                let Some(tampering_peer) = faults.tampering_peer() else {
                    return world::send(&peer, request).await;
                };
                tampering_peer.forward(&faults, &peer, request).await
            }
        }))
    }

    fn next_false_statement(
        &self,
        call: &Call,
        reply: Option<&Reply>,
    ) -> Option<(FalseStatement, InjectedFault)> {
        let function = call.function();
        let concerns = |spec: &FaultSpec| match spec.id() {
            FaultId::Tamper(act) => {
                let applies_here = spec.id().entry().is_some_and(|entry| applies_in(entry, function));
                applies_here && spec.is_at(&["ES9+", function]) && act.applies_to(call, reply)
            }
            _ => false,
        };
        let injected = self.next_fault(concerns)?;
        let FaultId::Tamper(act) = injected.id() else { return None };
        Some((act, injected))
    }
}

fn applies_in(entry: &Entry, function: &str) -> bool {
    matches!(&entry.places, Places::Functions(functions) if functions.split(", ").any(|place| place == function))
}

impl FalseStatement {
    /// True if the statement applies to this request (while there is no reply yet) or to this
    /// reply.
    fn applies_to(self, call: &Call, reply: Option<&Reply>) -> bool {
        match (self, reply) {
            (Self::Card(statement), None) => statement.applies_to(call),
            (Self::Certificate(Role::Euicc | Role::Eum, _), None) => card::shows_certificates(call),
            (Self::M2m(_) | Self::Eim(_) | Self::Iot(_), _)
            | (Self::Card(_) | Self::Certificate(Role::Euicc | Role::Eum, _), Some(_))
            | (_, None) => false,
            (_, Some(_)) => true,
        }
    }
}

impl TamperingPeer {
    async fn forward(
        &self,
        faults: &FaultInjector,
        peer: &Link,
        mut request: Request<Bytes>,
    ) -> Result<Response<Bytes>, LinkFault> {
        let Some(mut call) = Call::of(&request) else {
            return self.forward_message(faults, peer, request).await;
        };
        let name = request.uri().authority().map_or_else(|| "server".to_owned(), ToString::to_string);
        if let Some((act, injected)) = faults.next_false_statement(&call, None) {
            self.change_request(act, &mut call, &injected)
                .map_err(|why| falsification_failed(&name, &injected, &why))?;
            let body = call.body();
            set_content_length(request.headers_mut(), &body);
            *request.body_mut() = body;
        }
        let mut answer = world::send(peer, request).await?;
        let Some(mut reply) = Reply::of(&call, &answer) else { return Ok(answer) };
        self.observe_session(&call, &reply);
        if let Some((act, injected)) = faults.next_false_statement(&call, Some(&reply)) {
            self.answer(act, &call, &mut reply, &injected)
                .map_err(|why| falsification_failed(&name, &injected, &why))?;
            let body = reply.body();
            set_content_length(answer.headers_mut(), &body);
            *answer.body_mut() = body;
        }
        Ok(answer)
    }

    /// Changes the request of the device.
    fn change_request(
        &self,
        act: FalseStatement,
        call: &mut Call,
        injected: &InjectedFault,
    ) -> Result<(), Fault> {
        match act {
            FalseStatement::Card(statement) => self.change_card_message(statement, call, injected),
            FalseStatement::Certificate(role, defect) => self.present_card_certificate(role, defect, call),
            _ => Ok(()),
        }
    }

    /// Changes the reply of the SM-DP+.
    fn answer(
        &self,
        act: FalseStatement,
        call: &Call,
        reply: &mut Reply,
        injected: &InjectedFault,
    ) -> Result<(), Fault> {
        match (act, reply, call) {
            (FalseStatement::Server(statement), Reply::Challenge(reply), _) => {
                self.challenge(statement, reply)
            }
            (FalseStatement::Server(statement), Reply::Offer(reply), Call::AuthenticateClient(request)) => {
                self.offer(statement, request, reply)
            }
            (FalseStatement::Metadata(statement), Reply::Offer(reply), _) => {
                statement.change(&mut reply.profile_metadata);
                Ok(())
            }
            (FalseStatement::Server(statement), Reply::Package(reply), _) => {
                server::change_transaction_id(statement, reply);
                Ok(())
            }
            (_, Reply::Package(reply), Call::GetBoundProfilePackage(request)) => {
                self.bind(act, request, reply, injected)
            }
            (FalseStatement::Certificate(role, defect), Reply::Challenge(reply), _) => {
                self.present_dpauth(role, defect, reply)
            }
            (
                FalseStatement::Certificate(role, defect),
                Reply::Offer(reply),
                Call::AuthenticateClient(request),
            ) => self.present_dppb(role, defect, request, reply),
            _ => Ok(()),
        }
    }
}

/// A request of a device.
enum Call {
    InitiateAuthentication,
    AuthenticateClient(Box<AuthenticateClientRequest>),
    GetBoundProfilePackage(Box<GetBoundProfilePackageRequest>),
    CancelSession(Box<CancelSessionRequestEs9>),
    HandleNotification(Box<HandleNotificationRequest>),
}

impl Call {
    fn of(request: &Request<Bytes>) -> Option<Self> {
        let body = request.body();
        match function_of(request)?.as_str() {
            "ES9+.InitiateAuthentication" => Some(Self::InitiateAuthentication),
            "ES9+.AuthenticateClient" => Some(Self::AuthenticateClient(json::read(body).ok()?)),
            "ES9+.GetBoundProfilePackage" => Some(Self::GetBoundProfilePackage(json::read(body).ok()?)),
            "ES9+.CancelSession" => Some(Self::CancelSession(json::read(body).ok()?)),
            "ES9+.HandleNotification" => Some(Self::HandleNotification(json::read(body).ok()?)),
            _ => None,
        }
    }

    fn function(&self) -> &'static str {
        match self {
            Self::InitiateAuthentication => "ES9+.InitiateAuthentication",
            Self::AuthenticateClient(_) => "ES9+.AuthenticateClient",
            Self::GetBoundProfilePackage(_) => "ES9+.GetBoundProfilePackage",
            Self::CancelSession(_) => "ES9+.CancelSession",
            Self::HandleNotification(_) => "ES9+.HandleNotification",
        }
    }

    fn body(&self) -> Bytes {
        match self {
            Self::InitiateAuthentication => Bytes::new(),
            Self::AuthenticateClient(request) => written(request),
            Self::GetBoundProfilePackage(request) => written(request),
            Self::CancelSession(request) => written(request),
            Self::HandleNotification(request) => written(request),
        }
    }

    fn notification(&self) -> Option<&PendingNotification> {
        match self {
            Self::HandleNotification(request) => Some(&request.pending_notification),
            _ => None,
        }
    }
}

/// A successful reply of an SM-DP+.
enum Reply {
    Challenge(Box<InitiateAuthenticationOk>),
    Offer(Box<AuthenticateClientOk>),
    Package(Box<GetBoundProfilePackageOk>),
}

impl Reply {
    fn of(call: &Call, answer: &Response<Bytes>) -> Option<Self> {
        match call {
            Call::InitiateAuthentication => done(answer).map(Self::Challenge),
            Call::AuthenticateClient(_) => done(answer).map(Self::Offer),
            Call::GetBoundProfilePackage(_) => done(answer).map(Self::Package),
            Call::CancelSession(_) | Call::HandleNotification(_) => None,
        }
    }

    fn body(&self) -> Bytes {
        match self {
            Self::Challenge(reply) => answered(reply),
            Self::Offer(reply) => answered(reply),
            Self::Package(reply) => answered(reply),
        }
    }
}

fn done<T: serde::de::DeserializeOwned>(answer: &Response<Bytes>) -> Option<T> {
    match json::answer(answer) {
        Ok(Answer::Done(reply)) => Some(reply),
        _ => None,
    }
}

fn answered<T: serde::Serialize>(reply: &T) -> Bytes {
    json::response(VERSION, Ok(reply)).into_body()
}

fn written<T: serde::Serialize>(request: &T) -> Bytes {
    json::request("/", VERSION, request).into_body()
}

impl TamperingPeer {
    /// Forwards a message of ES3 or ESipa, and then its answer. Applies the false statements to both.
    async fn forward_message(
        &self,
        faults: &FaultInjector,
        peer: &Link,
        mut request: Request<Bytes>,
    ) -> Result<Response<Bytes>, LinkFault> {
        let is_tampered = |function: &String| ["ES3.", "ESipa."].iter().any(|it| function.starts_with(it));
        let Some(function) = function_of(&request).filter(is_tampered) else {
            return world::send(peer, request).await;
        };
        let name = request.uri().authority().map_or_else(|| "server".to_owned(), ToString::to_string);
        self.observe_token(request.body());
        if let Some((injected, altered)) = self.next_fault(faults, &function, request.body(), false) {
            let altered = altered.map_err(|why| falsification_failed(&name, &injected, &why))?;
            set_content_length(request.headers_mut(), &altered);
            *request.body_mut() = altered;
        }
        let mut answer = world::send(peer, request).await?;
        if let Some((injected, altered)) = self.next_fault(faults, &function, answer.body(), true) {
            let altered = altered.map_err(|why| falsification_failed(&name, &injected, &why))?;
            set_content_length(answer.headers_mut(), &altered);
            *answer.body_mut() = altered;
        }
        Ok(answer)
    }

    fn next_fault(
        &self,
        faults: &FaultInjector,
        function: &str,
        body: &[u8],
        is_answer: bool,
    ) -> Option<(InjectedFault, Result<Bytes, Fault>)> {
        let interface = function.split('.').next().unwrap_or_default();
        let concerns = |spec: &FaultSpec| match spec.id() {
            FaultId::Tamper(statement) => {
                let applies_here = spec.id().entry().is_some_and(|entry| applies_in(entry, function));
                applies_here
                    && spec.is_at(&[interface, function])
                    && self.altered_message(statement, body, is_answer).is_some()
            }
            _ => false,
        };
        let injected = faults.next_fault(concerns)?;
        let FaultId::Tamper(statement) = injected.id() else { return None };
        let altered = self.altered_message(statement, body, is_answer)?;
        Some((injected, altered))
    }

    /// Returns the tampered message of ES3 or ESipa, or `None` if the statement does not apply to the
    /// message.
    fn altered_message(
        &self,
        statement: FalseStatement,
        body: &[u8],
        is_answer: bool,
    ) -> Option<Result<Bytes, Fault>> {
        match statement {
            FalseStatement::M2m(statement) => self.altered_between_servers(statement, body),
            FalseStatement::Eim(statement) if is_answer => self.altered_by_eim(statement, body),
            FalseStatement::Iot(statement) if !is_answer => self.altered_by_device(statement, body),
            _ => None,
        }
    }

    /// An EID of the PKI other than this one.
    fn other_eid(&self, eid: Eid) -> Result<Eid, Fault> {
        let others = self.pki.eids(Curve::P256).into_iter().find(|each| *each != eid);
        others.ok_or_else(|| cannot_falsify("the PKI has only one card"))
    }
}

/// Updates the Content-Length header, if there is one.
fn set_content_length(headers: &mut HeaderMap, body: &Bytes) {
    if headers.contains_key(CONTENT_LENGTH) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
}

fn falsification_failed(peer: &str, injected: &InjectedFault, why: &Fault) -> LinkFault {
    LinkFault::new(LinkFaultKind::Reset, peer, format!("{}: {why}", injected.spec()))
}

/// The octets, followed by a signature: the form in which both are signed together.
fn with_signature(octets: &[u8], signature: &[u8]) -> Vec<u8> {
    [octets, &tlv_bytes(SIGNATURE, signature)].concat()
}

fn sign(key: &SecretKey, octets: &[u8]) -> Vec<u8> {
    key.sign(octets).as_bytes().to_vec()
}

/// Changes the value and keeps its length.
fn alter(octets: &mut [u8]) {
    if let Some(last) = octets.last_mut() {
        *last ^= 0x01;
    }
}

fn read_certificate(der: &CertificateDer) -> Result<Certificate, Fault> {
    Certificate::from_der(der.0.clone())
        .map_err(|why| cannot_falsify(&format!("a certificate cannot be read: {why}")))
}

fn no_key(why: PkiError) -> Fault {
    Fault::caused_by(
        why,
        "cannot tamper with the message",
        "give the tampering peer the PKI of the parties, with their keys",
    )
}

fn cannot_falsify(why: &str) -> Fault {
    Fault::new(
        "cannot tamper with the message",
        why,
        "install the fault before the session starts, on the link over which the session starts",
    )
}
