//! Creates the operator, the EUM, the SM-DP and the SM-SRs, and runs their background tasks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use certs::m2m::Owner;
use certs::{Credential, Pki, ServerName};
use net::PskServer;
use network::Smsc;
use rsp::ids::Oid;
use rsp::sgp02::Namespace;
use rsp_server::due::Due;
use rsp_server::soap::Peers;
use sm_dp::{SmDp, SmDpPlus};
use sm_sr::SmSr;
use sm_sr::es5::{Bearer, Engine, Es5Config};
use tokio::sync::Notify;
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;
use world::{
    BoxFuture, Clock as _, Events, Fault, Link, MemoryEvents, MemoryHosts, MemoryListener, MemoryRecords,
    Records, ShortMessageSink, ShortMessages, TokioClock, World,
};

use super::assembly::{
    CARD_PATH, CardKeys, MAX_CONCATENATED_MESSAGES, Party, SmDpSetup, SmSrSetup, card_link,
    operator_credential, register_all,
};
use super::factory::CardAddresses;
use super::operator::{Operator, ReceivedNotification, SOAP_PATH};
use super::recording::SmsAccount;
use super::web::{Caller, Web};
use super::{SECOND_SM_SR_PLACE, SM_DP_PLACE, SM_SR_PLACE, Setup, factory, number};
use crate::background;
use crate::bad_pki;
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

/// Maximum time for a card on a narrow bearer to open its HTTPS session, or to run a script in that
/// session.
const PATIENCE_IN_SESSIONS: Duration = Duration::from_secs(5 * 60);

/// Names and addresses of an SM-SR.
pub(super) struct SmSrAt {
    /// Name of its records as a place of faults, and also the name of its account at the SMSC.
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
    /// The SM-SR, as its peers register it.
    fn party(&self, ids: &Ids) -> Party {
        let id = if self.place == FIRST.place { &ids.sm_sr } else { &ids.second_sm_sr };
        Party::new(id, self.in_pki, self.authority)
    }

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

