//! Event reporting of a party: its name, its clock and the receiver of its events.

use std::borrow::Cow;
use std::sync::Arc;

use rsp::time::Timestamp;
use world::{Clock, Event, Events, NullEvents};

/// The event source of one party.
#[derive(Clone)]
pub struct EventSource {
    party: Cow<'static, str>,
    clock: Arc<dyn Clock>,
    events: Arc<dyn Events>,
}

impl EventSource {
    /// Creates a source for the party called `party`. Events get the time of `clock` and are sent
    /// to `events`.
    pub fn new(
        party: impl Into<Cow<'static, str>>,
        clock: impl Clock + 'static,
        events: impl Events + 'static,
    ) -> Self {
        Self { party: party.into(), clock: Arc::new(clock), events: Arc::new(events) }
    }

    /// Creates a source that discards its events.
    pub fn silent(clock: impl Clock + 'static) -> Self {
        Self::new("", clock, NullEvents)
    }

    /// Returns a source with the same clock and receiver for another party.
    #[must_use]
    pub fn named(&self, party: impl Into<Cow<'static, str>>) -> Self {
        Self { party: party.into(), ..self.clone() }
    }

    /// Returns the current time of the party's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Creates an event of this party with the current time. It is not sent yet.
    pub(crate) fn event(&self, function: impl Into<Cow<'static, str>>) -> Event {
        Event::new(self.now(), self.party.clone(), function)
    }

    pub(crate) fn emit(&self, event: Event) {
        self.events.emit(event);
    }
}
