//! A minimal SM-SR and SM-DP that count decisions, and the network between them.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use bytes::Bytes;
use certs::{Pki, PkiOptions};
use http::{HeaderValue, Request, Response, StatusCode, header};
use rsp::{
    ids::{Eid, Iccid, Oid},
    sgp02::{BaseRequest, ExecutionStatus, Function, Namespace, Response as _, es3, status::Status},
    time::Timestamp,
};
use rsp_server::{
    AllowedAddresses,
    soap::{Answer, Call, Ended, Party, Peer, Peers, Reply, Sender, Soap, Ticket},
    soap_dispatch,
};
use world::{
    BoxFuture, Collection, Events, Fault, Link, LinkFault, LinkFaultKind, ManualClock, MemoryEvents,
    MemoryRecords, PeerCertificate, Records, SeededRandom, Tx, World, link_from,
};

static PKI: LazyLock<Pki> = LazyLock::new(|| Pki::from_seed(b"soap tests", &PkiOptions::default()).unwrap());

pub(crate) fn pki() -> &'static Pki {
    &PKI
}

pub(crate) const START: &str = "2026-11-22T08:00:00Z";

pub(crate) fn eid() -> Eid {
    "89001012012341234012345678901224".parse().unwrap()
}

pub(crate) fn iccid() -> Iccid {
    "8900012345678901234".parse().unwrap()
}

/// Number of decisions, by function.
const DECIDED: Collection<u32> = Collection::new("decided");
/// Calls to answer later.
const TICKETS: Collection<Ticket> = Collection::new("tickets");
/// Outcomes of sent calls, by continuation.
const ENDED: Collection<Vec<String>> = Collection::new("ended");

/// The part of a party that survives a restart.
pub(crate) struct PartyState {
    pub(crate) name: &'static str,
    pub(crate) id: Oid,
    pub(crate) certificate: Vec<u8>,
    pub(crate) endpoint: String,
    pub(crate) records: Arc<dyn Records>,
    pub(crate) events: Arc<MemoryEvents>,
    world: World,
    /// Peers that the party knows.
    peers: Vec<Peer>,
    /// True if the shell answers expired calls.
    answers_expired: bool,
}

/// The decisions of a party.
struct Decisions(Arc<PartyState>);

impl Decisions {
    async fn count(&self, tx: &mut Tx<'_>, what: &str) -> Result<(), Fault> {
        let count = tx.get(&DECIDED, what).await?.unwrap_or(0);
        tx.put(&DECIDED, what, &(count + 1))
    }

    async fn get_eis(
        &self,
        tx: &mut Tx<'_>,
        request: es3::GetEisRequest,
    ) -> rsp_server::soap::Decision<Answer<es3::GetEisResponse>> {
        self.count(tx, "GetEIS").await?;
        Err(Status::EidUnknown.because("no such eUICC").about(request.eid).into())
    }

    async fn create_isdp(
        &self,
        tx: &mut Tx<'_>,
        call: &Call,
    ) -> rsp_server::soap::Decision<Answer<es3::CreateIsdpResponse>> {
        self.count(tx, "CreateISDP").await?;
        tx.put(&TICKETS, &call.ticket().function_call_identifier, &call.ticket())?;
        Ok(Answer::Later)
    }

    async fn enable(
        &self,
        tx: &mut Tx<'_>,
    ) -> rsp_server::soap::Decision<Answer<es3::EnableProfileResponse>> {
        self.count(tx, "EnableProfile").await?;
        Ok(es3::EnableProfileResponse::default().into())
    }
}

impl Party for Decisions {
    fn peer<'a>(&'a self, _: &'a mut Tx<'_>, id: &'a Oid) -> BoxFuture<'a, Result<Option<Peer>, Fault>> {
        Box::pin(async { Ok(self.0.peers.iter().find(|peer| peer.id == *id).cloned()) })
    }

    fn decide<'a>(&'a self, tx: &'a mut Tx<'_>, call: &'a Call) -> BoxFuture<'a, Result<Reply, Fault>> {
        Box::pin(async move {
            soap_dispatch!(call, {
                es3::GetEis => |request| self.get_eis(tx, request).await,
                es3::CreateIsdp => |_request| self.create_isdp(tx, call).await,
                es3::EnableProfile => |_request| self.enable(tx).await,
            }, {
                es3::HandleProfileEnabledNotification => |notification| {
                    self.count(tx, &format!("notified {}", notification.iccid)).await.map_err(Into::into)
                },
            })
        })
    }

