//! The rules: limit, dates, source, and confidence.

use std::fmt;

use rsp::ids::Plmn;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{day::Day, history::Stay, network::Country};

/// The name of a rule. Records refer to it, so it is never reused for another rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RuleId(pub(crate) String);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The requirement of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RuleKind {
    /// No foreign subscription, from the first day.
    Banned,
    /// A limit of consecutive days.
    ConsecutiveDays {
        /// The last permitted day.
        limit_days: u32,
    },
    /// A limit of days in any window of days.
    DaysInPeriod {
        /// The last permitted day.
        limit_days: u32,
        /// The length of the window.
        window_days: u32,
    },
    /// A limit of calendar months with a roaming day, in any window of months.
    RoamingMonthsInPeriod {
        /// The last permitted month.
        limit_months: u32,
        /// The length of the window.
        window_months: u32,
    },
    /// A limit of days until the IMEI is registered.
    ImeiRegistration {
        /// The last permitted day.
        limit_days: u32,
        /// The length of the window; if absent, consecutive days count.
        window_days: Option<u32>,
    },
    /// A limit of days until the owner is present and registered in the country.
    LocalPresence {
        /// The last permitted day; if absent, no day is permitted.
        limit_days: Option<u32>,
        /// The length of the window; if absent, consecutive days count.
        window_days: Option<u32>,
    },
    /// A limit on the share of devices that roam there. It is about the fleet, not about a single
    /// device.
    ShareOfRoaming {
        /// The highest permitted share in percent.
        max_percent: u32,
        /// A device counts if it roamed there on at least one day of a window of this many days.
        window_days: u32,
    },
    /// A limit on the number of devices that roam there. It is about the fleet, not about a single
    /// device.
    DeviceCount {
        /// The highest permitted number.
        max_devices: u32,
        /// A device counts if it roamed there on at least one day of a window of this many days.
        window_days: u32,
    },
    /// There is no law; the operators' terms decide.
    CarrierTerms {
        /// The last permitted day; absent if it is unknown, so that the rule only warns.
        limit_days: Option<u32>,
        /// The length of the window; if absent, consecutive days count.
        window_days: Option<u32>,
    },
    /// Permanent roaming is known to be allowed.
    Permissive,
}

/// The unit of a rule's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Calendar days in UTC on which the device was attached.
    Days,
    /// Calendar months in UTC with such a day.
    Months,
    /// Percent of the devices.
    Percent,
    /// Devices.
    Devices,
}

/// The limit of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// The last permitted value.
    pub limit: u32,
    /// Its unit.
    pub unit: Unit,
    /// The length of the window, in months if months are counted, otherwise in days; if absent,
    /// consecutive units count.
    pub window: Option<u32>,
}

impl RuleKind {
    /// The limit of the rule; `None` for rules that only inform.
    pub fn limit(self) -> Option<Limit> {
        let days = |limit, window| Some(Limit { limit, unit: Unit::Days, window });
        match self {
            Self::Banned => days(0, None),
            Self::ConsecutiveDays { limit_days } => days(limit_days, None),
            Self::DaysInPeriod { limit_days, window_days } => days(limit_days, Some(window_days)),
            Self::RoamingMonthsInPeriod { limit_months, window_months } => {
                Some(Limit { limit: limit_months, unit: Unit::Months, window: Some(window_months) })
            }
            Self::ImeiRegistration { limit_days, window_days } => days(limit_days, window_days),
            Self::LocalPresence { limit_days, window_days } => days(limit_days.unwrap_or(0), window_days),
            Self::ShareOfRoaming { max_percent, window_days } => {
                Some(Limit { limit: max_percent, unit: Unit::Percent, window: Some(window_days) })
            }
            Self::DeviceCount { max_devices, window_days } => {
                Some(Limit { limit: max_devices, unit: Unit::Devices, window: Some(window_days) })
            }
            Self::CarrierTerms { limit_days: Some(limit), window_days } => days(limit, window_days),
            Self::CarrierTerms { limit_days: None, .. } | Self::Permissive => None,
        }
    }

