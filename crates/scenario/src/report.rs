//! The report of a run: a serializable value, with output formats for humans and programs.
//!
//! A [`Report`] contains nothing about the machine that produced it, neither its clock nor its
//! paths: the same scenario and seed give the same octets. Every list that grows with the number of
//! devices is bounded, and counts the omitted entries.
//!
//! ```
//! # use scenario::report::{Expectation, Kind, Report, Verdict};
//! let begins = "2027-01-01T00:00:00Z".parse()?;
//! let mut report = Report::new("ninety-days", "Ninety days", "A meter that must move.", "7",
//! begins);
//! report.timeline.add(begins, Kind::Device, "meters", "attached to 724-05");
//! report.days.devices_by_network.add("724-05", 0, 50);
//! report.judge(Expectation {
//!     text: "all meters are on 724-99".into(),
//!     line: Some(40),
//!     at: "2027-04-01T00:00:00Z".parse()?,
//!     passed: false,
//!     saw: "49 of 50; meters-7 is on 724-05".into(),
//! });
//! report.ended = "2027-04-01T00:00:00Z".parse()?;
//! assert_eq!(report.verdict(), Verdict::Failed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod campaign;
mod cost;
mod device;
mod junit;
mod live;
mod page;
mod per_day;
mod timeline;

use std::collections::BTreeMap;

use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::library;

pub(crate) use campaign::terms;
pub use campaign::{Campaign, Failure};
pub use cost::{Costs, Spent};
pub use device::{Device, Stay};
pub use live::Live;
pub use per_day::{Days, PerDay};
pub use timeline::{Entry, Kind, Timeline};

/// Maximum number of different refusals that are counted separately.
const KINDS_OF_REFUSALS: usize = 50;

/// The report of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The version of the report format. It is incremented when the meaning of a field changes.
    pub form: u32,
    /// The scenario.
    pub scenario: Scenario,
    /// The seed. The same scenario, program and seed give the same report.
    pub seed: String,
    /// Details of a run over sockets. Absent for a run without sockets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
    /// The names of the networks that have one, by network code.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, String>,
    /// The start of the run in virtual time.
    #[schemars(with = "String")]
    pub begins: Timestamp,
    /// The end of the run in virtual time.
    #[schemars(with = "String")]
    pub ended: Timestamp,
    /// The verdict.
    verdict: Verdict,
    /// The expectations, in the order in which they were checked.
    expectations: Vec<Expectation>,
    /// The campaigns, in the order of the scenario.
    pub campaigns: Vec<Campaign>,
    /// The number of times that each fault happened, by its name and place.
    pub faults: BTreeMap<String, Times>,
    /// Faults that were installed but never happened. The place may be misspelt, or there was no
    /// occasion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub never_struck: Vec<String>,
    /// Requests of the platform that SM-DP+s refused, with their reasons.
    pub refused: BTreeMap<String, Times>,
    /// The traffic over bearers and its cost.
    pub costs: Costs,
    /// Numbers for each day of the run.
    pub days: Days,
    /// Events in chronological order.
    pub timeline: Timeline,
    /// The devices at the end of the run.
    pub devices: Bounded<Device, 200>,
}

/// The scenario of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Scenario {
    /// Its name: the file name without the extension.
    pub name: String,
    /// Its title.
    pub title: String,
    /// Its description, in sentences.
    pub about: String,
}

/// The result of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every expectation was met.
    Passed,
    /// An expectation was not met.
    Failed,
}

/// An expectation and the observed state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Expectation {
    /// The expectation as a sentence.
    pub text: String,
    /// Its line in the scenario file.
    pub line: Option<u32>,
    /// The time of the check.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// True if the expectation was met.
    pub passed: bool,
    /// The observed state, whether or not it meets the expectation.
    pub saw: String,
}

/// The number of occurrences of something, with the first and last time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Times {
    /// The number of occurrences.
    pub times: u64,
    /// The first time.
    #[schemars(with = "String")]
    pub first: Timestamp,
    /// The last time.
    #[schemars(with = "String")]
    pub last: Timestamp,
}

impl Times {
    /// Counts an occurrence.
    fn count(all: &mut BTreeMap<String, Self>, what: &str, at: Timestamp) {
        let counted = all.entry(what.to_owned()).or_insert(Self { times: 0, first: at, last: at });
        counted.times = counted.times.saturating_add(1);
        (counted.first, counted.last) = (counted.first.min(at), counted.last.max(at));
    }
}

