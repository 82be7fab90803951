//! Operator, EUM, SM-DP, SM-SR and SMSC, and their parts. SM-DP and SM-SR can be restarted on the
//! same records.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use certs::{Pki, ServerName, m2m::Owner};
use cli::m2m::{factory, operator::Operator};
use network::{Networks, Smsc, SmscSettings, smsc::Account};
use rsp::{ids::Oid, ota::trigger::SessionTrigger, time::Timestamp};
use rsp_server::due::Due;
use sm_dp::{SmDp, SmDpPlus};
use sm_sr::{
    SmSr,
    es5::{Es5Config, HttpsEndpoint, Wake},
};
use tokio::{
    sync::Notify,
    task::{JoinHandle, JoinSet},
};
use world::{
    BoxFuture, Clock, Fault, MemoryEvents, MemoryHosts, MemoryRecords, PhoneNumber, RamMemory, Records,
    SeededRandom, TokioClock, World,
};

use super::{
    card_transport::{Writer, deliver_messages, serve_cards},
    failure::{Counters, FailurePlan, Party, StoppableRecords},
    wires::{Connection, Recording, Wires},
};

/// Start of the virtual time.
pub(super) const START: Timestamp = Timestamp(1_800_000_000_000);

/// Addresses of the parties.
pub(super) const SM_DP: &str = "sm-dp.example";
pub(super) const SM_SR: &str = "sm-sr.example";
pub(super) const OPERATOR: &str = "operator.example";

/// HTTPS address for cards, as stored on them.
pub(super) const CARDS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8463);
pub(super) const CARD_PATH: &str = "/es5";

/// Number to which cards send short messages.
pub(super) fn sm_sr_number() -> PhoneNumber {
    number("+447700900001")
}

pub(super) fn number(text: &str) -> PhoneNumber {
    text.parse().unwrap()
}

/// Transport between the SM-SR and cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// Short messages only.
    Sms,
    /// HTTPS sessions triggered by a short message; short scripts still use short messages.
    Https,
}

/// A server with its background tasks.
pub(super) struct Running<S> {
    pub(super) server: S,
    tasks: Vec<JoinHandle<()>>,
}

