//! Creates the simulated world of a run: servers with their records, networks with their
//! subscribers, and devices in their delivery state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};

use certs::Pki;
use euicc_sim::CardDescription;
use fleet::bearers::{self, Bearers};
use fleet::costs::Costs;
use localize::Place;
use network::{Network, Networks, Policy, Roaming, SubscriberServer};
use rsp::ids::Plmn;
use sm_dp::SmDpPlus;
use world::{Fault, MemoryRecords, NullEvents, RamMemory};

use super::dormant_device::{DormantDevice, Hears};
use super::eims::{Iot, Surroundings};
use super::environment::{Environment, ThirdPartySmDp};
use super::factory::{Factory, GroupMember, all_known, stock};
use super::imei::imei;
use super::internal_fault::bug;
use super::m2m;
use super::notifications::{EventReporter, PlatformNotifier};
use super::online_devices::M2m;
use super::owner;
use super::queue::Queue;
use super::radio_environment::{OwnerFacts, RadioEnvironment};
use super::simulated_world::{
    CardSupply, Foreign, PLATFORM, Parties, Radio, RunLog, SimulatedWorld, SmDp, each,
};
use crate::file::{self, Partners, Scenario};
use crate::report::Report;
use faults::{FaultInjector, TamperingPeer};
use testbed::consumer::sm_dp_host;
use testbed::m2m::Bearer;
use testbed::m2m::M2mTestbed;
use testbed::time::Simulation;
use testbed::transport::{Server, Transports};

impl SimulatedWorld {
    /// Creates the world of a scenario.
    pub(super) async fn create(
        simulation: Simulation,
        scenario: Scenario,
        report: Report,
        Environment { pki, strict, transports, sm_dps: theirs, cards: lent, .. }: Environment,
    ) -> Result<Self, Fault> {
        let report = Arc::new(Mutex::new(report));
        let reporter = EventReporter { report: Arc::clone(&report), clock: simulation.clock() };
        let servers = FaultInjector::new(simulation.random("servers' mishaps"), [])
            .with_tampering_peer(TamperingPeer::new(Arc::clone(&pki)))
            .on_fault(reporter.clone().fault_callback());
        let shared = Arc::default();
        let networks = networks(&simulation, &scenario)?;
        let testbed = match scenario.is_m2m() {
            true => {
                let bearer = if scenario.has_https() { Bearer::Https } else { Bearer::Sms };
                let second = scenario.has_second_sm_sr();
                Some(
                    M2mTestbed::create(&simulation, &pki, &networks, &servers, bearer, &*transports, second)
                        .await?,
                )
            }
            false => None,
        };
        let mut sm_dps = match &testbed {
            Some(_) => BTreeMap::new(),
            None => sm_dps(&simulation, &scenario, &pki, &theirs, &*transports, &servers, &reporter).await?,
        };
        let mut foreign = Foreign::new();
        for operator in &scenario.operators {
            if let Some(testbed) = &testbed {
                m2m::stock(operator, &networks, testbed).await?;
                continue;
            }
            let name = operator.sm_dp.get_ref();
            let sm_dp = sm_dps.get_mut(name).ok_or_else(|| bug("an SM-DP+ is missing"))?;
            stock(&scenario, operator, &networks, sm_dp, theirs.get(name), &mut foreign).await?;
        }
        theirs.iter().try_for_each(|(name, theirs)| all_known(name, theirs, &foreign))?;
        let places = places(&scenario)?;
        let iot = scenario.is_iot().then(|| {
            let surroundings = Surroundings {
                simulation: &simulation,
                pki: &pki,
                sm_dps: sm_dps.values().map(|it| (it.address.as_str(), &*it.transport)).collect(),
                transports: &*transports,
                faults: &servers,
                reporter: &reporter,
                has_coap: scenario.has_coap(),
            };
            Iot::start(&scenario, &surroundings)
        });
        let iot = iot.transpose()?;
        let factory = Factory {
            simulation: &simulation,
            maker: (&pki, strict),
            shared: &shared,
            networks: &networks,
            scenario: &scenario,
            testbed: testbed.as_ref(),
            iot: iot.as_ref(),
            theirs: &lent,
        };
        let CreatedDevices { devices, records, cards } = devices(&factory, &places, &mut foreign).await?;
        if !lent.is_empty() {
            no_two_are_the_same(&devices)?;
        }
        let platform_records = owner::records(records).await?;
        let platform =
            owner::platform(&simulation, &scenario, &pki, &sm_dps, &servers, &platform_records, reporter)?;
        let platform_transport =
            transports.open(Server::of(PLATFORM.to_owned(), &platform, simulation.clock()))?;
        for sm_dp in sm_dps.values().filter(|sm_dp| sm_dp.party.is_some()) {
            let shown = owner::shown_by(&pki, sm_dp, &scenario)?;
            sm_dp.tells.lead_to(servers.link(platform_transport.link(Some(&shown))?));
        }
        let radio_environment = radio_environment(&simulation, &scenario, &places)?;
        for device in each(&devices) {
            for country in &device.stay_log.imei_registered_in {
                radio_environment.register_imei(imei(device.eid), *country);
            }
            for permit in &device.stay_log.permits {
                radio_environment.grant(imei(device.eid), *permit);
            }
        }
        let bearers = bearers(&scenario)?;
        let costs = Costs::built_in()
            .map_err(|why| Fault::caused_by(why, "the price list is invalid", "report this"))?;
        Ok(Self {
            simulation,
            scenario,
            cards: CardSupply { pki, strict, shared },
            radio: Radio { networks, environment: Arc::new(radio_environment), bearers: Arc::new(bearers) },
            parties: Parties {
                sm_dps,
                iot,
                m2m: testbed.map(|testbed| M2m::new(testbed, cards, transports)),
                foreign,
                platform,
                platform_transport,
                platform_records,
            },
            server_faults: servers,
            devices,
            queue: Queue::default(),
            log: RunLog { report, costs },
            this: OnceLock::new(),
        })
    }
}

