//! Creates the operator, the EUM, the SM-DP and the SM-SRs, and runs their background tasks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use certs::m2m::Owner;
use certs::{Credential, Pki, ServerName};
use http::Request;
use net::{PskKeys, PskServer};
use rsp::ids::Oid;
use rsp::ota::trigger::SessionTrigger;
use rsp::sgp02::Namespace;
use rsp_server::due::Due;
use rsp_server::soap::Peer;
use sm_dp::{SmDp, SmDpPlus};
use sm_sr::CardAddress;
use sm_sr::SmSr;
use sm_sr::es5::{Bearer, Engine, Es5Config, HttpsEndpoint, Wake};
use sm_sr::records::{Peer as SrPeer, PeerRole};
use tokio::sync::Notify;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;
use world::{
    BoxFuture, Clock, Fault, Link, LinkFault, MemoryEvents, MemoryHosts, MemoryListener, MemoryRecords,
    ShortMessageSink, ShortMessages, TokioClock, link_from,
};

use network::Smsc;

use super::factory::CardAddresses;
use super::operator::{Heard, Operator, SOAP_PATH, peer};
use super::recording::SmsAccount;
use super::web::{Caller, Web};
use super::{CARD_PATH, SECOND_SM_SR_PLACE, SM_DP_PLACE, SM_SR_PLACE, Setup, bad_pki, factory, number};
use crate::host::Host;
use crate::time::Simulation;
use crate::transport::{Server, Transports};
use faults::FaultInjector;

/// Host names of the parties.
const SM_DP: &str = "sm-dp.landfall.example";
const OPERATOR: &str = "operator.landfall.example";
const EUM: &str = "eum.landfall.example";

/// Names of the parties in the PKI.
const SM_DP_NAME: &str = "Landfall SM-DP";
const OPERATOR_NAME: &str = "Landfall M2M Operator";

/// Maximum time for a script whose short messages go over a narrow bearer. A profile needs dozens
/// of short messages.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// Maximum time for a card in such a network to open its session, or to run a script in it.
const PATIENCE_IN_SESSIONS: Duration = Duration::from_secs(5 * 60);

/// Retry delay of a party after its records have failed.
const AFTER_A_FAULT: Duration = Duration::from_secs(10);

/// Names and addresses of an SM-SR.
pub(super) struct SmSrAt {
    /// Name of its records as a place of faults, and of its account at the SMSC.
    pub(super) place: &'static str,
    name: &'static str,
    in_pki: &'static str,
    authority: &'static str,
    /// Number to which cards send short messages.
    pub(super) number: &'static str,
    /// Address to which cards connect over HTTPS, as it is stored on them.
    pub(super) cards: SocketAddr,
}

/// The SM-SR that manages all cards at first.
pub(super) const FIRST: SmSrAt = SmSrAt {
    place: SM_SR_PLACE,
    name: "SM-SR",
    in_pki: "Landfall SM-SR",
    authority: "sm-sr.landfall.example",
    number: "+447700900001",
    cards: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8463),
};

/// The SM-SR to which cards can be handed over.
pub(super) const SECOND: SmSrAt = SmSrAt {
    place: SECOND_SM_SR_PLACE,
    name: "SM-SR 2",
    in_pki: "Landfall SM-SR 2",
    authority: "sm-sr-2.landfall.example",
    number: "+447700900002",
    cards: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8464),
};

impl SmSrAt {
    /// The addresses at which a card reaches the SM-SR.
    pub(super) fn card_side(&self, has_https: bool) -> Result<CardAddresses, Fault> {
        let https = has_https.then_some(self.cards);
        Ok(CardAddresses { number: number(self.number)?, https, path: CARD_PATH.to_owned() })
    }
}

/// The parts of which servers are created.
pub(super) struct Parts<'a> {
    pub(super) simulation: &'a Simulation,
    pub(super) setup: &'a Setup,
    pub(super) events: &'a MemoryEvents,
    pub(super) faults: &'a FaultInjector,
    pub(super) web: &'a Arc<Web>,
    pub(super) transports: &'a dyn Transports,
    /// True if the SM-SR needs long timeouts because short messages take time.
    pub(super) is_patient: bool,
}

