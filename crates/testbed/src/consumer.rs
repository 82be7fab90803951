//! A testbed with the parties of a consumer swap (SGP.22) in one process: an SM-DP+, its operator,
//! the networks of two countries, and a device with its card. Faults can be injected into links,
//! records, memories and the radio.
//!
//! The device has a bootstrap profile of one country and roams in another. The operator of the
//! visited country has a local profile in stock for it. [`Start`] is the state before the move; any
//! number of [`Consumer`] runs can start from it.

mod observed_state;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use certs::Pki;
use device::{Device, DownloadOptions, Ending, EventSource, Lpa, LpaSettings, Modem, Pause, Recovery, Slot};
use euicc_sim::Card;
use http::Request;
use network::Networks;
use rsp::activation_code::ActivationCode;
use rsp::ids::{Eid, Iccid, SmdpAddress};
use rsp::sgp22::es2plus::{CancelOrder, CancelOrderRequest};
use sm_dp::{Config, Credentials, ProfileOptions, SmDpPlus};
use tokio::time::sleep;
use world::{
    BoxFuture, Cells, Clock, Events, Fault, Link, Memory, MemoryEvents, MemoryRecords, RamMemory, World,
    link_from,
};

use crate::assembly::{Testbed, bad_pki};
use crate::bearer::Carrier;
use crate::host::Host;
use crate::operator::Operator;
use crate::swap::{self, Homes, StoredHomes, Surroundings, SwapProfile, unexpected};
use crate::time::Simulation;
use faults::{FaultInjector, FaultyMemory, FaultyRadio, Power, PoweredCard};

pub use crate::fault_places::SM_DP_PLACE;
pub use crate::swap::{BOOTSTRAP, LOCAL, VISITED};
pub use observed_state::ObservedState;

/// Address of the SM-DP+.
pub const SM_DP: &str = "smdpp.landfall.example";

/// Configuration that all runs share.
#[derive(Clone)]
pub struct Setup {
    /// Certificates and keys of all parties.
    pub pki: Arc<Pki>,
    /// The bearer between the device and the SM-DP+. `None` means that transmission takes no time.
    pub carrier: Option<Carrier>,
}

/// The state from which runs start: the stored data of all parties.
#[derive(Clone)]
pub struct Start {
    /// The bootstrap profile, which is on the card.
    pub bootstrap: Iccid,
    /// The local profile, to which the device is to be moved.
    pub local: Iccid,
    /// Activation code of the local profile.
    pub code: ActivationCode,
    card: Cells,
    device: Cells,
    records: MemoryRecords,
    homes: StoredHomes,
}

/// One run.
pub struct Consumer {
    /// All events of the run.
    pub events: MemoryEvents,
    /// The fault injector. It is empty at first.
    pub faults: FaultInjector,
    /// The SM-DP+.
    pub sm_dp: Host<SmDpPlus>,
    /// The networks, without injected faults.
    pub networks: Arc<Networks>,
    /// The device.
    pub device: PoweredDevice,
    /// The power supply of the device and its card.
    pub power: Power,
    /// The state from which the run started, with the profiles.
    pub start: Start,
    setup: Setup,
    simulation: Simulation,
    card_memory: RamMemory,
    device_memory: RamMemory,
    records: MemoryRecords,
    homes: Homes,
    powered: u32,
}

/// A device with its card, on a power supply that can fail.
pub type PoweredDevice = Device<Slot<PoweredCard<Card>>>;

/// Retry delays of a device, which grow with each attempt.
pub struct Waits;

impl Pause for Waits {
    fn before(&self, next: u32) -> BoxFuture<'_, ()> {
        Box::pin(sleep(Duration::from_secs(10) * next))
    }
}

impl Start {
    /// Creates the device, downloads its bootstrap profile, and orders the local profile.
    ///
    /// # Errors
    /// The PKI has no card or no operator, or one of the steps failed.
    pub async fn prepare(simulation: &Simulation, setup: &Setup) -> Result<Self, Fault> {
        let profiles = swap::profiles()?;
        let [first, second] = &profiles;
        let code = ActivationCode {
            smdp_address: address(SM_DP)?,
            matching_id: String::new(),
            smdp_oid: None,
            confirmation_code_required: false,
            findings: Vec::new(),
        };
        let empty = Self {
            bootstrap: first.subscription.iccid,
            local: second.subscription.iccid,
            code,
            card: Cells::new(),
            device: Cells::new(),
            records: MemoryRecords::default(),
            homes: swap::empty_homes(&profiles),
        };
        let mut run = Consumer::begin(simulation, setup, &empty)?;
        for SwapProfile { package, subscription } in &profiles {
            run.stocked()?.add_profile(package, &ProfileOptions::default()).await?;
            swap::provision(&run.networks, subscription, None)?;
        }
        let code = run.order(empty.bootstrap).await?;
        let report = run.device.move_to(&code, DownloadOptions::default(), None).await;
        let Ending::Moved(_) = report.ending else {
            return Err(unexpected(&format!("the first profile: {:?}", report.ending)));
        };
        let code = run.order(empty.local).await?;
        let Consumer { card_memory, device_memory, records, homes, .. } = &run;
        Ok(Self {
            code,
            card: card_memory.load()?,
            device: device_memory.load()?,
            records: records.copied(),
            homes: homes.stored()?,
            ..empty
        })
    }
}

