//! Events that the parties report to an observer: a timeline, a log, a test.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rsp::{finding::Finding, time::Timestamp};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// The namespace of events that belong to no other one.
pub const DEFAULT_NAMESPACE: &str = "default";

/// One event at one party. Event names are in the past tense or are the standard's function names.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Event {
    /// The time, on the party's own clock.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "Timestamp")]
    pub at: Timestamp,
    /// The party that reports the event: "SM-DP+", "device 1".
    pub party: Cow<'static, str>,
    /// The peer. Empty if the event concerns the party alone.
    pub peer: Cow<'static, str>,
    /// The interface in the standard's spelling: "ES9+", "ES10b". Empty if no interface is
    /// involved.
    pub interface: Cow<'static, str>,
    /// The function in the standard's spelling, "AuthenticateClient", or another name of the
    /// operation.
    pub function: Cow<'static, str>,
    /// Octets of message body or APDU that the party sent.
    pub bytes_sent: u64,
    /// Octets of message body or APDU that the party received.
    pub bytes_received: u64,
    /// The outcome.
    pub outcome: Outcome,
    /// Additional information for the reader of a timeline. Often empty.
    pub note: String,
    /// The namespace of the record that the event is about, at a server whose records have
    /// namespaces.
    #[serde(skip_serializing_if = "is_default_namespace")]
    pub namespace: Cow<'static, str>,
    /// Deviations of the peer that were accepted. Usually none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// The outcome of an operation.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case", tag = "result", content = "why")]
pub enum Outcome {
    /// The operation succeeded.
    Done,
    /// The peer or this party refused the operation, in terms of the protocol.
    Refused(String),
    /// There was no answer or an invalid one, or an internal fault occurred.
    Failed(String),
}

impl Event {
    /// Creates a successful event that concerns `party` alone. Set the other fields by struct
    /// update or with the methods below.
    pub fn new(
        at: Timestamp,
        party: impl Into<Cow<'static, str>>,
        function: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            at,
            party: party.into(),
            peer: Cow::Borrowed(""),
            interface: Cow::Borrowed(""),
            function: function.into(),
            bytes_sent: 0,
            bytes_received: 0,
            outcome: Outcome::Done,
            note: String::new(),
            namespace: Cow::Borrowed(DEFAULT_NAMESPACE),
            findings: Vec::new(),
        }
    }

    /// Sets the interface and the peer.
    pub fn with_peer(
        mut self,
        interface: impl Into<Cow<'static, str>>,
        peer: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.interface = interface.into();
        self.peer = peer.into();
        self
    }

    /// Sets the byte counts.
    pub fn with_bytes(mut self, sent: usize, received: usize) -> Self {
        self.bytes_sent = u64::try_from(sent).unwrap_or(u64::MAX);
        self.bytes_received = u64::try_from(received).unwrap_or(u64::MAX);
        self
    }

    /// Sets the outcome.
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Sets the namespace.
    pub fn with_namespace(mut self, namespace: impl Into<Cow<'static, str>>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Sets the note.
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Sets the findings.
    pub fn with_findings(mut self, findings: Vec<Finding>) -> Self {
        self.findings = findings;
        self
    }
}

impl fmt::Display for Event {
    /// Prints one line: time, party -> peer, interface.function, bytes, outcome, note, findings.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.at, self.party)?;
        if !self.peer.is_empty() {
            write!(f, " -> {}", self.peer)?;
        }
        let dot = if self.interface.is_empty() { "" } else { "." };
        write!(f, " {}{dot}{}", self.interface, self.function)?;
        if self.bytes_sent != 0 || self.bytes_received != 0 {
            write!(f, " ({} B sent, {} B received)", self.bytes_sent, self.bytes_received)?;
        }
        match &self.outcome {
            Outcome::Done => {}
            Outcome::Refused(why) => write!(f, " refused: {why}")?,
            Outcome::Failed(why) => write!(f, " failed: {why}")?,
        }
        if !self.note.is_empty() {
            write!(f, " - {}", self.note)?;
        }
        self.findings.iter().try_for_each(|finding| write!(f, "; finding {finding}"))
    }
}

/// A receiver of events. Reporting an event never fails and never waits.
pub trait Events: Send + Sync {
    /// Receives one event.
    fn emit(&self, event: Event);
}

impl<E: Events + ?Sized> Events for Arc<E> {
    fn emit(&self, event: Event) {
        (**self).emit(event);
    }
}

/// Keeps all events in the order of arrival. A clone is the same list.
#[derive(Clone, Debug, Default)]
pub struct MemoryEvents(Arc<Mutex<Vec<Event>>>);

impl MemoryEvents {
    /// Returns all events so far.
    pub fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns all events so far and clears the list.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Events for MemoryEvents {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}

/// Discards all events.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullEvents;

impl Events for NullEvents {
    fn emit(&self, _: Event) {}
}

fn is_default_namespace(namespace: &str) -> bool {
    namespace == DEFAULT_NAMESPACE
}

fn as_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[cfg(test)]
mod tests {
    use rsp::finding::FindingKind;

    use super::*;

    #[test]
    fn an_event_is_printed_as_one_line_and_as_json() {
        let events = MemoryEvents::default();
        let event = Event::new(Timestamp(0), "device", "AuthenticateClient")
            .with_peer("ES9+", "SM-DP+")
            .with_bytes(10, 20)
            .with_outcome(Outcome::Refused("8.2.6 / 3.8".into()))
            .with_note("wrong MatchingID");
        events.emit(event.clone());
        let line = events.all()[0].to_string();
        assert!(
            line.ends_with(
                "device -> SM-DP+ ES9+.AuthenticateClient (10 B sent, 20 B received) refused: 8.2.6 / 3.8 - wrong MatchingID"
            ),
            "{line}"
        );
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["outcome"], serde_json::json!({"result": "refused", "why": "8.2.6 / 3.8"}));
        assert_eq!(json["at"], Timestamp(0).to_string());
        assert!(json.get("findings").is_none());
        let finding = Finding::new(FindingKind::CardResourcesUnreadable, "00");
        let event = event.with_findings(vec![finding]);
        assert!(event.to_string().contains("; finding card-resources-unreadable ("), "{event}");
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["findings"][0]["clause"], FindingKind::CardResourcesUnreadable.clause());
        assert_eq!(events.take().len(), 1);
        assert!(events.all().is_empty());
    }
}
