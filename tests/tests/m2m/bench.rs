//! Operator, SM-DP, SM-SR, message centre, a device with its card: all in this process, their links in memory, time that
//! runs only while nobody works. Everything goes by short messages, so that no socket is needed.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use certs::{Pki, PkiOptions, m2m::Owner};
use cli::m2m::{
    factory::{self, CardSide, FirstProfile},
    operator::{Operator, base, peer},
};
use euicc_sim::{
    card::{Card, m2m::toolkit::Numbers},
    device::{Modem, Online, OnlineSettings, Slot, Teller},
    network::{
        Network, Networks, Policy, Smsc, SmscSettings, SubscriberServer,
        smsc::{Account, LocalWriter},
    },
};
use http::{Request, Response, StatusCode};
use rsp::{
    ids::{Eid, Iccid, Oid, Plmn},
    ota::trigger::SessionTrigger,
    sgp02::{Namespace, common::SubscriptionAddress, es1, es2, es4},
    time::Timestamp,
};
use rsp_server::{due::Due, soap::Peer};
use sm_dp::{ProfileOptions, SmDp, SmDpPlus};
use sm_sr::{
    SmSr,
    es5::{Engine, Es5Config, HttpsDoor, Wake},
    records::{Peer as SrPeer, PeerRole},
};
use tokio::{
    sync::Notify,
    task::{JoinHandle, JoinSet},
    time::Instant,
};
use world::{
    Arrived, BoxFuture, ChangeSet, Clock, Committed, Fault, Link, LinkFault, LinkFaultKind, MemoryEvents,
    MemoryRecords, MessageId, PeerCertificate, PhoneNumber, RamMemory, Records, SeededDice, ShortMessageSink,
    ShortMessages, Stored, Submission, SubmitFault, World, link_from,
};

/// When the bench begins.
const START: i64 = 1_800_000_000;
pub(crate) const VALIDITY: Duration = Duration::from_secs(3 * 3600);

/// The clock of everybody: tokio's, so that it stands still while anybody works and jumps to whatever is due next; or
/// one that stands still altogether.
#[derive(Clone, Copy)]
struct TokioClock {
    origin: Instant,
    is_still: bool,
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        let gone = if self.is_still { Duration::ZERO } else { self.origin.elapsed() };
        Timestamp::from_seconds(START).plus(gone)
    }
}

/// What went over a wire.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    /// A SOAP message, or the answer to one: from whom is in it.
    Soap(String),
    /// A short message to the card: user data.
    ToCard(Vec<u8>),
    /// One from the card.
    FromCard(Vec<u8>),
    /// What the card asks over HTTPS.
    Request(Request<Bytes>),
    /// What it is answered.
    Response { status: u16, headers: Vec<(String, String)>, body: Bytes },
}

/// Everything that went over a wire, in order.
pub(crate) type Tap = Arc<Mutex<Vec<Heard>>>;

/// What happens to the messages between parties, and to their records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// The n-th message between servers is lost on its way.
    LostRequest(usize),
    /// It arrives, and nobody hears of it.
    LostResponse(usize),
    /// It arrives twice.
    Doubled(usize),
    /// The party is stopped at its n-th commit, before it is made, and started again on its records.
    RestartBefore(Who, usize),
    /// The same, after the commit, before anything is said.
    RestartAfter(Who, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    SmDp,
    SmSr,
}

/// Counts, and the mishap that is to come.
#[derive(Default)]
struct Fate {
    mishap: Mutex<Option<Mishap>>,
    messages: Mutex<usize>,
    commits: Mutex<BTreeMap<&'static str, usize>>,
    restart: Notify,
}

/// Records that die with their party.
struct Mortal {
    inner: Arc<MemoryRecords>,
    who: Who,
    fate: Arc<Fate>,
    /// Whether the party on them has been stopped.
    dead: Mutex<bool>,
}

impl Mortal {
    fn fault() -> Fault {
        Fault::new("the process has ended", "the test has stopped it", "start it again")
    }
}

