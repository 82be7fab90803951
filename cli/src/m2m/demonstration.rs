//! The parties of the M2M demonstration, each with its own sockets on the loopback: operator, EUM,
//! SM-DP, two SM-SRs, an SMSC and networks. The cases create the devices.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ::sm_dp::{ProfileOptions, SmDp, SmDpPlus};
use ::sm_sr::es5::Es5Config;
use certs::Pki;
use crypto::Secret;
use device::{AlwaysOnHandle, AlwaysOnSettings, EventSource, Modem, Online, Slot};
use euicc_sim::Card;
use net::{
    Client, FileMemory, TcpDial,
    smpp::{CentreSettings, EsmeSettings, serve_smsc},
};
use network::{Network, Networks, Policy, Smsc, SmscSettings, smsc::Account};
use rsp::{
    ids::{Aid, Eid, Iccid, Oid, Plmn},
    sgp02::{Function, Namespace, common::SubscriptionAddress, es1},
};
use rsp_server::AllowedAddresses;
use testbed::{
    m2m::assembly::{Party, register_all},
    subscription::{Subscription, own_package},
};
use tokio::{sync::mpsc::Receiver, task::JoinHandle};
use world::{Clock, Event, Events, Fault, MemoryRecords, PhoneNumber, World};

use super::{
    factory::{self, FirstProfile},
    messages::Messages,
    names::Names,
    observer::{EventObserver, Observations},
    operator::{Operator, ReceivedNotification, SOAP_PATH, blank},
    sm_dp, sm_sr,
};
use crate::{
    faults::ActiveFaults,
    output::{DEMONSTRATION, remark},
    parties::{
        self, Running,
        demo_networks::{BOOTSTRAP, DemoNetworks, LOCAL, plmn},
    },
    peers::{Delivery, TlsPeers},
    settings::{ListenAddress, Settings},
};

/// Numbers of the SM-SRs, to which cards send short messages.
const SM_SR_NUMBERS: [&str; 2] = ["+447700900001", "+447700900002"];
const SM_SR_NAMES: [&str; 2] = ["SM-SR 1", "SM-SR 2"];
const SMSC_NUMBER: &str = "+447700900000";

/// Validity period of the operator's requests: longer than any step of the cases.
pub(super) const VALIDITY: Duration = Duration::from_secs(90);

/// All parties of the M2M demonstration.
pub struct Demonstration {
    pub(super) world: World,
    observer: EventObserver,
    pub(super) events: Arc<dyn Events>,
    pub(super) observations: Observations,
    pub(super) pki: Pki,
    pub(super) networks: DemoNetworks,
    pub(super) stock: SmDpPlus,
    pub(super) sm_dp: SmDp,
    pub(super) sm_dp_id: Oid,
    pub(super) sm_srs: Vec<sm_sr::RunningSmSr>,
    pub(super) operator: Operator,
    pub(super) notifications: Receiver<ReceivedNotification>,
    eum: Operator,
    folder: PathBuf,
    /// Servers, stopped in [`Demonstration::close`].
    running: Vec<Running>,
    tasks: Vec<JoinHandle<()>>,
    _deliveries: Vec<Delivery>,
}

/// A running device of a case.
pub(super) struct DemoDevice {
    pub(super) name: String,
    pub(super) eid: Eid,
    pub(super) handle: AlwaysOnHandle,
    task: JoinHandle<()>,
}

