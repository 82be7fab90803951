//! A card that is shared by several parts of its device.

use std::sync::Arc;

use tokio::sync::Mutex;
use world::{Atr, CardDoor, DoorFault};

/// The card slot of a device, shared by its LPA and its modem. A clone accesses the same card.
///
/// Commands are executed one at a time. The users are separated by logical channels, as on a real
/// device.
pub struct Slot<D>(Arc<Mutex<D>>);

impl<D: CardDoor> Slot<D> {
    /// Creates a slot with this card.
    pub fn new(door: D) -> Self {
        Self(Arc::new(Mutex::new(door)))
    }
}

impl<D> Clone for Slot<D> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<D: CardDoor> CardDoor for Slot<D> {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, DoorFault> {
        self.0.lock().await.transmit(command).await
    }

    async fn reset(&mut self) -> Result<Atr, DoorFault> {
        self.0.lock().await.reset().await
    }
}
