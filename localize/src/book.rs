//! The rule book: reads and checks the data files.

use rsp::ids::{Mcc, Plmn};
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;

use crate::{
    day::Day,
    network::{Country, Place},
    rules::{Confidence, Counted, Rule, RuleId, RuleKind},
};

/// The rules that come with Landfall, and the countries of the networks they are about.
pub const BUILT_IN_RULES: &str = include_str!("../data/countries.toml");
/// The table of mobile country codes that comes with Landfall.
pub const BUILT_IN_NETWORKS: &str = include_str!("../data/networks.toml");

/// Checked rules, and which network is in which country.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleBook {
    rules: Vec<Rule>,
    names: BTreeMap<Country, String>,
    mccs: BTreeMap<Mcc, Country>,
    plmns: BTreeMap<Plmn, Country>,
}

/// Why a data file is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}{}: {what}; {next}", .line.map(|n| format!(", line {n}")).unwrap_or_default(),
    .entry.as_ref().map(|id| format!(", {id:?}")).unwrap_or_default())]
pub struct RuleBookError {
    /// Which of the two texts: country rules or networks.
    pub file: &'static str,
    /// The line, counted from 1.
    pub line: Option<usize>,
    /// The rule or country.
    pub entry: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub next: String,
}

/// No country is known for the network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no country is known for network {0}; add its country code to networks.toml, or place the network in a country"
)]
pub struct UnknownNetwork(pub Plmn);

impl RuleBook {
    /// The book that comes with Landfall.
    pub fn built_in() -> Result<Self, RuleBookError> {
        Self::parse(BUILT_IN_RULES)
    }

    /// A book with these rules (the format of `countries.toml`) instead of the ones that come with Landfall.
    pub fn parse(rules: &str) -> Result<Self, RuleBookError> {
        Self::parse_with(rules, BUILT_IN_NETWORKS)
    }

    /// A book with these rules and these networks (the format of `networks.toml`).
    pub fn parse_with(rules: &str, networks: &str) -> Result<Self, RuleBookError> {
        let mut book =
            Self { rules: Vec::new(), names: BTreeMap::new(), mccs: BTreeMap::new(), plmns: BTreeMap::new() };
        book.read_networks(networks)?;
        book.read_rules(rules)?;
        Ok(book)
    }

    /// All rules, in the order of the file.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule of that name.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id.0 == id)
    }

    /// The rules about a country, whatever the home of the subscription.
    pub fn rules_in(&self, country: Country) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.countries.contains(&country))
    }

    /// The country's name for a person; its code if it has none.
    pub fn name(&self, country: Country) -> String {
        self.names.get(&country).cloned().unwrap_or_else(|| country.to_string())
    }

    /// Whether the country is in the table.
    pub fn knows(&self, country: Country) -> bool {
        self.names.contains_key(&country)
    }

    /// Where a network is.
    pub fn locate(&self, plmn: Plmn) -> Result<Place, UnknownNetwork> {
        let country = self.plmns.get(&plmn).or_else(|| self.mccs.get(&plmn.mcc()));
        country.map(|country| Place { country: *country, plmn }).ok_or(UnknownNetwork(plmn))
    }

    /// Puts one network into a country, whatever its number says: a laboratory's 001-01 may play a Brazilian network.
    pub fn place_network(&mut self, plmn: Plmn, country: Country) {
        self.plmns.insert(plmn, country);
    }

    fn read_networks(&mut self, text: &str) -> Result<(), RuleBookError> {
        let source = Source { file: "networks", text };
        for entry in source.read::<NetworksFile>()?.countries {
            let code = entry.code.get_ref().as_str();
            let bad = |what: String, next: &str| source.error(&entry.code, what, next);
            let country: Country = code
                .parse()
                .map_err(|_| bad("not a country code".into(), "use two capital letters after ISO 3166-1"))?;
            if self.names.insert(country, entry.name.clone()).is_some() {
                return Err(bad("the country is listed twice".into(), "join the entries"));
            }
            for text in &entry.mcc {
                let mcc: Mcc = text.parse().map_err(|_| {
                    bad(
                        format!("{text:?} is not a mobile country code"),
                        "write three digits, such as \"724\"",
                    )
                })?;
                if let Some(other) = self.mccs.insert(mcc, country) {
                    return Err(bad(format!("{mcc} is given to {other} too"), "leave it with one of them"));
                }
            }
            for text in &entry.plmn {
                let plmn: Plmn = text.parse().map_err(|error| bad(format!("{error}"), "correct it"))?;
                if let Some(other) = self.plmns.insert(plmn, country) {
                    return Err(bad(format!("{plmn} is given to {other} too"), "leave it with one of them"));
                }
            }
        }
        Ok(())
    }

    fn read_rules(&mut self, text: &str) -> Result<(), RuleBookError> {
        let source = Source { file: "country rules", text };
        let file: RulesFile = source.read()?;
        let mut seen = BTreeSet::new();
        for entry in &file.rule {
            let rule = entry
                .check(self, &file.groups)
                .map_err(|Wrong(what, next)| source.error(&entry.id, what, next))?;
            if !seen.insert(rule.id.clone()) {
                let next = "give each rule an id of its own";
                return Err(source.error(&entry.id, "another rule has this id already".into(), next));
            }
            self.rules.push(rule);
        }
        Ok(())
    }
}

