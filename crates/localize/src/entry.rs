//! One rule of the data file: parsing and validation. The error of an invalid rule has a remedy.

use std::collections::BTreeMap;

use rsp::ids::Plmn;
use serde::Deserialize;
use toml::Spanned;

use crate::{
    data::Wrong,
    day::Day,
    network::Country,
    network_table::NetworkTable,
    rules::{Confidence, Counted, DevicesIn, Rule, RuleId, RuleKind, Scope},
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
    #[serde(default)]
    counted: Counted,
    #[serde(default)]
    homes: Vec<String>,
    #[serde(default)]
    except_homes: Vec<String>,
    #[serde(default)]
    home_networks: Vec<Plmn>,
    kind: Kind,
    limit_days: Option<u32>,
    window_days: Option<u32>,
    limit_months: Option<u32>,
    window_months: Option<u32>,
    max_percent: Option<u32>,
    max_devices: Option<u32>,
    min_devices: Option<u32>,
    devices_in: Option<DevicesIn>,
    of: Option<Scope>,
    #[serde(default)]
    grace_days: u32,
    announced: Option<Day>,
    effective: Option<Day>,
    ends: Option<Day>,
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
    RoamingMonthsInPeriod,
    ImeiRegistration,
    LocalPresence,
    ShareOfRoaming,
    DeviceCount,
    CarrierTerms,
    Permissive,
}

/// A longer window is probably a typing error.
const LONGEST_WINDOW_DAYS: u32 = 3660;
const LONGEST_WINDOW_MONTHS: u32 = 120;

impl RuleEntry {
    pub(crate) fn check(&self, table: &NetworkTable, groups: &Groups) -> Result<Rule, Wrong> {
        if self.id.get_ref().trim().is_empty() {
            return Err(Wrong("the id is empty".into(), "give the rule a short name"));
        }
        self.refuse_impossible_dates()?;
        Ok(Rule {
            id: RuleId(self.id.get_ref().clone()),
            countries: self.countries(table, groups)?,
            networks: self.networks.clone(),
            counted: self.counted,
            homes: expand(&self.homes, table, groups)?,
            except_homes: expand(&self.except_homes, table, groups)?,
            home_networks: self.home_networks(table)?,
            kind: self.kind()?,
            min_devices: self.min_devices.unwrap_or(1),
            devices_in: self.devices_in.unwrap_or_default(),
            of: self.of.unwrap_or_default(),
            grace_days: bounded("grace_days", self.grace_days, LONGEST_WINDOW_DAYS)?,
            announced: self.announced,
            effective: self.effective,
            ends: self.ends,
            source: self.source.clone(),
            reviewed: self.reviewed,
            confidence: self.confidence,
            note: self.note.clone(),
        })
    }

    /// The countries of the rule. A rule about networks does not have to name them.
    fn countries(&self, table: &NetworkTable, groups: &Groups) -> Result<Vec<Country>, Wrong> {
        let mut countries = expand(&self.countries, table, groups)?;
        let stated = !countries.is_empty();
        for network in &self.networks {
            let country = located(*network, table)?;
            // A test network can be assigned to any country by its owner.
            let listed = countries.contains(&country) || country.is_of_test_networks();
            if stated && !listed {
                return Err(Wrong(
                    format!("network {network} is in {country}, which is not one of its countries"),
                    "add the country, or leave countries out: the rule then applies in the countries of its networks",
                ));
            }
            if !stated && !countries.contains(&country) {
                countries.push(country);
            }
        }
        match countries.is_empty() {
            true => {
                Err(Wrong("it names no country".into(), "list at least one under countries, or networks"))
            }
            false => Ok(countries),
        }
    }

    fn home_networks(&self, table: &NetworkTable) -> Result<Vec<Plmn>, Wrong> {
        for network in &self.home_networks {
            located(*network, table)?;
        }
        Ok(self.home_networks.clone())
    }

    fn refuse_impossible_dates(&self) -> Result<(), Wrong> {
        let after = |earlier: Option<Day>, later: Option<Day>| earlier.zip(later).is_some_and(|(e, l)| e > l);
        if after(self.announced, self.effective) {
            let what = "it takes effect before it is announced".to_owned();
            return Err(Wrong(
                what,
                "correct the dates, or leave announced out: the rule is then always known",
            ));
        }
        if after(self.announced.or(self.effective), self.ends) || after(self.effective, self.ends) {
            return Err(Wrong(
                "it ends before it begins".into(),
                "correct ends; it is the first day without the rule",
            ));
        }
        Ok(())
    }

