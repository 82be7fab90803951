//! What the server has told lately, numbered, for those who ask afterwards.

use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use rsp::status::cut;
use world::{Event, Events, Outcome};

/// How many events are kept. Some hundred downloads, as a rule at about a megabyte; who wants more asks more often.
pub(crate) const MAX_EVENTS: usize = 4096;

/// How much is kept of each text of an event that may be a peer's: of 4096 at the worst, some 12 MiB.
const MAX_TEXT_OCTETS: usize = 1024;

/// Tells events on to whom the server was given, and keeps the latest.
pub(crate) struct EventLog {
    told: Arc<dyn Events>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The number of the newest event; the first one is 1.
    newest: u64,
    events: VecDeque<Event>,
}

/// A part of the log.
pub(crate) struct Page {
    /// The events with their numbers, oldest first.
    pub(crate) events: Vec<(u64, Event)>,
    /// The number after which to ask next.
    pub(crate) next: u64,
    /// How many were asked for but are no longer kept.
    pub(crate) lost: u64,
}

impl EventLog {
    pub(crate) fn over(told: Arc<dyn Events>) -> Self {
        Self { told, kept: Mutex::default() }
    }

    /// At most `limit` events after number `after`. Numbers begin anew with the server: who asks after a number that
    /// was not given yet remembers one from before, and gets everything.
    pub(crate) fn after(&self, after: u64, limit: usize) -> Page {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let after = if after > kept.newest { 0 } else { after };
        let forgotten = kept.newest - kept.events.len() as u64;
        let first = after.max(forgotten);
        let events: Vec<_> = kept
            .events
            .iter()
            .zip(forgotten + 1..)
            .filter(|(_, number)| *number > first)
            .take(limit)
            .map(|(event, number)| (number, event.clone()))
            .collect();
        let next = events.last().map_or(first, |(number, _)| *number);
        Page { events, next, lost: first - after }
    }
}

impl Events for EventLog {
    fn tell(&self, event: Event) {
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.events.len() == MAX_EVENTS {
                kept.events.pop_front();
            }
            kept.events.push_back(short(&event));
            kept.newest += 1;
        }
        self.told.tell(event);
    }
}

/// The event with at most [`MAX_TEXT_OCTETS`] of each text that a peer may have a say in.
fn short(event: &Event) -> Event {
    let cut = |text: &String| cut(text.clone(), MAX_TEXT_OCTETS);
    Event {
        peer: match &event.peer {
            Cow::Borrowed(peer) => Cow::Borrowed(peer),
            Cow::Owned(peer) => Cow::Owned(cut(peer)),
        },
        outcome: match &event.outcome {
            Outcome::Done => Outcome::Done,
            Outcome::Refused(why) => Outcome::Refused(cut(why)),
            Outcome::Failed(why) => Outcome::Failed(cut(why)),
        },
        note: cut(&event.note),
        ..event.clone()
    }
}

#[cfg(test)]
mod tests {
    use rsp::time::Timestamp;
    use world::MemoryEvents;

    use super::*;

    fn numbers(page: &Page) -> Vec<u64> {
        page.events.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn events_are_numbered_and_the_oldest_are_forgotten_and_counted() {
        let told = MemoryEvents::default();
        let log = EventLog::over(Arc::new(told.clone()));
        assert!(numbers(&log.after(0, 10)).is_empty());
        for number in 0..MAX_EVENTS as u64 + 2 {
            log.tell(Event::new(Timestamp(0), "SM-DP+", number.to_string()));
        }
        assert_eq!(told.all().len(), MAX_EVENTS + 2);
        let page = log.after(0, 2);
        assert_eq!((numbers(&page), page.next, page.lost), (vec![3, 4], 4, 2));
        assert_eq!(page.events[0].1.function, "2");
        let newest = MAX_EVENTS as u64 + 2;
        let page = log.after(newest - 1, 10);
        assert_eq!((numbers(&page), page.next, page.lost), (vec![newest], newest, 0));
        let page = log.after(newest, 10);
        assert_eq!((numbers(&page), page.next, page.lost), (vec![], newest, 0));
        // A number from before a restart.
        assert_eq!(numbers(&log.after(newest + 1, 1)), [3]);
    }

    #[test]
    fn no_more_is_kept_of_what_a_peer_said_than_a_person_reads() {
        let log = EventLog::over(Arc::new(MemoryEvents::default()));
        let long = || "x".repeat(1 << 20);
        for outcome in [Outcome::Refused(long()), Outcome::Failed(long())] {
            let event = Event::new(Timestamp(0), "SM-DP+", "GetBoundProfilePackage");
            log.tell(event.with_peer("ES9+", long()).with_outcome(outcome).with_note(long()));
        }
        let text = "x".repeat(MAX_TEXT_OCTETS);
        let kept: Vec<_> = log.after(0, 2).events.into_iter().map(|(_, event)| event).collect();
        assert!(kept.iter().all(|event| event.peer == text && event.note == text));
        assert_eq!(kept[0].outcome, Outcome::Refused(text.clone()));
        assert_eq!(kept[1].outcome, Outcome::Failed(text));
    }
}
