//! The owner's strategy: the preferred connection of devices, region by region.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::{
    book::RuleBook,
    data::{DataError, DataText, Wrong},
    day::Day,
    entry::{Groups, expand},
    needs::{Bandwidth, Criticality, Latency, Needs},
    network::Country,
};

/// The built-in strategy.
pub const BUILT_IN_STRATEGY: &str = include_str!("../data/strategy.toml");

/// A list of rows. The first row that matches a device applies to it. If no row matches, a device
/// moves when a rule requires it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Strategy {
    rows: Vec<StrategyRow>,
}

/// The name of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct StrategyId(String);

impl fmt::Display for StrategyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The way in which a device is connected in a country where it roams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Means {
    /// A local operator's profile on the eUICC. If none is installed, one is ordered.
    LocalProfile,
    /// A local identity of the card's multi-IMSI applet. If there is none, a local profile, if a rule
    /// requires a move.
    MultiImsi,
    /// Roaming. Nothing is ordered; a device uses a local profile only if it is already on its
    /// card.
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

/// The time at which a row moves a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// When a rule is broken or nearly broken.
    #[default]
    RulePresses,
    /// As soon as there is a destination.
    Always,
}

/// A row of the strategy: its conditions, and the kind of connection for devices that meet them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrategyRow {
    /// The name.
    pub id: StrategyId,
    /// If not empty: matches only in these countries.
    pub countries: Vec<Country>,
    /// Matches if at least this number of the owner's devices is in the country.
    pub min_devices: u32,
    /// If set: matches if at most this number of the owner's devices is in the country.
    pub max_devices: Option<u32>,
    /// If true: matches only if a rule could require the device to leave. If false: matches only if
    /// no rule could.
    pub limited: Option<bool>,
    /// Matches devices that are at least as critical.
    pub criticality: Option<Criticality>,
    /// Matches devices that send at least as much.
    pub bandwidth: Option<Bandwidth>,
    /// Matches devices whose acceptable response time is at most this.
    pub latency: Option<Latency>,
    /// The connection.
    #[serde(rename = "use")]
    pub means: Means,
    /// The time of the move.
    pub when: When,
    /// The source of the row.
    pub source: String,
    /// The date of the last review.
    pub reviewed: Day,
    /// A note for readers.
    pub note: Option<String>,
}

/// The properties of a device that select its row.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// The country of the device.
    pub country: Country,
    /// Number of the owner's devices there.
    pub devices: u32,
    /// The needs of the device.
    pub needs: Needs,
    /// True if a rule applies that could require it to leave.
    pub limited: bool,
}

impl Strategy {
    /// The built-in strategy.
    pub fn built_in(book: &RuleBook) -> Result<Self, DataError> {
        Self::parse(BUILT_IN_STRATEGY, book)
    }

    /// Parses a strategy in the format of `strategy.toml`. Countries that are missing in the book
    /// are refused.
    pub fn parse(text: &str, book: &RuleBook) -> Result<Self, DataError> {
        let source = DataText { file: "strategy", text };
        let file: StrategyFile = source.read()?;
        let mut rows: Vec<StrategyRow> = Vec::new();
        for entry in &file.row {
            let row = entry.check(book, &file.groups).map_err(|wrong| source.error_in(&entry.id, wrong))?;
            if rows.iter().any(|other| other.id == row.id) {
                let next = "give each row a unique id";
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

    /// The first matching row.
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
            return Err(Wrong::new("id", "it is empty", "give the row a short name"));
        }
        if self.max_devices.is_some_and(|most| most < self.min_devices) {
            return Err(Wrong::new(
                "max_devices",
                "no number of devices fits: max_devices is below min_devices",
                "correct one of them",
            ));
        }
        if self.means == Means::Roam && self.when == When::Always {
            return Err(Wrong::new(
                "when",
                "a row with use = \"roam\" moves no device, so when = \"always\" has no effect",
                "remove `when`, or change `use`",
            ));
        }
        Ok(StrategyRow {
            id: StrategyId(self.id.get_ref().clone()),
            countries: expand("countries", &self.countries, book.networks(), groups)?,
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
