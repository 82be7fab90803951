//! The rules themselves: what a country says, since when, and how far to trust it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{day::Day, network::Country};

/// A rule's name. Records refer to it, so it is never given to another rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(pub(crate) String);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RuleKind {
    /// No foreign subscription, from the first day.
    Banned,
    /// At most so many days in a row.
    ConsecutiveDays {
        /// The last day that is still allowed.
        limit_days: u32,
    },
    /// At most so many days in any window of days.
    DaysInPeriod {
        /// The last day that is still allowed.
        limit_days: u32,
        /// The window's length.
        window_days: u32,
    },
    /// At most so many calendar months with a roaming day, in any window of months.
    RoamingMonthsInPeriod {
        /// The last month that is still allowed.
        limit_months: u32,
        /// The window's length.
        window_months: u32,
        /// Holds for customers with that many devices or more.
        min_devices: u32,
    },
    /// At most so many days until the IMEI is registered.
    ImeiRegistration {
        /// The last day that is still allowed.
        limit_days: u32,
        /// The window's length; none counts days in a row.
        window_days: Option<u32>,
    },
    /// At most so many days until the owner is present and registered in the country.
    LocalPresence {
        /// The last day that is still allowed; none: not one.
        limit_days: Option<u32>,
        /// The window's length; none counts days in a row.
        window_days: Option<u32>,
    },
    /// No law: the operators' terms decide.
    CarrierTerms {
        /// The last day that is still allowed; none: not known, so the rule only warns.
        limit_days: Option<u32>,
        /// The window's length; none counts days in a row.
        window_days: Option<u32>,
    },
    /// Permanent roaming is known to be allowed.
    Permissive,
}

/// What a rule counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Calendar days in UTC on which the device was attached.
    Days,
    /// Calendar months in UTC with such a day.
    Months,
}

/// How many of what a rule allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The last that is still allowed.
    pub limit: u32,
    /// Days or months.
    pub unit: Unit,
    /// The window's length; none counts in a row.
    pub window: Option<u32>,
}

impl RuleKind {
    /// The number behind the rule; none for rules that only inform.
    pub fn limit(self) -> Option<Limit> {
        let days = |limit, window| Some(Limit { limit, unit: Unit::Days, window });
        match self {
            Self::Banned => days(0, None),
            Self::ConsecutiveDays { limit_days } => days(limit_days, None),
            Self::DaysInPeriod { limit_days, window_days } => days(limit_days, Some(window_days)),
            Self::RoamingMonthsInPeriod { limit_months, window_months, .. } => {
                Some(Limit { limit: limit_months, unit: Unit::Months, window: Some(window_months) })
            }
            Self::ImeiRegistration { limit_days, window_days } => days(limit_days, window_days),
            Self::LocalPresence { limit_days, window_days } => days(limit_days.unwrap_or(0), window_days),
            Self::CarrierTerms { limit_days: Some(limit), window_days } => days(limit, window_days),
            Self::CarrierTerms { limit_days: None, .. } | Self::Permissive => None,
        }
    }
}

/// How a rule with several countries counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// In each country on its own.
    #[default]
    Each,
    /// In all of them together.
    Together,
}

/// How far a rule's text can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Hearsay, or with a number that we had to assume.
    Low,
    /// Described consistently by several.
    Medium,
    /// Read in the law or the contract itself.
    High,
}

/// One rule of the data file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its name.
    pub id: RuleId,
    /// Where it holds.
    pub countries: Vec<Country>,
    /// How it counts over several countries.
    pub counted: Counted,
    /// If not empty: holds only for subscriptions with one of these homes.
    pub homes: Vec<Country>,
    /// Does not hold for subscriptions with one of these homes.
    pub except_homes: Vec<Country>,
    /// What it says.
    #[serde(flatten)]
    pub kind: RuleKind,
    /// Days between the break and the cut-off.
    pub grace_days: u32,
    /// Not broken before this day; earlier days count all the same.
    pub effective: Option<Day>,
    /// Where the rule was read.
    pub source: String,
    /// When somebody last checked it.
    pub reviewed: Day,
    /// How far to trust it.
    pub confidence: Confidence,
    /// For people.
    pub note: Option<String>,
}

impl Rule {
    /// Whether the rule speaks about a subscription from `home` in `country`. At home none does.
    pub fn covers(&self, country: Country, home: Country) -> bool {
        country != home && self.countries.contains(&country) && self.covers_home(home)
    }

    pub(crate) fn covers_home(&self, home: Country) -> bool {
        (self.homes.is_empty() || self.homes.contains(&home)) && !self.except_homes.contains(&home)
    }
}
