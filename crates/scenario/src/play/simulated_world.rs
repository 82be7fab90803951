//! The simulated world of a run: servers with their records, networks with their subscribers, and
//! devices in their delivery state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certs::Pki;
use crypto::Curve;
use euicc_sim::{CardDescription, Quirk, Shared};
use fleet::Platform;
use fleet::bearers::{self, Bearers};
use fleet::costs::Costs;
use localize::Place;
use network::{Network, Networks, Policy, Roaming, SubscriberServer};
use rsp::ids::{Eid, Iccid, Plmn};
use rsp::time::Timestamp;
use sm_dp::SmDpPlus;
use world::{Clock, Fault, MemoryRecords, NullEvents, RamMemory};

use super::dormant_device::{Attached, DormantDevice, Hears};
use super::environment::{Outside, TheirSmDp};
use super::factory::{Factory, Foreign, all_known, stock};
use super::m2m::{self, M2m};
use super::notifications::{EventReporter, PlatformNotifier};
use super::owner;
use super::queue::Queue;
use super::radio_environment::{Imei, RadioEnvironment};
use crate::consumer::{self, sm_dp_host};
use crate::file::{self, Group, Partners, Scenario};
use crate::host::Host;
use crate::m2m::Bearer;
use crate::m2m::testbed::M2mTestbed;
use crate::report::{Kind, Report};
use crate::time::Simulation;
use crate::transport::{Server, Way, Ways};
use faults::{FaultInjector, TamperingPeer};

/// All parties of a run. Its methods do not block.
pub(super) struct SimulatedWorld {
    pub(super) simulation: Simulation,
    pub(super) scenario: Scenario,
    pub(super) pki: Arc<Pki>,
    pub(super) quirks: Vec<Quirk>,
    pub(super) shared: Arc<Shared>,
    pub(super) networks: Arc<Networks>,
    pub(super) radio_environment: Arc<RadioEnvironment>,
    pub(super) bearers: Arc<BTreeMap<Plmn, bearers::Bearer>>,
    pub(super) costs: Costs,
    pub(super) sm_dps: BTreeMap<String, SmDp>,
    /// The M2M servers and agent, if the devices are M2M devices.
    pub(super) m2m: Option<M2m>,
    pub(super) foreign: Foreign,
    pub(super) platform: Host<Platform>,
    pub(super) platform_transport: Arc<dyn Way>,
    pub(super) platform_records: MemoryRecords,
    pub(super) servers: FaultInjector,
    pub(super) devices: Vec<Mutex<DormantDevice>>,
    pub(super) queue: Queue,
    pub(super) report: Arc<Mutex<Report>>,
}

/// An SM-DP+.
pub(super) struct SmDp {
    /// The party, unless it is a third-party SM-DP+.
    pub(super) party: Option<Host<SmDpPlus>>,
    /// The address that devices use.
    pub(super) address: String,
    pub(super) way: Arc<dyn Way>,
    /// Delivers the notifications of the SM-DP+ to the platform.
    pub(super) tells: PlatformNotifier,
    /// The activation codes of an SM-DP+ that takes no orders, with home network and ICCID.
    pub(super) codes: Vec<(Plmn, Iccid, String)>,
}

