//! The device with an LPA: its parts, its settings, and its registration.

use std::time::Duration;

use rsp::ids::Plmn;
use serde::{Deserialize, Serialize};
use world::{Batch, BoxFuture, CardInterface, Content, Memory, Outcome};

use super::event_source::EventSource;
use super::lpa::{HttpTraffic, Lpa};
use super::modem::{ForbiddenNetworks, Modem, NotRegistered, Registered};
use super::terminal::Traffic;
use super::toolkit::Toolkit;

/// The name of the entry in the device's memory.
const FORBIDDEN_NETWORKS: &str = "forbidden-networks";

/// A device with an LPA: the LPA and the modem share one card, and the device has a memory of its
/// own.
pub struct Device<D> {
    /// Downloads and manages profiles.
    pub lpa: Lpa<D>,
    /// Registers on networks.
    pub modem: Modem<D>,
    pub(super) memory: Box<dyn Memory>,
    pub(super) settings: DeviceSettings,
    pub(super) pause: Box<dyn Pause>,
    pub(super) events: EventSource,
    /// The toolkit; `None` if the device executes no proactive commands.
    pub(super) toolkit_state: Option<ToolkitState>,
}

/// Retry limits of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceSettings {
    /// Maximum attempts to register before a profile is considered not to work. The default is more
    /// than one attempt, because coverage can be lost for a moment.
    pub registration_tries: u32,
    /// Maximum attempts to change profiles.
    pub change_tries: u32,
}

impl Default for DeviceSettings {
    fn default() -> Self {
        Self { registration_tries: 3, change_tries: 3 }
    }
}

/// The delay between two attempts. The environment decides how the time passes.
pub trait Pause: Send + Sync {
    /// Waits before attempt number `next` (from 2).
    fn before(&self, next: u32) -> BoxFuture<'_, ()>;
}

/// No delay.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPause;

impl Pause for NoPause {
    fn before(&self, _: u32) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// The toolkit of a device with an LPA, and the idle time since the last toolkit session.
pub(super) struct ToolkitState {
    pub(super) toolkit: Toolkit,
    pub(super) idle_time: Duration,
}

impl<D: CardInterface> Device<D> {
    /// Creates a device from these parts. `lpa` and `modem` must access the same card: see
    /// [`Slot`](super::Slot).
    pub fn new(lpa: Lpa<D>, modem: Modem<D>, memory: impl Memory + 'static, events: EventSource) -> Self {
        let settings = DeviceSettings::default();
        let (memory, pause) = (Box::new(memory), Box::new(NoPause));
        let mut device = Self { lpa, modem, memory, settings, pause, events, toolkit_state: None };
        device.modem.set_forbidden_networks(device.stored_forbidden_networks());
        device
    }

    /// Sets the retry limits.
    #[must_use]
    pub fn with_settings(mut self, settings: DeviceSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Sets the delay between attempts.
    #[must_use]
    pub fn with_pause(mut self, pause: impl Pause + 'static) -> Self {
        self.pause = Box::new(pause);
        self
    }

    /// Sets the networks that are received at the device's location, strongest first.
    pub fn set_visible(&mut self, visible: Vec<Plmn>) {
        self.modem.set_visible(visible);
    }

    /// Searches for the home network while `serving`, another network of the same country, serves
    /// the device (TS 23.122 section 4.4.3.3.1). Registers there, or on the next best network if that
    /// fails. Returns `None` if no home network is received; the registration then stays.
    ///
    /// # Errors
    /// No network accepts the device any more.
    pub async fn search_home(&mut self, serving: Plmn) -> Option<Result<Registered, NotRegistered>> {
        self.modem.begin_home_search();
        match self.modem.is_home_network_received(serving).await {
            true => Some(self.register().await),
            false => None,
        }
    }

    /// Switches the device off: ends the registration, and permits the networks again that are
    /// forbidden for a limited time.
    pub async fn switch_off(&mut self) {
        self.modem.switch_off().await;
        self.store_forbidden_networks();
    }

    /// Registers with the current subscription of the card.
    pub(super) async fn register_current(&mut self) -> Result<Registered, NotRegistered> {
        let registered = self.try_to_register().await;
        self.store_forbidden_networks();
        registered
    }

    /// The networks that were forbidden for a limited time before the device lost its power. A
    /// memory that cannot be read has none.
    fn stored_forbidden_networks(&self) -> ForbiddenNetworks {
        let stored = self.memory.load().ok();
        stored.and_then(|cells| cells.get(FORBIDDEN_NETWORKS)?.from_json().ok()).unwrap_or_default()
    }

    fn store_forbidden_networks(&mut self) {
        if *self.modem.forbidden_networks() == self.stored_forbidden_networks() {
            return;
        }
        let content = Content::json(self.modem.forbidden_networks());
        let stored = content.and_then(|content| self.memory.commit(Batch::of(FORBIDDEN_NETWORKS, content)));
        if let Err(fault) = stored {
            let event = self.events.event("store the forbidden networks");
            self.events.emit(event.with_outcome(Outcome::Failed(fault.to_string())));
        }
    }

    async fn try_to_register(&mut self) -> Result<Registered, NotRegistered> {
        let mut tried = 1;
        loop {
            match self.modem.register().await {
                Ok(registered) => return Ok(registered),
                Err(not) if not.is_settled() || tried >= self.settings.registration_tries => return Err(not),
                Err(_) => {}
            }
            tried = tried.saturating_add(1);
            self.pause.before(tried).await;
        }
    }

    /// Returns the traffic with the card and with servers so far.
    pub(super) fn traffic(&self) -> (Traffic, HttpTraffic) {
        (self.lpa.card_traffic() + self.modem.traffic(), self.lpa.http_traffic())
    }
}
