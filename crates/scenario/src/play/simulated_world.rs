//! The simulated world of a run, with access to its parties.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use certs::Pki;
use euicc_sim::{Card, Shared};
use fleet::Platform;
use fleet::bearers::{self};
use fleet::costs::Costs;
use localize::Place;
use network::{Network, Networks, Roaming};
use rsp::ids::{Eid, Iccid, Imsi, Plmn};
use rsp::time::Timestamp;
use sm_dp::SmDpPlus;
use world::{Clock, Fault, Memory, MemoryRecords, RamMemory};

use super::cards::{AnyCard, CardAt, describe};
use super::dormant_device::{Attached, DormantDevice, Hears};
use super::eims::Iot;

use super::imei::imei;
use super::notifications::{EventReporter, PlatformNotifier};
use super::online_devices::M2m;
use super::queue::Queue;
use super::radio_environment::RadioEnvironment;
use crate::file::{self, Group, Scenario};
use crate::report::{Kind, Report};
use faults::{FaultInjector, TamperingPeer};
use testbed::host::Host;
use testbed::time::Simulation;
use testbed::transport::Transport;

/// The state of a run: its parties, their environment, and the scheduled events. The methods do not
/// block.
pub(super) struct SimulatedWorld {
    /// The clock, and the random numbers of all parties.
    pub(super) simulation: Simulation,
    pub(super) scenario: Scenario,
    pub(super) cards: CardSupply,
    pub(super) radio: Radio,
    pub(super) parties: Parties,
    /// The faults that affect messages between servers, and the records of servers.
    pub(super) server_faults: FaultInjector,
    pub(super) devices: Vec<Mutex<DormantDevice>>,
    pub(super) queue: Queue,
    pub(super) log: RunLog,
    /// A reference to this value for tasks that run longer than a call. It is set when the M2M
    /// devices are powered up.
    pub(super) this: OnceLock<Weak<SimulatedWorld>>,
}

/// The servers of a run.
pub(super) struct Parties {
    pub(super) sm_dps: BTreeMap<String, SmDp>,
    /// The eIMs, if the devices are IoT devices.
    pub(super) iot: Option<Iot>,
    /// The M2M servers and agent, if the devices are M2M devices.
    pub(super) m2m: Option<M2m>,
    pub(super) foreign: Foreign,
    pub(super) platform: Host<Platform>,
    pub(super) platform_transport: Arc<dyn Transport>,
    pub(super) platform_records: MemoryRecords,
}

/// The networks, and how devices reach them.
pub(super) struct Radio {
    pub(super) networks: Arc<Networks>,
    pub(super) environment: Arc<RadioEnvironment>,
    pub(super) bearers: Arc<BTreeMap<Plmn, bearers::Bearer>>,
}

/// Everything that is needed to create a card.
pub(super) struct CardSupply {
    pub(super) pki: Arc<Pki>,
    pub(super) strict: bool,
    pub(super) shared: Arc<Shared>,
}

/// The report of a run, and the prices in it.
pub(super) struct RunLog {
    pub(super) report: Arc<Mutex<Report>>,
    pub(super) costs: Costs,
}

/// The subscriptions (home network and IMSI) of third-party profiles, by ICCID. The first
/// subscription is the profile's own.
pub(super) type Foreign = BTreeMap<Iccid, Vec<(Plmn, Imsi)>>;

/// An SM-DP+.
pub(super) struct SmDp {
    /// The simulated SM-DP+. `None` for a third-party SM-DP+.
    pub(super) party: Option<Host<SmDpPlus>>,
    /// The address that devices use.
    pub(super) address: String,
    pub(super) transport: Arc<dyn Transport>,
    /// Delivers the notifications of the SM-DP+ to the platform.
    pub(super) tells: PlatformNotifier,
    /// The activation codes of an SM-DP+ that takes no orders, each with the home network and the
    /// ICCID of its profile.
    pub(super) codes: Vec<(Plmn, Iccid, String)>,
}

impl SimulatedWorld {
    pub(super) fn now(&self) -> Timestamp {
        self.simulation.clock().now()
    }

    /// The device with this index in the run, counted from 0. It is locked as long as the guard
    /// lives.
    pub(super) fn device(&self, index: usize) -> Option<MutexGuard<'_, DormantDevice>> {
        self.devices.get(index).map(locked)
    }

    pub(super) fn report(&self) -> MutexGuard<'_, Report> {
        self.log.report.lock().unwrap_or_else(PoisonError::into_inner)
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
        let random = self.simulation.random(&format!("mishaps of {}", device.eid));
        let made = || {
            let tampering_peer = TamperingPeer::new(Arc::clone(&self.cards.pki));
            FaultInjector::new(random, [])
                .with_tampering_peer(tampering_peer)
                .on_fault(self.reporter().fault_callback())
        };
        device.faults.get_or_insert_with(made).clone()
    }

    /// The reporter for events outside devices.
    pub(super) fn reporter(&self) -> EventReporter {
        EventReporter { report: Arc::clone(&self.log.report), clock: self.simulation.clock() }
    }

    /// Adds an event of a device to the timeline.
    pub(super) fn add_event(&self, kind: Kind, device: &DormantDevice, what: &str) {
        let who = self.group(device.group).map_or("devices", |group| group.name.get_ref()).to_owned();
        let text = format!("{}: {what}", self.name(device));
        self.report().timeline.add(self.now(), kind, who, text);
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

    /// Powers up a card. `wrap` wraps the memory of the card, and `random` selects its random numbers.
    pub(super) fn card<M: Memory + 'static>(
        &self,
        (eid, at): (Eid, CardAt),
        random: &str,
        wrap: impl FnOnce(RamMemory) -> M,
    ) -> Result<AnyCard, Fault> {
        Ok(match at {
            CardAt::ThirdParty(card_interface) => AnyCard::behind(card_interface),
            CardAt::Simulated(memory) => {
                // The eIMs in a description are only for a new card.
                let eims = self.parties.iot.as_ref().map(|_| [].as_slice());
                let description = describe((&self.cards.pki, self.cards.strict), eid, eims)?;
                let world = self.simulation.world(random);
                AnyCard::Simulated(Box::new(Card::open_among(
                    description,
                    wrap(memory),
                    world,
                    &self.cards.shared,
                )?))
            }
        })
    }
}

impl Radio {
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
            self.environment.objection(network.plmn, attached.imsi, Some(attached.home), imei(eid));
        roams && !barred && objection.is_none()
    }
}

pub(super) fn each(devices: &[Mutex<DormantDevice>]) -> impl Iterator<Item = MutexGuard<'_, DormantDevice>> {
    devices.iter().map(locked)
}

fn locked(device: &Mutex<DormantDevice>) -> MutexGuard<'_, DormantDevice> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The address of the platform.
pub(super) const PLATFORM: &str = "platform.landfall.example";
