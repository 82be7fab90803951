//! The request loop of the servers of SGP.22: load, decide, commit, reply. One function does all
//! four steps, so no reply can be sent before the commit.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use rsp::{
    der::{Asn1, DecodeError, Tag},
    finding::{self, Finding, FindingKind},
    ids::{Eid, SmdpAddress, Version},
    sgp22::{
        self,
        asn1::{self, Exchange},
        es9plus::{HandleNotification, HandleNotificationRequest},
        headers::{check_content_type, check_protocol},
        json,
    },
    status::Refusal,
    time::Timestamp,
};
use serde::{Serialize, de::DeserializeOwned};
use world::{
    BoxFuture, Collection, Event, Events, FailedAttempts, Fault, Link, LinkFault, PeerAddress,
    PeerCertificate, Records, Tx, World, link_from,
};

use crate::{
    answer::{Binding, Reply, ResponseEncoder},
    decision::Decision,
    namespace::Namespace,
    sessions::{MAX_UNAUTHENTICATED, OpenSessions, Session},
};

/// A server of SGP.22: its functions, and the state that they work on.
pub trait Server: Clone + Send + Sync + 'static {
    /// Name in the timeline.
    const NAME: &'static str;
    /// All functions.
    const FUNCTIONS: &'static [&'static dyn Route<Self>];
    /// Sessions, which are deleted when they expire.
    const SESSIONS: Collection<Self::Session>;

    /// Configuration of the server.
    type Config: Send + Sync;
    /// Keys and certificates of the server.
    type Credentials: Send + Sync;
    /// Record of a session.
    type Session: Session;

    /// Returns the state of the server.
    fn core(&self) -> &Core<Self::Config, Self::Credentials>;

    /// Returns the settings that every server has.
    fn settings(config: &Self::Config) -> &Settings;

    /// Returns the tag that identifies the function of a body in the ASN.1 binding. The bodies of SGP.22
    /// have a wrapper around it.
    ///
    /// # Errors
    /// The body has no such tag.
    fn function_tag(body: &[u8]) -> Result<Tag, DecodeError> {
        asn1::function_tag(body)
    }

    /// Returns the keys of the messages that a transaction posted.
    fn posted(_: &Tx<'_>) -> Vec<String> {
        Vec::new()
    }

    /// Sends messages that were posted and committed. A refusal replaces the reply of the function.
    fn send_posted(&self, _: &[String]) -> impl Future<Output = Result<Option<Refusal>, Fault>> + Send {
        async { Ok(None) }
    }
}

/// Settings that every server of SGP.22 has.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address at which other parties and devices reach the server.
    pub address: SmdpAddress,
    /// Other addresses that the server accepts as its own.
    pub other_addresses: Vec<SmdpAddress>,
    /// Maximum time between two steps of a session.
    pub session_lifetime: Duration,
    /// Maximum number of sessions whose client has not authenticated itself. Further ones get HTTP
    /// 503. One address can have half of them.
    pub max_unauthenticated_sessions: usize,
    /// Lowest SGP.22 version of an eUICC that the server accepts.
    pub lowest_svn: Version,
    /// Highest SGP.22 version of an eUICC that the server accepts.
    pub highest_svn: Version,
    /// Version in `X-Admin-Protocol` for clients that support this version or a later one.
    pub protocol_version: Version,
}

impl Settings {
    /// Creates settings with the default versions.
    pub fn new(address: SmdpAddress, session_lifetime: Duration) -> Self {
        Self {
            address,
            other_addresses: Vec::new(),
            session_lifetime,
            max_unauthenticated_sessions: MAX_UNAUTHENTICATED,
            lowest_svn: Version([2, 0, 0]),
            highest_svn: Version([2, 7, 255]),
            protocol_version: Version([2, 6, 0]),
        }
    }

    /// Returns the configured spelling of a requested address if it is an address of the server.
    pub fn own_address(&self, requested: &str) -> Option<&SmdpAddress> {
        let requested: SmdpAddress = requested.parse().ok()?;
        std::iter::once(&self.address).chain(&self.other_addresses).find(|own| **own == requested)
    }
}

