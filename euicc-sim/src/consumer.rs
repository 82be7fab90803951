//! The view of a consumer card (SGP.22) that a command handler gets. An IoT card (SGP.32) is a
//! consumer card with an IoT part.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};

use crate::context::Context;
use crate::ecasd::Ecasd;
use crate::state::ConsumerState;

/// A consumer card as seen by one command.
pub(crate) struct ConsumerContext<'a> {
    pub(crate) common: Context<'a>,
    pub(crate) ecasd: &'a Ecasd,
    /// Reads go through the `Cow`; `to_mut()` starts a change.
    pub(crate) state: Cow<'a, ConsumerState>,
}

impl ConsumerContext<'_> {
    /// True for an IoT card.
    pub(crate) fn is_iot(&self) -> bool {
        self.description.iot.is_some()
    }

    /// Free non-volatile memory in octets.
    pub(crate) fn free_memory(&self) -> u32 {
        let used =
            self.persistent.profiles.iter().fold(0, |sum: u32, profile| sum.saturating_add(profile.memory));
        self.description.memory_size.saturating_sub(used)
    }
}

impl<'a> Deref for ConsumerContext<'a> {
    type Target = Context<'a>;

    fn deref(&self) -> &Context<'a> {
        &self.common
    }
}

impl<'a> DerefMut for ConsumerContext<'a> {
    fn deref_mut(&mut self) -> &mut Context<'a> {
        &mut self.common
    }
}
