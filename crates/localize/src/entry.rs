//! One rule of the data file: parsing and validation. The error of an invalid rule names the field
//! and a remedy.

use std::collections::BTreeMap;

use rsp::ids::Plmn;
use serde::Deserialize;
use toml::Spanned;

use crate::{
    data::Wrong,
    day::Day,
    network::{Country, NumberRange},
    network_table::NetworkTable,
    permit::Requirement,
    rules::{
        Confidence, Consequence, Counted, CountedBy, DevicesIn, Document, Event, Rule, RuleId, RuleKind,
        Scope,
    },
};

/// Named lists of countries.
pub(crate) type Groups = BTreeMap<String, Vec<String>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RulesFile {
    #[serde(default)]
    pub(crate) groups: Groups,
    #[serde(default)]
    pub(crate) rule: Vec<RuleEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleEntry {
    pub(crate) id: Spanned<String>,
    #[serde(default)]
    countries: Vec<String>,
    #[serde(default)]
    networks: Vec<Plmn>,
    counted: Option<Counted>,
    counted_by: Option<CountedBy>,
    #[serde(default)]
    homes: Vec<String>,
    #[serde(default)]
    except_homes: Vec<String>,
    #[serde(default)]
    home_networks: Vec<NumberRange>,
    kind: Kind,
    event: Option<Event>,
    limit_days: Option<u32>,
    window_days: Option<u32>,
    limit_months: Option<u32>,
    window_months: Option<u32>,
    max_percent: Option<u32>,
    max_devices: Option<u32>,
    min_days: Option<u32>,
    #[serde(default)]
    requires: Vec<Requirement>,
    min_devices: Option<u32>,
    devices_in: Option<DevicesIn>,
    of: Option<Scope>,
    consequence: Option<ConsequenceWord>,
    throttle_kbps: Option<u32>,
    grace_days: Option<u32>,
    announced: Option<Day>,
    effective: Option<Day>,
    ends: Option<Day>,
    document: Option<String>,
    dated: Option<Day>,
    source: String,
    reviewed: Day,
    confidence: Confidence,
    note: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Banned,
    ConsecutiveDays,
    DaysInPeriod,
    DaysSince,
    RoamingMonthsInPeriod,
    ShareOfRoaming,
    DeviceCount,
    CarrierTerms,
    Permissive,
    /// A kind of former versions.
    ImeiRegistration,
    /// A kind of former versions.
    LocalPresence,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ConsequenceWord {
    Blocked,
    Throttled,
    Surcharged,
}

/// A longer window is probably a typing error.
const LONGEST_WINDOW_DAYS: u32 = 3660;
const LONGEST_WINDOW_MONTHS: u32 = 120;

impl RuleEntry {
    pub(crate) fn check(&self, table: &NetworkTable, groups: &Groups) -> Result<Rule, Wrong> {
        if self.id.get_ref().trim().is_empty() {
            return Err(Wrong::new("id", "it is empty", "give the rule a short name"));
        }
        self.refuse_impossible_dates()?;
        let kind = self.kind()?;
        self.refuse_idle_fields(kind)?;
        Ok(Rule {
            id: RuleId(self.id.get_ref().clone()),
            countries: self.countries(table, groups)?,
            networks: self.networks.clone(),
            counted: self.counted.unwrap_or_default(),
            counted_by: self.counted_by.unwrap_or_default(),
            homes: expand("homes", &self.homes, table, groups)?,
            except_homes: expand("except_homes", &self.except_homes, table, groups)?,
            home_networks: self.home_networks(table)?,
            kind,
            requires: self.requires.iter().copied().collect(),
            min_devices: self.min_devices.unwrap_or(1),
            devices_in: self.devices_in.unwrap_or_default(),
            of: self.of.unwrap_or_default(),
            consequence: match self.consequence {
                None | Some(ConsequenceWord::Blocked) => Consequence::Blocked,
                Some(ConsequenceWord::Throttled) => {
                    Consequence::Throttled { throttle_kbps: self.throttle_kbps }
                }
                Some(ConsequenceWord::Surcharged) => Consequence::Surcharged,
            },
            grace_days: bounded("grace_days", self.grace_days.unwrap_or(0), LONGEST_WINDOW_DAYS)?,
            announced: self.announced,
            effective: self.effective,
            ends: self.ends,
            document: self.document.clone().map(|document| Document { document, dated: self.dated }),
            source: self.source.clone(),
            reviewed: self.reviewed,
            confidence: self.confidence,
            note: self.note.clone(),
        })
    }

    /// The countries of the rule. A rule about networks does not have to name them.
    fn countries(&self, table: &NetworkTable, groups: &Groups) -> Result<Vec<Country>, Wrong> {
        let mut countries = expand("countries", &self.countries, table, groups)?;
        let stated = !countries.is_empty();
        for network in &self.networks {
            let country = located("networks", NumberRange::Network(*network), table)?;
            // A test network can be assigned to any country by its owner.
            let listed = countries.contains(&country) || country.is_of_test_networks();
            if stated && !listed {
                return Err(Wrong::new(
                    "networks",
                    format!("network {network} is in {country}, which is not one of its countries"),
                    "add the country, or leave countries out: the rule then applies in the countries of its networks",
                ));
            }
            if !stated && !countries.contains(&country) {
                countries.push(country);
            }
        }
        match countries.is_empty() {
            true => Err(Wrong::new(
                "countries",
                "the rule names no country",
                "list at least one under countries, or networks",
            )),
            false => Ok(countries),
        }
    }

    fn home_networks(&self, table: &NetworkTable) -> Result<Vec<NumberRange>, Wrong> {
        for range in &self.home_networks {
            located("home_networks", *range, table)?;
        }
        Ok(self.home_networks.clone())
    }

    fn refuse_impossible_dates(&self) -> Result<(), Wrong> {
        let after = |earlier: Option<Day>, later: Option<Day>| earlier.zip(later).is_some_and(|(e, l)| e > l);
        if after(self.announced, self.effective) {
            return Err(Wrong::new(
                "effective",
                "the rule takes effect before it is announced",
                "correct the dates, or leave announced out: the rule is then always known",
            ));
        }
        if after(self.announced.or(self.effective), self.ends) || after(self.effective, self.ends) {
            return Err(Wrong::new(
                "ends",
                "the rule ends before it begins",
                "correct the date; it is the first day without the rule",
            ));
        }
        Ok(())
    }

    fn kind(&self) -> Result<RuleKind, Wrong> {
        let days = |least| {
            let days = needed("limit_days", self.limit_days)?;
            bounded("limit_days", days, LONGEST_WINDOW_DAYS)?;
            at_least("limit_days", days, least)
        };
        let of_fleet = || -> Result<(u32, u32), Wrong> {
            let window = at_least("window_days", self.window_days.unwrap_or(1), 1)?;
            let min_days = at_least("min_days", self.min_days.unwrap_or(1), 1)?;
            if min_days > window {
                return Err(Wrong::new(
                    "min_days",
                    format!("a window of {window} days never has {min_days} days"),
                    "make min_days at most window_days",
                ));
            }
            Ok((bounded("window_days", window, LONGEST_WINDOW_DAYS)?, min_days))
        };
        let former = |next| Err(Wrong::new("kind", "this kind has been replaced by a requirement", next));
        match self.kind {
            Kind::Banned => Ok(RuleKind::Banned),
            Kind::Permissive => Ok(RuleKind::Permissive),
            Kind::CarrierTerms => Ok(RuleKind::CarrierTerms),
            Kind::ConsecutiveDays => Ok(RuleKind::ConsecutiveDays { limit_days: days(1)? }),
            Kind::DaysInPeriod => {
                let (limit_days, window_days) = (days(1)?, needed("window_days", self.window_days)?);
                possible(("window_days", window_days), limit_days, LONGEST_WINDOW_DAYS)?;
                Ok(RuleKind::DaysInPeriod { limit_days, window_days })
            }
            Kind::DaysSince => {
                let event = self.event.ok_or_else(|| missing("event"))?;
                Ok(RuleKind::DaysSince { event, limit_days: days(0)? })
            }
            Kind::RoamingMonthsInPeriod => {
                let limit_months = needed("limit_months", self.limit_months)?;
                let window_months = needed("window_months", self.window_months)?;
                possible(("window_months", window_months), limit_months, LONGEST_WINDOW_MONTHS)?;
                Ok(RuleKind::RoamingMonthsInPeriod { limit_months, window_months })
            }
            Kind::ShareOfRoaming => {
                let max_percent = bounded("max_percent", needed("max_percent", self.max_percent)?, 99)?;
                let (window_days, min_days) = of_fleet()?;
                Ok(RuleKind::ShareOfRoaming { max_percent, window_days, min_days })
            }
            Kind::DeviceCount => {
                let max_devices = needed("max_devices", self.max_devices)?;
                let (window_days, min_days) = of_fleet()?;
                Ok(RuleKind::DeviceCount { max_devices, window_days, min_days })
            }
            Kind::ImeiRegistration => {
                former("write consecutive_days or days_in_period, with requires = [\"imei_registration\"]")
            }
            Kind::LocalPresence => {
                former("write banned or consecutive_days, with requires = [\"local_presence\"]")
            }
        }
    }

    /// A field that the kind of rule does not use is refused, because it would have no effect.
    fn refuse_idle_fields(&self, kind: RuleKind) -> Result<(), Wrong> {
        use RuleKind as K;
        let of_fleet = kind.is_of_fleet();
        let in_place = self.devices_in == Some(DevicesIn::Place);
        let counts_days = kind.limit().is_some() && !of_fleet && kind != K::Banned;
        let throttles = matches!(self.consequence, Some(ConsequenceWord::Throttled));
        let days = matches!(kind, K::ConsecutiveDays { .. } | K::DaysInPeriod { .. } | K::DaysSince { .. });
        let months = matches!(kind, K::RoamingMonthsInPeriod { .. });
        for (name, given, read) in [
            ("event", self.event.is_some(), matches!(kind, K::DaysSince { .. })),
            ("limit_days", self.limit_days.is_some(), days),
            ("window_days", self.window_days.is_some(), of_fleet || matches!(kind, K::DaysInPeriod { .. })),
            ("limit_months", self.limit_months.is_some(), months),
            ("window_months", self.window_months.is_some(), months),
            ("max_percent", self.max_percent.is_some(), matches!(kind, K::ShareOfRoaming { .. })),
            ("max_devices", self.max_devices.is_some(), matches!(kind, K::DeviceCount { .. })),
            ("min_days", self.min_days.is_some(), of_fleet),
            ("requires", !self.requires.is_empty(), kind.limit().is_some()),
            ("min_devices", self.min_devices.is_some(), !of_fleet),
            ("devices_in", self.devices_in.is_some(), self.min_devices.is_some()),
            ("of", self.of.is_some(), of_fleet || in_place),
            ("counted", self.counted.is_some(), counts_days),
            ("counted_by", self.counted_by.is_some(), counts_days),
            ("consequence", self.consequence.is_some(), kind.limit().is_some()),
            ("throttle_kbps", self.throttle_kbps.is_some(), throttles),
            ("grace_days", self.grace_days.is_some(), kind.limit().is_some()),
            ("dated", self.dated.is_some(), self.document.is_some()),
        ] {
            if given && !read {
                return Err(Wrong::new(
                    name,
                    "it has no effect in this rule",
                    "remove it or change the rule; the head of the file lists the fields of each kind",
                ));
            }
        }
        Ok(())
    }
}

/// The countries of a list of codes and groups.
pub(crate) fn expand(
    field: &'static str,
    names: &[String],
    table: &NetworkTable,
    groups: &Groups,
) -> Result<Vec<Country>, Wrong> {
    names
        .iter()
        .flat_map(|name| groups.get(name).map_or(std::slice::from_ref(name), Vec::as_slice))
        .map(|name| {
            name.parse().ok().filter(|country| table.knows(*country)).ok_or_else(|| {
                Wrong::new(
                    field,
                    format!("{name:?} is neither a country nor a group"),
                    "use an ISO 3166-1 alpha-2 code that networks.toml has, or define the group",
                )
            })
        })
        .collect()
}

fn located(field: &'static str, range: NumberRange, table: &NetworkTable) -> Result<Country, Wrong> {
    let next = "correct the number, or add its country code to networks.toml";
    let unknown = || Wrong::new(field, format!("no country is known for network {range}"), next);
    table.country_of(range).ok_or_else(unknown)
}

fn missing(field: &'static str) -> Wrong {
    Wrong::new(field, "it is missing", "add it; rules of this kind need it")
}

fn needed(field: &'static str, value: Option<u32>) -> Result<u32, Wrong> {
    value.ok_or_else(|| missing(field))
}

fn bounded(field: &'static str, value: u32, most: u32) -> Result<u32, Wrong> {
    match value > most {
        true => Err(Wrong::new(field, format!("{value} is more than {most}"), "correct the number")),
        false => Ok(value),
    }
}

fn at_least(field: &'static str, value: u32, least: u32) -> Result<u32, Wrong> {
    match value < least {
        true => Err(Wrong::new(
            field,
            format!("{value} is less than {least}"),
            "correct the number; for a ban, use the kind banned",
        )),
        false => Ok(value),
    }
}

fn possible((field, window): (&'static str, u32), limit: u32, longest: u32) -> Result<(), Wrong> {
    bounded(field, window, longest)?;
    match limit >= window {
        true => Err(Wrong::new(
            field,
            format!("{limit} in {window} can never be exceeded"),
            "make the limit smaller than the window",
        )),
        false => Ok(()),
    }
}