impl Records for Mortal {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        match *self.dead.lock().unwrap() {
            true => Box::pin(async { Err(Self::fault()) }),
            false => self.inner.read(collection, key),
        }
    }

    fn list<'a>(
        &'a self,
        collection: &'static str,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        match *self.dead.lock().unwrap() {
            true => Box::pin(async { Err(Self::fault()) }),
            false => self.inner.list(collection, prefix),
        }
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        Box::pin(async move {
            if *self.dead.lock().unwrap() {
                return Err(Self::fault());
            }
            if changes.changes.is_empty() {
                return self.inner.commit(changes).await;
            }
            let number = {
                let mut commits = self.fate.commits.lock().unwrap();
                let name = if self.who == Who::SmDp { "SM-DP" } else { "SM-SR" };
                let count = commits.entry(name).or_default();
                *count += 1;
                *count
            };
            let mishap = *self.fate.mishap.lock().unwrap();
            let die = |mortal: &Self| {
                *mortal.dead.lock().unwrap() = true;
                *mortal.fate.mishap.lock().unwrap() = None;
                mortal.fate.restart.notify_one();
                Err(Self::fault())
            };
            match mishap {
                Some(Mishap::RestartBefore(who, at)) if (who, at) == (self.who, number) => die(self),
                Some(Mishap::RestartAfter(who, at)) if (who, at) == (self.who, number) => {
                    let _committed = self.inner.commit(changes).await?;
                    die(self)
                }
                _ => self.inner.commit(changes).await,
            }
        })
    }
}

/// Whom everybody reaches, by authority, with the certificate that each shows as a client.
#[derive(Default)]
struct Web {
    links: Mutex<BTreeMap<String, Link>>,
    fate: Arc<Fate>,
    tap: Tap,
}

impl Web {
    fn put(&self, authority: &str, link: Link) {
        self.links.lock().unwrap().insert(authority.to_owned(), link);
    }

    fn remove(&self, authority: &str) {
        self.links.lock().unwrap().remove(authority);
    }
}

/// The way of one party into the web.
struct Way {
    web: Arc<Web>,
    certificate: Vec<u8>,
    woken: Arc<Notify>,
}

impl rsp_server::soap::Peers for Way {
    fn link(&self, authority: &str) -> Result<Link, Fault> {
        let (web, certificate, to) = (Arc::clone(&self.web), self.certificate.clone(), authority.to_owned());
        Ok(link_from(tower::service_fn(move |mut request: Request<Bytes>| {
            let (web, to) = (Arc::clone(&web), to.clone());
            request.extensions_mut().insert(PeerCertificate(certificate.clone()));
            async move { web.carry(&to, request).await }
        })))
    }

    fn wake(&self) {
        self.woken.notify_one();
    }
}

impl Web {
    async fn carry(&self, to: &str, request: Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
        let link = self.links.lock().unwrap().get(to).cloned();
        let link = link.ok_or_else(|| LinkFault::new(LinkFaultKind::Refused, to, "nobody is there"))?;
        let number = {
            let mut messages = self.fate.messages.lock().unwrap();
            *messages += 1;
            *messages
        };
        let mishap = *self.fate.mishap.lock().unwrap();
        let lost = || LinkFault::new(LinkFaultKind::Reset, to, "the test has cut the line");
        match mishap {
            Some(Mishap::LostRequest(at)) if at == number => {
                *self.fate.mishap.lock().unwrap() = None;
                return Err(lost());
            }
            Some(Mishap::LostResponse(at)) if at == number => {
                *self.fate.mishap.lock().unwrap() = None;
                let _unheard = world::send(&link, request).await;
                return Err(lost());
            }
            Some(Mishap::Doubled(at)) if at == number => {
                *self.fate.mishap.lock().unwrap() = None;
                let _first = world::send(&link, again(&request)).await;
            }
            _ => {}
        }
        self.tap.lock().unwrap().push(Heard::Soap(String::from_utf8_lossy(request.body()).into_owned()));
        let response = world::send(&link, request).await?;
        if !response.body().is_empty() {
            self.tap.lock().unwrap().push(Heard::Soap(String::from_utf8_lossy(response.body()).into_owned()));
        }
        // A party whose records are gone says so; in truth it would not say anything.
        match response.status() {
            StatusCode::INTERNAL_SERVER_ERROR => Err(lost()),
            _ => Ok(response),
        }
    }
}