impl SimulatedWorld {
    pub(super) async fn create(
        simulation: Simulation,
        scenario: Scenario,
        report: Report,
        Outside { pki, quirks, ways, sm_dps: theirs, cards: lent, .. }: Outside,
    ) -> Result<Self, Fault> {
        let report = Arc::new(Mutex::new(report));
        let reporter = EventReporter { report: Arc::clone(&report), clock: simulation.clock() };
        let servers = FaultInjector::new(simulation.dice("servers' mishaps"), [])
            .with_liar(TamperingPeer::new(Arc::clone(&pki)))
            .telling(reporter.clone().strikes());
        let shared = Arc::default();
        let networks = networks(&simulation, &scenario)?;
        let testbed = match scenario.is_m2m() {
            true => {
                let bearer = if scenario.has_https() { Bearer::Https } else { Bearer::Sms };
                let second = scenario.has_second_sm_sr();
                Some(
                    M2mTestbed::create(&simulation, &pki, &networks, &servers, bearer, &*ways, second)
                        .await?,
                )
            }
            false => None,
        };
        let mut sm_dps = match &testbed {
            Some(_) => BTreeMap::new(),
            None => sm_dps((&simulation, &scenario, &pki), (&theirs, &*ways), (&servers, &reporter)).await?,
        };
        let mut foreign = Foreign::new();
        for operator in &scenario.operators {
            if let Some(testbed) = &testbed {
                m2m::stock(operator, &networks, testbed).await?;
                continue;
            }
            let name = operator.sm_dp.get_ref();
            let sm_dp = sm_dps.get_mut(name).ok_or_else(|| bug("an SM-DP+ is missing"))?;
            stock((&scenario, operator), &networks, sm_dp, theirs.get(name), &mut foreign).await?;
        }
        theirs.iter().try_for_each(|(name, theirs)| all_known(name, theirs, &foreign))?;
        let places = places(&scenario)?;
        let factory = Factory {
            simulation: &simulation,
            maker: (&pki, &quirks),
            shared: &shared,
            networks: &networks,
            scenario: &scenario,
            testbed: testbed.as_ref(),
            theirs: &lent,
        };
        let (devices, records, cards) = devices(&factory, &places, &mut foreign).await?;
        if !lent.is_empty() {
            no_two_are_the_same(&devices)?;
        }
        let platform_records = owner::records(records).await?;
        let platform =
            owner::platform(&simulation, &scenario, &pki, (&sm_dps, &servers), &platform_records, reporter)?;
        let platform_transport = ways.open(Server::of(PLATFORM.to_owned(), &platform, simulation.clock()))?;
        for sm_dp in sm_dps.values().filter(|sm_dp| sm_dp.party.is_some()) {
            let shown = owner::shown_by(&pki, sm_dp, &scenario)?;
            sm_dp.tells.lead_to(servers.link(platform_transport.link(Some(&shown))?));
        }
        let radio_environment = radio_environment(&simulation, &scenario, &places)?;
        for device in each(&devices) {
            for country in &device.imei_registered_in {
                radio_environment.register_imei(imei(device.eid), *country);
            }
        }
        let bearers = bearers(&scenario)?;
        let costs = Costs::built_in()
            .map_err(|why| Fault::caused_by(why, "the price list is invalid", "report this"))?;
        Ok(Self {
            simulation,
            scenario,
            pki,
            quirks,
            shared,
            networks,
            radio_environment: Arc::new(radio_environment),
            bearers: Arc::new(bearers),
            costs,
            sm_dps,
            m2m: testbed.map(|testbed| M2m::new(testbed, cards, ways)),
            foreign,
            platform,
            platform_transport,
            platform_records,
            servers,
            devices,
            queue: Queue::default(),
            report,
        })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.simulation.clock().now()
    }

    /// The device with this index in the run, counted from 0. It is locked as long as the guard
    /// lives.
    pub(super) fn device(&self, index: usize) -> Option<MutexGuard<'_, DormantDevice>> {
        self.devices.get(index).map(locked)
    }

    pub(super) fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn group(&self, index: usize) -> Option<&Group> {
        self.scenario.groups.get(index)
    }

    /// The display name of a device.
    pub(super) fn name(&self, device: &DormantDevice) -> String {
        let group = self.group(device.group).map_or("device", |group| group.name.get_ref());
        format!("{group}-{}", device.number)
    }

    /// All devices, each locked in turn.
    pub(super) fn each_device(&self) -> impl Iterator<Item = MutexGuard<'_, DormantDevice>> {
        each(&self.devices)
    }

    /// The fault injector of a device.
    pub(super) fn mishaps_of(&self, device: &mut DormantDevice) -> FaultInjector {
        let dice = self.simulation.dice(&format!("mishaps of {}", device.eid));
        let made = || {
            let liar = TamperingPeer::new(Arc::clone(&self.pki));
            FaultInjector::new(dice, []).with_liar(liar).telling(self.reporter().strikes())
        };
        device.faults.get_or_insert_with(made).clone()
    }

    /// The reporter for events outside devices.
    pub(super) fn reporter(&self) -> EventReporter {
        EventReporter { report: Arc::clone(&self.report), clock: self.simulation.clock() }
    }

    /// Adds an event of a device to the timeline.
    pub(super) fn tell(&self, kind: Kind, device: &DormantDevice, what: &str) {
        let who = self.group(device.group).map_or("devices", |group| group.name.get_ref()).to_owned();
        let text = format!("{}: {what}", self.name(device));
        self.report().timeline.tell(self.now(), kind, who, text);
    }

    /// The current state of a network.
    pub(super) fn network(&self, plmn: Plmn) -> Option<Network> {
        self.networks.all().into_iter().find(|network| network.plmn == plmn)
    }

    /// True if the networks still allow a registration that was made earlier.
    pub(super) fn still_serves(&self, attached: &Attached, eid: Eid, network: Option<&Network>) -> bool {
        let Some(network) = network.filter(|network| network.coverage) else { return false };
        let is_home = attached.home == network.plmn;
        let roams = is_home
            || match &network.policy.roaming {
                Roaming::Everybody => true,
                Roaming::Partners(partners) => partners.contains(&attached.home),
                Roaming::Nobody => false,
            };
        let barred = self.networks.home_of(attached.imsi).and_then(|home| home.subscriber(attached.imsi));
        let barred = barred
            .is_some_and(|subscriber| subscriber.barred.is_some() || (!is_home && !subscriber.may_roam));
        let objection =
            self.radio_environment.objection(network.plmn, attached.imsi, Some(attached.home), imei(eid));
        roams && !barred && objection.is_none()
    }

    /// The country and region of a network.
    pub(super) fn place(&self, plmn: Plmn) -> Option<Place> {
        self.scenario.book.locate(plmn).ok()
    }

    /// The networks with coverage at a place, strongest first.
    pub(super) fn hears(&self, place: &file::Place) -> Hears {
        match place {
            file::Place::Hears(networks) => networks.iter().map(|network| *network.get_ref()).collect(),
            file::Place::In(country) => {
                let all = self.scenario.networks.iter().map(|network| *network.plmn.get_ref());
                let is_in =
                    |plmn: &Plmn| self.place(*plmn).is_some_and(|place| place.country == *country.get_ref());
                all.filter(is_in).collect()
            }
        }
    }

    /// The description of a card, which is needed each time that the card is opened.
    pub(super) fn description(&self, eid: Eid) -> Result<CardDescription, Fault> {
        describe((&self.pki, &self.quirks), eid)
    }
}