struct Source<'a> {
    file: &'static str,
    text: &'a str,
}

impl Source<'_> {
    fn read<'de, T: Deserialize<'de>>(&'de self) -> Result<T, RuleBookError> {
        toml::from_str(self.text).map_err(|error| RuleBookError {
            file: self.file,
            line: error.span().map(|span| self.line(span.start)),
            entry: None,
            what: error.message().trim().replace('\n', ", "),
            next: "the head of the file that comes with Landfall describes the fields".into(),
        })
    }

    fn error(&self, id: &Spanned<String>, what: String, next: &str) -> RuleBookError {
        RuleBookError {
            file: self.file,
            line: Some(self.line(id.span().start)),
            entry: Some(id.get_ref().clone()),
            what,
            next: next.into(),
        }
    }

    fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworksFile {
    countries: Vec<CountryEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountryEntry {
    code: Spanned<String>,
    name: String,
    #[serde(default)]
    mcc: Vec<String>,
    #[serde(default)]
    plmn: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    #[serde(default)]
    groups: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    rule: Vec<RuleEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    id: Spanned<String>,
    countries: Vec<String>,
    #[serde(default)]
    counted: Counted,
    #[serde(default)]
    homes: Vec<String>,
    #[serde(default)]
    except_homes: Vec<String>,
    kind: Kind,
    limit_days: Option<u32>,
    window_days: Option<u32>,
    limit_months: Option<u32>,
    window_months: Option<u32>,
    min_devices: Option<u32>,
    #[serde(default)]
    grace_days: u32,
    effective: Option<Day>,
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
    CarrierTerms,
    Permissive,
}

/// What is wrong, and what to do.
struct Wrong(String, &'static str);

/// Longer is a slip of the keyboard.
const LONGEST_WINDOW_DAYS: u32 = 3660;
const LONGEST_WINDOW_MONTHS: u32 = 120;

impl RuleEntry {
    fn check(&self, book: &RuleBook, groups: &BTreeMap<String, Vec<String>>) -> Result<Rule, Wrong> {
        if self.id.get_ref().trim().is_empty() {
            return Err(Wrong("the id is empty".into(), "give the rule a short name"));
        }
        let countries = expand(&self.countries, book, groups)?;
        if countries.is_empty() {
            return Err(Wrong("it names no country".into(), "list at least one under countries"));
        }
        Ok(Rule {
            id: RuleId(self.id.get_ref().clone()),
            countries,
            counted: self.counted,
            homes: expand(&self.homes, book, groups)?,
            except_homes: expand(&self.except_homes, book, groups)?,
            kind: self.kind()?,
            grace_days: bounded("grace_days", self.grace_days, LONGEST_WINDOW_DAYS)?,
            effective: self.effective,
            source: self.source.clone(),
            reviewed: self.reviewed,
            confidence: self.confidence,
            note: self.note.clone(),
        })
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
                min_devices: self.min_devices.unwrap_or(1),
            },
            Kind::ImeiRegistration => {
                RuleKind::ImeiRegistration { limit_days: days()?, window_days: self.window_days }
            }
            Kind::LocalPresence => {
                RuleKind::LocalPresence { limit_days: self.limit_days, window_days: self.window_days }
            }
            Kind::CarrierTerms => {
                RuleKind::CarrierTerms { limit_days: self.limit_days, window_days: self.window_days }
            }
        };
        self.refuse_idle_fields(kind)?;
        possible(self.limit_days, self.window_days, LONGEST_WINDOW_DAYS, "days")?;
        possible(self.limit_months, self.window_months, LONGEST_WINDOW_MONTHS, "months")?;
        Ok(kind)
    }

    /// A number that the kind does not read would look like a rule and be none.
    fn refuse_idle_fields(&self, kind: RuleKind) -> Result<(), Wrong> {
        use RuleKind as K;
        let days_read = !matches!(kind, K::Banned | K::Permissive | K::RoamingMonthsInPeriod { .. });
        let window_read = days_read
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
            ("min_devices", self.min_devices.is_some(), months_read),
        ] {
            if given && !read {
                return Err(Wrong(
                    format!("{name} means nothing to a rule of this kind"),
                    "remove it or change the kind; the head of the file says which kind reads which field",
                ));
            }
        }
        Ok(())
    }
}