fn again(request: &Request<Bytes>) -> Request<Bytes> {
    let mut again = Request::new(request.body().clone());
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    *again.headers_mut() = request.headers().clone();
    *again.extensions_mut() = request.extensions().clone();
    again
}

/// A server of the bench, with what runs for it.
struct Runs<S> {
    server: S,
    tasks: Vec<JoinHandle<()>>,
}

impl<S> Runs<S> {
    fn kill(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl<S> Drop for Runs<S> {
    fn drop(&mut self) {
        self.kill();
    }
}

fn drive(
    clock: Arc<dyn Clock>,
    woken: Arc<Notify>,
    due: impl Fn() -> BoxFuture<'static, Result<Due, Fault>> + Send + Sync + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut under_way = JoinSet::new();
        loop {
            let Due { tasks, next } = due().await.unwrap_or_default();
            for task in tasks {
                under_way.spawn(task);
            }
            let wait = next.map_or(Duration::from_secs(3600), |next| next.since(clock.now()));
            // Some due thing may be of this very moment: others go on first.
            let wait = wait.max(Duration::from_millis(1));
            tokio::select! {
                () = woken.notified() => {}
                () = tokio::time::sleep(wait) => {}
                Some(_) = under_way.join_next() => {}
            }
        }
    })
}

pub(crate) const LOCAL: &str = "724-99";
pub(crate) const REFUSING: &str = "724-98";
pub(crate) const BOOTSTRAP: &str = "234-99";

/// Everybody.
pub(crate) struct Bench {
    pub(crate) world: World,
    parts: Parts,
    pub(crate) networks: Arc<Networks>,
    pub(crate) events: MemoryEvents,
    stock: SmDpPlus,
    sm_dp: Mutex<Runs<SmDp>>,
    sm_sr: Mutex<Runs<SmSr>>,
    pub(crate) operator: Operator,
    eum: Operator,
    /// The one in which everybody speaks.
    namespace: Namespace,
    tasks: Vec<JoinHandle<()>>,
}

const SM_DP: &str = "sm-dp.example";
const SM_SR: &str = "sm-sr.example";
const OPERATOR: &str = "operator.example";

fn number(text: &str) -> PhoneNumber {
    text.parse().unwrap()
}

pub(crate) fn plmn(text: &str) -> Plmn {
    text.parse().unwrap()
}

impl Bench {
    /// A bench whose every throw of the dice follows from `seed`, without a socket.
    pub(crate) async fn new(seed: &str) -> Self {
        Self::with(seed, None, Namespace::V3).await
    }

