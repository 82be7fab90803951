//! The rules: subject, count, requirements, consequence, dates, and source.

use std::{collections::BTreeSet, fmt};

use rsp::ids::Plmn;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    day::Day,
    history::Stay,
    network::{Country, NumberRange},
    permit::Requirement,
};

/// The name of a rule. Records refer to it, so it is never reused for another rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RuleId(pub(crate) String);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An event from which a rule counts days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The first day of roaming where the rule applies. Days of absence do not restart the count.
    Arrival,
    /// A change of the device's owner after its arrival.
    ChangeOfOwner,
    /// The request for a swap of the device's profile, after its arrival.
    SwapRequest,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arrival => "the arrival",
            Self::ChangeOfOwner => "a change of owner",
            Self::SwapRequest => "the request for a swap",
        })
    }
}

/// The count of a rule, and its limit.
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
    /// A limit of calendar days since an event, with or without an attachment.
    DaysSince {
        /// The event. Its day is the first day.
        event: Event,
        /// The last permitted day; with 0, the event breaks the rule.
        limit_days: u32,
    },
    /// A limit of calendar months with a roaming day, in any window of months.
    RoamingMonthsInPeriod {
        /// The last permitted month.
        limit_months: u32,
        /// The length of the window.
        window_months: u32,
    },
    /// A limit on the share of devices that roam there. It is about the fleet, not about a single
    /// device.
    ShareOfRoaming {
        /// The highest permitted share in percent.
        max_percent: u32,
        /// The length of the window.
        window_days: u32,
        /// A device counts if it roamed there on at least this many days of the window.
        min_days: u32,
    },
    /// A limit on the number of devices that roam there. It is about the fleet, not about a single
    /// device.
    DeviceCount {
        /// The highest permitted number.
        max_devices: u32,
        /// The length of the window.
        window_days: u32,
        /// A device counts if it roamed there on at least this many days of the window.
        min_days: u32,
    },
    /// There is no law; the operators' terms decide, at limits that are not public.
    CarrierTerms,
    /// Permanent roaming is known to be allowed.
    Permissive,
}

/// The unit of a rule's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Calendar days in UTC on which the device was attached; under [`RuleKind::DaysSince`], all
    /// calendar days.
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
        let limit = |limit, unit, window| Some(Limit { limit, unit, window });
        match self {
            Self::Banned => limit(0, Unit::Days, None),
            Self::ConsecutiveDays { limit_days } | Self::DaysSince { limit_days, .. } => {
                limit(limit_days, Unit::Days, None)
            }
            Self::DaysInPeriod { limit_days, window_days } => {
                limit(limit_days, Unit::Days, Some(window_days))
            }
            Self::RoamingMonthsInPeriod { limit_months, window_months } => {
                limit(limit_months, Unit::Months, Some(window_months))
            }
            Self::ShareOfRoaming { max_percent, window_days, .. } => {
                limit(max_percent, Unit::Percent, Some(window_days))
            }
            Self::DeviceCount { max_devices, window_days, .. } => {
                limit(max_devices, Unit::Devices, Some(window_days))
            }
            Self::CarrierTerms | Self::Permissive => None,
        }
    }

    /// True if the rule is about the whole fleet, so that the history of one device is not
    /// sufficient.
    pub fn is_of_fleet(self) -> bool {
        self.min_days_of_fleet().is_some()
    }

    /// Returns the minimum number of days in the window of a device that a rule about the fleet
    /// counts, or `None` for other rules.
    pub(crate) fn min_days_of_fleet(self) -> Option<u32> {
        match self {
            Self::ShareOfRoaming { min_days, .. } | Self::DeviceCount { min_days, .. } => Some(min_days),
            _ => None,
        }
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

/// The places whose days a rule adds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Counted {
    /// Days are counted in each country separately.
    #[default]
    Each,
    /// Days are counted on each visited network separately.
    EachNetwork,
    /// Days in all of the countries are counted together.
    Together,
}

/// The thing whose days a rule counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CountedBy {
    /// The device, which is the card with its EID, in any modem.
    #[default]
    Device,
    /// The IMEI. Days with another IMEI do not count. Days of other cards with the same IMEI count.
    /// A stay of the device whose IMEI is unknown counts.
    Imei,
}