/// The OIDs of the servers.
#[derive(Clone)]
pub(super) struct Ids {
    pub(super) sm_dp: Oid,
    pub(super) sm_sr: Oid,
    pub(super) second_sm_sr: Oid,
}

impl Ids {
    pub(super) fn of(pki: &Pki) -> Result<Self, Fault> {
        let oid = |owner, name| pki.m2m_oid(owner, name).map_err(bad_pki);
        Ok(Self {
            sm_dp: oid(Owner::SmDp, SM_DP_NAME)?,
            sm_sr: oid(Owner::SmSr, FIRST.in_pki)?,
            second_sm_sr: oid(Owner::SmSr, SECOND.in_pki)?,
        })
    }
}

impl Parts<'_> {
    fn caller(&self, shown: &Credential, woken: &Arc<Notify>) -> Arc<Caller> {
        let web = Arc::downgrade(self.web);
        Arc::new(Caller::new(&web, shown, self.faults, self.setup.recording.as_ref(), woken))
    }

    /// Makes a server reachable for all parties.
    fn open(&self, authority: &'static str, server: Server) -> Result<(), Fault> {
        self.web.put(authority, self.transports.open(server)?);
        Ok(())
    }

    /// Creates an operator of M2M devices, the channel of its notifications, and its background
    /// work.
    pub(super) fn operator(&self) -> Result<(Operator, Receiver<Heard>, BoxFuture<'static, ()>), Fault> {
        let Self { simulation, setup, .. } = self;
        let own = setup.pki.m2m_operator(OPERATOR_NAME, &names(OPERATOR)?).map_err(bad_pki)?;
        let id = own.certificate.registered_ids().first().cloned();
        let id = id.ok_or_else(|| super::unexpected("the operator has no OID"))?;
        let woken = Arc::new(Notify::new());
        let (operator, hears) = self.calling_party(id, OPERATOR_NAME, "operator", OPERATOR);
        let operator = operator.with_peers(self.caller(&own, &woken));
        let ids = Ids::of(&setup.pki)?;
        let known = |id, authority| Peer { namespace: setup.namespace, ..peer(id, authority) };
        operator.knows(known(ids.sm_dp, SM_DP));
        operator.knows(known(ids.sm_sr, FIRST.authority));
        operator.knows(known(ids.second_sm_sr, SECOND.authority));
        let process = Arc::new(|| Some(1));
        let (host, link, clock) = (OPERATOR.to_owned(), operator.link(), simulation.clock());
        self.open(OPERATOR, Server { host, link, process, shows: Some(own), clock })?;
        let works =
            drive(woken, simulation.clock(), operator.clone(), |it| Box::pin(async move { it.due().await }));
        Ok((operator, hears, Box::pin(works)))
    }

    /// Creates the EUM, which receives no callbacks.
    pub(super) fn eum(&self) -> Result<Operator, Fault> {
        let pki = &self.setup.pki;
        let own = pki.m2m_eum(&names(EUM)?).map_err(bad_pki)?;
        let (eum, _) = self.calling_party(factory::eum_oid(pki)?, "Landfall EUM", "EUM", EUM);
        let eum = eum.with_peers(self.caller(&own, &Arc::default()));
        let sm_sr = peer(Ids::of(pki)?.sm_sr, FIRST.authority);
        eum.knows(Peer { namespace: self.setup.namespace, ..sm_sr });
        Ok(eum)
    }

    fn calling_party(
        &self,
        id: Oid,
        name: &str,
        party: &'static str,
        authority: &str,
    ) -> (Operator, Receiver<Heard>) {
        let (records, events) = (Arc::new(MemoryRecords::default()), Arc::new(self.events.clone()));
        let address = format!("https://{authority}{SOAP_PATH}");
        Operator::new(id, name, party, address, records, self.simulation.world(party), events)
    }

    /// Creates the SM-DP+ that shares its stock with the SM-DP.
    pub(super) fn stock(&self, records: &MemoryRecords) -> Result<SmDpPlus, Fault> {
        let address = SM_DP.parse().map_err(|_| super::unexpected(SM_DP))?;
        let credentials = sm_dp::Credentials::from_pki(&self.setup.pki).map_err(bad_pki)?;
        let (world, events) = (self.simulation.world("stock"), Arc::new(self.events.clone()));
        let records = Arc::new(records.clone());
        Ok(SmDpPlus::new(sm_dp::Config::new(address), credentials, records, world, events))
    }

    /// Creates the SM-DP with these records, and its background work.
    pub(super) fn sm_dp(
        &self,
        records: &MemoryRecords,
    ) -> Result<(Host<SmDp>, BoxFuture<'static, ()>), Fault> {
        let Self { simulation, setup, events, faults, web, .. } = self;
        let own = setup.pki.m2m_server(Owner::SmDp, SM_DP_NAME, &names(SM_DP)?).map_err(bad_pki)?;
        let anchors = setup.pki.anchors().map_err(bad_pki)?;
        let config = sm_dp::m2m::Config::new("SM-DP", own.oid, format!("https://{SM_DP}{SOAP_PATH}"));
        let credentials = sm_dp::m2m::Credentials::new(
            own.card.certificate.octets().to_vec(),
            own.card.key,
            anchors,
            Vec::new(),
        );
        let woken = Arc::new(Notify::new());
        let host = {
            let (tls, recording) = (own.tls.clone(), setup.recording.clone());
            let (simulation, events) = ((*simulation).clone(), (*events).clone());
            let (web, faults, woken) = (Arc::downgrade(web), (*faults).clone(), Arc::clone(&woken));
            let make = move |records, starts| {
                let world = of_process(&simulation, "SM-DP", starts);
                let transport = Arc::new(Caller::new(&web, &tls, &faults, recording.as_ref(), &woken));
                let events = Arc::new(events.clone());
                let server = SmDp::new(config.clone(), credentials.clone(), records, world, events);
                let server = server.with_peers(transport);
                let link = server.link();
                (server, link)
            };
            Host::start(SM_DP_PLACE, Arc::new(records.clone()), self.faults.clone(), make)
        };
        self.open(SM_DP, Server::of(SM_DP.to_owned(), &host, simulation.clock()).showing(own.tls))?;
        let (own, clock) = (host.clone(), simulation.clock());
        let works = async move {
            own.works(|server| {
                let woken = Arc::clone(&woken);
                Box::pin(drive(woken, clock, server, |it| Box::pin(async move { it.due().await })))
            })
            .await;
        };
        Ok((host, Box::pin(works)))
    }

    /// Creates an SM-SR with these records, with its SMSC account and its interface to cards, and
    /// its background work.
    pub(super) fn sm_sr(
        &self,
        at: &'static SmSrAt,
        records: &MemoryRecords,
        smsc: &Arc<Smsc>,
        hosts: &MemoryHosts,
    ) -> Result<(Host<SmSr>, BoxFuture<'static, ()>), Fault> {
        let Self { simulation, setup, events, faults, web, is_patient, .. } = self;
        let own = setup.pki.m2m_server(Owner::SmSr, at.in_pki, &names(at.authority)?).map_err(bad_pki)?;
        let anchors = setup.pki.anchors().map_err(bad_pki)?;
        let credentials =
            sm_sr::Credentials::new(anchors, own.card.certificate.octets().to_vec(), own.card.key);
        let has_https = setup.bearer == Bearer::Https;
        let side = at.card_side(has_https)?;
        let card_address = CardAddress { sms: Some(side.number.digits().to_owned()), https: side.session() };
        let config = sm_sr::Config { card_address, ..sm_sr::Config::new(at.name, own.oid) };
        let endpoint = HttpsEndpoint { trigger: SessionTrigger::default(), path: CARD_PATH.to_owned() };
        let es5 = Es5Config {
            // A card without HTTPS gets whole profiles by short messages.
            most_messages: 255,
            https: has_https.then_some(endpoint),
            ..Es5Config::at(side.number)
        };
        let es5 = match is_patient {
            true => Es5Config {
                answer_within: PATIENCE,
                session_within: PATIENCE_IN_SESSIONS,
                script_within: PATIENCE_IN_SESSIONS,
                slowest: 4 * PATIENCE,
                ..es5
            },
            false => es5,
        };
        let woken = Arc::new(Notify::new());
        let recording = setup.recording.clone();
        let account = Arc::new(SmsAccount { account: smsc.account(at.place), recording: recording.clone() });
        let host = {
            let (tls, recording) = (own.tls.clone(), setup.recording.clone());
            let (simulation, events) = ((*simulation).clone(), (*events).clone());
            let (web, faults, woken) = (Arc::downgrade(web), (*faults).clone(), Arc::clone(&woken));
            let account: Arc<dyn ShortMessages> = account.clone();
            let make = move |records, starts| {
                let world = of_process(&simulation, at.name, starts);
                let transport = Arc::new(Caller::new(&web, &tls, &faults, recording.as_ref(), &woken));
                let server = SmSr::new(
                    config.clone(),
                    credentials.clone(),
                    format!("https://{}{SOAP_PATH}", at.authority),
                    es5.clone(),
                    records,
                    world,
                    Arc::new(events.clone()),
                );
                let server = server.with_peers(transport);
                let engine = server.engine().clone();
                // All clones of the engine share these settings.
                let _ = engine
                    .with_wake(Arc::new(Woken(Arc::clone(&woken))))
                    .with_short_messages(Arc::clone(&account));
                let link = server.link();
                (server, link)
            };
            Host::start(at.place, Arc::new(records.clone()), self.faults.clone(), make)
        };
        let server = Server::of(at.authority.to_owned(), &host, simulation.clock()).showing(own.tls);
        self.open(at.authority, server)?;
        let cards = host.link_of(|server| es5_link(server.engine().clone()));
        let cards = faults.link(match recording {
            Some(recording) => recording.of_card(cards),
            None => cards,
        });
        let (own, hosts, clock) = (host.clone(), hosts.clone(), simulation.clock());
        let works = async move {
            own.works(|server| {
                let (woken, account, cards) = (Arc::clone(&woken), Arc::clone(&account), cards.clone());
                let listener = has_https.then(|| hosts.listen(at.cards.to_string()));
                Box::pin(async move {
                    let engine = server.engine().clone();
                    tokio::join!(
                        drive(woken, clock, server, |it| Box::pin(async move { it.due().await })),
                        hear(&account, &engine),
                        open(listener, engine.clone(), cards)
                    );
                })
            })
            .await;
        };
        Ok((host, Box::pin(works)))
    }
}