    /// The same; with a door for cards on the loopback if one is given, and then a clock that stands still. Everybody
    /// speaks in this namespace.
    pub(crate) async fn with(
        seed: &str,
        cards: Option<tokio::net::TcpListener>,
        namespace: Namespace,
    ) -> Self {
        let clock = TokioClock { origin: Instant::now(), is_still: cards.is_some() };
        let door = cards.as_ref().map(|listener| listener.local_addr().unwrap());
        let tap = Tap::default();
        let dice = SeededDice::from_text(seed);
        let world_of = |name: &str| World::new(clock, dice.branch(name));
        let world = world_of("bench");
        let pki = Pki::from_seed(seed.as_bytes(), &PkiOptions::default()).unwrap();
        let fate = Arc::new(Fate::default());
        let web = Arc::new(Web { links: Mutex::default(), fate: Arc::clone(&fate), tap: Arc::clone(&tap) });
        let events = MemoryEvents::default();
        let networks = Arc::new(Networks::new(world.clone()));
        let accounts = vec![Account {
            name: "smsr".to_owned(),
            password: "landfall".to_owned(),
            numbers: vec![number("+447700900001")],
        }];
        let settings = SmscSettings::new(number("+447700900000"), accounts);
        let smsc =
            Smsc::open(settings, Arc::clone(&networks), RamMemory::default(), world_of("smsc")).unwrap();
        let mut tasks = vec![tokio::spawn(Arc::clone(&smsc).run())];
        let sm_dp_records = Arc::new(MemoryRecords::default());
        let sm_sr_records = Arc::new(MemoryRecords::default());

        let names = ["localhost".parse().unwrap()];
        let own = pki.m2m_operator("bench operator", &names).unwrap();
        let id = own.certificate.registered_ids()[0].clone();
        let memory = || Arc::new(MemoryRecords::default());
        let uri = format!("https://{OPERATOR}/sgp02");
        let (operator, _) = Operator::new(
            id,
            "operator",
            "operator",
            uri,
            memory(),
            world_of("operator"),
            Arc::new(events.clone()),
        );
        let woken = Arc::new(Notify::new());
        let way = Way {
            web: Arc::clone(&web),
            certificate: own.certificate.der().to_vec(),
            woken: Arc::clone(&woken),
        };
        let operator = operator.with_peers(Arc::new(way));
        let asks = operator.clone();
        tasks.push(drive(Arc::clone(&world.clock), woken, move || {
            let asks = asks.clone();
            Box::pin(async move { asks.due().await })
        }));
        web.put(OPERATOR, operator.link());
        let eum_tls = pki.m2m_eum(&names).unwrap();
        let (eum, _) = Operator::new(
            factory::eum_oid(&pki).unwrap(),
            "EUM",
            "EUM",
            "https://eum.example/sgp02".to_owned(),
            memory(),
            world_of("eum"),
            Arc::new(events.clone()),
        );
        let way = Way {
            web: Arc::clone(&web),
            certificate: eum_tls.certificate.der().to_vec(),
            woken: Arc::default(),
        };
        let eum = eum.with_peers(Arc::new(way));
        let config = sm_dp::Config::new(SM_DP.parse().unwrap());
        let credentials = sm_dp::Credentials::from_pki(&pki).unwrap();
        let stock = SmDpPlus::new(
            config,
            credentials,
            Arc::clone(&sm_dp_records) as Arc<dyn Records>,
            world_of("stock"),
            Arc::new(events.clone()),
        );
        let parts = Parts {
            pki,
            web,
            fate,
            dice,
            clock,
            door,
            tap,
            events: events.clone(),
            smsc,
            sm_dp_records,
            sm_sr_records,
        };
        let sm_dp = Mutex::new(parts.sm_dp());
        let sm_sr = Mutex::new(parts.sm_sr());
        if let Some(listener) = cards {
            let engine = sm_sr.lock().unwrap().server.engine().clone();
            tasks.push(open(listener, engine, Arc::clone(&parts.tap)));
        }
        let bench =
            Self { world, parts, networks, events, stock, sm_dp, sm_sr, operator, eum, namespace, tasks };
        bench.introduce().await;
        bench.lay_out_networks();
        bench
    }
}

/// What servers are made of, again and again.
struct Parts {
    pki: Pki,
    web: Arc<Web>,
    fate: Arc<Fate>,
    dice: SeededDice,
    clock: TokioClock,
    /// Where cards come in over HTTPS, if they do.
    door: Option<std::net::SocketAddr>,
    tap: Tap,
    events: MemoryEvents,
    smsc: Arc<Smsc>,
    sm_dp_records: Arc<MemoryRecords>,
    sm_sr_records: Arc<MemoryRecords>,
}

impl Parts {
    /// Dice of a process: another one throws others.
    fn world(&self, name: &str) -> World {
        let commits: usize = self.fate.commits.lock().unwrap().values().sum();
        World::new(self.clock, self.dice.branch(&format!("{name} {commits}")))
    }

    fn mortal(&self, inner: &Arc<MemoryRecords>, who: Who) -> Arc<dyn Records> {
        let (inner, fate) = (Arc::clone(inner), Arc::clone(&self.fate));
        Arc::new(Mortal { inner, who, fate, dead: Mutex::new(false) })
    }

