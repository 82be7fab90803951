//! Who tells what happened, by which clock, and to whom.

use std::borrow::Cow;
use std::sync::Arc;

use rsp::time::Timestamp;
use world::{Clock, Event, Events, NullEvents};

/// One party's voice: its name, its clock, and who listens.
#[derive(Clone)]
pub struct Teller {
    party: Cow<'static, str>,
    clock: Arc<dyn Clock>,
    events: Arc<dyn Events>,
}

impl Teller {
    /// A party called `party`, whose time is `clock`'s, heard by `events`.
    pub fn new(
        party: impl Into<Cow<'static, str>>,
        clock: impl Clock + 'static,
        events: impl Events + 'static,
    ) -> Self {
        Self { party: party.into(), clock: Arc::new(clock), events: Arc::new(events) }
    }

    /// Nobody listens.
    pub fn silent(clock: impl Clock + 'static) -> Self {
        Self::new("", clock, NullEvents)
    }

    /// The same clock and listeners under another name.
    #[must_use]
    pub fn named(&self, party: impl Into<Cow<'static, str>>) -> Self {
        Self { party: party.into(), ..self.clone() }
    }

    /// The name.
    pub fn party(&self) -> &str {
        &self.party
    }

    /// What time it is for this party.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// An event of this party, at this moment, still to be told.
    pub(crate) fn event(&self, function: impl Into<Cow<'static, str>>) -> Event {
        Event::new(self.now(), self.party.clone(), function)
    }

    pub(crate) fn tell(&self, event: Event) {
        self.events.tell(event);
    }
}