impl Consumer {
    /// Starts a run from this state, with copies of all stored data. The device has power and is
    /// not registered.
    ///
    /// # Errors
    /// The PKI has no card, or stored data cannot be read.
    pub fn begin(simulation: &Simulation, setup: &Setup, start: &Start) -> Result<Self, Fault> {
        let Surroundings { events, faults, networks, homes } =
            Surroundings::begin(simulation, &setup.pki, &start.homes)?;
        let records = start.records.copied();
        let at = (SM_DP_PLACE, SM_DP.to_owned());
        let alone = |server, _| server;
        let sm_dp = sm_dp_host(simulation, &setup.pki, at, events.clone(), &faults, &records, alone)?;
        let (card_memory, device_memory) =
            (RamMemory::of(start.card.clone()), RamMemory::of(start.device.clone()));
        let parts = Parts { simulation, setup, events: &events, faults: &faults, sm_dp: &sm_dp };
        let (device, power) = parts.device(&networks, &card_memory, &device_memory, 1)?;
        Ok(Self {
            events,
            faults,
            sm_dp,
            networks,
            device,
            power,
            start: start.clone(),
            setup: setup.clone(),
            simulation: simulation.clone(),
            card_memory,
            device_memory,
            records,
            homes,
            powered: 1,
        })
    }

    /// Cuts the power of the device and its card, and restores it. Only stored data survives.
    ///
    /// # Errors
    /// Stored data cannot be read.
    pub fn power_cycle(&mut self) -> Result<(), Fault> {
        self.powered = self.powered.saturating_add(1);
        let Self { simulation, setup, events, faults, sm_dp, .. } = &*self;
        let parts = Parts { simulation, setup, events, faults, sm_dp };
        (self.device, self.power) =
            parts.device(&self.networks, &self.card_memory, &self.device_memory, self.powered)?;
        Ok(())
    }

    /// Moves the device to the local profile. Returns how the move ended, or `None` if the power
    /// failed.
    pub async fn move_to_local(&mut self, code: &ActivationCode, options: DownloadOptions) -> Option<Ending> {
        let power = self.power.clone();
        tokio::select! {
            biased;
            () = power.wait_until_off() => None,
            report = self.device.move_to(code, options, None) => Some(report.ending),
        }
    }

    /// Lets the device recover, as it does after power-up, until it is registered. Returns the time
    /// that this took.
    ///
    /// # Errors
    /// The device has not registered within this time. The fault contains its last result.
    pub async fn settle(&mut self, within: Duration) -> Result<Duration, Fault> {
        let clock = self.simulation.clock();
        let (began, mut last) = (clock.elapsed(), String::from("no attempt ended"));
        while clock.elapsed() - began <= within {
            if self.power.is_off() {
                self.power_cycle()?;
            } else if self.device.modem.registered().is_some() {
                return Ok(clock.elapsed() - began);
            }
            let power = self.power.clone();
            tokio::select! {
                biased;
                () = power.wait_until_off() => last = "the power failed".to_owned(),
                recovery = self.device.recover() => match recovery {
                    Recovery::Working { .. } => {}
                    not => last = format!("{not:?}"),
                },
            }
            if self.device.modem.registered().is_none() {
                sleep(Duration::from_secs(60)).await;
            }
        }
        Err(Fault::new("the device does not register", last, "look at the events of the run"))
    }

    /// Orders, confirms and releases a profile over ES2+.
    ///
    /// # Errors
    /// The SM-DP+ refuses one of the functions.
    pub async fn order(&self, iccid: Iccid) -> Result<ActivationCode, Fault> {
        self.operator()?.order(iccid, None, self.start.code.smdp_address.clone()).await
    }

    /// Cancels the order of a profile over ES2+, so that it can be ordered again.
    ///
    /// # Errors
    /// The SM-DP+ refuses the function.
    pub async fn cancel_order(&self, iccid: Iccid) -> Result<(), Fault> {
        let operator = self.operator()?;
        let request = CancelOrderRequest::new(operator.header(), iccid);
        operator.call::<CancelOrder>(&request).await.map(drop)
    }