    fn names() -> [certs::ServerName; 1] {
        ["localhost".parse().unwrap()]
    }

    fn sm_dp(&self) -> Runs<SmDp> {
        let own = self.pki.m2m_server(Owner::SmDp, "bench SM-DP", &Self::names()).unwrap();
        let world = self.world("SM-DP");
        let config = sm_dp::m2m::Config::new("SM-DP", own.oid, format!("https://{SM_DP}/sgp02"));
        let credentials = sm_dp::m2m::Credentials::new(
            own.card.certificate.octets().to_vec(),
            own.card.key,
            self.pki.anchors().unwrap(),
            Vec::new(),
        );
        let records = self.mortal(&self.sm_dp_records, Who::SmDp);
        let woken = Arc::new(Notify::new());
        let way = Way {
            web: Arc::clone(&self.web),
            certificate: own.tls.certificate.der().to_vec(),
            woken: Arc::clone(&woken),
        };
        let clock = Arc::clone(&world.clock);
        let server = SmDp::new(config, credentials, records, world, Arc::new(self.events.clone()))
            .with_peers(Arc::new(way));
        let runs = server.clone();
        let task = drive(clock, woken, move || {
            let runs = runs.clone();
            Box::pin(async move { runs.due().await })
        });
        self.web.put(SM_DP, server.link());
        Runs { server, tasks: vec![task] }
    }

    fn sm_sr(&self) -> Runs<SmSr> {
        let own = self.pki.m2m_server(Owner::SmSr, "bench SM-SR", &Self::names()).unwrap();
        let world = self.world("SM-SR");
        let clock = Arc::clone(&world.clock);
        let https =
            self.door.map(|_| HttpsDoor { trigger: SessionTrigger::default(), path: "/es5".to_owned() });
        let es5 = Es5Config { most_messages: 255, https, ..Es5Config::at(number("+447700900001")) };
        let server = SmSr::new(
            sm_sr::Config::new("SM-SR", own.oid),
            sm_sr::Credentials::new(
                self.pki.anchors().unwrap(),
                own.card.certificate.octets().to_vec(),
                own.card.key,
            ),
            format!("https://{SM_SR}/sgp02"),
            es5,
            self.mortal(&self.sm_sr_records, Who::SmSr),
            world,
            Arc::new(self.events.clone()),
        );
        let woken = Arc::new(Notify::new());
        let way = Way {
            web: Arc::clone(&self.web),
            certificate: own.tls.certificate.der().to_vec(),
            woken: Arc::clone(&woken),
        };
        let server = server.with_peers(Arc::new(way));
        let _set = server.engine().clone().with_wake(Arc::new(Woken(Arc::clone(&woken))));
        let writer = Arc::new(Writer { inner: self.smsc.account("smsr"), tap: Arc::clone(&self.tap) });
        let _set =
            server.engine().clone().with_short_messages(Arc::clone(&writer) as Arc<dyn world::ShortMessages>);
        let (engine, runs) = (server.engine().clone(), server.clone());
        let hears = tokio::spawn(async move {
            loop {
                let delivery = writer.inner.next().await;
                if let Arrived::Message(message) | Arrived::Report(_, message) = &delivery.arrived {
                    let heard = Heard::FromCard(message.user_data.clone());
                    writer.tap.lock().unwrap().push(heard);
                }
                // What is not taken is brought again, to this process or the next.
                if engine.take(delivery.arrived).await.is_ok() {
                    writer.inner.taken(&delivery.ticket).unwrap();
                } else {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        });
        let task = drive(clock, woken, move || {
            let runs = runs.clone();
            Box::pin(async move { runs.due().await })
        });
        self.web.put(SM_SR, server.link());
        Runs { server, tasks: vec![task, hears] }
    }
}

/// The SM-SR's way to the message centre.
struct Writer {
    inner: LocalWriter,
    tap: Tap,
}

impl ShortMessages for Writer {
    fn submit(&self, submission: Submission) -> BoxFuture<'_, Result<MessageId, SubmitFault>> {
        self.tap.lock().unwrap().push(Heard::ToCard(submission.message.user_data.clone()));
        self.inner.submit(submission)
    }
}

/// The door for cards.
fn open(listener: tokio::net::TcpListener, engine: Engine, tap: Tap) -> JoinHandle<()> {
    struct Keys(Engine);
    impl net::PskKeys for Keys {
        fn key<'a>(
            &'a self,
            identity: &'a str,
        ) -> BoxFuture<'a, Result<Option<crypto::Secret<Vec<u8>>>, Fault>> {
            Box::pin(self.0.psk(identity))
        }
    }
    let keys = Arc::new(Keys(engine.clone()));
    let service = link_from(tower::service_fn(move |request: Request<Bytes>| {
        let (engine, tap) = (engine.clone(), Arc::clone(&tap));
        async move {
            tap.lock().unwrap().push(Heard::Request(again(&request)));
            let response = engine.https(request).await;
            let headers = response.headers().iter();
            let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
            let heard = Heard::Response {
                status: response.status().as_u16(),
                headers: headers.collect(),
                body: response.body().clone(),
            };
            tap.lock().unwrap().push(heard);
            Ok::<_, LinkFault>(response)
        }
    }));
    tokio::spawn(net::serve_psk(listener, keys, service, std::future::pending()).unwrap())
}

