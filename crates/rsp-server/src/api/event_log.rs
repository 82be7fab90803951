//! The latest events of the server with consecutive numbers, for clients that poll them.

use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use rsp::{finding::Finding, status::cut};
use world::{Event, Events, Outcome};

use super::wait::Waits;
use crate::namespace::Namespace;

/// Maximum number of events kept. This covers several hundred downloads and normally takes about
/// one megabyte. A client that needs more events must poll more often.
const MAX_EVENTS: usize = 4096;

/// Maximum length of each text of an event that a peer may have chosen. In the worst case, 4096
/// events take about 16 MiB.
const MAX_TEXT_OCTETS: usize = 1024;

/// Forwards events to the receiver of the server, keeps the latest ones, and wakes the requests that
/// wait.
pub struct EventLog {
    receiver: Arc<dyn Events>,
    waits: Arc<Waits>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The number of the newest event; the first one is 1.
    newest: u64,
    /// The number of the newest event that was discarded because there were too many.
    discarded: u64,
    /// The events with their numbers, oldest first.
    events: VecDeque<(u64, Event)>,
}

/// A page of the log.
pub(super) struct LogPage {
    /// The events with their numbers, oldest first.
    pub(super) events: Vec<(u64, Event)>,
    /// The number to pass as `after` in the next request.
    pub(super) next: u64,
    /// The number of requested events that are no longer kept.
    pub(super) lost: u64,
    /// True if more events match than the page contains.
    pub(super) has_more: bool,
}

impl EventLog {
    /// Returns a log that forwards to `receiver` and wakes `waits`.
    pub fn over(receiver: Arc<dyn Events>, waits: Arc<Waits>) -> Self {
        Self { receiver, waits, kept: Mutex::default() }
    }

    /// Keeps an event without forwarding it.
    pub fn keep(&self, event: &Event) {
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.events.len() == MAX_EVENTS
                && let Some((number, _)) = kept.events.pop_front()
            {
                kept.discarded = number;
            }
            kept.newest += 1;
            let number = kept.newest;
            kept.events.push_back((number, short(event)));
        }
        self.waits.wake();
    }

    /// Deletes the events of a namespace.
    pub fn forget(&self, namespace: &Namespace) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.events.retain(|(_, event)| event.namespace != namespace.as_str());
    }

    /// Returns at most `limit` matching events after number `after`. Numbering starts again when the
    /// server restarts. A number that has not been assigned yet comes from before a restart, so the
    /// caller gets all events.
    pub(super) fn after(&self, after: u64, limit: usize, matches: impl Fn(&Event) -> bool) -> LogPage {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let after = if after > kept.newest { 0 } else { after };
        let first = after.max(kept.discarded);
        let mut matching = kept
            .events
            .iter()
            .filter(|(number, event)| *number > first && matches(event))
            .map(|(number, event)| (*number, event.clone()));
        let events: Vec<_> = matching.by_ref().take(limit).collect();
        let has_more = matching.next().is_some();
        let next = match events.last() {
            Some((number, _)) if has_more => *number,
            // All events were examined.
            _ => kept.newest,
        };
        LogPage { events, next, lost: first - after, has_more }
    }

    /// Returns the newest matching event with its number.
    pub(super) fn newest(&self, matches: impl Fn(&Event) -> bool) -> Option<(u64, Event)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.events.iter().rev().find(|(_, event)| matches(event)).cloned()
    }
}

impl Events for EventLog {
    fn emit(&self, event: Event) {
        self.keep(&event);
        self.receiver.emit(event);
    }
}

/// Returns a copy of the event in which each text that a peer may have chosen has at most
/// [`MAX_TEXT_OCTETS`].
fn short(event: &Event) -> Event {
    let cut = |text: &String| cut(text.clone(), MAX_TEXT_OCTETS);
    let cut_owned = |text: &Cow<'static, str>| match text {
        Cow::Borrowed(text) => Cow::Borrowed(*text),
        Cow::Owned(text) => Cow::Owned(cut(text)),
    };
    Event {
        peer: cut_owned(&event.peer),
        // For example the path of a request.
        function: cut_owned(&event.function),
        outcome: match &event.outcome {
            Outcome::Done => Outcome::Done,
            Outcome::Refused(why) => Outcome::Refused(cut(why)),
            Outcome::Failed(why) => Outcome::Failed(cut(why)),
        },
        note: cut(&event.note),
        findings: event.findings.iter().map(|each| Finding::new(each.kind, cut(&each.detail))).collect(),
        ..event.clone()
    }
}