/// The consequence of a breach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(tag = "consequence", rename_all = "snake_case")]
pub enum Consequence {
    /// The device is cut off.
    #[default]
    Blocked,
    /// The device is served with a lower data rate.
    Throttled {
        /// The data rate in kilobits per second, if it is known.
        throttle_kbps: Option<u32>,
    },
    /// The subscription costs more.
    Surcharged,
}

impl fmt::Display for Consequence {
    /// The participle: "cut off", "throttled to 128 kbit/s".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked => f.write_str("cut off"),
            Self::Throttled { throttle_kbps: Some(kbps) } => write!(f, "throttled to {kbps} kbit/s"),
            Self::Throttled { throttle_kbps: None } => f.write_str("throttled"),
            Self::Surcharged => f.write_str("surcharged"),
        }
    }
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

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

/// The law, decision, agreement or contract behind a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    /// Its title or number.
    pub document: String,
    /// Its date, if it is known.
    pub dated: Option<Day>,
}

/// One rule of the data file.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct Rule {
    /// The name.
    pub id: RuleId,
    /// The countries.
    pub countries: Vec<Country>,
    /// If not empty: applies only on these networks in the countries. Days on all of them add up,
    /// unless `counted` is `each_network`.
    pub networks: Vec<Plmn>,
    /// The places whose days the rule adds up.
    pub counted: Counted,
    /// The thing whose days the rule counts.
    pub counted_by: CountedBy,
    /// If not empty: applies only to subscriptions with one of these homes.
    pub homes: Vec<Country>,
    /// Does not apply to subscriptions with one of these homes.
    pub except_homes: Vec<Country>,
    /// If not empty: applies only to subscriptions of these networks or numbering ranges.
    pub home_networks: Vec<NumberRange>,
    /// The count and its limit.
    #[serde(flatten)]
    pub kind: RuleKind,
    /// If not empty: the rule does not apply to a device that fulfils all of these requirements.
    pub requires: BTreeSet<Requirement>,
    /// Applies from this number of devices on.
    pub min_devices: u32,
    /// The devices that `min_devices` counts.
    pub devices_in: DevicesIn,
    /// The devices that a rule about many devices counts together.
    pub of: Scope,
    /// The consequence of a breach.
    #[serde(flatten)]
    pub consequence: Consequence,
    /// Days between the breach and the consequence.
    pub grace_days: u32,
    /// The day of the announcement. The rule is unknown before that day.
    pub announced: Option<Day>,
    /// The day on which the rule is in force, and the first day on which it can be broken. Days
    /// before it already count towards the limit.
    pub effective: Option<Day>,
    /// The first day on which the rule no longer applies.
    pub ends: Option<Day>,
    /// The document.
    #[serde(flatten)]
    pub document: Option<Document>,
    /// The source: where the document, or a description of it, was read.
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
        self.covers_place(stay) && self.covers_home_network(stay)
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
        self.covers_home(stay.home) && self.covers_home_network(stay)
    }

    /// True if the rule adds the days of `stay` to those of `present`. The rule must cover both
    /// stays.
    pub(crate) fn adds_up(&self, stay: &Stay, present: &Stay) -> bool {
        let same_place = match self.counted {
            Counted::Each => stay.country == present.country,
            Counted::EachNetwork => stay.plmn == present.plmn,
            Counted::Together => true,
        };
        let same_key = match self.counted_by {
            CountedBy::Device => true,
            CountedBy::Imei => stay.imei.zip(present.imei).is_none_or(|(then, now)| then == now),
        };
        same_place && same_key
    }

    /// True if the rule adds the days of a stay of another card to those of `present`: the rule
    /// counts by IMEI, and both stays have the same one.
    pub(crate) fn adds_up_with_other_card(&self, stay: &Stay, present: &Stay) -> bool {
        let same_imei = stay.imei.is_some() && stay.imei == present.imei;
        self.counted_by == CountedBy::Imei && same_imei && self.adds_up(stay, present)
    }

    fn covers_home_network(&self, stay: &Stay) -> bool {
        let from_there = |network: Plmn| self.home_networks.iter().any(|range| range.has(network));
        self.home_networks.is_empty() || stay.home_network.is_some_and(from_there)
    }

    fn covers_home(&self, home: Country) -> bool {
        (self.homes.is_empty() || self.homes.contains(&home)) && !self.except_homes.contains(&home)
    }

    /// True if the rule is known and has not ended on that day.
    pub fn is_known_on(&self, day: Day) -> bool {
        self.announced.is_none_or(|announced| announced <= day) && self.ends.is_none_or(|ends| day < ends)
    }
}