/// Checks that no two cards have the same EID, because a third-party card can have the EID of a
/// simulated one.
fn no_two_are_the_same(devices: &[Mutex<DormantDevice>]) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    for device in each(devices) {
        let eid = device.eid;
        if !seen.insert(eid) {
            let next = "assign the third-party card to another device, such as the first one of the scenario";
            return Err(Fault::usage(
                "cannot play the scenario",
                format!("two devices have EID {eid}"),
                next,
            ));
        }
    }
    Ok(())
}

/// The address of a simulated SM-DP+.
fn address_of(sm_dp: &str) -> String {
    format!("{sm_dp}.landfall.example")
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

/// The simulated and third-party SM-DP+s of the operators, by name.
async fn sm_dps(
    simulation: &Simulation,
    scenario: &Scenario,
    pki: &Arc<Pki>,
    theirs: &BTreeMap<String, ThirdPartySmDp>,
    transports: &dyn Transports,
    servers: &FaultInjector,
    reporter: &EventReporter,
) -> Result<BTreeMap<String, SmDp>, Fault> {
    let mut sm_dps = BTreeMap::new();
    for operator in &scenario.operators {
        let name = operator.sm_dp.get_ref();
        if sm_dps.contains_key(name) {
            continue;
        }
        let tells = PlatformNotifier::default();
        let (party, address, transport) = match theirs.get(name) {
            Some(theirs) => (None, theirs.address.to_string(), Arc::clone(&theirs.transport)),
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
                let transport = transports.open(Server::of(address.clone(), &party, simulation.clock()))?;
                (Some(party), address, transport)
            }
        };
        sm_dps.insert(name.clone(), SmDp { party, address, transport, tells, codes: Vec::new() });
    }
    Ok(sm_dps)
}

/// The devices of a run at its start.
struct CreatedDevices {
    devices: Vec<Mutex<DormantDevice>>,
    /// The platform's records of the devices.
    records: Vec<fleet::Device>,
    /// The cards of M2M devices, by the index of the device.
    cards: BTreeMap<usize, CardDescription>,
}

/// Creates the devices in their delivery state.
async fn devices(
    factory: &Factory<'_>,
    places: &BTreeMap<Plmn, Place>,
    foreign: &mut Foreign,
) -> Result<CreatedDevices, Fault> {
    let Factory { scenario, networks, testbed, .. } = factory;
    let (mut devices, mut records, mut cards) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (index, group) in scenario.groups.iter().enumerate() {
        let hears: Hears = Arc::new([]);
        for number in 1..=*group.count.get_ref() {
            let serial = u64::try_from(devices.len()).unwrap_or(u64::MAX) + 1;
            let member = GroupMember { index, group, number };
            let (dormant, held) = factory.device(serial, member, places, &hears, foreign).await?;
            if let Some(testbed) = testbed {
                let operator = factory.operator(*group.bootstrap.get_ref())?;
                let reached_by = *group.reached_by.get_ref();
                let card = m2m::card(testbed, networks, dormant.eid, serial, operator, reached_by).await?;
                cards.insert(devices.len(), card);
            }
            records.push(owner::record(&dormant, group, held, scenario, places));
            devices.push(Mutex::new(dormant));
        }
    }
    Ok(CreatedDevices { devices, records, cards })
}

fn radio_environment(
    simulation: &Simulation,
    scenario: &Scenario,
    places: &BTreeMap<Plmn, Place>,
) -> Result<RadioEnvironment, Fault> {
    let of = |network: &file::Network| {
        let plmn = *network.plmn.get_ref();
        let place = places.get(&plmn).ok_or_else(|| bug("a network is nowhere"))?;
        Ok((plmn, (place.country, network.roamers.clone())))
    };
    let networks = scenario.networks.iter().map(of).collect::<Result<_, Fault>>()?;
    let locking = scenario.operators.iter().filter(|operator| operator.imei_lock);
    let locking = locking.map(|operator| *operator.network.get_ref()).collect();
    let owner = OwnerFacts {
        registered_in: scenario.owner.registered_in.iter().map(|country| *country.get_ref()).collect(),
        permits: scenario.owner.permits.iter().copied().collect(),
    };
    Ok(RadioEnvironment::new(simulation.clock(), networks, locking, owner))
}