/// State of a server, and its surroundings.
pub struct Core<C, K> {
    /// Configuration.
    pub config: C,
    /// Keys and certificates.
    pub credentials: K,
    /// Everything that is kept between requests.
    pub records: Arc<dyn Records>,
    /// Time and randomness.
    pub world: World,
    /// Receiver of the timeline.
    pub events: Arc<dyn Events>,
    /// Sessions, and the time at which each expires.
    pub sessions: OpenSessions,
    /// Failed attempts of eUICCs.
    pub failed_attempts: FailedAttempts<Eid>,
}

impl<C, K> Core<C, K> {
    /// Creates the state of a server on these records.
    pub fn new(
        config: C,
        credentials: K,
        records: Arc<dyn Records>,
        world: World,
        events: Arc<dyn Events>,
    ) -> Self {
        Self {
            config,
            credentials,
            records,
            world,
            events,
            sessions: OpenSessions::default(),
            failed_attempts: FailedAttempts::default(),
        }
    }

    /// Returns the context that a function runs in.
    pub fn context<'a, 'r>(&'a self, tx: &'a mut Tx<'r>, now: Timestamp) -> Context<'a, 'r, C, K> {
        let Self { config, credentials, world, failed_attempts, .. } = self;
        let (namespace, findings) = (Namespace::default(), Vec::new());
        Context { tx, config, credentials, world, failed_attempts, now, namespace, findings }
    }
}

/// A running function call: its transaction, and inputs that do not change during the call.
pub struct Context<'a, 'r, C, K> {
    /// Transaction to read and write.
    pub tx: &'a mut Tx<'r>,
    /// Configuration of the server.
    pub config: &'a C,
    /// Keys and certificates of the server.
    pub credentials: &'a K,
    /// Randomness. The time of the call is `now`.
    pub world: &'a World,
    /// Failed attempts of eUICCs.
    pub failed_attempts: &'a FailedAttempts<Eid>,
    /// Time at which the request arrived.
    pub now: Timestamp,
    /// Namespace of the records that the call is about. A function sets it when it has found them.
    pub namespace: Namespace,
    /// Deviations of the caller that the function has accepted so far.
    pub findings: Vec<Finding>,
}

impl<C, K> Context<'_, '_, C, K> {
    /// Records a deviation of the caller that is accepted.
    pub fn report(&mut self, kind: FindingKind, detail: impl Into<String>) {
        self.findings.push(Finding::new(kind, detail));
    }
}

/// An interface of a server.
#[derive(Debug)]
pub struct Interface {
    /// Name as the standard spells it.
    pub name: &'static str,
    /// Kind of peer that calls it.
    pub peer: &'static str,
    /// Paths of a function in the JSON binding.
    pub paths: &'static [fn(&str) -> String],
}

/// Interface of requests whose path does not exist.
const NO_INTERFACE: Interface = Interface { name: "HTTP", peer: "client", paths: &[] };

/// Executes a function. After a conflict it is called again with a new transaction.
pub type Execute<S, A, Q, R> = for<'a, 'b, 'r> fn(
    &'a mut Context<'b, 'r, <S as Server>::Config, <S as Server>::Credentials>,
    &'a A,
    &'a Q,
) -> BoxFuture<'a, Decision<R>>;

/// Reads the caller from the client certificate that TLS has verified, if there is one. Returns
/// `None` if the caller must not call the function.
pub type Caller<A> = fn(Option<&PeerCertificate>) -> Option<A>;

/// A function of a server, with the types of its caller `A`, its request `Q` and its reply `R`.
pub struct Function<S: Server, A, Q, R> {
    interface: &'static Interface,
    /// Name in the path of the JSON binding.
    name: &'static str,
    /// Name in the spelling of the standard.
    title: fn() -> String,
    caller: Caller<A>,
    /// Tag in the ASN.1 binding, with the decoder of the request.
    asn1: Option<(Tag, Asn1Decoder<Q>)>,
    execute: Execute<S, A, Q, R>,
    encode: fn(ResponseEncoder, Decision<R>) -> Result<Reply, Fault>,
    /// HTTP status of the reply to a request that cannot be decoded.
    undecodable: StatusCode,
    /// True if a request that cannot be decoded is acknowledged nevertheless, with a finding.
    acknowledges: fn(Binding, &[u8]) -> bool,
    /// True if anyone can open a session with this function.
    opens_session: bool,
}

type Asn1Decoder<Q> = fn(&[u8]) -> Result<Q, DecodeError>;

