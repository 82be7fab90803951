//! The eIMs of a run (SGP.32).

use std::collections::BTreeMap;
use std::sync::Arc;

use certs::Pki;
use eim::records::{Package, ProfileOperation, Protocol};
use eim::{Config, Credentials, Eim, NewDevice, NewOrder};
use rsp::ids::{Eid, Iccid, SmdpAddress};
use rsp::sgp32::EimConfigurationData;
use testbed::fault_places::EimPlace;
use testbed::host::Host;
use testbed::time::Simulation;
use testbed::transport::{Server, Transport, Transports};
use testbed::{background, bad_pki, consumer::nowhere};
use tokio::sync::Notify;
use world::{Clock, Fault, Link, MemoryRecords, NullEvents, Records};

use super::internal_fault::bug;
use super::notifications::EventReporter;
use crate::file::Scenario;
use faults::FaultInjector;

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
    /// The SM-DP+s with their addresses.
    pub(super) sm_dps: Vec<(&'a str, &'a dyn Transport)>,
    pub(super) transports: &'a dyn Transports,
    pub(super) faults: &'a FaultInjector,
    pub(super) reporter: &'a EventReporter,
    /// True if devices use CoAP.
    pub(super) has_coap: bool,
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
        for (address, transport) in &with.sm_dps {
            links.insert((*address).to_owned(), faults.link(transport.link(None)?));
        }
        let woken = Arc::<Notify>::default();
        let peers: Arc<dyn eim::Peers> = Arc::new(SmDpPlusLinks { links, woken: Arc::clone(&woken) });
        let mut config = Config::new(&*id, address);
        if with.has_coap {
            config.protocols.push(Protocol::RetrieveCoaps);
        }
        let (simulation, reporter) = (simulation.clone(), reporter.clone());
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
