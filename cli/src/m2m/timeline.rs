//! Timeline of the M2M demonstration: the events that matter for the cases. All others are shown
//! with `--verbose`.

use std::{
    collections::BTreeSet,
    mem,
    sync::{Mutex, PoisonError},
};

use world::{Event, Outcome};

use super::names::Names;
use crate::output::DEMONSTRATION;

/// Filter and wording of the events.
pub struct Timeline {
    names: Names,
    /// Networks that rejected a device in this case; repeated rejects are not shown.
    turned_away: Mutex<BTreeSet<String>>,
}

impl Timeline {
    /// Creates a timeline with these names.
    pub fn new(names: Names) -> Self {
        Self { names, turned_away: Mutex::default() }
    }

    /// Returns the event as it is shown, with names and with the originator first, or `None` if
    /// it is omitted. An event that both parties report is shown once. Events of toolkit, modem
    /// and polling are omitted.
    pub fn shown(&self, mut event: Event) -> Option<Event> {
        event.note = self.names.in_words(&event.note);
        if let Some(function) = event.function.strip_suffix("Request").map(str::to_owned) {
            // A request is shown as reported by its receiver, so that it precedes its
            // consequences.
            let was_called = match (&*event.party, &*event.interface) {
                ("SM-DP", interface) => interface == "ES2",
                (_, interface) => matches!(interface, "ES3" | "ES4" | "ES7") && event.bytes_received > 0,
            };
            if !was_called {
                return failed(&event).then_some(event);
            }
            event.function = function.clone().into();
            swap(&mut event);
            return (function != "GetEIS").then_some(event);
        }
        match (&*event.party, &*event.interface, &*event.function) {
            (DEMONSTRATION, ..) => self.turned_away.lock().unwrap_or_else(PoisonError::into_inner).clear(),
            (_, "NAS", "ATTACH REJECT" | "search") => {
                let who = format!("{} {}", event.party, event.peer);
                let is_new = self.turned_away.lock().unwrap_or_else(PoisonError::into_inner).insert(who);
                return is_new.then_some(event);
            }
            (_, "ES1" | "ES2" | "ES3" | "ES4" | "ES7", _) if failed(&event) => {}
            ("operator", "ES4", "GetEIS") => return None,
            // The operator received a notification or a response.
            ("operator", ..) => swap(&mut event),
            ("EUM", ..) => {}
            ("SM-DP+" | "SM-DP", ..) | (_, "ES1" | "ES2" | "ES3" | "ES4" | "ES7" | "USIM" | "NAS", _) => {
                return None;
            }
            (_, "ES5", "HandleDefaultNotification") => swap(&mut event),
            (_, "ES5", _) if event.note.is_empty() && event.outcome == Outcome::Done => return None,
            // The card sends a proactive command to its device.
            (_, "CAT", "OPEN CHANNEL" | "REFRESH") => swap(&mut event),
            (_, "CAT", "SMS-PP download" | "SEND SHORT MESSAGE") if event.outcome != Outcome::Done => {}
            (_, "CAT", _) => return None,
            _ => {}
        }
        Some(event)
    }
}

fn failed(event: &Event) -> bool {
    matches!(event.outcome, Outcome::Failed(_))
}

/// Swaps the two parties, so that the originator comes first.
fn swap(event: &mut Event) {
    mem::swap(&mut event.party, &mut event.peer);
    mem::swap(&mut event.bytes_sent, &mut event.bytes_received);
}

#[cfg(test)]
mod tests {
    use rsp::time::Timestamp;

    use super::*;

    fn event(
        party: &'static str,
        peer: &'static str,
        interface: &'static str,
        function: &'static str,
    ) -> Event {
        Event::new(Timestamp::from_seconds(0), party, function).with_peer(interface, peer)
    }

    #[test]
    fn toolkit_events_are_omitted_unless_they_fail() {
        let timeline = Timeline::new(Names::default());
        for function in ["TIMER MANAGEMENT", "RECEIVE DATA", "SEND DATA", "SEND SHORT MESSAGE"] {
            assert_eq!(timeline.shown(event("device 1", "card", "CAT", function)), None, "{function}");
        }
        let failed = || Outcome::Failed("connection refused".to_owned());
        for it in [
            event("device 1", "card", "CAT", "SEND SHORT MESSAGE"),
            event("SM-SR 1", "SM-DP", "ES3", "EnableProfileResponse"),
            event("SM-DP", "SM-SR 1", "ES3", "EnableProfileRequest"),
        ] {
            assert_eq!(timeline.shown(it.clone()), None);
            assert!(timeline.shown(it.with_outcome(failed())).is_some());
        }
    }

    #[test]
    fn the_originator_of_an_event_comes_first() {
        let timeline = Timeline::new(Names::default());
        let who = |event: Event| {
            timeline.shown(event).map(|it| format!("{} > {} {}", it.party, it.peer, it.function))
        };
        let notification = event("SM-SR 1", "device 2", "ES5", "HandleDefaultNotification");
        assert_eq!(who(notification).unwrap(), "device 2 > SM-SR 1 HandleDefaultNotification");
        assert_eq!(
            who(event("device 2", "card", "CAT", "OPEN CHANNEL")).unwrap(),
            "card > device 2 OPEN CHANNEL"
        );
        let called = event("SM-DP", "operator", "ES2", "EnableProfileRequest").with_bytes(0, 900);
        assert_eq!(who(called).unwrap(), "operator > SM-DP EnableProfile");
        // The sender's event of the same request is omitted.
        assert_eq!(who(event("SM-DP", "SM-SR 1", "ES3", "EnableProfileRequest").with_bytes(900, 0)), None);
        assert_eq!(
            who(event("operator", "SM-DP", "ES2", "EnableProfile")).unwrap(),
            "SM-DP > operator EnableProfile"
        );
    }

    #[test]
    fn repeated_rejects_of_a_network_are_shown_once_per_case() {
        let timeline = Timeline::new(Names::default());
        let reject = || {
            let refused = Outcome::Refused("#11".to_owned());
            timeline
                .shown(event("device 2", "724-98", "NAS", "ATTACH REJECT").with_outcome(refused))
                .is_some()
        };
        assert_eq!((reject(), reject()), (true, false));
        assert!(
            timeline.shown(Event::new(Timestamp::from_seconds(0), DEMONSTRATION, "the next case")).is_some()
        );
        assert!(reject());
    }
}
