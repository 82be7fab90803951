//! The scenario language: networks, servers, devices, events, faults and expectations in a TOML
//! file. docs/scenarios.md describes it.
//!
//! Every error in a file is an [`InvalidScenario`] with the file, the line, the problem and a
//! remedy. A parsed [`Scenario`] can be played: everything that it refers to exists.

mod campaign_spec;
mod check;
mod data;
mod error;
mod expect;
mod fleet;
mod parties;
mod places;
mod steps;
mod values;

use localize::{RuleBook, Strategy};
use rsp::time::Timestamp;
use serde::Deserialize;
use toml::Spanned;

pub(crate) use campaign_spec::campaign_spec;
pub use error::InvalidScenario;
pub(crate) use error::nearest;
pub use expect::{Condition, Counter, Expectation, Expected, Limit};
pub use fleet::{Campaign, Canary, Esipa, Group, Kind, ReachedBy, Retries, Stop, Stops, Weekday, Window};
pub use parties::{Away, Identity, KnownBy, Needs, Network, Operator, Owner, Roamers, Source};
pub use places::{CardInterfaceAt, CardPlace, Places, ProfilePlace, SmDpPlace};
pub use steps::{Action, FaultEntry, M2mOperation, Place, Step};
pub use values::{Amount, At, Date, Devices, Length, Part, Partners, Which};

use error::Text;
use expect::ExpectEntry;
use steps::StepEntry;
use testbed::fault_places::{EimPlace, SmSrPlace};
use testbed::subscription::OwnIdentities;

/// The start date if the file has none.
const BEGINS: &str = "2027-01-01";

/// A scenario, ready to be run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// The title.
    pub title: String,
    /// The description, in sentences.
    pub about: String,
    /// The start time.
    pub begins: Timestamp,
    /// The duration.
    pub lasts: Length,
    /// The seed, unless another one is given on the command line.
    pub seed: String,
    /// The networks whose signal devices can receive.
    pub networks: Vec<Network>,
    /// The operators with their subscribers.
    pub operators: Vec<Operator>,
    /// The owner of the devices.
    pub owner: Owner,
    /// The device groups.
    pub groups: Vec<Group>,
    /// The campaigns of the platform.
    pub campaigns: Vec<Campaign>,
    /// The injected faults.
    pub faults: Vec<FaultEntry>,
    /// The steps: actions of people and organisations.
    pub steps: Vec<Step>,
    /// The expectations.
    pub expectations: Vec<Expectation>,
    /// The rule book: the rules of the file and, if selected, the built-in ones, and the country of
    /// every network.
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
    fault: Vec<FaultEntry>,
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
    /// Parses a scenario. `file` is its name in errors.
    ///
    /// # Errors
    /// The text is not TOML, has an unknown key or an invalid value, or refers to something that
    /// does not exist.
    pub fn parse(file: &str, text: &str) -> Result<Self, InvalidScenario> {
        Self::read(file, text, None)
    }

    /// Like [`parse`](Self::parse), with another start time.
    ///
    /// # Errors
    /// As [`parse`](Self::parse). In addition, a date in the file can be outside the run.
    pub fn parse_to_begin(file: &str, text: &str, begins: Timestamp) -> Result<Self, InvalidScenario> {
        Self::read(file, text, Some(begins))
    }

    fn read(file: &str, text: &str, begins: Option<Timestamp>) -> Result<Self, InvalidScenario> {
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
            faults: file.fault,
            steps,
            expectations,
            book,
            strategy,
        };
        check::all(source, &scenario, file.lasts.span())?;
        Ok(scenario)
    }

    /// True if the devices are M2M devices (SGP.02). A scenario has devices of one kind only.
    pub fn is_m2m(&self) -> bool {
        self.groups.iter().any(|group| group.kind == Kind::M2m)
    }

    /// True if the devices are IoT devices (SGP.32). A scenario has devices of one kind only.
    pub fn is_iot(&self) -> bool {
        self.groups.iter().any(|group| group.kind == Kind::Iot)
    }

    /// True if a second eIM takes over cards.
    pub fn has_second_eim(&self) -> bool {
        let gets = |step: &Step| matches!(step.action, Action::ChangeEim { to: EimPlace::Second, .. });
        self.steps.iter().any(gets)
    }

    /// True if cards open HTTPS sessions.
    pub fn has_https(&self) -> bool {
        self.groups.iter().any(|group| *group.reached_by.get_ref() == ReachedBy::Https)
    }

    /// True if devices use CoAP.
    pub fn has_coap(&self) -> bool {
        self.groups.iter().any(|group| *group.esipa.get_ref() == Esipa::Coap)
    }

    /// True if a second SM-SR takes over cards.
    pub fn has_second_sm_sr(&self) -> bool {
        let gets = |step: &Step| matches!(step.action, Action::ChangeSmSr { to: SmSrPlace::Second, .. });
        self.steps.iter().any(gets)
    }

    /// The additional IMSIs in the profiles of this operator, each with the mobile country codes
    /// (MCC) of the countries in which it is used.
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

    /// The end time.
    pub fn ends(&self) -> Timestamp {
        self.begins.plus(self.lasts.0)
    }

    /// The point in time that a `moment` of the scenario language means, or `None` if it is outside
    /// the run.
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