    /// The SM-DP, as its peers register it.
    fn sm_dp(&self) -> Party {
        Party::new(&self.sm_dp, SM_DP_NAME, SM_DP)
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
    pub(super) fn operator(
        &self,
    ) -> Result<(Operator, Receiver<ReceivedNotification>, BoxFuture<'static, ()>), Fault> {
        let Self { simulation, setup, .. } = self;
        let (own, id) = operator_credential(&setup.pki, OPERATOR_NAME, &names(OPERATOR)?)?;
        let woken = Arc::new(Notify::new());
        let (operator, notifications) = self.calling_party(id, OPERATOR_NAME, "operator", OPERATOR);
        let operator = operator.with_peers(self.caller(&own, &woken));
        let ids = Ids::of(&setup.pki)?;
        for party in [ids.sm_dp(), FIRST.party(&ids), SECOND.party(&ids)] {
            operator.knows(party.peer(setup.namespace));
        }
        let process = Arc::new(|| Some(1));
        let (host, link, clock) = (OPERATOR.to_owned(), operator.link(), simulation.clock());
        self.open(OPERATOR, Server { host, link, process, shows: Some(own), clock })?;
        let works =
            drive(woken, simulation.clock(), operator.clone(), |it| Box::pin(async move { it.due().await }));
        Ok((operator, notifications, works))
    }

    /// Creates the EUM, which receives no callbacks.
    pub(super) fn eum(&self) -> Result<Operator, Fault> {
        let pki = &self.setup.pki;
        let own = pki.m2m_eum(&names(EUM)?).map_err(bad_pki)?;
        let (eum, _) = self.calling_party(factory::eum_oid(pki)?, "Landfall EUM", "EUM", EUM);
        let eum = eum.with_peers(self.caller(&own, &Arc::default()));
        eum.knows(FIRST.party(&Ids::of(pki)?).peer(self.setup.namespace));
        Ok(eum)
    }

    fn calling_party(
        &self,
        id: Oid,
        name: &str,
        party: &'static str,
        authority: &str,
    ) -> (Operator, Receiver<ReceivedNotification>) {
        let (records, events) = (Arc::new(MemoryRecords::default()), Arc::new(self.events.clone()));
        let address = format!("https://{authority}{SOAP_PATH}");
        Operator::new(id, name, party, address, records, self.simulation.world(party), events)
    }

    /// Creates the SM-DP+ that shares its stock with the SM-DP.
    pub(super) fn stock(&self, records: &MemoryRecords) -> Result<SmDpPlus, Fault> {
        let events = Arc::new(self.events.clone());
        let world = self.simulation.world("stock");
        crate::assembly::sm_dp_plus(&self.setup.pki, SM_DP, Arc::new(records.clone()), world, events)
    }

    /// Starts the process of a server, which [`Host`] restarts after its end, and makes the server
    /// reachable. `create` gets the records, the clock and random numbers of the process, the
    /// events, and the connections to the peers.
    fn host<P: Clone + Send + 'static>(
        &self,
        (place, name, authority): (&'static str, &'static str, &'static str),
        records: &MemoryRecords,
        tls: &Credential,
        woken: &Arc<Notify>,
        create: impl Fn(Arc<dyn Records>, World, Arc<dyn Events>, Arc<dyn Peers>) -> (P, Link)
        + Send
        + Sync
        + 'static,
    ) -> Result<Host<P>, Fault> {
        let (simulation, events) = (self.simulation.clone(), self.events.clone());
        let (web, faults) = (Arc::downgrade(self.web), self.faults.clone());
        let (shown, recording, woken) = (tls.clone(), self.setup.recording.clone(), Arc::clone(woken));
        let make = move |records, starts| {
            let peers = Arc::new(Caller::new(&web, &shown, &faults, recording.as_ref(), &woken));
            create(records, of_process(&simulation, name, starts), Arc::new(events.clone()), peers)
        };
        let host = Host::start(place, Arc::new(records.clone()), self.faults.clone(), make);
        let clock = self.simulation.clock();
        self.open(authority, Server::of(authority.to_owned(), &host, clock).showing(tls.clone()))?;
        Ok(host)
    }

    /// Creates the SM-DP with these records, and its background work.
    pub(super) fn sm_dp(
        &self,
        records: &MemoryRecords,
    ) -> Result<(Host<SmDp>, BoxFuture<'static, ()>), Fault> {
        let own = SmDpSetup::new(&self.setup.pki, SM_DP_NAME, "SM-DP", SM_DP, &names(SM_DP)?)?;
        let woken = Arc::new(Notify::new());
        let tls = own.tls.clone();
        let create = move |records, world, events, peers| {
            let server = own.server(records, world, events, peers);
            let link = server.link();
            (server, link)
        };
        let host = self.host((SM_DP_PLACE, "SM-DP", SM_DP), records, &tls, &woken, create)?;
        let (process, clock) = (host.clone(), self.simulation.clock());
        let works = async move {
            process
                .works(|server| {
                    drive(Arc::clone(&woken), clock, server, |it| Box::pin(async move { it.due().await }))
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
        let Self { simulation, setup, faults, is_patient, .. } = self;
        let has_https = setup.bearer == Bearer::Https;
        let side = at.card_side(has_https)?;
        // A card without HTTPS gets whole profiles by short messages.
        let es5 =
            Es5Config { most_messages: MAX_CONCATENATED_MESSAGES, ..Es5Config::at(side.number.clone()) };
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
        let own = SmSrSetup::new(
            &setup.pki,
            (at.in_pki, at.name),
            at.authority,
            &names(at.authority)?,
            &side,
            es5,
        )?;
        let woken = Arc::new(Notify::new());
        let recording = setup.recording.clone();
        let account = Arc::new(SmsAccount { account: smsc.account(at.place), recording: recording.clone() });
        let host = {
            let (short_messages, woken_by): (Arc<dyn ShortMessages>, _) =
                (account.clone(), Arc::clone(&woken));
            let tls = own.tls.clone();
            let create = move |records, world, events, peers| {
                let server = own.server(records, world, events, peers, &woken_by);
                // All clones of the engine share this setting.
                let _ = server.engine().clone().with_short_messages(Arc::clone(&short_messages));
                let link = server.link();
                (server, link)
            };
            self.host((at.place, at.name, at.authority), records, &tls, &woken, create)?
        };
        let cards = host.link_of(|server| card_link(server.engine().clone()));
        let cards = faults.link(match recording {
            Some(recording) => recording.of_card(cards),
            None => cards,
        });
        let (process, hosts, clock) = (host.clone(), hosts.clone(), simulation.clock());
        let works = async move {
            process
                .works(|server| {
                    let (woken, account, cards) = (Arc::clone(&woken), Arc::clone(&account), cards.clone());
                    let listener = has_https.then(|| hosts.listen(at.cards.to_string()));
                    Box::pin(async move {
                        let engine = server.engine().clone();
                        tokio::join!(
                            drive(woken, clock, server, |it| Box::pin(async move { it.due().await })),
                            receive(&account, &engine),
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
    let operator = Party::new(operator, OPERATOR_NAME, OPERATOR);
    let sm_srs: Vec<_> = sm_srs.iter().map(|(at, sm_sr)| (sm_sr, at.party(ids))).collect();
    register_all((sm_dp, &ids.sm_dp()), &sm_srs, &operator, eum, namespace).await
}

/// A restarted process needs other random numbers, because those of the first process are used up.
fn of_process(simulation: &Simulation, name: &str, starts: u32) -> world::World {
    simulation.world(&format!("{name} {} {starts}", simulation.clock().now()))
}

/// The server name for a TLS certificate.
fn names(authority: &str) -> Result<[ServerName; 1], Fault> {
    Ok([authority.parse().map_err(|_| super::unexpected("a server has no name"))?])
}

/// The background work of a party, without end.
fn drive<S: Clone + Send + 'static>(
    woken: Arc<Notify>,
    clock: TokioClock,
    server: S,
    due: impl Fn(S) -> BoxFuture<'static, Result<Due, Fault>> + Send + 'static,
) -> BoxFuture<'static, ()> {
    // The work is retried. The faults of the run itself report why the records failed.
    Box::pin(background::run(woken, clock, move || due(server.clone()), drop))
}

/// Passes messages from the SMSC to the engine, without end.
async fn receive(account: &SmsAccount, engine: &Engine) {
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

/// Serves the HTTPS connections of cards, without end. Without a listener, it does nothing.
async fn open(listener: Option<MemoryListener>, engine: Engine, cards: Link) {
    let Some(mut listener) = listener else { return std::future::pending().await };
    let server = match PskServer::new(Arc::new(CardKeys(engine))) {
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
