//! How the owner wants devices connected, region by region: the rows of a strategy.

use std::fmt;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::{
    book::RuleBook,
    data::{DataError, DataText, Wrong},
    day::Day,
    device::{Bandwidth, Criticality, Latency, Needs},
    entry::{Groups, expand},
    network::Country,
};

/// The strategy that comes with Landfall.
pub const BUILT_IN_STRATEGY: &str = include_str!("../data/strategy.toml");

/// Rows, of which the first that fits a device applies; without any, a device moves when a rule presses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Strategy {
    rows: Vec<StrategyRow>,
}

/// A row's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StrategyId(String);

impl fmt::Display for StrategyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// By what a device is connected where it roams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// A local operator's profile on the eUICC: one that is held, else one that is ordered.
    LocalProfile,
    /// A local identity of the card's multi-IMSI applet; without one, a local profile where a rule presses.
    MultiImsi,
    /// Roaming. Nothing is ordered; a device goes home only by what its card has already.
    Roam,
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LocalProfile => "local profile",
            Self::MultiImsi => "multi-IMSI identity",
            Self::Roam => "roaming",
        })
    }
}

/// When a row moves a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// When a rule is broken, or soon will be.
    #[default]
    RulePresses,
    /// As soon as there is somewhere to go.
    Always,
}

/// One row: whom it fits, and what is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrategyRow {
    /// Its name.
    pub id: StrategyId,
    /// If not empty: fits in these countries only.
    pub countries: Vec<Country>,
    /// Fits from so many devices in the country on.
    pub min_devices: u32,
    /// Fits up to so many.
    pub max_devices: Option<u32>,
    /// Whether a rule by which the device would have to leave has to hold, or must not.
    pub limited: Option<bool>,
    /// Fits devices that are at least as critical.
    pub criticality: Option<Criticality>,
    /// Fits devices that send at least as much.
    pub bandwidth: Option<Bandwidth>,
    /// Fits devices that can wait no longer.
    pub latency: Option<Latency>,
    /// What to connect it by.
    #[serde(rename = "use")]
    pub means: Means,
    /// When it moves a device.
    pub when: When,
    /// Where the row comes from.
    pub source: String,
    /// When somebody last checked it.
    pub reviewed: Day,
    /// For people.
    pub note: Option<String>,
}

/// What a row is chosen by.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// Where the device is.
    pub country: Country,
    /// How many of the owner's devices are there.
    pub devices: u32,
    /// What the device needs.
    pub needs: Needs,
    /// Whether a rule holds by which it would have to leave.
    pub limited: bool,
}

impl Strategy {
    /// The strategy that comes with Landfall.
    pub fn built_in(book: &RuleBook) -> Result<Self, DataError> {
        Self::parse(BUILT_IN_STRATEGY, book)
    }

    /// A strategy in the form of `strategy.toml`; countries are those that the book knows.
    pub fn parse(text: &str, book: &RuleBook) -> Result<Self, DataError> {
        let source = DataText { file: "strategy", text };
        let file: StrategyFile = source.read()?;
        let mut rows: Vec<StrategyRow> = Vec::new();
        for entry in &file.row {
            let row = entry
                .check(book, &file.groups)
                .map_err(|Wrong(what, next)| source.error(&entry.id, what, next))?;
            if rows.iter().any(|other| other.id == row.id) {
                let next = "give each row an id of its own";
                return Err(source.error(&entry.id, "another row has this id already".into(), next));
            }
            rows.push(row);
        }
        Ok(Self { rows })
    }

    /// All rows, in the order in which they are tried.
    pub fn rows(&self) -> &[StrategyRow] {
        &self.rows
    }

    /// The first row that fits.
    pub fn row(&self, circumstances: &Circumstances) -> Option<&StrategyRow> {
        self.rows.iter().find(|row| row.fits(circumstances))
    }
}

impl StrategyRow {
    fn fits(&self, circumstances: &Circumstances) -> bool {
        let Circumstances { country, devices, needs, limited } = circumstances;
        (self.countries.is_empty() || self.countries.contains(country))
            && *devices >= self.min_devices
            && self.max_devices.is_none_or(|most| *devices <= most)
            && self.limited.is_none_or(|wanted| wanted == *limited)
            && self.criticality.is_none_or(|least| needs.criticality >= least)
            && self.bandwidth.is_none_or(|least| needs.bandwidth >= least)
            && self.latency.is_none_or(|least| needs.latency >= least)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrategyFile {
    #[serde(default)]
    groups: Groups,
    #[serde(default)]
    row: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: Spanned<String>,
    #[serde(default)]
    countries: Vec<String>,
    #[serde(default)]
    min_devices: u32,
    max_devices: Option<u32>,
    limited: Option<bool>,
    criticality: Option<Criticality>,
    bandwidth: Option<Bandwidth>,
    latency: Option<Latency>,
    #[serde(rename = "use")]
    means: Means,
    #[serde(default)]
    when: When,
    source: String,
    reviewed: Day,
    note: Option<String>,
}

impl Entry {
    fn check(&self, book: &RuleBook, groups: &Groups) -> Result<StrategyRow, Wrong> {
        if self.id.get_ref().trim().is_empty() {
            return Err(Wrong("the id is empty".into(), "give the row a short name"));
        }
        if self.max_devices.is_some_and(|most| most < self.min_devices) {
            return Err(Wrong(
                "no number of devices fits: max_devices is below min_devices".into(),
                "correct one of them",
            ));
        }
        if self.means == Means::Roam && self.when == When::Always {
            return Err(Wrong(
                "a row that roams moves nobody, so when = \"always\" means nothing".into(),
                "leave `when` out, or use another means",
            ));
        }
        Ok(StrategyRow {
            id: StrategyId(self.id.get_ref().clone()),
            countries: expand(&self.countries, book, groups)?,
            min_devices: self.min_devices,
            max_devices: self.max_devices,
            limited: self.limited,
            criticality: self.criticality,
            bandwidth: self.bandwidth,
            latency: self.latency,
            means: self.means,
            when: self.when,
            source: self.source.clone(),
            reviewed: self.reviewed,
            note: self.note.clone(),
        })
    }
}
