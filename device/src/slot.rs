//! A card that is shared by several parts of its device.

use std::sync::Arc;

use tokio::sync::Mutex;
use world::{Atr, CardInterface, CardInterfaceFault};

/// The card slot of a device, shared by its LPA and its modem. A clone accesses the same card.
///
/// Commands are executed one at a time. The LPA and the modem use different channels of the card,
/// as on a real device.
pub struct Slot<D>(Arc<Mutex<D>>);

impl<D: CardInterface> Slot<D> {
    /// Creates a slot with this card.
    pub fn new(card_interface: D) -> Self {
        Self(Arc::new(Mutex::new(card_interface)))
    }
}

impl<D> Clone for Slot<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: CardInterface> CardInterface for Slot<D> {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        self.0.lock().await.transmit(command).await
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        self.0.lock().await.reset().await
    }
}