struct Woken(Arc<Notify>);

impl Wake for Woken {
    fn wake(&self) {
        self.0.notify_one();
    }
}

/// A device of the bench.
pub(crate) struct Device {
    pub(crate) eid: Eid,
    task: JoinHandle<()>,
}

impl Drop for Device {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Bench {
    /// Where all certificates come from.
    pub(crate) fn pki(&self) -> &Pki {
        &self.parts.pki
    }

    /// The OID of the SM-SR.
    pub(crate) fn sm_sr_id(&self) -> Oid {
        self.parts.pki.m2m_oid(Owner::SmSr, "bench SM-SR").unwrap()
    }

    /// The OID of the SM-DP.
    pub(crate) fn sm_dp_id(&self) -> Oid {
        self.parts.pki.m2m_oid(Owner::SmDp, "bench SM-DP").unwrap()
    }

    async fn introduce(&self) {
        let namespace = self.namespace;
        let peer = |id: Oid, authority: &str| Peer { namespace, ..peer(id, authority) };
        let (sm_dp_id, sm_sr_id) = (self.sm_dp_id(), self.sm_sr_id());
        let sm_dp = self.sm_dp.lock().unwrap().server.clone();
        let sm_sr = self.sm_sr.lock().unwrap().server.clone();
        sm_dp.register_sm_sr(&peer(sm_sr_id.clone(), SM_SR)).await.unwrap();
        sm_dp.register_operator(&peer(self.operator.id().clone(), OPERATOR)).await.unwrap();
        let known = |id: &Oid, role, authority: Option<&str>| SrPeer {
            id: id.clone(),
            name: "known".to_owned(),
            role,
            endpoint: authority.map(|authority| format!("https://{authority}/sgp02")),
            namespace,
        };
        let eum = PeerRole::Eum { transport_key: None };
        sm_sr.register_peer(&known(self.eum.id(), eum, None)).await.unwrap();
        sm_sr.register_peer(&known(&sm_dp_id, PeerRole::SmDp, Some(SM_DP))).await.unwrap();
        sm_sr.register_peer(&known(self.operator.id(), PeerRole::Operator, Some(OPERATOR))).await.unwrap();
        self.operator.knows(peer(sm_dp_id, SM_DP));
        self.operator.knows(peer(sm_sr_id.clone(), SM_SR));
        self.eum.knows(peer(sm_sr_id, SM_SR));
    }

