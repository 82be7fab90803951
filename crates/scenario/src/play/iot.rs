//! The eIMs of a run, and the orders at them (SGP.32).
//!
//! The agent of the platform orders the moves at the eIM. The steps of a scenario order directly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use certs::Pki;
use eim::records::{EimOperation, Package, ProfileOperation};
use eim::{Config, Credentials, Eim, NewDevice, NewOrder};
use fleet::{EimAgent, EimAgentConfig, Platform};
use rsp::ids::{Eid, Iccid, Plmn, SmdpAddress};
use rsp::sgp32::EimConfigurationData;
use rsp::time::Timestamp;
use testbed::fault_places::EimPlace;
use testbed::host::Host;
use testbed::time::Simulation;
use testbed::transport::{Server, Transport, Transports};
use testbed::{background, bad_pki, consumer::nowhere};
use tokio::sync::Notify;
use world::{Clock, Fault, Link, MemoryRecords, NullEvents, Records};

use super::internal_fault::bug;
use super::notifications::EventReporter;
use super::simulated_world::{SimulatedWorld, SmDp};
use crate::file::Scenario;
use crate::report::Kind;
use faults::FaultInjector;

/// The limits of the interval at which the agent of the platform looks at an eIM.
const AGENT_INTERVALS: (Duration, Duration) = (Duration::from_secs(300), Duration::from_secs(6 * 3600));

/// The eIMs of a run.
pub(super) struct Iot {
    pub(super) eims: Vec<EimParty>,
}

/// An eIM of a run.
pub(super) struct EimParty {
    pub(super) place: EimPlace,
    /// Its identifier, which is also its host name.
    pub(super) id: String,
    pub(super) host: Host<Eim>,
    pub(super) transport: Arc<dyn Transport>,
    woken: Arc<Notify>,
}

/// What the eIMs of a run need.
pub(super) struct Surroundings<'a> {
    pub(super) simulation: &'a Simulation,
    pub(super) pki: &'a Pki,
    pub(super) sm_dps: &'a BTreeMap<String, SmDp>,
    pub(super) transports: &'a dyn Transports,
    pub(super) faults: &'a FaultInjector,
    pub(super) reporter: &'a EventReporter,
}

impl Iot {
    /// Starts the eIMs of a scenario.
    pub(super) fn start(scenario: &Scenario, with: &Surroundings<'_>) -> Result<Self, Fault> {
        let second = scenario.has_second_eim().then_some(EimPlace::Second);
        let places = std::iter::once(EimPlace::First).chain(second);
        Ok(Self { eims: places.map(|place| EimParty::start(place, with)).collect::<Result<_, _>>()? })
    }

    pub(super) fn eim(&self, place: EimPlace) -> Option<&EimParty> {
        self.eims.iter().find(|eim| eim.place == place)
    }

    /// The eIM with this name as a place of faults.
    pub(super) fn eim_at(&self, place: &str) -> Option<&EimParty> {
        self.eims.iter().find(|eim| eim.place.to_string() == place)
    }

    /// The configuration of the eIM that manages all cards at first.
    pub(super) fn initial_eim(&self) -> Result<EimConfigurationData, Fault> {
        let eim = self.eims.first().and_then(|eim| eim.host.party());
        Ok(eim.ok_or_else(|| bug("the eIM is not running"))?.configuration_data())
    }

    /// Registers a device at the eIM that manages all cards at first. If the device has a Fallback
    /// Profile, the eIM orders it.
    pub(super) async fn register(&self, eid: Eid, fallback: Option<Iccid>) -> Result<(), Fault> {
        let eim = self.eims.first().and_then(|eim| eim.host.party());
        let eim = eim.ok_or_else(|| bug("the eIM is not running"))?;
        eim.register(&NewDevice::new(eid)).await?;
        if let Some(iccid) = fallback {
            let operations = vec![ProfileOperation::SetFallbackAttribute { iccid }];
            eim.order(&NewOrder::new(eid, Package::ProfileOperations(operations))).await?;
        }
        Ok(())
    }
}

impl EimParty {
    fn start(place: EimPlace, with: &Surroundings<'_>) -> Result<Self, Fault> {
        let Surroundings { simulation, pki, transports, faults, reporter, .. } = *with;
        let id = format!("{place}.landfall.example");
        let address: SmdpAddress = id.parse().map_err(|_| bug("an eIM has no address"))?;
        let names = [id.parse().map_err(|_| bug("an eIM has no name"))?];
        let keys = pki.eim(&id, &names).map_err(bad_pki)?;
        let shown = keys.tls.clone();
        let credentials = Credentials::from_pki(pki, &id, &names).map_err(bad_pki)?;
        let mut links: BTreeMap<String, Link> = BTreeMap::new();
        for sm_dp in with.sm_dps.values() {
            links.insert(sm_dp.address.clone(), faults.link(sm_dp.transport.link(None)?));
        }
        let woken = Arc::<Notify>::default();
        let peers: Arc<dyn eim::Peers> = Arc::new(SmDpPlusLinks { links, woken: Arc::clone(&woken) });
        let (simulation, reporter, config) =
            (simulation.clone(), reporter.clone(), Config::new(&*id, address));
        let clock = simulation.clock();
        let make = move |records: Arc<dyn Records>, starts| {
            let world = simulation.world(&format!("{place} {} {starts}", simulation.clock().now()));
            reporter.started(&place.to_string(), starts);
            let eim = Eim::new(config.clone(), credentials.clone(), records, world, Arc::new(NullEvents))
                .with_peers(Arc::clone(&peers));
            let link = eim.link();
            (eim, link)
        };
        let records = Arc::new(MemoryRecords::default());
        let host = Host::start(place.to_string(), records, faults.clone(), make);
        let transport = transports.open(Server::of(id.clone(), &host, clock).showing(shown))?;
        Ok(Self { place, id, host, transport, woken })
    }