    fn resumed<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        _: Timestamp,
        ended: &'a Ended,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let outcome = match ended.function.as_str() {
                "ES3-GetEIS" => outcome_of::<es3::GetEis>(ended),
                "ES3-CreateISDP" => outcome_of::<es3::CreateIsdp>(ended),
                _ => outcome_of::<es3::EnableProfile>(ended),
            };
            let mut all = tx.get(&ENDED, &ended.continuation).await?.unwrap_or_default();
            all.push(outcome);
            tx.put(&ENDED, &ended.continuation, &all)
        })
    }

    fn expired<'a>(
        &'a self,
        _: &'a mut Tx<'_>,
        _: Timestamp,
        _: &'a Ticket,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(self.0.answers_expired) })
    }
}

fn outcome_of<F: Function>(ended: &Ended) -> String {
    match ended.response::<F>() {
        Ok(response) => format!("{}: {}", ended.function, response.base().function_execution_status),
        Err(why) => format!("{}: {why}", ended.function),
    }
}

/// Effect of the network on messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    Fine,
    /// No message arrives.
    Down,
    /// The message arrives, but its response does not.
    LosesResponses,
    /// The message arrives twice.
    Duplicates,
    /// An intermediary answers with this status.
    AnswersWith(StatusCode),
    /// The peer rejects one kind of message with this status.
    Rejects(&'static str, StatusCode),
    /// The message arrives, and this body replaces that of its response.
    ReplacesBody(&'static str),
    /// The message arrives, and the message in its response has this additional last element.
    ExtendsResponse(&'static str),
    /// The message arrives. Its response has a header that is not defined, and another status and
    /// Content-Type.
    ResponseDeviates,
}

pub(crate) struct Network {
    pub(crate) wire: Mutex<Wire>,
    pub(crate) links: Mutex<HashMap<String, Link>>,
    /// Posted messages with their addresses.
    pub(crate) posted: Mutex<Vec<(String, String)>>,
    /// The number of signals that a party has put a message into its outbox.
    pub(crate) woken: Mutex<u32>,
}

/// Connections of one party. Its requests contain its certificate.
struct TestPeers {
    network: Arc<Network>,
    certificate: Vec<u8>,
}

impl Peers for TestPeers {
    fn wake(&self) {
        *self.network.woken.lock().unwrap() += 1;
    }

    fn link(&self, authority: &str) -> Result<Link, Fault> {
        let found = self.network.links.lock().unwrap().get(authority).cloned();
        let inner = found.ok_or_else(|| {
            Fault::new("no link", "no server has this address", "add a server to the testbed")
        })?;
        let (network, certificate) = (Arc::clone(&self.network), self.certificate.clone());
        let authority = authority.to_owned();
        Ok(link_from(tower::service_fn(move |mut request: Request<Bytes>| {
            let (network, inner, authority) = (Arc::clone(&network), inner.clone(), authority.clone());
            request.extensions_mut().insert(PeerCertificate(certificate.clone()));
            async move {
                let text = String::from_utf8(request.body().to_vec()).unwrap();
                let wire = match *network.wire.lock().unwrap() {
                    Wire::Rejects(element, status) if text.contains(element) => Wire::AnswersWith(status),
                    Wire::Rejects(..) => Wire::Fine,
                    wire => wire,
                };
                network.posted.lock().unwrap().push((format!("{authority}{}", request.uri()), text));
                let reset =
                    || LinkFault::new(LinkFaultKind::Reset, authority.clone(), "the connection was cut");
                match wire {
                    Wire::Fine | Wire::Rejects(..) => world::send(&inner, request).await,
                    Wire::Down => Err(reset()),
                    Wire::LosesResponses => {
                        world::send(&inner, request).await?;
                        Err(reset())
                    }
                    Wire::Duplicates => {
                        let mut again = Request::new(request.body().clone());
                        again.clone_from_parts(&request);
                        world::send(&inner, again).await?;
                        world::send(&inner, request).await
                    }
                    Wire::ReplacesBody(body) => {
                        let answer = world::send(&inner, request).await?;
                        Ok(answer.map(|_| Bytes::from_static(body.as_bytes())))
                    }
                    Wire::ExtendsResponse(element) => {
                        let answer = world::send(&inner, request).await?;
                        let extended = |body: Bytes| {
                            let text = String::from_utf8(body.to_vec()).unwrap();
                            let end = text.find("Response>").and_then(|end| text[..end].rfind("</")).unwrap();
                            [&text[..end], element, &text[end..]].concat().into()
                        };
                        Ok(answer.map(extended))
                    }
                    Wire::ResponseDeviates => {
                        let mut response = world::send(&inner, request).await?;
                        *response.status_mut() = StatusCode::NON_AUTHORITATIVE_INFORMATION;
                        response
                            .headers_mut()
                            .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
                        Ok(response.map(|body| with_unknown_header(&body)))
                    }
                    Wire::AnswersWith(status) => {
                        let mut response = Response::new(Bytes::new());
                        *response.status_mut() = status;
                        Ok(response)
                    }
                }
            }
        })))
    }
}

/// Adds a header to an envelope that no version defines.
fn with_unknown_header(body: &[u8]) -> Bytes {
    let mut text = String::from_utf8(body.to_vec()).unwrap();
    let name = text.rfind("Header>").unwrap();
    let end_of_header = text[..name].rfind("</").unwrap();
    text.insert_str(end_of_header, "<x:Trace xmlns:x=\"urn:x\">1</x:Trace>");
    text.into()
}

trait CloneFromParts {
    fn clone_from_parts(&mut self, of: &Self);
}

impl CloneFromParts for Request<Bytes> {
    fn clone_from_parts(&mut self, of: &Self) {
        self.method_mut().clone_from(of.method());
        self.uri_mut().clone_from(of.uri());
        self.headers_mut().clone_from(of.headers());
        self.extensions_mut().clone_from(of.extensions());
    }
}

pub(crate) struct Testbed {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) network: Arc<Network>,
    pub(crate) sr: Arc<PartyState>,
    pub(crate) dp: Arc<PartyState>,
}

/// Options of a testbed.
pub(crate) struct Options {
    pub(crate) namespace: Namespace,
    pub(crate) answers_expired: bool,
    pub(crate) sr_records: Arc<dyn Records>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            namespace: Namespace::V3,
            answers_expired: true,
            sr_records: Arc::new(MemoryRecords::default()),
        }
    }
}

