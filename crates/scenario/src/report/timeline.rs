//! What happened in a run, in order, and no more than a person reads.

use std::collections::BTreeMap;
use std::fmt;

use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// So many entries of one kind are kept: the first ones, because trouble shows in them.
const OF_A_KIND: usize = 200;
/// An entry's text is cut to so many characters.
const LONGEST: usize = 400;

/// What happened, in the order in which it was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Timeline {
    entries: Vec<Entry>,
    /// How many entries of a kind were told and are not here.
    left_out: BTreeMap<Kind, u64>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Entry {
    /// When; if it lasts, since when.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// If it lasts, until when: until it was over, or the run was.
    #[schemars(with = "Option<String>")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What sort of thing it is.
    pub kind: Kind,
    /// Whose lane it is in: a party, a network, a group of devices, a campaign.
    pub who: String,
    /// What happened, as a phrase.
    pub what: String,
}

/// Sorts of things that happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A step of the scenario.
    Step,
    /// A fault was put: from now on it can strike.
    Fault,
    /// The world: networks come and go, rules change.
    World,
    /// A campaign changed its state.
    Campaign,
    /// A device moved.
    Moved,
    /// A device came back, or did not move.
    Failed,
    /// Anything else of a device.
    Device,
    /// Anything else of a server or of the platform.
    Server,
    /// An expectation was looked at.
    Expectation,
}

impl Timeline {
    /// Appends an entry, or counts it as left out when there are many of its kind.
    pub fn tell(&mut self, at: Timestamp, kind: Kind, who: impl Into<String>, what: impl AsRef<str>) {
        self.append(at, None, kind, who.into(), what.as_ref());
    }

    /// The same of something that lasts until then, unless it is [`over`](Self::over) before.
    pub fn tell_lasting(
        &mut self,
        (at, until): (Timestamp, Timestamp),
        kind: Kind,
        who: impl Into<String>,
        what: impl AsRef<str>,
    ) {
        self.append(at, Some(until.max(at)), kind, who.into(), what.as_ref());
    }

    /// What was told of somebody with these words has lasted until now at most.
    pub fn over(&mut self, now: Timestamp, who: &str, what: &str) {
        self.end_all(now, |entry| entry.who == who && entry.what == what);
    }

    /// Whatever lasts has lasted until now at most: the run ends.
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

    /// What it holds, in the order in which it was told.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many of which kind it does not hold.
    pub fn left_out(&self) -> impl Iterator<Item = (Kind, u64)> {
        self.left_out.iter().map(|(kind, count)| (*kind, *count))
    }
}

impl Kind {
    /// Every kind.
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

    /// In words.
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
