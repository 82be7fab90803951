//! Events of a server: the list, the latest one, and waiting for one.

use rsp::{finding::Finding, time::Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::{Event, Outcome};

use crate::namespace::Namespace;

use super::{
    event_log::EventLog,
    paging::{Listing, Paged},
    wait::Waiting,
};

/// Selects events. A field that is absent selects all.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventFilter {
    /// The party that reports the event.
    party: Option<String>,
    /// The peer of the interaction.
    peer: Option<String>,
    /// The interface, such as "ES9+".
    interface: Option<String>,
    /// The function, such as "GetBoundProfilePackage".
    function: Option<String>,
    /// The result.
    outcome: Option<ResultName>,
    /// The name of a finding, such as "card-resources-unreadable".
    finding: Option<String>,
}

/// The name of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum ResultName {
    /// Successful.
    Done,
    /// Refused with a status of the protocol.
    Refused,
    /// No reply, an invalid reply, or an internal fault.
    Failed,
}

/// Events, oldest first.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventPage {
    /// The value of `after` for the next request.
    next: u64,
    /// The number of requested events that are no longer kept.
    lost: u64,
    /// The events.
    events: Vec<NumberedEvent>,
    /// True if more events match than the page contains.
    #[serde(skip)]
    has_more: bool,
}

impl Paged for EventPage {
    fn next(&self) -> Option<String> {
        self.has_more.then(|| self.next.to_string())
    }
}

/// An event. Numbering starts at 1 whenever the server starts.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NumberedEvent {
    number: u64,
    at: Timestamp,
    /// The party that reports the event.
    party: String,
    /// The peer of the interaction.
    peer: String,
    /// "ES9+", "ES2+" or "admin"; empty if no interface was involved.
    interface: String,
    /// The name of the function as the standard spells it.
    function: String,
    /// The number of body octets that the party sent.
    bytes_sent: u64,
    /// The number of body octets that the party received.
    bytes_received: u64,
    outcome: Ended,
    note: String,
    /// Accepted deviations of the peer.
    findings: Vec<Finding>,
}

/// The outcome of an interaction.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "result", content = "why")]
enum Ended {
    /// Successful.
    Done,
    /// Refused with a status of the protocol.
    Refused(String),
    /// No reply, an invalid reply, or an internal fault.
    Failed(String),
}

impl EventLog {
    /// Returns a page of the events of a namespace that are kept.
    pub fn list(&self, namespace: &Namespace, listing: &Listing<EventFilter, u64>) -> EventPage {
        let matches = |event: &Event| listing.filter.matches(namespace, event);
        let page = self.after(listing.after.unwrap_or(0), listing.limit(), matches);
        let events = page.events.into_iter().map(|(number, event)| NumberedEvent::of(number, event));
        EventPage { next: page.next, lost: page.lost, events: events.collect(), has_more: page.has_more }
    }

    /// Returns the newest event of a namespace that matches.
    pub fn latest(&self, namespace: &Namespace, filter: &EventFilter) -> Option<NumberedEvent> {
        let (number, event) = self.newest(|event| filter.matches(namespace, event))?;
        Some(NumberedEvent::of(number, event))
    }

    /// Returns the first event of a namespace that a request waits for, if there is one already.
    pub fn awaited(&self, namespace: &Namespace, waiting: &Waiting<EventFilter>) -> Option<NumberedEvent> {
        let page = self.after(waiting.after, 1, |event| waiting.filter.matches(namespace, event));
        page.events.into_iter().next().map(|(number, event)| NumberedEvent::of(number, event))
    }
}

impl EventFilter {
    fn matches(&self, namespace: &Namespace, event: &Event) -> bool {
        let is = |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|wanted| wanted == value);
        event.namespace == namespace.as_str()
            && is(&self.party, &event.party)
            && is(&self.peer, &event.peer)
            && is(&self.interface, &event.interface)
            && is(&self.function, &event.function)
            && self.outcome.is_none_or(|wanted| wanted == ResultName::of(&event.outcome))
            && self
                .finding
                .as_ref()
                .is_none_or(|wanted| event.findings.iter().any(|finding| finding.kind.name() == wanted))
    }
}

impl ResultName {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Done => Self::Done,
            Outcome::Refused(_) => Self::Refused,
            Outcome::Failed(_) => Self::Failed,
        }
    }
}

impl NumberedEvent {
    fn of(number: u64, event: Event) -> Self {
        let Event { at, party, peer, interface, function, bytes_sent, bytes_received, .. } = event;
        let Event { outcome, note, findings, .. } = event;
        Self {
            number,
            at,
            party: party.into_owned(),
            peer: peer.into_owned(),
            interface: interface.into_owned(),
            function: function.into_owned(),
            bytes_sent,
            bytes_received,
            outcome: match outcome {
                Outcome::Done => Ended::Done,
                Outcome::Refused(why) => Ended::Refused(why),
                Outcome::Failed(why) => Ended::Failed(why),
            },
            note,
            findings,
        }
    }
}

#[cfg(test)]
mod tests {
    use rsp::finding::{Finding, FindingKind};

    use super::*;

    #[test]
    fn a_page_of_events_has_a_next_page_if_more_match() {
        let log = EventLog::over(std::sync::Arc::new(world::MemoryEvents::default()), Default::default());
        for function in ["a", "b", "a"] {
            world::Events::emit(&log, Event::new(Timestamp(0), "SM-DP+", function).with_namespace("default"));
        }
        let next = |query: &str| {
            let listing = serde_urlencoded::from_str(query).unwrap();
            log.list(&Namespace::default(), &listing).next()
        };
        assert_eq!(next("limit=1&function=a").as_deref(), Some("1"));
        assert_eq!(next("limit=1&function=a&after=1"), None);
    }

    #[test]
    fn a_filter_by_finding_selects_the_events_with_it() {
        let kind = FindingKind::CardResourcesUnreadable;
        let event = Event::new(Timestamp(0), "SM-DP+", "a");
        let with_finding = event.clone().with_findings(vec![Finding::new(kind, "00")]);
        let filter = |finding: Option<&str>| EventFilter {
            finding: finding.map(str::to_owned),
            ..EventFilter::default()
        };
        let matches = |finding, event| filter(finding).matches(&Namespace::default(), event);
        assert!(matches(None, &event) && matches(None, &with_finding));
        assert!(!matches(Some(kind.name()), &event));
        assert!(matches(Some(kind.name()), &with_finding));
        assert!(!matches(Some("another"), &with_finding));
    }
}