    /// Delivers the notifications of IPAs to SM-DP+s, without end.
    pub(super) async fn deliver(host: Host<Eim>, woken: Arc<Notify>, clock: impl Clock + Clone + 'static) {
        host.works(move |eim| {
            let (woken, clock) = (Arc::clone(&woken), clock.clone());
            Box::pin(background::run(
                woken,
                clock,
                move || {
                    let eim = eim.clone();
                    Box::pin(async move { eim.due().await })
                },
                drop,
            ))
        })
        .await;
    }

    pub(super) fn woken(&self) -> Arc<Notify> {
        Arc::clone(&self.woken)
    }
}

/// The SM-DP+s of a run, as an eIM reaches them.
struct SmDpPlusLinks {
    links: BTreeMap<String, Link>,
    woken: Arc<Notify>,
}

impl eim::Peers for SmDpPlusLinks {
    fn link(&self, address: &SmdpAddress) -> Result<Link, Fault> {
        Ok(self.links.get(address.as_str()).cloned().unwrap_or_else(|| nowhere(address)))
    }

    fn wake(&self) {
        self.woken.notify_one();
    }
}

/// An order at the eIM of a device, as a step of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EimOrder {
    /// Enable the profile of this operator, with rollback.
    Enable(Plmn),
    /// Delete the profile of this operator.
    Delete(Plmn),
    /// Hand the card over to this eIM.
    ChangeEim(EimPlace),
}

impl SimulatedWorld {
    /// Lets the agents of the platform look at the eIMs. Returns the time of the next look.
    pub(super) async fn look_at_eims(&self, platform: &Platform) -> Result<Option<Timestamp>, Fault> {
        let Some(iot) = &self.parties.iot else { return Ok(None) };
        let mut next = None;
        for eim in &iot.eims {
            let world = self.simulation.world(&format!("agent for {} at {}", eim.id, self.now()));
            let link = self.server_faults.link(eim.host.link_of(Eim::admin));
            let polls = self.scenario.groups.iter().map(|group| group.check_in.get_ref().0);
            let (shortest, longest) =
                (polls.clone().min().unwrap_or_default(), polls.max().unwrap_or_default());
            let config = EimAgentConfig {
                interval: (shortest / 4).clamp(AGENT_INTERVALS.0, AGENT_INTERVALS.1),
                order_lifetime: longest.mul_f32(1.5),
            };
            let agent = EimAgent::new(platform.clone(), world, link, &eim.id, config);
            next = [next, Some(agent.due().await?)].into_iter().flatten().min();
        }
        Ok(next)
    }

    /// Places orders at the eIMs of devices.
    pub(super) async fn order_at_eim(&self, devices: Vec<usize>, order: EimOrder) -> Result<(), Fault> {
        for index in devices {
            if let Err(why) = self.place_order(index, order).await
                && let Some(device) = self.device(index)
            {
                self.add_event(Kind::Failed, &device, &why.to_string());
            }
        }
        Ok(())
    }

    async fn place_order(&self, index: usize, order: EimOrder) -> Result<(), Fault> {
        let iot = self.parties.iot.as_ref().ok_or_else(|| bug("the devices have no eIM"))?;
        let (eid, profiles, place) = {
            let device = self.device(index).ok_or_else(|| bug("the device does not exist"))?;
            (device.eid, device.profiles.clone(), device.eim)
        };
        let running = |place| {
            let eim = iot.eim(place).and_then(|eim| eim.host.party());
            eim.ok_or_else(|| {
                Fault::new("the order is not placed", "the eIM is not running", "repeat the step")
            })
        };
        let eim = running(place)?;
        let of = |plmn: Plmn| {
            let held = profiles.iter().find(|profile| profile.home == Some(plmn));
            let why = format!("there is no profile of {plmn} on the card");
            held.map(|held| held.iccid)
                .ok_or_else(|| Fault::new("the order is not placed", why, "download one first"))
        };
        let package = match order {
            EimOrder::Enable(plmn) => Package::ProfileOperations(vec![ProfileOperation::Enable {
                iccid: of(plmn)?,
                rollback: true,
            }]),
            EimOrder::Delete(plmn) => {
                let iccid = of(plmn)?;
                if let Some(mut device) = self.device(index) {
                    device.expected_profiles.retain(|expected| *expected != iccid);
                }
                Package::ProfileOperations(vec![ProfileOperation::Delete { iccid }])
            }
            EimOrder::ChangeEim(to) => {
                let other = running(to)?;
                other.register(&NewDevice::new(eid)).await?;
                let own = eim.configuration().eim_id;
                Package::EimOperations(vec![
                    EimOperation::AddEim(Box::new(other.configuration())),
                    EimOperation::DeleteEim { eim_id: own },
                ])
            }
        };
        eim.order(&NewOrder::new(eid, package)).await?;
        if let (EimOrder::ChangeEim(to), Some(mut device)) = (order, self.device(index)) {
            device.eim = to;
        }
        Ok(())
    }
}