fn expand(
    names: &[String],
    book: &RuleBook,
    groups: &BTreeMap<String, Vec<String>>,
) -> Result<Vec<Country>, Wrong> {
    names
        .iter()
        .flat_map(|name| groups.get(name).map_or(std::slice::from_ref(name), Vec::as_slice))
        .map(|name| {
            name.parse().ok().filter(|country| book.knows(*country)).ok_or_else(|| {
                Wrong(
                    format!("{name:?} is neither a country nor a group"),
                    "use an ISO 3166-1 alpha-2 code that networks.toml has, or define the group",
                )
            })
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_that_comes_along_is_sound() {
        let book = RuleBook::built_in().unwrap();
        assert!(book.rules().len() >= 16);
        for (plmn, country) in [
            ("724-05", "BR"),
            ("286-01", "TR"),
            ("460-00", "CN"),
            ("310-410", "US"),
            ("440-10", "JP"),
            ("262-01", "DE"),
            ("425-01", "IL"),
            ("425-05", "PS"),
            ("001-01", "XT"),
            ("999-99", "XT"),
            ("901-28", "XZ"),
            ("505-01", "AU"),
        ] {
            let plmn: Plmn = plmn.parse().unwrap();
            assert_eq!(book.locate(plmn).unwrap().country.to_string(), country);
        }
        assert!(book.locate("998-01".parse().unwrap()).is_err());
        assert_eq!(book.rule("eu-fair-use").unwrap().countries.len(), 27);
        assert_eq!(book.name("TR".parse().unwrap()), "Turkiye");
    }

    #[test]
    fn a_network_can_be_placed_elsewhere() {
        let mut book = RuleBook::built_in().unwrap();
        let (plmn, brazil) = ("001-01".parse().unwrap(), "BR".parse().unwrap());
        book.place_network(plmn, brazil);
        assert_eq!(book.locate(plmn).unwrap().country, brazil);
    }

    #[test]
    fn a_bad_rule_is_refused_with_its_line_and_what_to_do() {
        let head =
            "\n[[rule]]\nid = \"x\"\nsource = \"s\"\nreviewed = \"2026-11-21\"\nconfidence = \"low\"\n";
        let days = "countries = [\"BR\"]\nkind = \"days_in_period\"\n";
        for (rule, words) in [
            ("countries = [\"BX\"]\nkind = \"banned\"".to_owned(), "\"BX\" is neither a country nor a group"),
            ("countries = []\nkind = \"banned\"".to_owned(), "no country"),
            ("countries = [\"BR\"]\nkind = \"frobbed\"".to_owned(), "unknown variant `frobbed`"),
            ("countries = [\"BR\"]\nkind = \"banned\"\nlimit = 3".to_owned(), "unknown field `limit`"),
            (
                "countries = [\"BR\"]\nkind = \"banned\"\nlimit_days = 3".to_owned(),
                "limit_days means nothing",
            ),
            (
                "countries = [\"BR\"]\nkind = \"local_presence\"\nwindow_days = 3".to_owned(),
                "window_days means nothing",
            ),
            (format!("{days}limit_days = 90"), "window_days is missing"),
            (format!("{days}limit_days = 90\nwindow_days = 90"), "90 days in 90 can never be exceeded"),
            (format!("{days}limit_days = 90\nwindow_days = 4000"), "window_days = 4000 is more than 3660"),
            (format!("{days}limit_days = -1\nwindow_days = 4000"), "invalid value"),
            (format!("{days}limit_days = 1\nwindow_days = 9\neffective = \"2026-02-30\""), "not a date"),
            (
                format!("{days}limit_days = 1\nwindow_days = 9\n{head}{days}limit_days = 1\nwindow_days = 9"),
                "already",
            ),
        ] {
            let error = RuleBook::parse(&format!("{head}{rule}")).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
            assert!(error.line.is_some_and(|line| line >= 3), "{error}");
        }
        let error = RuleBook::parse(&format!("{head}countries = [\"BX\"]\nkind = \"banned\"")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "country rules, line 3, \"x\": \"BX\" is neither a country nor a group; \
             use an ISO 3166-1 alpha-2 code that networks.toml has, or define the group"
        );
        assert!(RuleBook::parse("[[rule]\n").unwrap_err().to_string().contains("line 1"));
    }

    #[test]
    fn a_bad_table_of_networks_is_refused() {
        for (entry, words) in [
            ("{ code = \"br\", name = \"b\" }", "not a country code"),
            ("{ code = \"BR\", name = \"b\" }, { code = \"BR\", name = \"b\" }", "twice"),
            ("{ code = \"BR\", name = \"b\", mcc = [\"7\"] }", "not a mobile country code"),
            ("{ code = \"BR\", name = \"b\", mcc = [\"724\", \"724\"] }", "724 is given to BR too"),
            ("{ code = \"BR\", name = \"b\", plmn = [\"724\"] }", "not a network"),
        ] {
            let error = RuleBook::parse_with("", &format!("countries = [{entry}]")).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