fn each(devices: &[Mutex<DormantDevice>]) -> impl Iterator<Item = MutexGuard<'_, DormantDevice>> {
    devices.iter().map(locked)
}

fn locked(device: &Mutex<DormantDevice>) -> MutexGuard<'_, DormantDevice> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The IMEI of a device.
pub(super) fn imei(eid: Eid) -> Imei {
    let digits = eid.to_string();
    digits.get(14..30).and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

/// The IMEI in the form for cards: fifteen digits.
pub(super) fn told_imei(imei: Imei) -> rsp::ota::cat::Imei {
    let digits = format!("{:015}", imei % 1_000_000_000_000_000);
    rsp::ota::cat::Imei::of_digits(&digits).unwrap_or(device::OnlineSettings::default().imei)
}

/// The IMEI of a thief's device, which no device of the fleet has.
pub(super) fn thief(eid: Eid) -> Imei {
    imei(eid) | (1 << 63)
}

pub(super) fn describe((pki, quirks): (&Pki, &[Quirk]), eid: Eid) -> Result<CardDescription, Fault> {
    let credentials = [pki.euicc(Curve::P256, eid).map_err(consumer::bad_pki)?];
    Ok(CardDescription { quirks: quirks.to_vec(), ..CardDescription::default_for(eid, &credentials) })
}

/// Checks that no third-party card has the EID of another card.
fn no_two_are_the_same(devices: &[Mutex<DormantDevice>]) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    for device in each(devices) {
        let eid = device.eid;
        if !seen.insert(eid) {
            let next = "assign the third-party card to another device, such as the first one of the scenario";
            return Err(Fault::new("cannot play the scenario", format!("two devices have EID {eid}"), next));
        }
    }
    Ok(())
}

/// The address of the platform.
pub(super) const PLATFORM: &str = "platform.landfall.example";

/// The address of a simulated SM-DP+.
fn address_of(sm_dp: &str) -> String {
    format!("{sm_dp}.landfall.example")
}

pub(super) fn bug(why: &str) -> Fault {
    Fault::new("cannot play the scenario", why, "report this")
}

fn places(scenario: &Scenario) -> Result<BTreeMap<Plmn, Place>, Fault> {
    let networks = scenario.networks.iter().map(|network| *network.plmn.get_ref());
    let operators = scenario.operators.iter().map(|operator| *operator.network.get_ref());
    let located = networks.chain(operators).map(|plmn| Ok((plmn, scenario.book.locate(plmn)?)));
    let located: Result<_, localize::UnknownNetwork> = located.collect();
    located.map_err(|why| bug(&why.to_string()))
}

fn bearers(scenario: &Scenario) -> Result<BTreeMap<Plmn, bearers::Bearer>, Fault> {
    let table = Bearers::built_in()
        .map_err(|why| Fault::caused_by(why, "the bearer table is invalid", "report this"))?;
    let of = scenario.networks.iter();
    of.map(|network| Ok((*network.plmn.get_ref(), table.named(network.bearer.get_ref())?.clone()))).collect()
}