/// Registers all parties with each other. Called once, when the records are new.
pub(super) async fn introduce(
    sm_dp: &SmDp,
    sm_srs: &[(&SmSrAt, SmSr)],
    operator: &Oid,
    eum: &Oid,
    ids: &Ids,
    namespace: Namespace,
) -> Result<(), Fault> {
    let peer = |id: &Oid, authority: &str| Peer { namespace, ..peer(id.clone(), authority) };
    let known = |id: &Oid, name: &str, role, authority: Option<&str>| {
        let endpoint = authority.map(|authority| format!("https://{authority}{SOAP_PATH}"));
        SrPeer { id: id.clone(), name: name.to_owned(), role, endpoint, namespace }
    };
    let of = |at: &SmSrAt| if at.place == FIRST.place { &ids.sm_sr } else { &ids.second_sm_sr };
    sm_dp.register_operator(&peer(operator, OPERATOR)).await?;
    for (own, sm_sr) in sm_srs {
        sm_dp.register_sm_sr(&peer(of(own), own.authority)).await?;
        sm_sr.register_peer(&known(eum, "EUM", PeerRole::Eum { transport_key: None }, None)).await?;
        sm_sr.register_peer(&known(&ids.sm_dp, SM_DP_NAME, PeerRole::SmDp, Some(SM_DP))).await?;
        sm_sr.register_peer(&known(operator, OPERATOR_NAME, PeerRole::Operator, Some(OPERATOR))).await?;
        for (other, _) in sm_srs.iter().filter(|(other, _)| other.place != own.place) {
            let other = known(of(other), other.in_pki, PeerRole::SmSr, Some(other.authority));
            sm_sr.register_peer(&other).await?;
        }
    }
    Ok(())
}

