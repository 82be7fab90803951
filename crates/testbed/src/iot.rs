//! A testbed with the parties of SGP.32 in one process: an IoT device with its card, eIMs, an SM-DP+
//! with its operator, an SM-DS, and the networks of two countries. Faults can be injected into links,
//! records, memories, the radio and the commands of the card.
//!
//! The device reaches servers only while it is registered: the link to each server fails otherwise.
//! [`IotStart`] is the state of all parties at one moment, from which any number of [`Iot`] runs can
//! start. [`Iot::ipae_device`] is another device for the same card: it has no IPA, and the IPA inside
//! the card reaches the first eIM through TLS over channels of this device.

mod ipae;
mod reachability;

use std::sync::Arc;

use certs::Pki;
use coap::{InProcess, Transmission};
use device::ipa::{Binding, CheckIn, Connection, IpaError};
use device::{EventSource, Ipa, IpaSettings, Lpa, Modem, Slot};
use eim::records::{Order, OrderState, Outcome, Package};
use eim::{Eim, NewDevice, NewOrder};
use euicc_sim::{Card, CardDescription, IotDescription};
use faults::{FaultInjector, FaultyCardInterface, FaultyMemory, FaultyRadio, Power, PoweredCard};
use network::Networks;
use rsp::ids::{Eid, Iccid, Imsi, SmdpAddress, TransactionId};
use rsp::sgp22::es2plus::{CancelOrder, CancelOrderRequest};
use rsp::sgp32::EimConfigurationData;
use sm_dp::{ProfileOptions, SmDpPlus};
use sm_ds::SmDs;
use world::{Cells, Clock, Fault, Link, Memory, MemoryEvents, MemoryRecords, RamMemory};

use crate::assembly::{Testbed, bad_pki};
use crate::consumer::{SM_DP, Waits, nowhere, sm_dp_host};
use crate::fault_places::{EIM_PLACE, SECOND_EIM_PLACE, SM_DP_PLACE};
use crate::host::Host;
use crate::swap::{self, Homes, StoredHomes, Surroundings, SwapProfile, unexpected};
use crate::time::Simulation;
use reachability::Reachability;

pub use crate::swap::{BOOTSTRAP, LOCAL, VISITED};
pub use ipae::{ChannelServers, EIM_SOCKET};

/// Address of the SM-DS.
pub const SM_DS: &str = "smds.landfall.example";
/// Identifier and address of the first eIM, with which the card is associated at first.
pub const FIRST_EIM: &str = "eim-1.landfall.example";
/// Identifier and address of the second eIM.
pub const SECOND_EIM: &str = "eim-2.landfall.example";

/// The configuration of a run.
#[derive(Clone)]
pub struct IotSetup {
    /// Certificates and keys of all parties.
    pub pki: Arc<Pki>,
    /// The settings of the IPA.
    pub ipa: IpaSettings,
    /// The settings of the card.
    pub card: IotDescription,
}

/// The stored data of all parties, from which runs start.
#[derive(Clone, Default)]
pub struct IotStart {
    card: Cells,
    device: Cells,
    sm_dp: MemoryRecords,
    eims: [MemoryRecords; 2],
    homes: StoredHomes,
}

/// An IPA with its card, on a power supply that can fail.
pub type PoweredIpa = Ipa<Slot<FaultyCardInterface<PoweredCard<Card>>>>;

/// A device of SGP.32 and everything around it.
pub struct Iot {
    /// All events of the run.
    pub events: MemoryEvents,
    /// The fault injector. It is empty at first.
    pub faults: FaultInjector,
    /// The networks.
    pub networks: Arc<Networks>,
    /// The SM-DP+.
    pub sm_dp: Host<SmDpPlus>,
    /// The SM-DS.
    pub sm_ds: SmDs,
    /// The two eIMs. The card is associated with the first one.
    pub eims: [Host<Eim>; 2],
    /// The device.
    pub ipa: PoweredIpa,
    /// The power supply of the device and its card.
    pub power: Power,
    /// The profile with which the device comes from the factory. It can be the Fallback Profile.
    pub bootstrap: Iccid,
    /// The local profile, which is in stock at the SM-DP+. It can be the Fallback Profile.
    pub local: Iccid,
    local_imsi: Imsi,
    setup: IotSetup,
    simulation: Simulation,
    reachability: Reachability,
    card_memory: RamMemory,
    device_memory: RamMemory,
    sm_dp_records: MemoryRecords,
    eim_records: [MemoryRecords; 2],
    homes: Homes,
    powered: u32,
    /// The server in place of the first eIM.
    substitute: Option<Link>,
}

