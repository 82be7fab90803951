//! The device with its card: it stays on, and is switched on again when its power was cut.

use std::sync::Arc;
use std::time::Duration;

use device::{Modem, Online, OnlineSettings, Slot, Teller};
use euicc_sim::{Card, CardDescription};
use network::Networks;
use rsp::ids::Plmn;
use world::{Fault, MemoryEvents, MemoryHosts, RamMemory};

use crate::time::Simulation;
use faults::{FaultInjector, FaultyMemory, FaultyRadio, Power, PoweredDoor};

/// How long a device is without power whose power was cut, or whose card does not answer any more.
const AWAY: Duration = Duration::from_secs(30);

/// What a device is made of, again and again.
pub(super) struct Parts {
    pub(super) simulation: Simulation,
    pub(super) events: MemoryEvents,
    pub(super) mishaps: FaultInjector,
    pub(super) networks: Arc<Networks>,
    pub(super) hosts: MemoryHosts,
    pub(super) description: CardDescription,
    pub(super) memory: RamMemory,
    pub(super) visible: Vec<Plmn>,
}

impl Parts {
    /// The life of the device, without end: only what was written down outlives a cut.
    pub(super) async fn live(self) {
        for powered in 1_u32.. {
            let power = Power::default();
            match self.device(powered, &power) {
                Ok(mut device) => tokio::select! {
                    biased;
                    () = power.gone() => {}
                    ended = device.run() => {
                        if let Err(why) = ended {
                            tracing::debug!(%why, "the device switches off and on: its card does not answer");
                        }
                    }
                },
                Err(fault) => tracing::error!(%fault, "there is no device"),
            }
            tokio::time::sleep(AWAY).await;
        }
    }

    fn device(&self, powered: u32, power: &Power) -> Result<Online<Slot<PoweredDoor<Card>>>, Fault> {
        let Self { simulation, events, mishaps, networks, hosts, description, memory, visible } = self;
        let memory = FaultyMemory::new("card", memory.clone(), mishaps.clone(), power.clone());
        let world = simulation.world(&format!("card {powered}"));
        let card = Card::open(description.clone(), memory, world)?;
        let slot = Slot::new(PoweredDoor::of_device(card, power.clone()));
        let teller = Teller::new("device", simulation.clock(), events.clone());
        let radio = FaultyRadio::new(Arc::clone(networks), mishaps.clone());
        let mut modem = Modem::new(slot, radio, teller.clone());
        modem.set_visible(visible.clone());
        Ok(Online::new(modem, hosts.clone(), OnlineSettings::default(), teller))
    }
}