/// A list of at most `LIMIT` values that counts the omitted ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}s")]
pub struct Bounded<T, const LIMIT: usize> {
    /// The first values.
    shown: Vec<T>,
    /// The number of omitted values.
    left_out: u64,
}

impl Report {
    /// The command that repeats the run. A scenario that is not built in is a file with its name.
    fn again(&self) -> String {
        let name = &self.scenario.name;
        let ending = if library::named(name).is_some() { "" } else { ".toml" };
        let live = match &self.live {
            None => "",
            Some(live) if live.strangers.is_empty() => " --live",
            Some(_) => " --live --with PLACES.toml",
        };
        format!("landfall run {name}{ending}{live} --seed {}", self.seed)
    }

    /// A report for a run that starts at `begins`.
    pub fn new(
        name: impl Into<String>,
        title: impl Into<String>,
        about: impl Into<String>,
        seed: impl Into<String>,
        begins: Timestamp,
    ) -> Self {
        Self {
            form: 2,
            scenario: Scenario { name: name.into(), title: title.into(), about: about.into() },
            seed: seed.into(),
            live: None,
            networks: BTreeMap::new(),
            begins,
            ended: begins,
            verdict: Verdict::Passed,
            expectations: Vec::new(),
            campaigns: Vec::new(),
            faults: BTreeMap::new(),
            never_struck: Vec::new(),
            refused: BTreeMap::new(),
            costs: Costs::default(),
            days: Days::default(),
            timeline: Timeline::default(),
            devices: Bounded::default(),
        }
    }

    /// Records a checked expectation, also in the timeline. An unmet expectation fails the run.
    pub fn judge(&mut self, expectation: Expectation) {
        let met = if expectation.passed { "as expected" } else { "NOT as expected" };
        let told = format!("{met}: {}: {}", expectation.text, expectation.saw);
        self.timeline.add(expectation.at, Kind::Expectation, "expectations", told);
        if !expectation.passed {
            self.verdict = Verdict::Failed;
        }
        self.expectations.push(expectation);
    }

    /// Records that a fault happened, by its name and place.
    pub fn record_fault(&mut self, at: Timestamp, fault: &str) {
        Times::count(&mut self.faults, fault, at);
        self.days.faults.add(fault, self.day(at), 1);
    }

    /// Records a request of the platform that an SM-DP+ refused. If there are too many different
    /// refusals, the last ones are counted together.
    pub fn refused(&mut self, at: Timestamp, what: &str) {
        let is_one_of_many = self.refused.len() >= KINDS_OF_REFUSALS && !self.refused.contains_key(what);
        Times::count(&mut self.refused, if is_one_of_many { "others" } else { what }, at);
    }

    /// The verdict so far.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The expectations, in the order in which they were checked.
    pub fn expectations(&self) -> &[Expectation] {
        &self.expectations
    }

    /// The day of the run, counted from 0 in steps of 24 hours from the start.
    pub fn day(&self, at: Timestamp) -> usize {
        usize::try_from(at.since(self.begins).as_secs() / 86_400).unwrap_or(usize::MAX)
    }

    /// The report as JSON, according to `docs/report.schema.json`.
    ///
    /// # Errors
    /// Serialization failed, which is a bug.
    pub fn json(&self) -> Result<String, world::Fault> {
        let text = serde_json::to_string_pretty(self);
        let text = text.map_err(|e| world::Fault::caused_by(e, "cannot write the report", "report this"))?;
        Ok(text + "\n")
    }
}

/// Replaces control characters and others that XML cannot represent.
fn printable(text: &str) -> String {
    let is_control = |c: char| c.is_control() && !matches!(c, '\t' | '\n');
    text.replace(|c| is_control(c) || matches!(c, '\u{FFFE}' | '\u{FFFF}'), "\u{FFFD}")
}

impl<T, const LIMIT: usize> Bounded<T, LIMIT> {
    /// Appends a value, or counts it as omitted if the list is full.
    pub fn push(&mut self, value: T) {
        if self.shown.len() < LIMIT { self.shown.push(value) } else { self.left_out += 1 }
    }

    /// The values in the list.
    pub fn shown(&self) -> &[T] {
        &self.shown
    }

    /// The number of omitted values.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The total number of values, including omitted ones.
    pub fn count(&self) -> u64 {
        self.shown.len() as u64 + self.left_out
    }
}

impl<T, const LIMIT: usize> Default for Bounded<T, LIMIT> {
    fn default() -> Self {
        Self { shown: Vec::new(), left_out: 0 }
    }
}

#[cfg(test)]
mod tests;
