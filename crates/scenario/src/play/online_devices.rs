//! The M2M devices of a run, which stay on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use device::AlwaysOnHandle;
use euicc_sim::CardDescription;
use tokio::sync::Notify;

use testbed::m2m::M2mTestbed;
use testbed::transport::Transports;

/// The M2M part of a run.
pub(super) struct M2m {
    pub(super) testbed: M2mTestbed,
    pub(super) transports: Arc<dyn Transports>,
    pub(super) online_devices: BTreeMap<usize, OnlineDevice>,
}

/// The controls of a device that stays on.
pub(super) struct OnlineDevice {
    pub(super) description: CardDescription,
    handle: Mutex<Option<AlwaysOnHandle>>,
    pub(super) has_power: Notify,
}

impl M2m {
    pub(super) fn new(
        testbed: M2mTestbed,
        cards: BTreeMap<usize, CardDescription>,
        transports: Arc<dyn Transports>,
    ) -> Self {
        let online_device =
            |description| OnlineDevice { description, handle: Mutex::default(), has_power: Notify::new() };
        let online_devices = cards.into_iter().map(|(index, card)| (index, online_device(card))).collect();
        Self { testbed, transports, online_devices }
    }
}

impl OnlineDevice {
    pub(super) fn handle(&self) -> MutexGuard<'_, Option<AlwaysOnHandle>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
