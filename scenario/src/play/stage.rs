//! Everybody in a run, laid out: servers on their records, networks and their subscribers, devices as they left their
//! factory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use certs::Pki;
use crypto::Curve;
use euicc_sim::card::{Card, CardDescription, Shared};
use euicc_sim::network::{Network, Networks, Policy, Roaming, SubscriberServer};
use fleet::bearers::{Bearer, Bearers};
use fleet::costs::Costs;
use fleet::{OnCard, Platform};
use localize::{HeldProfile, HeldState, Place, Role};
use rsp::ids::{Eid, Iccid, Plmn};
use rsp::time::Timestamp;
use sm_dp::{ProfileOptions, SmDpPlus};
use world::{Clock, Fault, MemoryRecords, NullEvents, RamMemory};

use super::air::{Ether, Imei};
use super::between::{ToPlatform, Told};
use super::m2m::{self, M2m};
use super::outside::{Outside, Server, Way};
use super::owner;
use super::queue::Queue;
use super::resting::{Attached, Counts, Hears, Resting, Standing};
use crate::consumer::{self, sm_dp_host};
use crate::faults::{Liar, Mishaps};
use crate::file::{self, Group, Partners, Scenario};
use crate::host::Host;
use crate::m2m::field::Field;
use crate::report::{Kind, Report};
use crate::subscription::{Subscription, own_package};
use crate::time::Simulation;

/// Subscribers with these numbers are in stock; those on cards from the beginning are before them.
pub(super) const FIRST_IN_STOCK: u64 = 10_000_001;

/// Everybody in a run. Nothing here waits.
pub(super) struct Stage {
    pub(super) simulation: Simulation,
    pub(super) scenario: Scenario,
    pub(super) pki: Arc<Pki>,
    pub(super) shared: Arc<Shared>,
    pub(super) networks: Arc<Networks>,
    pub(super) ether: Arc<Ether>,
    pub(super) bearers: Arc<BTreeMap<Plmn, Bearer>>,
    pub(super) costs: Costs,
    pub(super) sm_dps: BTreeMap<String, SmDp>,
    /// Who manages the devices, if they are M2M ones.
    pub(super) m2m: Option<M2m>,
    pub(super) platform: Host<Platform>,
    pub(super) to_platform: Arc<dyn Way>,
    pub(super) platform_records: MemoryRecords,
    pub(super) servers: Mishaps,
    pub(super) devices: Vec<Mutex<Resting>>,
    pub(super) queue: Queue,
    pub(super) report: Arc<Mutex<Report>>,
}

/// An SM-DP+.
pub(super) struct SmDp {
    pub(super) party: Host<SmDpPlus>,
    /// Where devices find it.
    pub(super) address: String,
    pub(super) way: Arc<dyn Way>,
    /// What it tells the platform by itself.
    pub(super) tells: ToPlatform,
}