impl Iot {
    /// Creates the parties. The card is associated with the first eIM, which knows only its EID.
    ///
    /// # Errors
    /// The PKI lacks a party, or the card refuses the eIM.
    pub async fn begin(simulation: &Simulation, setup: &IotSetup) -> Result<Self, Fault> {
        let profiles = swap::profiles()?;
        let start = IotStart { homes: swap::empty_homes(&profiles), ..IotStart::default() };
        let mut iot = Self::resume(simulation, setup, &start)?;
        let options = ProfileOptions { fallback_allowed: true, ..ProfileOptions::default() };
        for SwapProfile { package, subscription } in &profiles {
            iot.running_sm_dp()?.add_profile(package, &options).await?;
            swap::provision(&iot.networks, subscription, None)?;
        }
        let configuration = iot.eim_configuration(0)?;
        let added = iot.ipa.add_initial_eim(vec![configuration]).await;
        added.map_err(|error| unexpected(&error.to_string()))?;
        let eid = iot.eid()?;
        iot.first_eim()?.register(&NewDevice::new(eid)).await?;
        Ok(iot)
    }

    /// Starts a run from this state, with copies of all stored data. The device has power and is not
    /// registered.
    ///
    /// # Errors
    /// The PKI lacks a party, or stored data cannot be read.
    pub fn resume(simulation: &Simulation, setup: &IotSetup, start: &IotStart) -> Result<Self, Fault> {
        let [bootstrap, local] = swap::profiles()?;
        let Surroundings { events, faults, networks, homes } =
            Surroundings::begin(simulation, &setup.pki, &start.homes)?;
        let testbed = testbed(simulation, setup, &events);
        let sm_dp_records = start.sm_dp.copied();
        let at = (SM_DP_PLACE, SM_DP.to_owned());
        let alone = |server, _| server;
        let sm_dp = sm_dp_host(simulation, &setup.pki, at, events.clone(), &faults, &sm_dp_records, alone)?;
        let sm_ds = testbed.sm_ds(SM_DS)?;
        let links = [faults.link(sm_dp.link()), faults.link_to_sm_ds(sm_ds.link())];
        let eim_records = start.eims.each_ref().map(MemoryRecords::copied);
        let [first, second] = &eim_records;
        let eim = |place, id, records: &MemoryRecords| {
            let parts = (simulation.clone(), events.clone(), faults.clone());
            eim_host(setup.pki.as_ref(), (place, id), parts, records, links.clone())
        };
        let eims = [eim(EIM_PLACE, FIRST_EIM, first)?, eim(SECOND_EIM_PLACE, SECOND_EIM, second)?];
        let imsis: [Imsi; 2] = [bootstrap.subscription.imsi, local.subscription.imsi];
        let reachability = Reachability::new(Arc::clone(&networks), &imsis, setup.ipa.connection);
        let (card_memory, device_memory) =
            (RamMemory::of(start.card.clone()), RamMemory::of(start.device.clone()));
        let parts = Parts {
            simulation,
            setup,
            events: &events,
            faults: &faults,
            networks: &networks,
            reachability: &reachability,
            sm_dp: &sm_dp,
            sm_ds: &sm_ds,
            eims: &eims,
            substitute: None,
        };
        let (ipa, power) = parts.device(&setup.ipa, &card_memory, &device_memory, 1)?;
        Ok(Self {
            bootstrap: bootstrap.subscription.iccid,
            local: local.subscription.iccid,
            local_imsi: local.subscription.imsi,
            events,
            faults,
            networks,
            sm_dp,
            sm_ds,
            eims,
            ipa,
            power,
            setup: setup.clone(),
            simulation: simulation.clone(),
            reachability,
            card_memory,
            device_memory,
            sm_dp_records,
            eim_records,
            homes,
            powered: 1,
            substitute: None,
        })
    }

    /// Returns the stored data of all parties.
    ///
    /// # Errors
    /// Stored data cannot be read.
    pub fn stored(&self) -> Result<IotStart, Fault> {
        Ok(IotStart {
            card: self.card_memory.load()?,
            device: self.device_memory.load()?,
            sm_dp: self.sm_dp_records.copied(),
            eims: self.eim_records.each_ref().map(MemoryRecords::copied),
            homes: self.homes.stored()?,
        })
    }

