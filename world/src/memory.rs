//! Non-volatile memory of a card or a device.

use std::sync::{Arc, Mutex, PoisonError};

use crate::Fault;

/// Memory that survives a power cut, and changes only as a whole.
///
/// After a cut during [`store`](Self::store), [`load`](Self::load) gives the old content or the new, never a mixture.
pub trait Memory: Send {
    /// What was stored last; nothing in a memory that is new.
    fn load(&self) -> Result<Option<Vec<u8>>, Fault>;

    /// Replaces the content. When it returns, the new content survives a power cut; after a fault the old one stands.
    fn store(&mut self, content: &[u8]) -> Result<(), Fault>;
}

impl<M: Memory + ?Sized> Memory for Box<M> {
    fn load(&self) -> Result<Option<Vec<u8>>, Fault> {
        (**self).load()
    }

    fn store(&mut self, content: &[u8]) -> Result<(), Fault> {
        (**self).store(content)
    }
}

/// Memory that lasts as long as the process. A clone is the same memory, so that a test can pull a card out and put
/// its memory under a new one.
#[derive(Clone, Debug, Default)]
pub struct RamMemory(Arc<Mutex<Option<Vec<u8>>>>);

impl Memory for RamMemory {
    fn load(&self) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn store(&mut self, content: &[u8]) -> Result<(), Fault> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(content.to_vec());
        Ok(())
    }
}