    fn lay_out_networks(&self) {
        let bootstrap = plmn(BOOTSTRAP);
        self.networks.put(
            Network::new(plmn("724-97"), "Visited", "BR").with_policy(Policy::with_partners([bootstrap])),
        );
        self.networks.put(Network::new(plmn(LOCAL), "Local", "BR").with_policy(Policy::with_partners([])));
        let refusing = Policy::refusing_everybody(euicc_sim::network::EmmCause::PLMN_NOT_ALLOWED);
        self.networks.put(Network::new(plmn(REFUSING), "Refusing", "BR").with_policy(refusing));
        for home in [BOOTSTRAP, LOCAL, REFUSING] {
            let world = self.parts.world(home);
            let server = SubscriberServer::open(plmn(home), RamMemory::default(), world).unwrap();
            self.networks.put_home(Arc::new(server));
        }
    }

    fn subscriber(&self, home: &str, serial: u64, msisdn: &PhoneNumber) -> Vec<u8> {
        let package = cli::demo::own_package(home, serial, home).unwrap();
        let subscription = cli::subscription::Subscription::of(&package).unwrap();
        let server = self.networks.home_of(subscription.imsi).unwrap();
        server.provision(subscription.imsi, subscription.subscriber.with_msisdn(msisdn.clone())).unwrap();
        package
    }

    /// A profile in stock.
    pub(crate) async fn stock(&self, home: &str, serial: u64) -> Iccid {
        let msisdn = number(&format!("+55119{serial:08}"));
        let package = self.subscriber(home, serial, &msisdn);
        let iccid = self.stock.add_profile(&package, &ProfileOptions::default()).await.unwrap();
        let address = SubscriptionAddress { imsi: None, msisdn: msisdn.digits().parse().ok() };
        let sm_dp = self.sm_dp.lock().unwrap().server.clone();
        sm_dp.set_subscription_address(iccid, &address).await.unwrap();
        iccid
    }

    /// A device, its card registered, switched on.
    pub(crate) async fn device(&self, serial: u64, numbers: Numbers) -> Device {
        let eid = cli::parties::eid_of_serial(&self.parts.pki, serial).unwrap();
        let msisdn = number(&format!("+44770091{serial:04}"));
        let package = self.subscriber(BOOTSTRAP, serial, &msisdn);
        let first = FirstProfile { package, operator: self.operator.id().clone(), msisdn };
        let side = CardSide {
            number: number("+447700900001"),
            https: Some(self.parts.door.unwrap_or_else(|| ([127, 0, 0, 1], 9).into())),
            path: "/es5".to_owned(),
        };
        let mut description = factory::card(&self.parts.pki, eid, &first, &side).unwrap();
        description.m2m.as_mut().unwrap().toolkit = numbers;
        let mut eis = factory::eis(
            &self.parts.pki,
            eid,
            &first,
            &self.sm_sr_id(),
            None,
            self.namespace,
            self.world.now(),
        )
        .unwrap();
        assert_eq!(eis.profile_info.len(), 1);
        eis.last_audit_date = None;
        let request = es1::RegisterEisRequest { base: base(), eis };
        let registered = self.eum.ask::<es1::RegisterEis>(&self.sm_sr_id(), request, VALIDITY).await.unwrap();
        assert!(registered.base.is_done(), "{}", registered.base.function_execution_status);
        let world = self.parts.world(&format!("card {serial}"));
        let card = Slot::new(Card::open(description, RamMemory::default(), world).unwrap());
        let teller =
            Teller::new(format!("device {serial}"), Arc::clone(&self.world.clock), self.events.clone());
        let modem = Modem::new(card, Arc::clone(&self.networks), teller.clone());
        let mut online = Online::new(modem, net::TcpDial::default(), OnlineSettings::default(), teller);
        let handle = online.handle();
        handle.set_visible(vec![plmn("724-97"), plmn(LOCAL), plmn(REFUSING)]);
        let task = tokio::spawn(async move { online.run().await.unwrap() });
        Device { eid, task }
    }

    /// Until the first notification has been confirmed: the card is idle from then on.
    pub(crate) async fn settle(&self) {
        tokio::time::sleep(Duration::from_secs(600)).await;
    }

