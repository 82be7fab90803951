//! Scenario files: a world, devices in it, what happens, what goes wrong, and what is expected. TOML; docs/scenarios.md
//! describes the form.
//!
//! Whatever is wrong with a file is a [`NotAScenario`]: file, line, what, and what to do. A [`Scenario`] that
//! was read can be run: everything that it names is there.

mod check;
mod data;
mod error;
mod expect;
mod fleet;
mod parties;
mod places;
mod story;
mod words;

use localize::{RuleBook, Strategy};
use rsp::time::Timestamp;
use serde::Deserialize;
use toml::Spanned;

pub use error::NotAScenario;
pub(crate) use error::nearest;
pub use expect::{Condition, Counter, Expectation, Expected, Limit};
pub use fleet::{Campaign, Canary, Group, Kind, ReachedBy, Retries, Stop, Stops, Weekday, Window};
pub use parties::{Away, Identity, KnownBy, Needs, Network, Operator, Owner, Roamers, Source};
pub use places::{CardDoorAt, CardPlace, Places, ProfilePlace, SmDpPlace};
pub use story::{Action, Asked, Place, SmSr, Step, Trouble};
pub use words::{Amount, At, Date, Devices, Length, Part, Partners, Which};

use crate::subscription::OwnIdentities;
use error::Text;
use expect::ExpectEntry;
use story::StepEntry;

/// When a run begins if the file does not say it.
const BEGINS: &str = "2027-01-01";

/// A scenario, ready to be run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What people call it.
    pub title: String,
    /// What it is about, in sentences.
    pub about: String,
    /// When it begins.
    pub begins: Timestamp,
    /// How long it lasts.
    pub lasts: Length,
    /// The seed, unless another is given.
    pub seed: String,
    /// What devices hear.
    pub networks: Vec<Network>,
    /// Who has subscribers.
    pub operators: Vec<Operator>,
    /// Whose the devices are.
    pub owner: Owner,
    /// The devices.
    pub groups: Vec<Group>,
    /// What the platform does by itself.
    pub campaigns: Vec<Campaign>,
    /// What goes wrong.
    pub troubles: Vec<Trouble>,
    /// What somebody does.
    pub steps: Vec<Step>,
    /// What is to be so.
    pub expectations: Vec<Expectation>,
    /// The rules that are known, of the file and those that come along; every network placed in its country.
    pub book: RuleBook,
    /// The owner's strategy.
    pub strategy: Strategy,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    #[serde(default)]
    about: String,
    #[serde(default = "begins")]
    begins: Date,
    lasts: Spanned<Length>,
    #[serde(default = "seed")]
    seed: String,
    #[serde(default)]
    network: Vec<Network>,
    #[serde(default)]
    operator: Vec<Operator>,
    #[serde(default)]
    owner: Owner,
    #[serde(default)]
    devices: Vec<Group>,
    #[serde(default)]
    campaign: Vec<Campaign>,
    #[serde(default)]
    fault: Vec<Trouble>,
    #[serde(default)]
    step: Vec<StepEntry>,
    #[serde(default)]
    expect: Vec<Spanned<ExpectEntry>>,
    #[serde(default)]
    rule: Vec<Spanned<toml::Table>>,
    #[serde(default)]
    strategy: Vec<Spanned<toml::Table>>,
}

fn begins() -> Date {
    Date::try_from(BEGINS.to_owned()).unwrap_or(Date(Timestamp(0)))
}

fn seed() -> String {
    "7".to_owned()
}

impl Scenario {
    /// Reads a scenario; `file` is what errors call it.
    ///
    /// # Errors
    /// It is not TOML, has what no scenario has, or names what is not there.
    pub fn parse(file: &str, text: &str) -> Result<Self, NotAScenario> {
        Self::read(file, text, None)
    }

    /// The same, beginning at this time whatever it says.
    ///
    /// # Errors
    /// As [`parse`](Self::parse); a date of it may be outside of the run then.
    pub fn parse_to_begin(file: &str, text: &str, begins: Timestamp) -> Result<Self, NotAScenario> {
        Self::read(file, text, Some(begins))
    }

    fn read(file: &str, text: &str, begins: Option<Timestamp>) -> Result<Self, NotAScenario> {
        let source = Text { file, text };
        let file: File = toml::from_str(text).map_err(|error| source.not_toml(&error))?;
        let mut book = data::rules(source, &file)?;
        data::place_networks(source, &file.network, &file.operator, &mut book)?;
        let strategy = data::strategy(source, &file, &book)?;
        let steps = file.step.into_iter().map(|entry| entry.check(source)).collect::<Result<_, _>>()?;
        let expectations = file
            .expect
            .into_iter()
            .map(|entry| ExpectEntry::check(entry, source))
            .collect::<Result<_, _>>()?;
        let scenario = Self {
            title: file.title,
            about: file.about,
            begins: begins.unwrap_or(file.begins.0),
            lasts: *file.lasts.get_ref(),
            seed: file.seed,
            networks: file.network,
            operators: file.operator,
            owner: file.owner,
            groups: file.devices,
            campaigns: file.campaign,
            troubles: file.fault,
            steps,
            expectations,
            book,
            strategy,
        };
        check::all(source, &scenario, file.lasts.span())?;
        Ok(scenario)
    }

    /// Whether its devices are M2M ones (SGP.02). All are, or none is.
    pub fn is_m2m(&self) -> bool {
        self.groups.iter().any(|group| group.kind == Kind::M2m)
    }

    /// Whether cards of it open sessions over HTTPS.
    pub fn has_https(&self) -> bool {
        self.groups.iter().any(|group| *group.reached_by.get_ref() == ReachedBy::Https)
    }

    /// Whether a second SM-SR gets cards.
    pub fn has_second_sm_sr(&self) -> bool {
        let gets = |step: &Step| matches!(step.action, Action::ChangeSmSr { to: SmSr::Second, .. });
        self.steps.iter().any(gets)
    }

    /// Who else devices with profiles of this operator can be, as its packages say it: by the country codes of networks.
    pub fn identities_of(&self, operator: &Operator) -> OwnIdentities {
        let has_some = self.operators.iter().filter(|operator| !operator.identities.is_empty());
        let before = has_some.take_while(|other| other.network.get_ref() != operator.network.get_ref());
        let series = u8::try_from(before.count()).unwrap_or(u8::MAX).saturating_add(1);
        let of = operator.identities.iter().map(|identity| {
            let countries = identity.countries.iter();
            (
                *identity.of.get_ref(),
                countries.flat_map(|country| self.book.codes_of(*country.get_ref())).collect(),
            )
        });
        OwnIdentities { series, of: of.collect() }
    }

    /// When it ends.
    pub fn ends(&self) -> Timestamp {
        self.begins.plus(self.lasts.0)
    }

    /// When a moment is; none if it is before the beginning or after the end.
    pub fn when(&self, at: At) -> Option<Timestamp> {
        let time = match at {
            At::After(after) => self.begins.plus(after),
            At::On(time) => time,
            At::End => self.ends(),
        };
        (self.begins <= time && time <= self.ends()).then_some(time)
    }
}

#[cfg(test)]
mod tests;
