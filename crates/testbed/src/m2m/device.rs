//! The device with its card. It is always on, and restarts after a power cut.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use device::{AlwaysOnSettings, EventSource, Modem, Online, Slot};
use euicc_sim::{Card, CardDescription};
use network::Networks;
use rsp::finding::Finding;
use rsp::ids::Plmn;
use world::{Atr, CardInterface, CardInterfaceFault, Fault, MemoryEvents, MemoryHosts, RamMemory};

use crate::time::Simulation;
use faults::{FaultInjector, FaultyMemory, FaultyRadio, Power, PoweredCard};

/// Time without power after a power cut, or after the card has stopped answering.
const AWAY: Duration = Duration::from_secs(30);

/// The deviations that a card has accepted, in the order in which they occurred.
pub(super) type CardFindings = Arc<Mutex<Vec<Finding>>>;

/// A card whose findings outlive it.
struct ObservedCard {
    card: Card,
    findings: CardFindings,
}

impl CardInterface for ObservedCard {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        let before = self.card.findings().len();
        let answer = self.card.transmit(command);
        let new = self.card.findings().iter().skip(before).cloned();
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).extend(new);
        Ok(answer)
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        Ok(self.card.reset())
    }
}

/// The parts of which a device is created after each power-up.
pub(super) struct Parts {
    pub(super) simulation: Simulation,
    pub(super) events: MemoryEvents,
    pub(super) faults: FaultInjector,
    pub(super) networks: Arc<Networks>,
    pub(super) hosts: MemoryHosts,
    pub(super) description: CardDescription,
    pub(super) memory: RamMemory,
    pub(super) visible: Vec<Plmn>,
    pub(super) findings: CardFindings,
}

impl Parts {
    /// Runs the device without end. Only stored data survives a power cut.
    pub(super) async fn live(self) {
        for powered in 1_u32.. {
            let power = Power::default();
            match self.device(powered, &power) {
                Ok(mut device) => tokio::select! {
                    biased;
                    () = power.wait_until_off() => {}
                    ended = device.run() => {
                        if let Err(why) = ended {
                            tracing::debug!(%why, "the device restarts because its card does not answer");
                        }
                    }
                },
                Err(fault) => tracing::error!(%fault, "the device cannot be created"),
            }
            tokio::time::sleep(AWAY).await;
        }
    }

    fn device(&self, powered: u32, power: &Power) -> Result<Online<Slot<PoweredCard<ObservedCard>>>, Fault> {
        let Self { simulation, events, faults, networks, hosts, description, memory, visible, findings } =
            self;
        let memory = FaultyMemory::new("card", memory.clone(), faults.clone(), power.clone());
        let world = simulation.world(&format!("card {powered}"));
        let card = Card::open(description.clone(), memory, world)?;
        let card = ObservedCard { card, findings: Arc::clone(findings) };
        let slot = Slot::new(PoweredCard::of_device(card, power.clone()));
        let events = EventSource::new("device", simulation.clock(), events.clone());
        let radio = FaultyRadio::new(Arc::clone(networks), faults.clone());
        let mut modem = Modem::new(slot, radio, events.clone());
        modem.set_visible(visible.clone());
        Ok(Online::new(modem, hosts.clone(), AlwaysOnSettings::default(), events))
    }
}