impl Testbed {
    pub(crate) fn new(options: Options) -> Self {
        let clock = Arc::new(ManualClock::at(START.parse().unwrap()));
        let identity = |name: &str| {
            let certificate = pki().operator(name).unwrap().certificate;
            (certificate.registered_ids()[0].clone(), certificate.der().to_vec())
        };
        let endpoint = |name: &str| format!("https://{name}.example:8443/sgp02");
        let peer = |name: &str, namespace| Peer { id: identity(name).0, endpoint: endpoint(name), namespace };
        let party = |name: &'static str, records: Arc<dyn Records>, peers| {
            let (id, certificate) = identity(name);
            Arc::new(PartyState {
                name,
                id,
                certificate,
                endpoint: endpoint(name),
                records,
                events: Arc::new(MemoryEvents::default()),
                world: World {
                    clock: Arc::clone(&clock) as Arc<dyn world::Clock>,
                    random: Arc::new(SeededRandom::from_text(name)),
                },
                peers,
                answers_expired: options.answers_expired,
            })
        };
        let sr = party("sm-sr", options.sr_records, vec![peer("sm-dp", Namespace::V3)]);
        let dp = party("sm-dp", Arc::new(MemoryRecords::default()), vec![peer("sm-sr", options.namespace)]);
        let network = Arc::new(Network {
            wire: Mutex::new(Wire::Fine),
            links: Mutex::default(),
            posted: Mutex::default(),
            woken: Mutex::default(),
        });
        let testbed = Self { clock, network, sr, dp };
        for party in [&testbed.sr, &testbed.dp] {
            let authority = format!("{}.example:8443", party.name);
            let link = testbed.start(party).link();
            testbed.network.links.lock().unwrap().insert(authority, link);
        }
        testbed
    }

    /// Restarts a party: only its records survive.
    pub(crate) fn start(&self, party: &Arc<PartyState>) -> Soap {
        let sender = Sender {
            own: party.id.clone(),
            name: Some(party.name.to_uppercase()),
            address: party.endpoint.clone(),
            world: party.world.clone(),
            reply_addresses: AllowedAddresses::Listed(vec!["listed.example".parse().unwrap()]),
        };
        let peers = TestPeers { network: Arc::clone(&self.network), certificate: party.certificate.clone() };
        Soap::new(
            sender,
            Arc::clone(&party.records),
            Arc::clone(&party.events) as Arc<dyn Events>,
            Arc::new(Decisions(Arc::clone(party))),
            party.name,
        )
        .with_peers(Arc::new(peers))
    }

    /// Runs the due work of both parties, each after a restart.
    pub(crate) async fn run(&self) {
        for party in [&self.dp, &self.sr, &self.dp] {
            self.start(party).run_due().await.unwrap();
        }
    }

    pub(crate) fn set(&self, wire: Wire) {
        *self.network.wire.lock().unwrap() = wire;
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.dp.world.now()
    }

    /// Sends a request from the SM-DP to the SM-SR.
    pub(crate) async fn call<F: Function>(
        &self,
        request: F::Request,
        timeout_seconds: u64,
        continuation: &str,
    ) {
        let soap = self.start(&self.dp);
        let peer = &self.dp.peers[0];
        let until = self.now().plus(Duration::from_secs(timeout_seconds));
        world::transact(&*self.dp.records, |tx| {
            let (soap, request) = (soap.clone(), request.clone());
            Box::pin(async move {
                soap.sender().call::<F>(tx, self.now(), peer, request, until, continuation).await
            })
        })
        .await
        .unwrap();
    }

    /// Sends a notification from the SM-SR to the SM-DP.
    pub(crate) async fn notify(&self) {
        self.notify_at(&self.sr.peers[0].endpoint).await;
    }

    /// Sends a notification from the SM-SR to the SM-DP at this address.
    pub(crate) async fn notify_at(&self, endpoint: &str) {
        let peer = Peer { endpoint: endpoint.to_owned(), ..self.sr.peers[0].clone() };
        let soap = self.start(&self.sr);
        let notification = es3::HandleProfileEnabledNotification {
            base: rsp::sgp02::BaseNotification {},
            eid: eid(),
            iccid: iccid(),
            mno_id: "2.999.30".parse().unwrap(),
            completion_timestamp: self.now(),
        };
        world::transact(&*self.sr.records, |tx| {
            let (soap, notification, peer) = (soap.clone(), notification.clone(), peer.clone());
            Box::pin(async move { soap.sender().notify(tx, self.now(), &peer, &notification).await })
        })
        .await
        .unwrap();
    }

    /// Answers an accepted CreateISDP.
    pub(crate) async fn answer(&self, identifier: &str) {
        let soap = self.start(&self.sr);
        world::transact(&*self.sr.records, |tx| {
            let soap = soap.clone();
            Box::pin(async move {
                let ticket = tx.get(&TICKETS, identifier).await?.unwrap();
                let response = es3::CreateIsdpResponse {
                    isd_p_aid: Some(rsp::ids::Aid::isd_p(0x10)),
                    ..Default::default()
                };
                soap.sender().answer::<es3::CreateIsdp>(tx, self.now(), &ticket, response).await
            })
        })
        .await
        .unwrap();
    }

    /// Returns the outcomes of the SM-DP's calls with this continuation.
    pub(crate) async fn ended(&self, continuation: &str) -> Vec<String> {
        Tx::begin(&*self.dp.records).get(&ENDED, continuation).await.unwrap().unwrap_or_default()
    }

    pub(crate) async fn waiting(&self, party: &Arc<PartyState>) -> usize {
        self.start(party).outbox().await.unwrap().len()
    }
}