    fn operator(&self) -> Result<Operator, Fault> {
        testbed(&self.simulation, &self.setup.pki).operator(self.sm_dp.link())
    }

    /// The EID of the card.
    ///
    /// # Errors
    /// The PKI has no card.
    pub fn eid(&self) -> Result<Eid, Fault> {
        testbed(&self.simulation, &self.setup.pki).eid()
    }

    fn stocked(&self) -> Result<SmDpPlus, Fault> {
        self.sm_dp.party().ok_or_else(|| unexpected("the SM-DP+ does not run"))
    }
}

/// Creates an SM-DP+ that uses these records. `name` is its name as a place of faults, and `at` is
/// its address.
pub fn sm_dp_host(
    simulation: &Simulation,
    pki: &Pki,
    (name, at): (&str, String),
    events: impl Events + Clone + 'static,
    faults: &FaultInjector,
    records: &MemoryRecords,
    started: impl Fn(SmDpPlus, u32) -> SmDpPlus + Send + Sync + 'static,
) -> Result<Host<SmDpPlus>, Fault> {
    let credentials = Credentials::from_pki(pki).map_err(bad_pki)?;
    let config = Config::new(address(&at)?);
    let simulation = simulation.clone();
    let make = move |records, starts| {
        // A restarted process gets its own random numbers, so that it does not repeat the numbers
        // of the former process.
        let world = simulation.world(&format!("SM-DP+ {at} {} {starts}", simulation.clock().now()));
        let server =
            SmDpPlus::new(config.clone(), credentials.clone(), records, world, Arc::new(events.clone()));
        let server = started(server, starts);
        let link = server.link();
        (server, link)
    };
    Ok(Host::start(name, Arc::new(records.clone()), faults.clone(), make))
}

/// The parts of which a device is created after each power-up.
struct Parts<'a> {
    simulation: &'a Simulation,
    setup: &'a Setup,
    events: &'a MemoryEvents,
    faults: &'a FaultInjector,
    sm_dp: &'a Host<SmDpPlus>,
}

impl Parts<'_> {
    fn device(
        &self,
        networks: &Arc<Networks>,
        card_memory: &RamMemory,
        device_memory: &RamMemory,
        powered: u32,
    ) -> Result<(PoweredDevice, Power), Fault> {
        let Self { simulation, setup, events, faults, sm_dp } = self;
        let power = Power::default();
        let memory = |whose, memory: &RamMemory| {
            FaultyMemory::new(whose, memory.clone(), (*faults).clone(), power.clone())
        };
        let testbed = testbed(simulation, &setup.pki);
        let description = testbed.card_description(testbed.eid()?)?;
        let world: World = simulation.world(&format!("card {} {powered}", simulation.clock().now()));
        let card = Card::open(description, memory("card", card_memory), world)?;
        let slot = Slot::new(PoweredCard::of_device(card, power.clone()));
        let mut link = faults.link(sm_dp.link());
        if let Some(carrier) = &setup.carrier {
            link = carrier.link(link)?;
        }
        let link = power.link(link);
        let links = move |requested: &SmdpAddress| -> Result<Link, Fault> {
            match requested.as_str() == SM_DP {
                true => Ok(link.clone()),
                false => Ok(nowhere(requested)),
            }
        };
        let events = EventSource::new("device", simulation.clock(), (*events).clone());
        let radio = FaultyRadio::new(Arc::clone(networks), (*faults).clone());
        let lpa = Lpa::new(slot.clone(), links, LpaSettings::default(), events.named("LPA"));
        let modem = Modem::new(slot, radio, events.named("modem"));
        let mut device = Device::new(lpa, modem, memory("device", device_memory), events).with_pause(Waits);
        device.set_visible(swap::visible()?);
        Ok((device, power))
    }
}

/// A link to an address that does not exist.
pub fn nowhere(requested: &SmdpAddress) -> Link {
    let peer = requested.to_string();
    link_from(tower::service_fn(move |_: Request<Bytes>| {
        let why = "no server in this simulation has this name";
        let fault = world::LinkFault::new(world::LinkFaultKind::Unresolved, peer.clone(), why);
        async { Err::<http::Response<Bytes>, _>(fault) }
    }))
}

fn testbed(simulation: &Simulation, pki: &Arc<Pki>) -> Testbed {
    Testbed::with_pki(Arc::clone(pki), simulation.seed()).with_clock(simulation.clock())
}

fn address(text: &str) -> Result<SmdpAddress, Fault> {
    text.parse().map_err(|_| unexpected(text))
}