    /// From now on this is to happen, once. Counting begins anew.
    pub(crate) fn expect(&self, mishap: Option<Mishap>) {
        *self.parts.fate.mishap.lock().unwrap() = mishap;
        *self.parts.fate.messages.lock().unwrap() = 0;
        self.parts.fate.commits.lock().unwrap().clear();
    }

    /// What went over the wires so far; the list begins anew.
    pub(crate) fn overheard(&self) -> Vec<Heard> {
        std::mem::take(&mut self.parts.tap.lock().unwrap())
    }

    /// How many short messages have come from the card since [`overheard`](Self::overheard) was asked last.
    pub(crate) fn received_from_card(&self) -> usize {
        let tap = self.parts.tap.lock().unwrap();
        tap.iter().filter(|heard| matches!(heard, Heard::FromCard(_))).count()
    }

    /// KIc of the card.
    pub(crate) fn kic(&self, eid: Eid) -> [u8; 16] {
        *self.parts.pki.isd_r_keys(eid).unwrap().kic.expose()
    }

    /// It is not to happen any more.
    pub(crate) fn forget_mishap(&self) {
        *self.parts.fate.mishap.lock().unwrap() = None;
    }

    /// Whether it has not happened: the story was over before.
    pub(crate) fn is_still_to_come(&self) -> bool {
        self.parts.fate.mishap.lock().unwrap().is_some()
    }

    /// Messages between servers, and commits of SM-DP and SM-SR, since [`expect`](Self::expect).
    pub(crate) fn counted(&self) -> (usize, usize, usize) {
        let commits = self.parts.fate.commits.lock().unwrap();
        let of = |name| commits.get(name).copied().unwrap_or(0);
        (*self.parts.fate.messages.lock().unwrap(), of("SM-DP"), of("SM-SR"))
    }

    /// Plays a story; whoever is stopped in it is started again a little later.
    pub(crate) async fn play<T>(&self, story: impl Future<Output = T>) -> T {
        tokio::pin!(story);
        loop {
            let restart = self.parts.fate.restart.notified();
            tokio::select! {
                done = &mut story => return done,
                () = restart => {}
            }
            // Both processes are on other machines; the test does not know which one it was, and may start either.
            self.parts.web.remove(SM_DP);
            self.parts.web.remove(SM_SR);
            self.sm_dp.lock().unwrap().kill();
            self.sm_sr.lock().unwrap().kill();
            tokio::time::sleep(Duration::from_secs(3)).await;
            let (sm_dp, sm_sr) = (self.parts.sm_dp(), self.parts.sm_sr());
            *self.sm_dp.lock().unwrap() = sm_dp;
            *self.sm_sr.lock().unwrap() = sm_sr;
        }
    }

    /// ES2.DownloadProfile.
    pub(crate) async fn download(
        &self,
        eid: Eid,
        iccid: Iccid,
        enable_profile: bool,
    ) -> es2::DownloadProfileResponse {
        let request = es2::DownloadProfileRequest {
            base: base(),
            eid,
            smsr_id: self.sm_sr_id(),
            profile_type: None,
            iccid: Some(iccid),
            enable_profile,
        };
        self.operator.ask::<es2::DownloadProfile>(&self.sm_dp_id(), request, VALIDITY).await.unwrap()
    }

    /// ES4.AuditEIS: what the card says of itself.
    pub(crate) async fn audit(&self, eid: Eid) -> rsp::sgp02::eis::Eis {
        let request = es4::AuditEisRequest { base: base(), eid, iccid: Vec::new() };
        let answer = self.operator.ask::<es4::AuditEis>(&self.sm_sr_id(), request, VALIDITY).await.unwrap();
        assert!(answer.base.is_done(), "{}", answer.base.function_execution_status);
        answer.eis.unwrap()
    }

    /// How a profile stands in stock.
    pub(crate) async fn state_in_stock(&self, iccid: Iccid) -> sm_dp::ProfileState {
        let all = self.stock.orders().await.unwrap();
        all.iter().find(|profile| profile.iccid == iccid).unwrap().state
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
