//! Observed state of the devices in the M2M demonstration: their registrations and their traffic
//! over the air.

use std::{
    collections::BTreeMap,
    ops::Sub,
    sync::{Arc, Mutex, PoisonError},
};

use schemars::JsonSchema;
use serde::Serialize;
use world::{Event, Events};

use super::names::Names;

/// Traffic of a card over the air.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct OverTheAir {
    /// Short messages to the card.
    pub messages_to_card: u64,
    /// Short messages from the card.
    pub messages_from_card: u64,
    /// Channels opened by the card for HTTPS.
    pub channels: u64,
    /// Octets of scripts and their responses over HTTPS.
    pub https_octets: u64,
}

impl Sub for OverTheAir {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            messages_to_card: self.messages_to_card.saturating_sub(earlier.messages_to_card),
            messages_from_card: self.messages_from_card.saturating_sub(earlier.messages_from_card),
            channels: self.channels.saturating_sub(earlier.channels),
            https_octets: self.https_octets.saturating_sub(earlier.https_octets),
        }
    }
}

#[derive(Clone, Default)]
struct OfDevice {
    registered: String,
    over_the_air: OverTheAir,
    /// Number of notification confirmations that the card has answered.
    confirmed: u64,
    /// True if the last short message was sent by the card.
    has_answered: bool,
}

/// Observations by device, from the events of devices and SM-SRs. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Observations(Arc<Mutex<BTreeMap<String, OfDevice>>>);

impl Observations {
    fn of(&self, device: &str) -> OfDevice {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(device).cloned().unwrap_or_default()
    }

    /// Returns the last registration of the device, as reported in its event.
    pub(super) fn registered(&self, device: &str) -> String {
        self.of(device).registered
    }

    /// Returns the traffic so far.
    pub(super) fn over_the_air(&self, device: &str) -> OverTheAir {
        self.of(device).over_the_air
    }

    /// Returns the number of confirmed notifications of the card, or `None` while a message is
    /// in transit. The SM-SR may report a response of the card before the device does.
    pub(super) fn confirmed(&self, device: &str) -> Option<u64> {
        let of = self.of(device);
        of.has_answered.then_some(of.confirmed)
    }

    fn observe(&self, event: &Event) {
        let device = if event.interface == "ES5" { &event.peer } else { &event.party };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let observations = all.entry(device.to_string()).or_default();
        let air = &mut observations.over_the_air;
        match (&*event.interface, &*event.function) {
            ("", "registered") => observations.registered.clone_from(&event.note),
            ("CAT", "SMS-PP download") => {
                air.messages_to_card = air.messages_to_card.saturating_add(1);
                observations.has_answered = false;
            }
            ("CAT", "SEND SHORT MESSAGE") => {
                air.messages_from_card = air.messages_from_card.saturating_add(1);
                observations.has_answered = true;
            }
            // The SM-SR reports this function twice: when it sends the request, and when it receives
            // the response. Only the response is counted.
            ("ES5", "HandleNotificationConfirmation") if event.bytes_sent == 0 => {
                observations.confirmed = observations.confirmed.saturating_add(1);
            }
            ("CAT", "OPEN CHANNEL") => air.channels = air.channels.saturating_add(1),
            ("ES5", "session") => {
                air.https_octets = air.https_octets.saturating_add(event.bytes_sent + event.bytes_received);
            }
            _ => {}
        }
    }
}

/// Forwards events with the names of the demonstration, and records what they say about devices.
#[derive(Clone)]
pub(super) struct EventObserver {
    pub(super) inner: Arc<dyn Events>,
    pub(super) observations: Observations,
    pub(super) names: Names,
    /// Name of the reporting party, if it does not know its own name.
    pub(super) party: Option<&'static str>,
}

impl EventObserver {
    /// Returns a copy for a party that does not know its own name.
    pub(super) fn of(&self, party: &'static str) -> Arc<dyn Events> {
        Arc::new(Self { party: Some(party), ..self.clone() })
    }
}

impl Events for EventObserver {
    fn emit(&self, mut event: Event) {
        if let Some(party) = self.party {
            event.party = party.into();
        }
        if let Some(name) = self.names.of(&event.peer) {
            event.peer = name.into();
        }
        self.observations.observe(&event);
        self.inner.emit(event);
    }
}