/// A restarted process needs other random numbers, because those of the first process are used up.
fn of_process(simulation: &Simulation, name: &str, starts: u32) -> world::World {
    simulation.world(&format!("{name} {} {starts}", simulation.clock().now()))
}

/// The server name for a TLS certificate.
fn names(authority: &str) -> Result<[ServerName; 1], Fault> {
    Ok([authority.parse().map_err(|_| super::unexpected("a server has no name"))?])
}

struct Woken(Arc<Notify>);

impl Wake for Woken {
    fn wake(&self) {
        self.0.notify_one();
    }
}

/// Runs due tasks without end, when they are due or when the party is woken.
async fn drive<S: Clone>(
    woken: Arc<Notify>,
    clock: TokioClock,
    server: S,
    due: impl Fn(S) -> BoxFuture<'static, Result<Due, Fault>>,
) {
    let mut under_way = JoinSet::new();
    loop {
        let wait = match due(server.clone()).await {
            Ok(Due { tasks, next }) => {
                for task in tasks {
                    under_way.spawn(task);
                }
                next.map(|next| next.since(clock.now()))
            }
            Err(_) => Some(AFTER_A_FAULT),
        };
        let until = async {
            match wait {
                // A due time may be now. The minimum delay lets other tasks run first.
                Some(wait) => tokio::time::sleep(wait.max(Duration::from_millis(1))).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = woken.notified() => {}
            Some(_) = under_way.join_next() => {}
            () = until => {}
        }
    }
}

/// Passes messages from the SMSC to the engine, without end.
async fn hear(account: &SmsAccount, engine: &Engine) {
    loop {
        let delivery = account.next().await;
        let taken = match engine.take(delivery.arrived).await {
            Ok(()) => account.account.taken(&delivery.ticket),
            Err(fault) => Err(fault),
        };
        if taken.is_err() {
            // The SMSC delivers the message again, to this process or to the next.
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

fn es5_link(engine: Engine) -> Link {
    link_from(tower::service_fn(move |request: Request<Bytes>| {
        let engine = engine.clone();
        async move { Ok::<_, LinkFault>(engine.https(request).await) }
    }))
}

/// Serves the HTTPS connections of cards, without end. Without a listener, it does nothing.
async fn open(listener: Option<MemoryListener>, engine: Engine, cards: Link) {
    let Some(mut listener) = listener else { return std::future::pending().await };
    let server = match PskServer::new(Arc::new(Keys(engine))) {
        Ok(server) => server,
        Err(fault) => {
            tracing::error!(%fault, "the HTTPS interface for cards cannot be created");
            return std::future::pending().await;
        }
    };
    let mut connections = JoinSet::new();
    while let Some(stream) = listener.accept().await {
        let (server, cards) = (server.clone(), cards.clone());
        connections.spawn(async move {
            // The peer that ended the connection reports the error itself.
            let _ended = server.serve(stream, cards).await;
        });
    }
}

struct Keys(Engine);

impl PskKeys for Keys {
    fn key<'a>(&'a self, identity: &'a str) -> BoxFuture<'a, Result<Option<crypto::Secret<Vec<u8>>>, Fault>> {
        Box::pin(self.0.psk(identity))
    }
}