    fn kind(&self) -> Result<RuleKind, Wrong> {
        let days = || needed("limit_days", self.limit_days);
        let kind = match self.kind {
            Kind::Banned => RuleKind::Banned,
            Kind::Permissive => RuleKind::Permissive,
            Kind::ConsecutiveDays => RuleKind::ConsecutiveDays { limit_days: days()? },
            Kind::DaysInPeriod => RuleKind::DaysInPeriod {
                limit_days: days()?,
                window_days: needed("window_days", self.window_days)?,
            },
            Kind::RoamingMonthsInPeriod => RuleKind::RoamingMonthsInPeriod {
                limit_months: needed("limit_months", self.limit_months)?,
                window_months: needed("window_months", self.window_months)?,
            },
            Kind::ImeiRegistration => {
                RuleKind::ImeiRegistration { limit_days: days()?, window_days: self.window_days }
            }
            Kind::LocalPresence => {
                RuleKind::LocalPresence { limit_days: self.limit_days, window_days: self.window_days }
            }
            Kind::ShareOfRoaming => RuleKind::ShareOfRoaming {
                max_percent: bounded("max_percent", needed("max_percent", self.max_percent)?, 99)?,
                window_days: self.window_days.unwrap_or(1).max(1),
            },
            Kind::DeviceCount => RuleKind::DeviceCount {
                max_devices: needed("max_devices", self.max_devices)?,
                window_days: self.window_days.unwrap_or(1).max(1),
            },
            Kind::CarrierTerms => {
                RuleKind::CarrierTerms { limit_days: self.limit_days, window_days: self.window_days }
            }
        };
        self.refuse_idle_fields(kind)?;
        possible(self.limit_days, self.window_days, LONGEST_WINDOW_DAYS, "days")?;
        possible(self.limit_months, self.window_months, LONGEST_WINDOW_MONTHS, "months")?;
        Ok(kind)
    }

    /// A number that the kind of rule does not use is refused, because it would have no effect.
    fn refuse_idle_fields(&self, kind: RuleKind) -> Result<(), Wrong> {
        use RuleKind as K;
        let of_fleet = kind.is_of_fleet();
        let days_read =
            !of_fleet && !matches!(kind, K::Banned | K::Permissive | K::RoamingMonthsInPeriod { .. });
        let window_read = of_fleet
            || days_read
                && match kind {
                    K::ConsecutiveDays { .. } => false,
                    K::LocalPresence { limit_days, .. } | K::CarrierTerms { limit_days, .. } => {
                        limit_days.is_some()
                    }
                    _ => true,
                };
        let months_read = matches!(kind, K::RoamingMonthsInPeriod { .. });
        for (name, given, read) in [
            ("limit_days", self.limit_days.is_some(), days_read),
            ("window_days", self.window_days.is_some(), window_read),
            ("limit_months", self.limit_months.is_some(), months_read),
            ("window_months", self.window_months.is_some(), months_read),
            ("max_percent", self.max_percent.is_some(), matches!(kind, K::ShareOfRoaming { .. })),
            ("max_devices", self.max_devices.is_some(), matches!(kind, K::DeviceCount { .. })),
            ("min_devices", self.min_devices.is_some(), !of_fleet),
            ("devices_in", self.devices_in.is_some(), self.min_devices.is_some()),
            ("of", self.of.is_some(), of_fleet || self.devices_in == Some(DevicesIn::Place)),
            ("counted", self.counted == Counted::Together, days_read || months_read),
            ("grace_days", self.grace_days != 0, kind.limit().is_some()),
        ] {
            if given && !read {
                return Err(Wrong(
                    format!("{name} has no effect in a rule of this kind"),
                    "remove it or change the kind; the head of the file lists the fields of each kind",
                ));
            }
        }
        Ok(())
    }
}

/// The countries of a list of codes and groups.
pub(crate) fn expand(names: &[String], table: &NetworkTable, groups: &Groups) -> Result<Vec<Country>, Wrong> {
    names
        .iter()
        .flat_map(|name| groups.get(name).map_or(std::slice::from_ref(name), Vec::as_slice))
        .map(|name| {
            name.parse().ok().filter(|country| table.knows(*country)).ok_or_else(|| {
                Wrong(
                    format!("{name:?} is neither a country nor a group"),
                    "use an ISO 3166-1 alpha-2 code that networks.toml has, or define the group",
                )
            })
        })
        .collect()
}

fn located(network: Plmn, table: &NetworkTable) -> Result<Country, Wrong> {
    let next = "correct the number, or add its country code to networks.toml";
    table
        .locate(network)
        .map(|place| place.country)
        .map_err(|error| Wrong(format!("no country is known for network {}", error.0), next))
}

fn needed(name: &str, value: Option<u32>) -> Result<u32, Wrong> {
    value.ok_or_else(|| Wrong(format!("{name} is missing"), "add it; rules of this kind need it"))
}

fn bounded(name: &str, value: u32, most: u32) -> Result<u32, Wrong> {
    if value > most {
        return Err(Wrong(format!("{name} = {value} is more than {most}"), "correct the number"));
    }
    Ok(value)
}

fn possible(limit: Option<u32>, window: Option<u32>, longest: u32, unit: &str) -> Result<(), Wrong> {
    if let Some(limit) = limit {
        bounded(&format!("limit_{unit}"), limit, longest)?;
    }
    let Some(window) = window else { return Ok(()) };
    bounded(&format!("window_{unit}"), window, longest)?;
    match limit {
        Some(limit) if limit >= window => Err(Wrong(
            format!("{limit} {unit} in {window} can never be exceeded"),
            "make the limit smaller than the window",
        )),
        _ => Ok(()),
    }
}