impl<S: Server, Q: Asn1, R: Serialize + Asn1> Function<S, (), Q, R> {
    /// Defines a function that an LPA calls in either binding.
    pub const fn of_lpa<F: Exchange<Request = Q, Reply = R>>(
        interface: &'static Interface,
        execute: Execute<S, (), Q, R>,
    ) -> Self {
        Self {
            interface,
            name: F::NAME,
            title: F::title,
            caller: |_| Some(()),
            asn1: Some((Q::TAG, asn1::read)),
            execute,
            encode: ResponseEncoder::encode::<F>,
            undecodable: StatusCode::OK,
            acknowledges: |_, _| false,
            opens_session: false,
        }
    }
}

impl<S: Server, A, Q, R> Function<S, A, Q, R> {
    /// Marks a function with which anyone can open a session. It is refused with HTTP 503 while
    /// too many sessions are open.
    #[must_use]
    pub const fn opening_a_session(mut self) -> Self {
        self.opens_session = true;
        self
    }
}

impl<S: Server> Function<S, (), HandleNotificationRequest, Result<(), Refusal>> {
    /// Defines HandleNotification. The caller looks only at the HTTP status, and repeats a
    /// notification until it gets a 2xx status. A notification that cannot be decoded would be
    /// repeated for ever, and is therefore acknowledged. A body that is no HandleNotification request
    /// was damaged on its way, and is not acknowledged.
    pub const fn of_notifications(
        interface: &'static Interface,
        execute: Execute<S, (), HandleNotificationRequest, Result<(), Refusal>>,
    ) -> Self {
        Self {
            interface,
            name: <HandleNotification as sgp22::Function>::NAME,
            title: <HandleNotification as sgp22::Function>::title,
            caller: |_| Some(()),
            asn1: Some((HandleNotificationRequest::TAG, asn1::read)),
            execute,
            encode: ResponseEncoder::encode_no_content,
            undecodable: StatusCode::BAD_REQUEST,
            acknowledges: has_notification,
            opens_session: false,
        }
    }
}

impl<S: Server, A, Q, R: Serialize> Function<S, A, Q, R> {
    /// Defines a function that another server or an operator calls in the JSON binding.
    pub const fn of_peer<F: sgp22::Function<Request = Q, Reply = R>>(
        interface: &'static Interface,
        caller: Caller<A>,
        execute: Execute<S, A, Q, R>,
    ) -> Self {
        Self {
            interface,
            name: F::NAME,
            title: F::title,
            caller,
            asn1: None,
            execute,
            encode: ResponseEncoder::encode_json,
            undecodable: StatusCode::OK,
            acknowledges: |_, _| false,
            opens_session: false,
        }
    }
}

/// A [`Function`] as an entry of the function table.
pub trait Route<S>: Send + Sync {
    /// Returns the interface of the function.
    fn interface(&self) -> &'static Interface;

    /// Returns the name of the function in the path of the JSON binding.
    fn name(&self) -> &'static str;

    /// Returns the name of the function in the spelling of the standard.
    fn title(&self) -> String;

    /// Returns the tag of the function in the ASN.1 binding, if it has this binding.
    fn asn1_tag(&self) -> Option<Tag>;

    /// Decodes a request, executes the function, commits, and only then returns the reply.
    fn answer<'a>(
        &'a self,
        server: &'a S,
        request: &'a Request<Bytes>,
        encoder: ResponseEncoder,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Reply, Fault>>;
}