fn networks(simulation: &Simulation, scenario: &Scenario) -> Result<Arc<Networks>, Fault> {
    let networks = Networks::new(simulation.world("networks"));
    for network in &scenario.networks {
        let plmn = *network.plmn.get_ref();
        let place = scenario.book.locate(plmn).map_err(|why| bug(&why.to_string()))?;
        let roaming = match &network.partners {
            Partners::Any => Roaming::Everybody,
            Partners::Nobody => Roaming::Partners(BTreeSet::new()),
            Partners::Of(partners) => Roaming::Partners(partners.iter().copied().collect()),
        };
        let name = network.name.clone().unwrap_or_else(|| plmn.to_string());
        let policy = Policy { roaming, ..Policy::default() };
        networks.put(Network::new(plmn, name, place.country.to_string()).with_policy(policy));
    }
    for operator in &scenario.operators {
        let plmn = *operator.network.get_ref();
        let server = SubscriberServer::open(plmn, RamMemory::default(), simulation.world(&plmn.to_string()))?;
        networks.put_home(Arc::new(server));
    }
    Ok(Arc::new(networks))
}

/// The SM-DP+s of the operators, by name: simulated and third-party ones.
async fn sm_dps(
    (simulation, scenario, pki): (&Simulation, &Scenario, &Arc<Pki>),
    (theirs, ways): (&BTreeMap<String, TheirSmDp>, &dyn Ways),
    (servers, reporter): (&FaultInjector, &EventReporter),
) -> Result<BTreeMap<String, SmDp>, Fault> {
    let mut sm_dps = BTreeMap::new();
    for operator in &scenario.operators {
        let name = operator.sm_dp.get_ref();
        if sm_dps.contains_key(name) {
            continue;
        }
        let tells = PlatformNotifier::default();
        let (party, address, way) = match theirs.get(name) {
            Some(theirs) => (None, theirs.address.to_string(), Arc::clone(&theirs.way)),
            None => {
                let address = address_of(name);
                let (at, records) = ((name.as_str(), address.clone()), MemoryRecords::default());
                let (reporter, own, peers) = (reporter.clone(), name.clone(), Arc::new(tells.clone()));
                let started = move |server: SmDpPlus, starts| {
                    reporter.started(&own, starts);
                    server.with_peers(Arc::<PlatformNotifier>::clone(&peers))
                };
                let party = sm_dp_host(simulation, pki, at, NullEvents, servers, &records, started)?;
                owner::introduce(pki, &party).await?;
                let way = ways.open(Server::of(address.clone(), &party, simulation.clock()))?;
                (Some(party), address, way)
            }
        };
        sm_dps.insert(name.clone(), SmDp { party, address, way, tells, codes: Vec::new() });
    }
    Ok(sm_dps)
}

/// The devices as they leave their factory; what the platform knows of them; and the cards of M2M
/// ones.
async fn devices(
    factory: &Factory<'_>,
    places: &BTreeMap<Plmn, Place>,
    foreign: &mut Foreign,
) -> Result<(Vec<Mutex<DormantDevice>>, Vec<fleet::Device>, BTreeMap<usize, CardDescription>), Fault> {
    let Factory { scenario, networks, testbed, .. } = factory;
    let (mut devices, mut records, mut cards) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (index, group) in scenario.groups.iter().enumerate() {
        let hears: Hears = Arc::new([]);
        for number in 1..=*group.count.get_ref() {
            let serial = u64::try_from(devices.len()).unwrap_or(u64::MAX) + 1;
            let (whose, made) = ((index, group, number), (scenario.begins, &mut *foreign));
            let (dormant, held) = factory.device(serial, whose, places, &hears, made).await?;
            if let Some(testbed) = testbed {
                let operator = factory.operator(*group.bootstrap.get_ref())?;
                let reached_by = *group.reached_by.get_ref();
                let card = m2m::card(testbed, networks, (dormant.eid, serial), operator, reached_by).await?;
                cards.insert(devices.len(), card);
            }
            records.push(owner::record(&dormant, group, (held, scenario, places)));
            devices.push(Mutex::new(dormant));
        }
    }
    Ok((devices, records, cards))
}

fn radio_environment(
    simulation: &Simulation,
    scenario: &Scenario,
    places: &BTreeMap<Plmn, Place>,
) -> Result<RadioEnvironment, Fault> {
    let of = |network: &file::Network| {
        let plmn = *network.plmn.get_ref();
        let place = places.get(&plmn).ok_or_else(|| bug("a network is nowhere"))?;
        Ok((plmn, (place.country, network.roamers)))
    };
    let networks = scenario.networks.iter().map(of).collect::<Result<_, Fault>>()?;
    let locking = scenario.operators.iter().filter(|operator| operator.imei_lock);
    let locking = locking.map(|operator| *operator.network.get_ref()).collect();
    Ok(RadioEnvironment::new(simulation.clock(), networks, locking))
}