impl Demonstration {
    /// Starts the parties on free ports of the loopback. Their data is stored below `folder`,
    /// their messages to each other in `messages`, and their names in `names`.
    ///
    /// # Errors
    /// A certificate is missing, the folder cannot be written, or a socket fails.
    pub async fn start(
        settings: &Settings,
        folder: &Path,
        names: Names,
        messages: Option<Messages>,
        events: Arc<dyn Events>,
    ) -> Result<Self, Fault> {
        let (world, clock) = parties::os_world()?;
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let observations = Observations::default();
        let observer =
            EventObserver { inner: events, observations: observations.clone(), names, party: None };
        let events: Arc<dyn Events> = Arc::new(observer.clone());
        let pki = crate::pki::load_or_init(settings)?;
        let hosts = crate::pki::names_of("127.0.0.1:0", &[])?;
        let mut running = Vec::new();
        let mut tasks = Vec::new();
        let mut deliveries = Vec::new();

        let networks = DemoNetworks::start(folder, &world).await?;
        networks.add_home(
            // This network accepts only its own subscribers.
            Network::new(plmn(LOCAL)?, "Local Brasil", "BR").with_policy(Policy::with_partners([])),
        )?;
        networks.add_refusing()?;
        let smsc_address = start_smsc(&networks.networks, folder, &world, &clock, &mut tasks).await?;

        let any = ListenAddress { address: ANY.to_owned(), curve: None };
        let mut sm_srs = Vec::new();
        for (number, (name, own)) in (1..).zip(SM_SR_NAMES.into_iter().zip(SM_SR_NUMBERS)) {
            sm_srs.push(sm_sr::start(sm_sr::Setup {
                pki: &pki,
                name,
                listeners: parties::listen_with_tls(std::slice::from_ref(&any), "--listen").await?,
                address: None,
                names: &hosts,
                cards: Some(net::listen(ANY).await?),
                cards_address: None,
                number: telephone(own)?,
                smsc: Some(EsmeSettings {
                    address: smsc_address.to_string(),
                    system_id: format!("smsr{number}"),
                    password: Secret::new("landfall".to_owned()),
                    system_type: String::new(),
                }),
                records: parties::open_records(
                    settings,
                    &folder.join(format!("sm-sr-{number}.sqlite")),
                    ::sm_sr::records::STORED_FORM,
                )?,
                world: &world,
                events: observer.of(name),
                client: Client::default(),
                messages: messages.clone(),
                patience: Some(patience(telephone(own)?)),
                reply_addresses: AllowedAddresses::default(),
                active_faults: &ActiveFaults::none(),
            })?);
        }

        let listener = net::listen(ANY).await?;
        let address = parties::local_address(&listener)?.to_string();
        let settings = Settings {
            sm_dp: address.clone(),
            sm_dp_names: Vec::new(),
            data_dir: folder.to_owned(),
            ..settings.clone()
        };
        let stock = parties::sm_dp(&settings, &pki, &world, Arc::clone(&events))?;
        let (sm_dp, delivery) = sm_dp::start(sm_dp::Setup {
            pki: &pki,
            authority: &address,
            names: &hosts,
            records: parties::sm_dp_records(&settings)?,
            world: &world,
            events: Arc::clone(&events),
            client: Client::default(),
            messages: messages.clone(),
            reply_addresses: AllowedAddresses::default(),
            active_faults: &ActiveFaults::none(),
        })?;
        deliveries.push(delivery);
        let sm_dp_id = sm_dp::oid(&pki)?;
        let tls = parties::sm_dp_tls(&pki, &hosts, Arc::clone(&clock))?;
        running.push(Running::serve(listener, Some(tls), sm_dp::combine(stock.link(), &sm_dp))?);

        let listener = net::listen(ANY).await?;
        let authority = parties::local_address(&listener)?.to_string();
        let (client_tls, server_tls, id) =
            sm_dp::operator_tls(&pki, "Landfall M2M Operator", &hosts, Arc::clone(&clock))?;
        let uri = format!("https://{authority}{SOAP_PATH}");
        let (operator, notifications) = Operator::new(
            id.clone(),
            "Landfall M2M Operator",
            "operator",
            uri,
            Arc::new(MemoryRecords::default()),
            world.clone(),
            Arc::clone(&events),
        );
        let peers = TlsPeers::new(Client::default(), client_tls).recording(messages.clone());
        let woken = peers.woken();
        let operator = operator.with_peers(Arc::new(peers)).with_remarks(remark);
        let caller = operator.clone();
        deliveries.push(Delivery::drive("the SM-DP and SM-SRs", woken, Arc::clone(&clock), move || {
            let operator = caller.clone();
            Box::pin(async move { operator.due().await })
        }));
        running.push(Running::serve(listener, Some(server_tls), operator.link())?);

        let eum = crate::eum::create(&pki, &world, Arc::clone(&events), messages)?;

        let names = &observer.names;
        names.call(&sm_dp_id, "SM-DP");
        names.call(&id, "operator");
        names.call(eum.id(), "EUM");
        for ((sm_sr, name), number) in sm_srs.iter().zip(SM_SR_NAMES).zip(SM_SR_NUMBERS) {
            names.call(&sm_sr.id, name);
            names.call(&number, name);
        }
        names.call(&Aid(Aid::ISD_R.to_vec()), "the ISD-R");
        for number in factory::FIRST_ISD_P..factory::FIRST_ISD_P.saturating_add(8) {
            names.call(&Aid::isd_p(number), format!("ISD-P {number:X}"));
        }
        // All parties are registered with each other.
        let sm_dp_party = Party::new(&sm_dp_id, "SM-DP", address);
        let sm_sr_parties: Vec<_> =
            sm_srs.iter().map(|sm_sr| (&sm_sr.server, sm_sr.party("SM-SR"))).collect();
        let operator_party = Party::new(&id, "operator", authority);
        operator.knows(sm_dp_party.peer(Namespace::V3));
        for (_, sm_sr) in &sm_sr_parties {
            operator.knows(sm_sr.peer(Namespace::V3));
            eum.knows(sm_sr.peer(Namespace::V3));
        }
        register_all((&sm_dp, &sm_dp_party), &sm_sr_parties, &operator_party, eum.id(), Namespace::V3)
            .await?;
        Ok(Self {
            world,
            observer,
            events,
            observations,
            pki,
            networks,
            stock,
            sm_dp,
            sm_dp_id,
            sm_srs,
            operator,
            notifications,
            eum,
            folder: folder.to_path_buf(),
            running,
            tasks,
            _deliveries: deliveries,
        })
    }