impl<S, A, Q, R> Route<S> for Function<S, A, Q, R>
where
    S: Server,
    A: Send + Sync,
    Q: DeserializeOwned + Send + Sync,
    R: Send,
{
    fn interface(&self) -> &'static Interface {
        self.interface
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn title(&self) -> String {
        (self.title)()
    }

    fn asn1_tag(&self) -> Option<Tag> {
        self.asn1.map(|(tag, _)| tag)
    }

    fn answer<'a>(
        &'a self,
        server: &'a S,
        request: &'a Request<Bytes>,
        encoder: ResponseEncoder,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Reply, Fault>> {
        Box::pin(async move {
            let core = server.core();
            // req: SGP.22-5.3.1-Certificate
            let Some(caller) = (self.caller)(request.extensions().get()) else {
                let why = format!("the caller has no TLS certificate of an {}", self.interface.peer);
                return Ok(encoder.rejected(StatusCode::FORBIDDEN, why));
            };
            let (decoded, accepted) = finding::collect(|| match self.asn1 {
                Some((_, decode)) if encoder.binding == Binding::Asn1 => {
                    decode(request.body()).map_err(Undecodable::Asn1)
                }
                _ => decode_json(request, S::settings(&core.config).lowest_svn).map_err(Undecodable::Json),
            });
            let decoded = match decoded {
                Ok(decoded) => decoded,
                Err(undecodable) if (self.acknowledges)(encoder.binding, request.body()) => {
                    return Ok(encoder.acknowledged(undecodable.to_string()).with_findings(accepted));
                }
                // req: SGP.22-6.6-Body
                Err(Undecodable::Asn1(e)) => {
                    let why = format!("the body is not a valid RemoteProfileProvisioningRequest: {e}");
                    return Ok(encoder.rejected(StatusCode::BAD_REQUEST, why).with_findings(accepted));
                }
                Err(Undecodable::Json(refusal)) => {
                    let mut reply = encoder.encode_json::<()>(Err(refusal.into()))?;
                    *reply.response.status_mut() = self.undecodable;
                    return Ok(reply.with_findings(accepted));
                }
            };
            let (caller, decoded, accepted) = (&caller, &decoded, &accepted);
            let source = request.extensions().get::<PeerAddress>().map(|PeerAddress(address)| *address);
            if self.opens_session
                && core.sessions.is_full(source, S::settings(&core.config).max_unauthenticated_sessions, now)
            {
                return Ok(encoder.busy("too many sessions wait for the authentication of their client"));
            }
            let (reply, posted, sessions) = world::transact(&*core.records, |tx| {
                Box::pin(async move {
                    let mut context = core.context(tx, now);
                    context.findings.clone_from(accepted);
                    let decision = (self.execute)(&mut context, caller, decoded).await;
                    let (namespace, findings) = (context.namespace, context.findings);
                    let reply = Reply { namespace, findings, ..(self.encode)(encoder, decision)? };
                    Ok((reply, S::posted(tx), tx.changes(&S::SESSIONS)?))
                })
            })
            .await?;
            core.sessions.committed(sessions, source);
            if posted.is_empty() {
                return Ok(reply);
            }
            match server.send_posted(&posted).await? {
                None => Ok(reply),
                Some(refusal) => {
                    let refused = encoder.encode_json::<()>(Err(refusal.into()))?;
                    Ok(Reply { namespace: reply.namespace, findings: reply.findings, ..refused })
                }
            }
        })
    }
}

/// The reason why a request cannot be decoded.
enum Undecodable {
    Asn1(DecodeError),
    Json(Refusal),
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asn1(error) => error.fmt(f),
            Self::Json(refusal) => refusal.fmt(f),
        }
    }
}

/// True if the body is a HandleNotification request. Its notification may be unreadable.
fn has_notification(binding: Binding, body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Request {
        #[serde(rename = "pendingNotification", with = "json::base64_octets")]
        _pending_notification: Vec<u8>,
    }
    match binding {
        Binding::Json => json::read::<Request>(body).is_ok(),
        Binding::Asn1 => asn1::is_complete(body),
    }
}

fn decode_json<Q: DeserializeOwned>(request: &Request<Bytes>, lowest: Version) -> Result<Q, Refusal> {
    check_content_type(request.headers(), "application/json")?;
    check_protocol(request.headers(), lowest)?;
    // req: SGP.22-6.5-Elements
    json::read(request.body())
}

/// Returns a link to a server, for a socket or a client in the same process.
pub fn link<S: Server>(server: &S) -> Link {
    let server = server.clone();
    link_from(tower::service_fn(move |request| {
        let server = server.clone();
        async move { Ok::<_, LinkFault>(handle(&server, request).await) }
    }))
}