impl PartyState {
    /// Returns the number of decisions on a function.
    pub(crate) async fn decided(&self, what: &str) -> u32 {
        Tx::begin(&*self.records).get(&DECIDED, what).await.unwrap().unwrap_or(0)
    }
}

pub(crate) fn get_eis(identifier: &str) -> es3::GetEisRequest {
    es3::GetEisRequest { base: BaseRequest::new(identifier), eid: eid() }
}

pub(crate) fn create_isdp(identifier: &str, validity_period: Option<u64>) -> es3::CreateIsdpRequest {
    es3::CreateIsdpRequest {
        base: BaseRequest { function_call_identifier: identifier.to_owned(), validity_period },
        eid: eid(),
        iccid: iccid(),
        mno_id: "2.999.30".parse().unwrap(),
        required_memory: 1000,
        more_to_do: None,
    }
}

pub(crate) fn enable(identifier: &str) -> es3::EnableProfileRequest {
    es3::EnableProfileRequest { base: BaseRequest::new(identifier), eid: eid(), iccid: iccid() }
}

pub(crate) const DONE: &str = "ES3-CreateISDP: EXECUTED_SUCCESS";

#[test]
fn success_has_the_spelling_of_sgp_02() {
    assert!(DONE.ends_with(ExecutionStatus::ExecutedSuccess.name()));
}