    /// Stops the parties.
    pub async fn close(self) {
        for sm_sr in self.sm_srs {
            sm_sr.stop().await;
        }
        for running in self.running {
            running.stop().await;
        }
        self.networks.stop().await;
        // The SMSC runs until the end of the program, because its clients would report a
        // lost connection.
        drop(self.tasks);
    }

    /// Adds a subscriber with an MSISDN to its home network. Returns the package of its
    /// profile.
    pub(super) fn subscriber(
        &self,
        home: &str,
        number: u64,
        name: &str,
        msisdn: &PhoneNumber,
    ) -> Result<Vec<u8>, Fault> {
        let package = own_package(home, number, name)?;
        self.networks.provision(&Subscription::of(&package)?, Some(msisdn))?;
        Ok(package)
    }

    /// Adds a profile to the stock, with the MSISDN of its device.
    pub(super) async fn put_in_stock(&self, package: &[u8], msisdn: &PhoneNumber) -> Result<Iccid, Fault> {
        let iccid = self.stock.add_profile(package, &ProfileOptions::default()).await?;
        let address = SubscriptionAddress {
            imsi: Some(Subscription::of(package)?.imsi),
            msisdn: msisdn.digits().parse().ok(),
        };
        self.sm_dp.set_subscription_address(iccid, &address).await?;
        Ok(iccid)
    }