impl Stage {
    pub(super) async fn lay_out(
        simulation: Simulation,
        scenario: Scenario,
        report: Report,
        Outside { pki, ways, .. }: Outside,
    ) -> Result<Self, Fault> {
        let report = Arc::new(Mutex::new(report));
        let told = Told { report: Arc::clone(&report), clock: simulation.clock() };
        let servers = Mishaps::new(simulation.dice("servers' mishaps"), [])
            .with_liar(Liar::new(Arc::clone(&pki)))
            .telling(told.clone().strikes());
        let shared = Arc::default();
        let networks = networks(&simulation, &scenario)?;
        let mut sm_dps = BTreeMap::new();
        let field = match scenario.is_m2m() {
            true => Some(Field::lay_out(&simulation, &pki, &networks, &servers).await?),
            false => None,
        };
        for operator in scenario.operators.iter().filter(|_| field.is_none()) {
            let name = operator.sm_dp.get_ref();
            if !sm_dps.contains_key(name) {
                let address = address_of(name);
                let (at, records) = ((name.as_str(), address.clone()), MemoryRecords::default());
                let (tells, told, own) = (ToPlatform::default(), told.clone(), name.clone());
                let peers = Arc::new(tells.clone());
                let started = move |server: SmDpPlus, starts| {
                    told.started(&own, starts);
                    server.with_peers(Arc::<ToPlatform>::clone(&peers))
                };
                let party = sm_dp_host(&simulation, &pki, at, NullEvents, &servers, &records, started)?;
                owner::introduce(&pki, &party).await?;
                let way = ways.open(Server::of(address.clone(), &party, simulation.clock()))?;
                sm_dps.insert(name.clone(), SmDp { party, address, way, tells });
            }
        }
        for operator in &scenario.operators {
            match &field {
                Some(field) => m2m::stock(operator, &networks, field).await?,
                None => stock(operator, &networks, sm_dps.get(operator.sm_dp.get_ref())).await?,
            }
        }
        let places = places(&scenario)?;
        let factory = Factory {
            simulation: &simulation,
            pki: &pki,
            shared: &shared,
            networks: &networks,
            operators: &scenario.operators,
            field: field.as_ref(),
        };
        let mut devices = Vec::new();
        let mut records = Vec::new();
        let mut cards = BTreeMap::new();
        for (index, group) in scenario.groups.iter().enumerate() {
            let hears: Hears = Arc::new([]);
            for number in 1..=*group.count.get_ref() {
                let serial = u64::try_from(devices.len()).unwrap_or(u64::MAX) + 1;
                let whose = (index, group, number);
                let (resting, held) = factory.device(serial, whose, &places, &hears, scenario.begins)?;
                match &field {
                    // The platform has no part in M2M devices.
                    Some(field) => {
                        let operator = factory.operator(*group.bootstrap.get_ref())?;
                        let card = m2m::card(field, &networks, resting.eid, serial, operator).await?;
                        cards.insert(devices.len(), card);
                    }
                    None => records.push(owner::record(&resting, group, held)),
                }
                devices.push(Mutex::new(resting));
            }
        }
        let platform_records = owner::records(records).await?;
        let platform =
            owner::platform(&simulation, &scenario, &pki, (&sm_dps, &servers), &platform_records, told)?;
        let to_platform = ways.open(Server::of(PLATFORM.to_owned(), &platform, simulation.clock()))?;
        for sm_dp in sm_dps.values() {
            let shown = owner::shown_by(&pki, sm_dp, &scenario)?;
            sm_dp.tells.lead_to(servers.link(to_platform.link(Some(&shown))?));
        }
        let locking = scenario.operators.iter().filter(|operator| operator.imei_lock);
        let ether = Ether::new(
            simulation.clock(),
            scenario
                .networks
                .iter()
                .map(|network| {
                    let plmn = *network.plmn.get_ref();
                    Ok((
                        plmn,
                        (
                            places.get(&plmn).ok_or_else(|| bug("a network is nowhere"))?.country,
                            network.roamers,
                        ),
                    ))
                })
                .collect::<Result<_, Fault>>()?,
            locking.map(|operator| *operator.network.get_ref()).collect::<BTreeSet<_>>(),
        );
        for device in &devices {
            let device = device.lock().unwrap_or_else(PoisonError::into_inner);
            for country in &device.imei_registered_in {
                ether.register_imei(imei(device.eid), *country);
            }
        }
        let bearers = bearers(&scenario)?;
        let costs =
            Costs::built_in().map_err(|why| Fault::caused_by(why, "there are no prices", "report this"))?;
        Ok(Self {
            simulation,
            scenario,
            pki,
            shared,
            networks,
            ether: Arc::new(ether),
            bearers: Arc::new(bearers),
            costs,
            sm_dps,
            m2m: field.map(|field| M2m::new(field, cards)),
            platform,
            to_platform,
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

    /// The device with this number in the run, from 0. It is held as long as what comes back.
    pub(super) fn device(&self, index: usize) -> Option<MutexGuard<'_, Resting>> {
        self.devices.get(index).map(|device| device.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn group(&self, index: usize) -> Option<&Group> {
        self.scenario.groups.get(index)
    }

    /// What people call a device.
    pub(super) fn name(&self, device: &Resting) -> String {
        let group = self.group(device.group).map_or("device", |group| group.name.get_ref());
        format!("{group}-{}", device.number)
    }

    /// What mishaps tell.
    pub(super) fn told(&self) -> Told {
        Told { report: Arc::clone(&self.report), clock: self.simulation.clock() }
    }

    /// Tells of a device.
    pub(super) fn tell(&self, kind: Kind, device: &Resting, what: &str) {
        let who = self.group(device.group).map_or("devices", |group| group.name.get_ref()).to_owned();
        let text = format!("{}: {what}", self.name(device));
        self.report().timeline.tell(self.now(), kind, who, text);
    }

    /// The network as it is now.
    pub(super) fn network(&self, plmn: Plmn) -> Option<Network> {
        self.networks.all().into_iter().find(|network| network.plmn == plmn)
    }

    /// Whether a registration that was made still holds, as far as the networks go.
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
        let objection = self.ether.objection(network.plmn, attached.imsi, Some(attached.home), imei(eid));
        roams && !barred && objection.is_none()
    }

    /// Where a network is.
    pub(super) fn place(&self, plmn: Plmn) -> Option<Place> {
        self.scenario.book.locate(plmn).ok()
    }

    /// The networks that are heard there, strongest first.
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

    /// What a card says that it is; made anew for each time it is opened.
    pub(super) fn description(&self, eid: Eid) -> Result<CardDescription, Fault> {
        describe(&self.pki, eid)
    }
}

/// By which networks know a device.
pub(super) fn imei(eid: Eid) -> Imei {
    let digits = eid.to_string();
    digits.get(14..30).and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

/// What stands in another's device: a number that no device of the fleet has.
pub(super) fn thief(eid: Eid) -> Imei {
    imei(eid) | (1 << 63)
}

fn describe(pki: &Pki, eid: Eid) -> Result<CardDescription, Fault> {
    let credentials = [pki.euicc(Curve::P256, eid).map_err(consumer::bad_pki)?];
    Ok(CardDescription::default_for(eid, &credentials))
}

/// Where devices find the platform.
pub(super) const PLATFORM: &str = "platform.landfall.example";

/// Where devices find an SM-DP+ of ours.
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

fn bearers(scenario: &Scenario) -> Result<BTreeMap<Plmn, Bearer>, Fault> {
    let table =
        Bearers::built_in().map_err(|why| Fault::caused_by(why, "there are no bearers", "report this"))?;
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

/// Profiles that nobody has ordered yet, and their subscribers.
async fn stock(operator: &file::Operator, networks: &Networks, sm_dp: Option<&SmDp>) -> Result<(), Fault> {
    let sm_dp = sm_dp.and_then(|sm_dp| sm_dp.party.party()).ok_or_else(|| bug("an SM-DP+ does not run"))?;
    let options =
        ProfileOptions { profile_type: Some(owner::type_of(operator)), ..ProfileOptions::default() };
    for number in 0..u64::from(*operator.stock.get_ref()) {
        let package = package(*operator.network.get_ref(), FIRST_IN_STOCK + number, operator)?;
        subscribe(networks, &package, operator)?;
        sm_dp.add_profile(&package, &options).await?;
    }
    Ok(())
}

pub(super) fn package(home: Plmn, number: u64, operator: &file::Operator) -> Result<Vec<u8>, Fault> {
    let name = operator.name.clone().unwrap_or_else(|| home.to_string());
    own_package(&home.to_string(), number, &name)
}

pub(super) fn subscribe(
    networks: &Networks,
    package: &[u8],
    operator: &file::Operator,
) -> Result<Subscription, Fault> {
    let subscription = Subscription::of(package)?;
    let home = networks.home_of(subscription.imsi).ok_or_else(|| bug("a subscriber has no home"))?;
    let mut subscriber = subscription.subscriber.clone();
    subscriber.may_roam = operator.roaming;
    home.provision(subscription.imsi, subscriber)?;
    Ok(subscription)
}

/// Where devices are made.
struct Factory<'a> {
    simulation: &'a Simulation,
    pki: &'a Pki,
    shared: &'a Arc<Shared>,
    networks: &'a Networks,
    operators: &'a [file::Operator],
    field: Option<&'a Field>,
}

impl Factory<'_> {
    fn device(
        &self,
        serial: u64,
        (index, group, number): (usize, &Group, u32),
        places: &BTreeMap<Plmn, Place>,
        hears: &Hears,
        begins: Timestamp,
    ) -> Result<(Resting, Vec<HeldProfile>), Fault> {
        let eid = self.eid(serial)?;
        let memory = RamMemory::default();
        let world = self.simulation.world(&format!("card {eid} in its factory"));
        // An M2M card has its first profile in its description.
        let mut card = match self.field {
            Some(_) => None,
            None => Some(Card::open_among(describe(self.pki, eid)?, memory.clone(), world, self.shared)?),
        };
        let (mut profiles, mut held) = (Vec::new(), Vec::new());
        let homes = std::iter::once(&group.bootstrap).chain(&group.holds);
        for (place, plmn) in homes.map(|plmn| *plmn.get_ref()).enumerate() {
            let operator = self.operator(plmn)?;
            let package = package(plmn, serial, operator)?;
            let Subscription { iccid, .. } = subscribe(self.networks, &package, operator)?;
            let enabled = place == 0;
            if let Some(card) = &mut card {
                card.load_in_factory(&package, enabled)?;
            }
            profiles.push(OnCard { iccid, enabled, home: Some(plmn) });
            let home = *places.get(&plmn).ok_or_else(|| bug("an operator is nowhere"))?;
            let role = match (enabled, operator.roaming) {
                (true, _) => Role::Bootstrap,
                (false, true) => Role::Operational,
                (false, false) => Role::Local,
            };
            let state = if enabled { HeldState::Enabled } else { HeldState::Disabled };
            held.push(HeldProfile { iccid, home, role, state });
        }
        let should_have: Vec<Iccid> = profiles.iter().map(|profile| profile.iccid).collect();
        let resting = Resting {
            eid,
            group: index,
            number,
            card: memory,
            memory: RamMemory::default(),
            hears: Arc::clone(hears),
            registered: None,
            epoch: 0,
            profiles,
            should_have,
            history: localize::History::default(),
            stays: Vec::new(),
            dark_since: None,
            darkest: Duration::ZERO,
            heard_at: None,
            lost: false,
            has_power: true,
            to_recover: false,
            standing: Standing::default(),
            imei_registered_in: group.imei_registered_in.iter().map(|country| *country.get_ref()).collect(),
            ordered: None,
            unproven: None,
            ended: None,
            refused: Vec::new(),
            owes_notifications: false,
            has_news: false,
            check_in_due: begins,
            fails: 0,
            alarm: None,
            left_preferred: None,
            is_awake: false,
            again: false,
            power: None,
            mishaps: None,
            wakes: 0,
            broken: BTreeSet::new(),
            counts: Counts::default(),
        };
        Ok((resting, held))
    }

    fn operator(&self, plmn: Plmn) -> Result<&file::Operator, Fault> {
        self.operators
            .iter()
            .find(|operator| *operator.network.get_ref() == plmn)
            .ok_or_else(|| bug("no operator"))
    }

    fn eid(&self, serial: u64) -> Result<Eid, Fault> {
        let eum = self.pki.eum(Curve::P256).map_err(consumer::bad_pki)?;
        let prefix = eum.eid_range().prefixes().next().ok_or_else(|| bug("the EUM has no range"))?.to_owned();
        let width = 30_usize.saturating_sub(prefix.len());
        Eid::with_check_digits(&format!("{prefix}{serial:0width$}")).map_err(|why| bug(&why.to_string()))
    }
}