#[cfg(test)]
mod tests {
    use rsp::time::Timestamp;
    use world::MemoryEvents;

    use super::*;

    fn any(_: &Event) -> bool {
        true
    }

    fn log(receiver: &MemoryEvents) -> EventLog {
        EventLog::over(Arc::new(receiver.clone()), Arc::default())
    }

    fn numbers(page: &LogPage) -> Vec<u64> {
        page.events.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn events_are_numbered_and_the_oldest_are_forgotten_and_counted() {
        let receiver = MemoryEvents::default();
        let log = log(&receiver);
        assert!(numbers(&log.after(0, 10, any)).is_empty());
        for number in 0..MAX_EVENTS as u64 + 2 {
            log.emit(Event::new(Timestamp(0), "SM-DP+", number.to_string()));
        }
        assert_eq!(receiver.all().len(), MAX_EVENTS + 2);
        let page = log.after(0, 2, any);
        assert_eq!((numbers(&page), page.next, page.lost), (vec![3, 4], 4, 2));
        assert_eq!(page.events[0].1.function, "2");
        let newest = MAX_EVENTS as u64 + 2;
        let page = log.after(newest - 1, 10, any);
        assert_eq!((numbers(&page), page.next, page.lost), (vec![newest], newest, 0));
        let page = log.after(newest, 10, any);
        assert_eq!((numbers(&page), page.next, page.lost), (vec![], newest, 0));
        // A number from before a restart.
        assert_eq!(numbers(&log.after(newest + 1, 1, any)), [3]);
    }

    #[test]
    fn a_filter_skips_events_and_the_next_page_begins_after_the_examined_ones() {
        let log = log(&MemoryEvents::default());
        for function in ["a", "b", "a", "b", "b"] {
            log.emit(Event::new(Timestamp(0), "SM-DP+", function));
        }
        let is_a = |event: &Event| event.function == "a";
        let page = log.after(0, 1, is_a);
        assert_eq!((numbers(&page), page.next, page.has_more), (vec![1], 1, true));
        let page = log.after(1, 1, is_a);
        assert_eq!((numbers(&page), page.next, page.has_more), (vec![3], 5, false));
        assert_eq!(log.newest(is_a).map(|(number, _)| number), Some(3));
        assert!(log.newest(|event| event.function == "c").is_none());
    }

    #[test]
    fn the_events_of_a_namespace_can_be_deleted_and_the_others_keep_their_numbers() {
        let log = log(&MemoryEvents::default());
        for namespace in ["default", "job", "default", "job", "job"] {
            log.emit(Event::new(Timestamp(0), "SM-DP+", "a").with_namespace(namespace));
        }
        log.forget(&"job".parse().unwrap());
        let page = log.after(0, 10, any);
        assert_eq!((numbers(&page), page.next, page.lost), (vec![1, 3], 5, 0));
        assert_eq!(log.newest(any).map(|(number, _)| number), Some(3));
        log.emit(Event::new(Timestamp(0), "SM-DP+", "a"));
        assert_eq!(numbers(&log.after(3, 10, any)), [6]);
    }

    #[test]
    fn long_texts_from_peers_are_truncated() {
        let log = log(&MemoryEvents::default());
        let long = || "x".repeat(1 << 20);
        for outcome in [Outcome::Refused(long()), Outcome::Failed(long())] {
            let event = Event::new(Timestamp(0), "SM-DP+", long());
            log.emit(event.with_peer("ES9+", long()).with_outcome(outcome).with_note(long()));
        }
        let text = "x".repeat(MAX_TEXT_OCTETS);
        let kept: Vec<_> = log.after(0, 2, any).events.into_iter().map(|(_, event)| event).collect();
        assert!(kept.iter().all(|event| event.peer == text && event.note == text));
        assert!(kept.iter().all(|event| event.function == text));
        assert_eq!(kept[0].outcome, Outcome::Refused(text.clone()));
        assert_eq!(kept[1].outcome, Outcome::Failed(text));
    }
}