    /// Creates a device: registers its card with the first SM-SR, and starts it where these
    /// networks are visible.
    pub(super) async fn device(&self, number: u8, visible: Vec<Plmn>) -> Result<DemoDevice, Fault> {
        let eid = parties::eid_of_serial(&self.pki, 500 + u64::from(number))?;
        let msisdn = telephone(&format!("+4477009001{number:02}"))?;
        let first = FirstProfile {
            package: self.subscriber(BOOTSTRAP, 500 + u64::from(number), "Bootstrap UK", &msisdn)?,
            operator: self.operator.id().clone(),
            msisdn,
        };
        let name = format!("device {number}");
        let made = Event::new(self.world.now(), name.clone(), "created");
        let imsi = Subscription::of(&first.package)?.imsi;
        self.events.emit(made.with_note(format!("EID {eid}, IMSI {imsi}")));
        self.observer.names.call(&eid, &name);
        let sm_sr = self.sm_srs.first().ok_or_else(no_sm_sr)?;
        let mut description = factory::card(&self.pki, eid, &first.package, &sm_sr.card_side)?;
        if let Some(m2m) = description.m2m.as_mut() {
            m2m.toolkit = factory::impatient();
        }
        let eis = factory::eis(&self.pki, eid, &first, &sm_sr.id, None, Namespace::V3, self.world.now())?;
        let registered = self
            .eum
            .call::<es1::RegisterEis>(&sm_sr.id, es1::RegisterEisRequest { base: blank(), eis }, VALIDITY)
            .await?;
        done::<es1::RegisterEis>(&registered.base)?;
        let memory = FileMemory::open(self.folder.join("cards").join(format!("{eid}.card")))?;
        let card = Slot::new(Card::open(description, memory, self.world.clone())?);
        let events = EventSource::new(name.clone(), Arc::clone(&self.world.clock), Arc::clone(&self.events));
        let modem = Modem::new(card, self.networks.radio()?, events.clone());
        let settings =
            AlwaysOnSettings { search_pause: Duration::from_secs(1), ..AlwaysOnSettings::default() };
        let mut online = Online::new(modem, TcpDial::default(), settings, events);
        let handle = online.handle();
        handle.set_visible(visible);
        let who = name.clone();
        let task = tokio::spawn(async move {
            if let Err(error) = online.run().await {
                remark(&format!("{who} stopped: {error}"));
            }
        });
        Ok(DemoDevice { name, eid, handle, task })
    }

    pub(super) fn print(&self, what: impl Into<String>) {
        self.events.emit(Event::new(self.world.now(), DEMONSTRATION, what.into()));
    }
}

impl DemoDevice {
    /// Stops the device.
    pub(super) async fn off(self) {
        self.handle.stop();
        // A failure means that the task was aborted, so that there is nothing to wait for.
        let _ = self.task.await;
    }
}

const ANY: &str = "127.0.0.1:0";

/// Starts the SMSC. Returns its SMPP address.
async fn start_smsc(
    networks: &Arc<Networks>,
    folder: &Path,
    world: &World,
    clock: &Arc<dyn Clock>,
    tasks: &mut Vec<JoinHandle<()>>,
) -> Result<SocketAddr, Fault> {
    let mut accounts = Vec::new();
    for (number, own) in (1..).zip(SM_SR_NUMBERS) {
        accounts.push(Account {
            name: format!("smsr{number}"),
            password: Secret::new("landfall".to_owned()),
            numbers: vec![telephone(own)?],
        });
    }
    let settings = SmscSettings {
        retries: vec![Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(5)],
        ..SmscSettings::new(telephone(SMSC_NUMBER)?, accounts)
    };
    let memory = FileMemory::open(folder.join("smsc.messages"))?;
    let smsc = Smsc::open(settings, Arc::clone(networks), memory, world.clone())?;
    tasks.push(tokio::spawn(Arc::clone(&smsc).run()));
    let listener = net::listen(ANY).await?;
    let address = parties::local_address(&listener)?;
    let settings = CentreSettings::new("landfall", Arc::clone(clock));
    tasks.push(tokio::spawn(async move {
        serve_smsc(listener, smsc, settings, std::future::pending()).await;
    }));
    Ok(address)
}

/// Short time limits that suit a demonstration.
fn patience(number: PhoneNumber) -> Es5Config {
    Es5Config {
        answer_within: Duration::from_secs(5),
        session_within: Duration::from_secs(5),
        script_within: Duration::from_secs(10),
        ..Es5Config::at(number)
    }
}

/// Returns a fault if a function failed.
pub(super) fn done<F: Function>(base: &rsp::sgp02::BaseResponse) -> Result<(), Fault> {
    match base.is_done() {
        true => Ok(()),
        false => Err(Fault::new(
            format!("{} failed", F::NAME),
            base.function_execution_status.to_string(),
            "see the failed step in the timeline above",
        )),
    }
}

pub(super) fn telephone(text: &str) -> Result<PhoneNumber, Fault> {
    text.parse().map_err(|_| {
        Fault::new(
            "cannot set up the telephone numbers",
            format!("{text:?} is not a telephone number"),
            "report this",
        )
    })
}

pub(super) fn no_sm_sr() -> Fault {
    Fault::new("there is no SM-SR", "the demonstration did not start it", "report this")
}