impl<S> Running<S> {
    pub(super) fn kill(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl<S> Drop for Running<S> {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Parts shared by the servers.
pub(super) struct Parts {
    pub(super) pki: Pki,
    pub(super) wires: Arc<Wires>,
    pub(super) failures: Arc<FailurePlan>,
    pub(super) random: SeededRandom,
    pub(super) clock: TokioClock,
    pub(super) bearer: Bearer,
    /// Hosts to which devices can open connections.
    pub(super) hosts: MemoryHosts,
    pub(super) recording: Recording,
    pub(super) events: MemoryEvents,
    pub(super) sm_dp_records: Arc<MemoryRecords>,
    pub(super) sm_sr_records: Arc<MemoryRecords>,
}

impl Parts {
    /// Returns the clock, and random values that differ for each process.
    pub(super) fn world(&self, name: &str) -> World {
        let Counters { sm_dp, sm_sr, .. } = self.failures.counters();
        let commits = sm_dp + sm_sr;
        World::new(self.clock, self.random.branch(&format!("{name} {commits}")))
    }

    /// The OID of the SM-SR.
    pub(super) fn sm_sr_id(&self) -> Oid {
        self.pki.m2m_oid(Owner::SmSr, "bench SM-SR").unwrap()
    }

    /// The OID of the SM-DP.
    pub(super) fn sm_dp_id(&self) -> Oid {
        self.pki.m2m_oid(Owner::SmDp, "bench SM-DP").unwrap()
    }

    fn connection(&self, certificate: &[u8], woken: &Arc<Notify>) -> Arc<Connection> {
        let (wires, certificate) = (Arc::clone(&self.wires), certificate.to_vec());
        Arc::new(Connection { wires, certificate, woken: Arc::clone(woken) })
    }

    fn stoppable(&self, inner: &Arc<MemoryRecords>, party: Party) -> Arc<dyn Records> {
        Arc::new(StoppableRecords::new(Arc::clone(inner), party, Arc::clone(&self.failures)))
    }

    /// Starts an operator, which receives callbacks and notifications. Returns it with its
    /// background task.
    pub(super) fn operator(&self) -> (Operator, JoinHandle<()>) {
        let own = self.pki.m2m_operator("bench operator", &names()).unwrap();
        let id = own.certificate.registered_ids()[0].clone();
        let woken = Arc::new(Notify::new());
        let connection = self.connection(own.certificate.der(), &woken);
        let server = self.asks(id, "operator", OPERATOR).with_peers(connection);
        let task =
            drive(self.world("operator").clock, woken, &server, |it| Box::pin(async move { it.due().await }));
        self.wires.put(OPERATOR, server.link());
        (server, task)
    }

    /// Creates the EUM, which is never called back.
    pub(super) fn eum(&self) -> Operator {
        let own = self.pki.m2m_eum(&names()).unwrap();
        let connection = self.connection(own.certificate.der(), &Arc::default());
        self.asks(factory::eum_oid(&self.pki).unwrap(), "EUM", "eum.example").with_peers(connection)
    }

    fn asks(&self, id: Oid, party: &'static str, authority: &str) -> Operator {
        let address = format!("https://{authority}/sgp02");
        let (records, events) = (Arc::new(MemoryRecords::default()), Arc::new(self.events.clone()));
        Operator::new(id, party, party, address, records, self.world(party), events).0
    }

    /// Opens the SM-DP+, whose stock the SM-DP shares.
    pub(super) fn stock(&self) -> SmDpPlus {
        let config = sm_dp::Config::new(SM_DP.parse().unwrap());
        let credentials = sm_dp::Credentials::from_pki(&self.pki).unwrap();
        let records = Arc::clone(&self.sm_dp_records) as Arc<dyn Records>;
        SmDpPlus::new(config, credentials, records, self.world("stock"), Arc::new(self.events.clone()))
    }

    /// Starts the SMSC.
    pub(super) fn smsc(&self, networks: &Arc<Networks>) -> Running<Arc<Smsc>> {
        let account = Account {
            name: "smsr".to_owned(),
            password: "landfall".to_owned(),
            numbers: vec![sm_sr_number()],
        };
        let settings = SmscSettings::new(number("+447700900000"), vec![account]);
        let (memory, world) = (RamMemory::default(), self.world("smsc"));
        let server = Smsc::open(settings, Arc::clone(networks), memory, world).unwrap();
        let task = tokio::spawn(Arc::clone(&server).run());
        Running { server, tasks: vec![task] }
    }

    /// Starts the SM-DP on its records.
    pub(super) fn sm_dp(&self) -> Running<SmDp> {
        let own = self.pki.m2m_server(Owner::SmDp, "bench SM-DP", &names()).unwrap();
        let world = self.world("SM-DP");
        let clock = Arc::clone(&world.clock);
        let config = sm_dp::m2m::Config::new("SM-DP", own.oid, format!("https://{SM_DP}/sgp02"));
        let credentials = sm_dp::m2m::Credentials::new(
            own.card.certificate.octets().to_vec(),
            own.card.key,
            self.pki.anchors().unwrap(),
            Vec::new(),
        );
        let records = self.stoppable(&self.sm_dp_records, Party::SmDp);
        let woken = Arc::new(Notify::new());
        let server = SmDp::new(config, credentials, records, world, Arc::new(self.events.clone()))
            .with_peers(self.connection(own.tls.certificate.der(), &woken));
        let task = drive(clock, woken, &server, |it| Box::pin(async move { it.due().await }));
        self.wires.put(SM_DP, server.link());
        Running { server, tasks: vec![task] }
    }

    /// Starts the SM-SR on its records, with its account at the SMSC.
    pub(super) fn sm_sr(&self, smsc: &Arc<Smsc>) -> Running<SmSr> {
        let own = self.pki.m2m_server(Owner::SmSr, "bench SM-SR", &names()).unwrap();
        let world = self.world("SM-SR");
        let clock = Arc::clone(&world.clock);
        let endpoint = HttpsEndpoint { trigger: SessionTrigger::default(), path: CARD_PATH.to_owned() };
        let https = (self.bearer == Bearer::Https).then_some(endpoint);
        let es5 = Es5Config { most_messages: 255, https, ..Es5Config::at(sm_sr_number()) };
        let woken = Arc::new(Notify::new());
        let server = SmSr::new(
            sm_sr::Config::new("SM-SR", own.oid),
            sm_sr::Credentials::new(
                self.pki.anchors().unwrap(),
                own.card.certificate.octets().to_vec(),
                own.card.key,
            ),
            format!("https://{SM_SR}/sgp02"),
            es5,
            self.stoppable(&self.sm_sr_records, Party::SmSr),
            world,
            Arc::new(self.events.clone()),
        )
        .with_peers(self.connection(own.tls.certificate.der(), &woken));
        let _set = server.engine().clone().with_wake(Arc::new(Woken(Arc::clone(&woken))));
        let writer = Arc::new(Writer { inner: smsc.account("smsr"), recording: Arc::clone(&self.recording) });
        let _set =
            server.engine().clone().with_short_messages(Arc::clone(&writer) as Arc<dyn world::ShortMessages>);
        let hears = tokio::spawn(deliver_messages(writer, server.engine().clone()));
        let task = drive(clock, woken, &server, |it| Box::pin(async move { it.due().await }));
        let mut tasks = vec![task, hears];
        if self.bearer == Bearer::Https {
            let listener = self.hosts.listen(CARDS.to_string());
            tasks.push(tokio::spawn(serve_cards(
                listener,
                server.engine().clone(),
                Arc::clone(&self.recording),
            )));
        }
        self.wires.put(SM_SR, server.link());
        Running { server, tasks }
    }
}

/// Host names in all certificates.
fn names() -> [ServerName; 1] {
    ["localhost".parse().unwrap()]
}

/// Runs the background work of a party, at its times and whenever it is woken.
fn drive<S: Clone + Send + 'static>(
    clock: Arc<dyn Clock>,
    woken: Arc<Notify>,
    server: &S,
    due: impl Fn(S) -> BoxFuture<'static, Result<Due, Fault>> + Send + 'static,
) -> JoinHandle<()> {
    let server = server.clone();
    tokio::spawn(async move {
        let mut under_way = JoinSet::new();
        loop {
            let Due { tasks, next } = due(server.clone()).await.unwrap_or_default();
            for task in tasks {
                under_way.spawn(task);
            }
            let wait = next.map_or(Duration::from_secs(3600), |next| next.since(clock.now()));
            // Work that is due at this very moment must not starve other tasks.
            let wait = wait.max(Duration::from_millis(1));
            tokio::select! {
                () = woken.notified() => {}
                () = tokio::time::sleep(wait) => {}
                Some(_) = under_way.join_next() => {}
            }
        }
    })
}

struct Woken(Arc<Notify>);

impl Wake for Woken {
    fn wake(&self) {
        self.0.notify_one();
    }
}