    /// Creates the parties, and a device that left the factory: the first eIM has downloaded and
    /// enabled the bootstrap profile over another connection. From now on the device is connected by
    /// its profiles.
    ///
    /// # Errors
    /// The PKI lacks a party, or a step failed.
    pub async fn from_factory(simulation: &Simulation, setup: &IotSetup) -> Result<Self, Fault> {
        use eim::records::{Download, DownloadSource, ProfileOperation};
        let mut at_factory = setup.clone();
        at_factory.ipa.connection = Connection::Other;
        let mut iot = Self::begin(simulation, &at_factory).await?;
        let code = iot.release(iot.bootstrap).await?;
        let source = DownloadSource::ActivationCode(code);
        let (kept_by_eim, policy_rules_allowed) = (false, false);
        let download = Download { source, kept_by_eim, iccid: None, policy_rules_allowed };
        iot.order(0, Package::Download(download)).await?;
        let enable = ProfileOperation::Enable { iccid: iot.bootstrap, rollback: false };
        let id = iot.order(0, Package::ProfileOperations(vec![enable])).await?;
        iot.check_in().await.map_err(|error| unexpected(&error.to_string()))?;
        if !matches!(iot.outcome(0, &id).await?, Some(Outcome::EuiccPackage(_))) {
            return Err(unexpected("the bootstrap profile was not enabled"));
        }
        iot.setup = setup.clone();
        iot.reachability.set_connection(setup.ipa.connection);
        iot.power_cycle()?;
        Ok(iot)
    }

    /// Cuts the power of the device and its card, and restores it. Only stored data survives.
    ///
    /// # Errors
    /// Stored data cannot be read.
    pub fn power_cycle(&mut self) -> Result<(), Fault> {
        self.powered = self.powered.saturating_add(1);
        let parts = Parts {
            simulation: &self.simulation,
            setup: &self.setup,
            events: &self.events,
            faults: &self.faults,
            networks: &self.networks,
            reachability: &self.reachability,
            sm_dp: &self.sm_dp,
            sm_ds: &self.sm_ds,
            eims: &self.eims,
            substitute: self.substitute.as_ref(),
        };
        (self.ipa, self.power) =
            parts.device(&self.setup.ipa, &self.card_memory, &self.device_memory, self.powered)?;
        Ok(())
    }

    /// Puts a server in the place of the first eIM, and cuts the power of the device.
    ///
    /// # Errors
    /// Stored data cannot be read.
    pub fn substitute_first_eim(&mut self, server: Link) -> Result<(), Fault> {
        self.substitute = Some(server);
        self.power_cycle()
    }

    /// Lets the device check in, and the eIMs deliver their notifications. A delivery that fails is
    /// repeated at a later check-in.
    ///
    /// # Errors
    /// The device has no service, its card fails, or its power fails.
    pub async fn check_in(&mut self) -> Result<CheckIn, IpaError> {
        let power = self.power.clone();
        let report = tokio::select! {
            biased;
            () = power.wait_until_off() => Err(IpaError::Memory(power_failed())),
            report = self.ipa.check_in() => report,
        };
        for eim in self.eims.iter().filter_map(Host::party) {
            if let Err(fault) = eim.deliver_due().await {
                tracing::debug!(%fault, "an eIM cannot deliver its notifications");
            }
        }
        match power.is_off() {
            true => Err(IpaError::Memory(power_failed())),
            false => report,
        }
    }

    /// The first eIM.
    ///
    /// # Errors
    /// Its process does not run.
    pub fn first_eim(&self) -> Result<Eim, Fault> {
        self.eim(0)
    }

    /// An eIM (0 or 1).
    ///
    /// # Errors
    /// There is no such eIM, or its process does not run.
    pub fn eim(&self, number: usize) -> Result<Eim, Fault> {
        let eim = self.eims.get(number).ok_or_else(|| unexpected("no such eIM"))?;
        eim.party().ok_or_else(|| unexpected("the eIM does not run"))
    }

    /// The records of an eIM (0 or 1), without injected faults.
    ///
    /// # Errors
    /// There is no such eIM.
    pub fn eim_records(&self, number: usize) -> Result<&MemoryRecords, Fault> {
        self.eim_records.get(number).ok_or_else(|| unexpected("no such eIM"))
    }

    /// The configuration with which an eUICC is associated with an eIM (0 or 1).
    ///
    /// # Errors
    /// There is no such eIM.
    pub fn eim_configuration(&self, number: usize) -> Result<EimConfigurationData, Fault> {
        Ok(self.eim(number)?.configuration_data())
    }

