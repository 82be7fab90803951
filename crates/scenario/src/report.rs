//! What a run of a scenario came to: one value that serializes, and what people and machines read of it.
//!
//! A [`Report`] holds nothing of the machine that made it, neither its clock nor its paths: the same scenario and seed
//! give the same octets. Whatever grows with the number of devices is bounded and says how much was left out.
//!
//! ```
//! # use scenario::report::{Expectation, Kind, Report, Verdict};
//! let begins = "2027-01-01T00:00:00Z".parse()?;
//! let mut report = Report::new("ninety-days", "Ninety days", "A meter that must move.", "7", begins);
//! report.timeline.tell(begins, Kind::Device, "meters", "attached to 724-05");
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
mod escape;
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

/// So many different refusals are told apart.
const KINDS_OF_REFUSALS: usize = 50;

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The form of this value. It is counted up when a field changes its meaning.
    pub form: u32,
    /// What was run.
    pub scenario: Scenario,
    /// The seed, which with the same scenario and program gives the same report.
    pub seed: String,
    /// How it was played, if servers were asked over sockets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
    /// When the run began, in its own time.
    #[schemars(with = "String")]
    pub begins: Timestamp,
    /// When it ended, in its own time.
    #[schemars(with = "String")]
    pub ended: Timestamp,
    /// Whether every expectation was met.
    verdict: Verdict,
    /// What was expected, in the order in which it was looked at.
    expectations: Vec<Expectation>,
    /// What the campaigns came to, in the order in which they were planned.
    pub campaigns: Vec<Campaign>,
    /// How often each fault struck, by its name and place.
    pub faults: BTreeMap<String, Times>,
    /// Faults that were put and found no occasion: the place may be misspelt, or nobody came by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub never_struck: Vec<String>,
    /// What SM-DP+s refused the platform, in their words.
    pub refused: BTreeMap<String, Times>,
    /// What went over the bearers, and what that costs.
    pub costs: Costs,
    /// Numbers for each day of the run.
    pub days: Days,
    /// What happened, in the order in which it did.
    pub timeline: Timeline,
    /// The devices as they were at the end.
    pub devices: Bounded<Device, 200>,
}

/// What was run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Scenario {
    /// Its name: the name of its file, without the ending.
    pub name: String,
    /// Its title, for people.
    pub title: String,
    /// What it is about, in sentences.
    pub about: String,
}

/// Whether everything was as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every expectation was met.
    Passed,
    /// One was not.
    Failed,
}

/// What was expected, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Expectation {
    /// What was expected, as a sentence.
    pub text: String,
    /// The line of the scenario file that says so.
    pub line: Option<u32>,
    /// When it was looked at.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Whether it was so.
    pub passed: bool,
    /// What was seen, whether or not it was so.
    pub saw: String,
}

/// How often something was so, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Times {
    /// How often.
    pub times: u64,
    /// When for the first time.
    #[schemars(with = "String")]
    pub first: Timestamp,
    /// When for the last time.
    #[schemars(with = "String")]
    pub last: Timestamp,
}

impl Times {
    /// One more time.
    fn count(all: &mut BTreeMap<String, Self>, what: &str, at: Timestamp) {
        let counted = all.entry(what.to_owned()).or_insert(Self { times: 0, first: at, last: at });
        counted.times = counted.times.saturating_add(1);
        (counted.first, counted.last) = (counted.first.min(at), counted.last.max(at));
    }
}

/// A list of at most `LIMIT` values, which says how many it does not hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}s")]
pub struct Bounded<T, const LIMIT: usize> {
    /// The first of them.
    shown: Vec<T>,
    /// How many more there are.
    left_out: u64,
}

impl Report {
    /// The command that plays it again; a scenario that does not come along is a file of that name.
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

    /// The report of a run that begins now.
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

    /// Notes an expectation that was looked at, also in the timeline. One that was not met fails the run.
    pub fn judge(&mut self, expectation: Expectation) {
        let met = if expectation.passed { "as expected" } else { "NOT as expected" };
        let told = format!("{met}: {}: {}", expectation.text, expectation.saw);
        self.timeline.tell(expectation.at, Kind::Expectation, "expectations", told);
        if !expectation.passed {
            self.verdict = Verdict::Failed;
        }
        self.expectations.push(expectation);
    }

    /// Notes that a fault struck, by its name and place.
    pub fn struck(&mut self, at: Timestamp, fault: &str) {
        Times::count(&mut self.faults, fault, at);
        self.days.faults.add(fault, self.day(at), 1);
    }

    /// Notes that an SM-DP+ refused the platform something. Of very many different refusals the last ones are counted together.
    pub fn refused(&mut self, at: Timestamp, what: &str) {
        let is_one_of_many = self.refused.len() >= KINDS_OF_REFUSALS && !self.refused.contains_key(what);
        Times::count(&mut self.refused, if is_one_of_many { "others" } else { what }, at);
    }

    /// Whether everything was as expected so far.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// What was expected, in the order in which it was looked at.
    pub fn expectations(&self) -> &[Expectation] {
        &self.expectations
    }

    /// On which day of the run a time lies, counted from 0 in steps of 24 hours from its beginning.
    pub fn day(&self, at: Timestamp) -> usize {
        usize::try_from(at.since(self.begins).as_secs() / 86_400).unwrap_or(usize::MAX)
    }

    /// The report as JSON, as `docs/report.schema.json` describes it.
    ///
    /// # Errors
    /// It does not serialize, which is our mistake.
    pub fn json(&self) -> Result<String, world::Fault> {
        let text = serde_json::to_string_pretty(self);
        let text = text.map_err(|e| world::Fault::caused_by(e, "cannot write the report", "report this"))?;
        Ok(text + "\n")
    }
}

impl<T, const LIMIT: usize> Bounded<T, LIMIT> {
    /// Appends a value, or counts it as left out.
    pub fn push(&mut self, value: T) {
        if self.shown.len() < LIMIT { self.shown.push(value) } else { self.left_out += 1 }
    }

    /// The values that it holds.
    pub fn shown(&self) -> &[T] {
        &self.shown
    }

    /// How many values it does not hold.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// How many values there are, shown or not.
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
