//! The events of a run in chronological order, limited to a readable number.

use std::collections::BTreeMap;
use std::fmt;

use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Maximum number of entries per kind. The first ones are kept, because they show the start of a
/// problem.
const OF_A_KIND: usize = 200;
/// Maximum number of characters of an entry.
const LONGEST: usize = 400;

/// The events in the order in which they were reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Timeline {
    entries: Vec<Entry>,
    /// The number of omitted entries by kind.
    left_out: BTreeMap<Kind, u64>,
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// The time, or the start of a lasting event.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The end of a lasting event, at the latest the end of the run.
    #[schemars(with = "Option<String>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The kind of the event.
    pub kind: Kind,
    /// The lane: a party, a network, a device group or a campaign.
    pub who: String,
    /// The event as a phrase.
    pub what: String,
}

/// Kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A step of the scenario.
    Step,
    /// A fault was installed and can happen from now on.
    Fault,
    /// A change of the environment, such as the coverage of a network or a rule breach.
    World,
    /// A campaign changed its state.
    Campaign,
    /// A device moved successfully.
    Moved,
    /// A device returned to its previous profile, or did not move.
    Failed,
    /// Any other event of a device.
    Device,
    /// Any other event of a server or the platform.
    Server,
    /// An expectation was checked.
    Expectation,
}

impl Timeline {
    /// Appends an entry, or counts it as omitted if there are too many of its kind.
    pub fn add(&mut self, at: Timestamp, kind: Kind, who: impl Into<String>, what: impl AsRef<str>) {
        self.append(at, None, kind, who.into(), what.as_ref());
    }

    /// Appends a lasting entry. It ends at `until`, unless [`over`](Self::over) ends it earlier.
    pub fn add_lasting(
        &mut self,
        (at, until): (Timestamp, Timestamp),
        kind: Kind,
        who: impl Into<String>,
        what: impl AsRef<str>,
    ) {
        self.append(at, Some(until.max(at)), kind, who.into(), what.as_ref());
    }

    /// Ends the entries with this lane and this text, if they would last longer.
    pub fn over(&mut self, now: Timestamp, who: &str, what: &str) {
        self.end_all(now, |entry| entry.who == who && entry.what == what);
    }

    /// Ends all lasting entries at the end of the run.
    pub fn ends(&mut self, now: Timestamp) {
        self.end_all(now, |_| true);
    }

    fn end_all(&mut self, now: Timestamp, of: impl Fn(&Entry) -> bool) {
        for entry in self.entries.iter_mut().filter(|entry| of(entry)) {
            entry.until = entry.until.map(|until| until.min(now));
        }
    }

    fn append(&mut self, at: Timestamp, until: Option<Timestamp>, kind: Kind, who: String, what: &str) {
        if let Some(count) = self.left_out.get_mut(&kind) {
            *count += 1;
            return;
        }
        if self.entries.iter().filter(|entry| entry.kind == kind).count() >= OF_A_KIND {
            self.left_out.insert(kind, 1);
            return;
        }
        let what = what.chars().take(LONGEST).collect();
        self.entries.push(Entry { at, until, kind, who, what });
    }

    /// The entries in the order in which they were reported.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The number of omitted entries by kind.
    pub fn left_out(&self) -> impl Iterator<Item = (Kind, u64)> {
        self.left_out.iter().map(|(kind, count)| (*kind, *count))
    }
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Step,
        Self::Fault,
        Self::World,
        Self::Campaign,
        Self::Moved,
        Self::Failed,
        Self::Device,
        Self::Server,
        Self::Expectation,
    ];

    /// The name of the kind.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Fault => "fault",
            Self::World => "world",
            Self::Campaign => "campaign",
            Self::Moved => "moved",
            Self::Failed => "failed",
            Self::Device => "device",
            Self::Server => "server",
            Self::Expectation => "expectation",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