    /// Releases a profile for this device. Returns its activation code.
    ///
    /// # Errors
    /// The SM-DP+ refuses the order.
    pub async fn release(&self, iccid: Iccid) -> Result<String, Fault> {
        let operator = testbed(&self.simulation, &self.setup, &self.events).operator(self.sm_dp.link())?;
        Ok(operator.order(iccid, None, address(SM_DP)?).await?.to_string())
    }

    /// Releases a profile again if its order has ended without an installation. Returns the new
    /// activation code; `None` if the former one is valid.
    ///
    /// # Errors
    /// The SM-DP+ refuses the order.
    pub async fn release_again(&self, iccid: Iccid) -> Result<Option<String>, Fault> {
        let orders = self.running_sm_dp()?.orders().await?;
        if !orders.iter().any(|order| order.iccid == iccid && order.state == sm_dp::ProfileState::Error) {
            return Ok(None);
        }
        let operator = testbed(&self.simulation, &self.setup, &self.events).operator(self.sm_dp.link())?;
        let request = CancelOrderRequest::new(operator.header(), iccid);
        operator.call::<CancelOrder>(&request).await?;
        self.release(iccid).await.map(Some)
    }

    /// Places an order for the device at an eIM. Returns its eimTransactionId.
    ///
    /// # Errors
    /// The eIM refuses the order.
    pub async fn order(&self, number: usize, package: Package) -> Result<TransactionId, Fault> {
        self.eim(number)?.order(&NewOrder::new(self.eid()?, package)).await
    }

    /// The order with this eimTransactionId.
    ///
    /// # Errors
    /// There is no such order, or the records fail.
    pub async fn found(&self, number: usize, id: &TransactionId) -> Result<Order, Fault> {
        self.eim(number)?.order_of(id).await?.ok_or_else(|| unexpected("no such order"))
    }

    /// The result of an order; `None` if there is none yet.
    ///
    /// # Errors
    /// There is no such order, or the records fail.
    pub async fn outcome(&self, number: usize, id: &TransactionId) -> Result<Option<Outcome>, Fault> {
        Ok(match self.found(number, id).await?.state {
            OrderState::Ended { outcome, .. } => Some(outcome),
            _ => None,
        })
    }

    /// The clock of all parties.
    pub fn clock(&self) -> impl Clock {
        self.simulation.clock()
    }

    /// The EID of the card.
    ///
    /// # Errors
    /// The PKI has no card.
    pub fn eid(&self) -> Result<Eid, Fault> {
        crate::assembly::first_eid(&self.setup.pki)
    }

    /// The subscriber of the local profile.
    pub fn local_imsi(&self) -> Imsi {
        self.local_imsi
    }

    fn running_sm_dp(&self) -> Result<SmDpPlus, Fault> {
        self.sm_dp.party().ok_or_else(|| unexpected("the SM-DP+ does not run"))
    }
}

fn power_failed() -> Fault {
    Fault::new("the check-in ended", "the power of the device failed", "restore the power")
}

/// The parts of which a device is created after each power-up.
struct Parts<'a> {
    simulation: &'a Simulation,
    setup: &'a IotSetup,
    events: &'a MemoryEvents,
    faults: &'a FaultInjector,
    networks: &'a Arc<Networks>,
    reachability: &'a Reachability,
    sm_dp: &'a Host<SmDpPlus>,
    sm_ds: &'a SmDs,
    eims: &'a [Host<Eim>; 2],
    substitute: Option<&'a Link>,
}

