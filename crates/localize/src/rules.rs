//! The rules themselves: what a country says, since when, and how far to trust it.

use std::fmt;

use rsp::ids::Plmn;
use serde::{Deserialize, Serialize};

use crate::{day::Day, history::Stay, network::Country};

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
    /// At most so many of a hundred devices may roam there: a matter of the fleet, not of a device.
    ShareOfRoaming {
        /// The highest share that is still allowed.
        max_percent: u32,
        /// A device counts that did so on one of that many days.
        window_days: u32,
    },
    /// At most so many devices may roam there: a matter of the fleet, not of a device.
    DeviceCount {
        /// The highest number that is still allowed.
        max_devices: u32,
        /// A device counts that did so on one of that many days.
        window_days: u32,
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
    /// Of a hundred devices.
    Percent,
    /// Devices.
    Devices,
}

/// How many of what a rule allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The last that is still allowed.
    pub limit: u32,
    /// Of what.
    pub unit: Unit,
    /// The window's length, in months if months are counted, in days otherwise; none counts in a row.
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

    /// Whether the rule speaks of the fleet as a whole, so that one device's history does not tell.
    pub fn is_of_fleet(self) -> bool {
        matches!(self, Self::ShareOfRoaming { .. } | Self::DeviceCount { .. })
    }
}

/// Whose devices a rule about many of them counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All of the owner's.
    #[default]
    Owner,
    /// Those of each account on their own.
    Account,
}

/// Which devices make a rule hold that begins with so many of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DevicesIn {
    /// All that the owner runs, wherever they are.
    #[default]
    Fleet,
    /// Those that roam now where the rule holds.
    Place,
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
    /// If not empty: holds only on these networks there. Days on all of them add up.
    pub networks: Vec<Plmn>,
    /// How it counts over several countries.
    pub counted: Counted,
    /// If not empty: holds only for subscriptions with one of these homes.
    pub homes: Vec<Country>,
    /// Does not hold for subscriptions with one of these homes.
    pub except_homes: Vec<Country>,
    /// If not empty: holds only for subscriptions of these home networks.
    pub home_networks: Vec<Plmn>,
    /// What it says.
    #[serde(flatten)]
    pub kind: RuleKind,
    /// Holds from that many devices on.
    pub min_devices: u32,
    /// Which devices those are.
    pub devices_in: DevicesIn,
    /// Whose devices a rule about many of them counts.
    pub of: Scope,
    /// Days between the break and the cut-off.
    pub grace_days: u32,
    /// Not known before this day: notice was given then.
    pub announced: Option<Day>,
    /// Not broken before this day; earlier days count all the same.
    pub effective: Option<Day>,
    /// The first day on which it holds no more.
    pub ends: Option<Day>,
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
    /// Whether the rule speaks about such a stay. At home none does.
    pub fn covers(&self, stay: &Stay) -> bool {
        let from_there = |network: Plmn| self.home_networks.contains(&network);
        self.covers_place(stay)
            && (self.home_networks.is_empty() || stay.home_network.is_some_and(from_there))
    }

    /// The same, whatever the home network.
    pub(crate) fn covers_place(&self, stay: &Stay) -> bool {
        // Networks are in the rule's countries, or a laboratory has placed them somewhere.
        let there = match self.networks.is_empty() {
            true => self.countries.contains(&stay.country),
            false => self.networks.contains(&stay.plmn),
        };
        stay.is_roaming() && there && self.covers_home(stay.home)
    }

    /// Whether the rule is about subscriptions like that of the stay, wherever it is used, at home included.
    pub(crate) fn covers_subscription(&self, stay: &Stay) -> bool {
        let from_there = |network: Plmn| self.home_networks.contains(&network);
        self.covers_home(stay.home)
            && (self.home_networks.is_empty() || stay.home_network.is_some_and(from_there))
    }

    fn covers_home(&self, home: Country) -> bool {
        (self.homes.is_empty() || self.homes.contains(&home)) && !self.except_homes.contains(&home)
    }

    /// Whether the rule is known and has not ended on that day.
    pub fn is_known_on(&self, day: Day) -> bool {
        self.announced.is_none_or(|announced| announced <= day) && self.ends.is_none_or(|ends| day < ends)
    }
}