/// Handles one HTTP request, reports it in the timeline, and deletes some expired sessions.
pub async fn handle<S: Server>(server: &S, request: Request<Bytes>) -> Response<Bytes> {
    let core = server.core();
    let settings = S::settings(&core.config);
    let now = core.world.now();
    let encoder = ResponseEncoder::to(&request, settings.protocol_version);
    let (interface, name, function) = route::<S>(&request, encoder, settings.lowest_svn);
    let reply = match function {
        Ok(function) => function.answer(server, &request, encoder, now).await,
        Err((status, why)) => Ok(encoder.rejected(status, why)),
    };
    let reply = reply.unwrap_or_else(|fault| encoder.failed(&fault));
    for finding in &reply.findings {
        tracing::info!(server = S::NAME, peer = interface.peer, function = name, %finding, "accepted a deviation");
    }
    core.events.emit(
        Event::new(now, S::NAME, name)
            .with_peer(interface.name, interface.peer)
            .with_bytes(reply.response.body().len(), request.body().len())
            .with_outcome(reply.outcome)
            .with_namespace(String::from(reply.namespace))
            .with_findings(reply.findings),
    );
    if let Err(fault) = core.sessions.sweep(&*core.records, &S::SESSIONS, now).await {
        tracing::warn!(%fault, "cannot delete expired sessions from the records");
    }
    reply.response
}

/// Deletes all sessions that have expired, in batches. The background task of a server calls it
/// again at the time that it returns: no session expires earlier, because one that is opened in the
/// meantime has its whole lifetime.
///
/// # Errors
/// Returns a fault if the records fail. The sessions are deleted later.
pub async fn delete_expired_sessions<S: Server>(server: &S) -> Result<Timestamp, Fault> {
    let core = server.core();
    let now = core.world.now();
    while core.sessions.sweep(&*core.records, &S::SESSIONS, now).await? {}
    let of_new_session = now.plus(S::settings(&core.config).session_lifetime);
    Ok(core.sessions.next_expiry().map_or(of_new_session, |next| next.min(of_new_session)))
}

/// A function. If the request calls none, the HTTP status of the response, and the reason.
type Found<S> = Result<&'static dyn Route<S>, (StatusCode, String)>;

/// Finds the function of a request: SGP.22 sections 6.2 to 6.6. Returns the interface and the name
/// for the timeline, too.
fn route<S: Server>(
    request: &Request<Bytes>,
    encoder: ResponseEncoder,
    lowest: Version,
) -> (&'static Interface, String, Found<S>) {
    let path = request.uri().path();
    let is_asn1 = encoder.binding == Binding::Asn1;
    let is_here = |function: &&&dyn Route<S>| match is_asn1 {
        true => function.asn1_tag().is_some(),
        false => function.interface().paths.iter().any(|of| of(function.name()) == path),
    };
    let Some(first) = S::FUNCTIONS.iter().find(is_here) else {
        let why = format!("there is no function at {path}");
        return (&NO_INTERFACE, "request".to_owned(), Err((StatusCode::NOT_FOUND, why)));
    };
    // The ASN.1 binding names its function inside the body, which may be unreadable.
    let found = match is_asn1 {
        _ if request.method() != Method::POST => {
            let why = format!("functions must be called with POST, not {}", request.method());
            Err((StatusCode::METHOD_NOT_ALLOWED, why))
        }
        true => route_asn1(request, lowest),
        false => Ok(*first),
    };
    let name = match &found {
        Err(_) if is_asn1 => "asn1".to_owned(),
        Err(_) => first.title(),
        Ok(function) => function.title(),
    };
    (first.interface(), name, found)
}

/// Finds the function of a request in the ASN.1 binding. This binding has no status code for an
/// invalid header or body. A request that is found to be invalid before its function is known
/// therefore gets an HTTP status.
fn route_asn1<S: Server>(request: &Request<Bytes>, lowest: Version) -> Found<S> {
    check_content_type(request.headers(), asn1::CONTENT_TYPE)
        .map_err(|refusal| (StatusCode::UNSUPPORTED_MEDIA_TYPE, refusal.to_string()))?;
    check_protocol(request.headers(), lowest)
        .map_err(|refusal| (StatusCode::BAD_REQUEST, refusal.to_string()))?;
    let tag = S::function_tag(request.body())
        .map_err(|e| (StatusCode::BAD_REQUEST, format!("the body is not a request of a function: {e}")))?;
    let function = S::FUNCTIONS.iter().find(|function| function.asn1_tag() == Some(tag));
    let why = || format!("an {} has no function with tag {tag}", S::NAME);
    function.copied().ok_or_else(|| (StatusCode::BAD_REQUEST, why()))
}