    /// True if the rule is about the whole fleet, so that the history of one device is not
    /// sufficient.
    pub fn is_of_fleet(self) -> bool {
        matches!(self, Self::ShareOfRoaming { .. } | Self::DeviceCount { .. })
    }
}

/// The devices that a rule about many devices counts together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All devices of the owner.
    #[default]
    Owner,
    /// The devices of each account separately.
    Account,
}

/// The devices that count towards the minimum number of devices of a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DevicesIn {
    /// All devices of the owner, wherever they are.
    #[default]
    Fleet,
    /// The devices that roam now where the rule applies.
    Place,
}

/// The way in which a rule with several countries counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Days are counted in each country separately.
    #[default]
    Each,
    /// Days in all of the countries are counted together.
    Together,
}

/// Confidence in the text of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// From an unconfirmed description, or with a number that had to be assumed.
    Low,
    /// Described consistently by several sources.
    Medium,
    /// Read in the law or the contract itself.
    High,
}

/// One rule of the data file.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Rule {
    /// The name.
    pub id: RuleId,
    /// The countries.
    pub countries: Vec<Country>,
    /// If not empty: applies only on these networks in the countries. Days on all of them add up.
    pub networks: Vec<Plmn>,
    /// The way in which the rule counts over several countries.
    pub counted: Counted,
    /// If not empty: applies only to subscriptions with one of these homes.
    pub homes: Vec<Country>,
    /// Does not apply to subscriptions with one of these homes.
    pub except_homes: Vec<Country>,
    /// If not empty: applies only to subscriptions of these home networks.
    pub home_networks: Vec<Plmn>,
    /// The requirement.
    #[serde(flatten)]
    pub kind: RuleKind,
    /// Applies from this number of devices on.
    pub min_devices: u32,
    /// The devices that `min_devices` counts.
    pub devices_in: DevicesIn,
    /// The devices that a rule about many devices counts together.
    pub of: Scope,
    /// Days between the breach and the day on which the device can be cut off.
    pub grace_days: u32,
    /// The day of the announcement. The rule is unknown before that day.
    pub announced: Option<Day>,
    /// The first day on which the rule can be broken. Days before it already count towards the
    /// limit.
    pub effective: Option<Day>,
    /// The first day on which the rule no longer applies.
    pub ends: Option<Day>,
    /// The source.
    pub source: String,
    /// The date of the last review.
    pub reviewed: Day,
    /// Confidence in the source.
    pub confidence: Confidence,
    /// A note for readers.
    pub note: Option<String>,
}

impl Rule {
    /// True if the rule covers the stay. No rule covers a stay at home.
    pub fn covers(&self, stay: &Stay) -> bool {
        let from_there = |network: Plmn| self.home_networks.contains(&network);
        self.covers_place(stay)
            && (self.home_networks.is_empty() || stay.home_network.is_some_and(from_there))
    }

    /// True if the rule covers the stay, whatever the home network of the subscription is.
    pub(crate) fn covers_place(&self, stay: &Stay) -> bool {
        // If the rule names networks, the country is not checked. The networks are in the countries
        // of the rule, except for laboratory networks, which can be assigned to any country.
        let there = match self.networks.is_empty() {
            true => self.countries.contains(&stay.country),
            false => self.networks.contains(&stay.plmn),
        };
        stay.is_roaming() && there && self.covers_home(stay.home)
    }

    /// True if the rule covers the subscription of the stay, wherever the subscription is used,
    /// including at home.
    pub(crate) fn covers_subscription(&self, stay: &Stay) -> bool {
        let from_there = |network: Plmn| self.home_networks.contains(&network);
        self.covers_home(stay.home)
            && (self.home_networks.is_empty() || stay.home_network.is_some_and(from_there))
    }

    fn covers_home(&self, home: Country) -> bool {
        (self.homes.is_empty() || self.homes.contains(&home)) && !self.except_homes.contains(&home)
    }

    /// True if the rule is known and has not ended on that day.
    pub fn is_known_on(&self, day: Day) -> bool {
        self.announced.is_none_or(|announced| announced <= day) && self.ends.is_none_or(|ends| day < ends)
    }
}