impl Parts<'_> {
    fn device(
        &self,
        settings: &IpaSettings,
        card_memory: &RamMemory,
        device_memory: &RamMemory,
        powered: u32,
    ) -> Result<(PoweredIpa, Power), Fault> {
        let Self {
            simulation,
            setup,
            events,
            faults,
            networks,
            reachability,
            sm_dp,
            sm_ds,
            eims,
            substitute,
        } = self;
        let testbed = testbed(simulation, setup, events);
        let description = description(&testbed, &setup.card)?;
        let world = simulation.world(&format!("card {} {powered}", simulation.clock().now()));
        let power = Power::default();
        let memory = |whose, memory: &RamMemory| {
            FaultyMemory::new(whose, memory.clone(), (*faults).clone(), power.clone())
        };
        let card = Card::open(description, memory("card", card_memory), world)?;
        let card = PoweredCard::of_device(card, power.clone());
        let slot = Slot::new(FaultyCardInterface::new(card, (*faults).clone()));
        let link = |link: Link| power.link(reachability.link(faults.link(link)));
        let to_sm_ds = |link: Link| power.link(reachability.link(faults.link_to_sm_ds(link)));
        let (to_sm_dp, to_sm_ds) = (link(sm_dp.link()), to_sm_ds(sm_ds.link()));
        let servers = move |requested: &SmdpAddress| -> Result<Link, Fault> {
            Ok(match requested.as_str() {
                SM_DP => to_sm_dp.clone(),
                SM_DS => to_sm_ds.clone(),
                _ => nowhere(requested),
            })
        };
        let [first, second] = eims;
        let first = substitute.cloned().unwrap_or_else(|| first.link());
        let second = second.link();
        let (eim_faults, reachability, eim_power) =
            ((*faults).clone(), (*reachability).clone(), power.clone());
        let coap = {
            let (faults, world) = ((*faults).clone(), simulation.world(&format!("CoAP {powered}")));
            move |host: &str, server: Link| {
                let dial = InProcess::new(host, server, world.clone(), Transmission::default());
                let dial = faults.coap_client(Arc::new(dial));
                coap::Client::new(dial, host, world.clone(), Transmission::default()).link()
            }
        };
        let to_eims = move |eim: &EimConfigurationData, binding: Binding| -> Result<Link, Fault> {
            let server = match eim.eim_fqdn.as_deref() {
                Some(FIRST_EIM) => first.clone(),
                Some(SECOND_EIM) => second.clone(),
                other => return Ok(nowhere(&address(other.unwrap_or(&eim.eim_id))?)),
            };
            let server = match binding {
                Binding::Coap => coap(&eim.eim_id, server),
                Binding::Asn1 | Binding::Json => server,
            };
            Ok(eim_power.link(reachability.link(eim_faults.link(server))))
        };
        let source = EventSource::new("device", simulation.clock(), (*events).clone());
        let lpa = Lpa::new(slot.clone(), servers, settings.device.clone(), source.named("IPA"));
        let radio = FaultyRadio::new(Arc::clone(networks), (*faults).clone());
        let modem = Modem::new(slot, radio, source.named("modem"));
        let device_memory = memory("device", device_memory);
        let mut ipa = Ipa::new(lpa, modem, to_eims, settings.clone(), device_memory, source.named("IPA"))?
            .with_pause(Waits);
        ipa.set_visible(swap::visible()?);
        Ok((ipa, power))
    }
}

fn testbed(simulation: &Simulation, setup: &IotSetup, events: &MemoryEvents) -> Testbed {
    Testbed::with_pki(Arc::clone(&setup.pki), simulation.seed())
        .with_clock(simulation.clock())
        .with_events(events.clone())
}

fn description(testbed: &Testbed, iot: &IotDescription) -> Result<CardDescription, Fault> {
    let mut description = testbed.card_description(testbed.eid()?)?;
    description.iot = Some(Box::new(iot.clone()));
    Ok(description)
}

/// Creates an eIM that uses these records. `place` is its name as a place of faults, and `id` is its
/// identifier and address. `links` lead to the SM-DP+ and to the SM-DS.
fn eim_host(
    pki: &Pki,
    (place, id): (&str, &str),
    (simulation, events, faults): (Simulation, MemoryEvents, FaultInjector),
    records: &MemoryRecords,
    [sm_dp, sm_ds]: [Link; 2],
) -> Result<Host<Eim>, Fault> {
    let names = [id.parse().map_err(|_| unexpected(id))?];
    let credentials = eim::Credentials::from_pki(pki, id, &names).map_err(bad_pki)?;
    let (config, id) = (eim::Config::new(id, address(id)?), id.to_owned());
    let peers: Arc<dyn eim::Peers> = Arc::new(move |requested: &SmdpAddress| -> Result<Link, Fault> {
        Ok(match requested.as_str() {
            SM_DP => sm_dp.clone(),
            SM_DS => sm_ds.clone(),
            _ => nowhere(requested),
        })
    });
    let make = move |records, starts| {
        // A restarted process gets its own random numbers, so that it does not repeat the numbers of
        // the former process.
        let world = simulation.world(&format!("{id} {} {starts}", simulation.clock().now()));
        let events = Arc::new(events.clone());
        let eim = Eim::new(config.clone(), credentials.clone(), records, world, events);
        let eim = eim.with_peers(Arc::clone(&peers));
        let link = eim.link();
        (eim, link)
    };
    Ok(Host::start(place, Arc::new(records.clone()), faults, make))
}

fn address(text: &str) -> Result<SmdpAddress, Fault> {
    text.parse().map_err(|_| unexpected(text))
}
