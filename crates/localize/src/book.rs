//! The rule book: the rules of all countries, and the table of networks, by which the rules are
//! validated.

use std::collections::BTreeSet;

use rsp::ids::{Mcc, Plmn};

use crate::{
    data::{DataError, DataText},
    entry::RulesFile,
    network::{Country, NumberRange, Place},
    network_table::{BUILT_IN_NETWORKS, NetworkTable, UnknownNetwork},
    rules::Rule,
};

/// The built-in rules.
pub const BUILT_IN_RULES: &str = include_str!("../data/countries.toml");

/// The templates of rules that an owner fills in: name and text.
pub const TEMPLATES: &[(&str, &str)] =
    &[("north-america", include_str!("../data/templates/north-america.toml"))];

/// Validated rules, and the country of each network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleBook {
    rules: Vec<Rule>,
    networks: NetworkTable,
}

impl RuleBook {
    /// The built-in rule book.
    pub fn built_in() -> Result<Self, DataError> {
        Self::parse(BUILT_IN_RULES)
    }

    /// Returns a rule book with these rules (in the format of `countries.toml`) instead of the
    /// built-in rules.
    pub fn parse(rules: &str) -> Result<Self, DataError> {
        Self::parse_with(rules, BUILT_IN_NETWORKS)
    }

    /// A rule book with these rules and these networks (in the format of `networks.toml`).
    pub fn parse_with(rules: &str, networks: &str) -> Result<Self, DataError> {
        let mut book = Self { rules: Vec::new(), networks: NetworkTable::parse(networks)? };
        book.read_rules(rules)?;
        Ok(book)
    }

    /// All rules, in the order of the file.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rules of a country, regardless of the home country of the subscription.
    pub fn rules_in(&self, country: Country) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(move |rule| rule.countries.contains(&country))
    }

    /// The table of networks.
    pub(crate) fn networks(&self) -> &NetworkTable {
        &self.networks
    }

    /// The readable name of the country, or its code if it has none.
    pub fn name(&self, country: Country) -> String {
        self.networks.name(country)
    }

    /// True if the country is in the table.
    pub fn knows(&self, country: Country) -> bool {
        self.networks.knows(country)
    }

    /// The country of a network.
    pub fn locate(&self, plmn: Plmn) -> Result<Place, UnknownNetwork> {
        self.networks.locate(plmn)
    }

    /// The country of a range of numbers.
    pub(crate) fn country_of(&self, range: NumberRange) -> Option<Country> {
        self.networks.country_of(range)
    }

    /// The mobile country codes of a country.
    pub fn codes_of(&self, country: Country) -> Vec<Mcc> {
        self.networks.codes_of(country)
    }

    /// Assigns one network to a country, regardless of the country code of the network. In this
    /// way, a laboratory network 001-01 can act as a Brazilian network.
    pub fn place_network(&mut self, plmn: Plmn, country: Country) {
        self.networks.place_network(plmn, country);
    }

    /// Returns a rule book with the same networks and with these rules (in the format of
    /// `countries.toml`) instead of the present rules.
    pub fn with_rules(&self, rules: &str) -> Result<Self, DataError> {
        let mut other = Self { rules: Vec::new(), ..self.clone() };
        other.read_rules(rules)?;
        Ok(other)
    }

    /// Adds rules (in the format of `countries.toml`) to the present rules.
    pub fn add(&mut self, rules: &str) -> Result<(), DataError> {
        self.read_rules(rules)
    }

    fn read_rules(&mut self, text: &str) -> Result<(), DataError> {
        let source = DataText { file: "country rules", text };
        let file: RulesFile = source.read()?;
        let mut seen: BTreeSet<_> = self.rules.iter().map(|rule| rule.id.clone()).collect();
        for entry in &file.rule {
            let rule = entry
                .check(&self.networks, &file.groups)
                .map_err(|wrong| source.error_in(&entry.id, wrong))?;
            if !seen.insert(rule.id.clone()) {
                let next = "give each rule a unique id";
                return Err(source.error(&entry.id, "another rule has this id already".into(), next));
            }
            self.rules.push(rule);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::Confidence;

    #[test]
    fn the_built_in_data_is_valid() {
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
        let fair_use = book.rules().iter().find(|rule| rule.id.0 == "eu-fair-use").unwrap();
        assert_eq!(fair_use.countries.len(), 32);
        for rule in book.rules() {
            let dated = rule.document.as_ref().is_some_and(|document| document.dated.is_some());
            let note = rule.note.as_deref().unwrap_or_default();
            assert!(rule.document.is_some(), "{}", rule.id);
            assert!(dated || rule.confidence == Confidence::Low, "{}", rule.id);
            assert!(rule.effective.is_some() || note.contains("date in force"), "{}", rule.id);
        }
        assert_eq!(book.name("TR".parse().unwrap()), "Turkiye");
        let codes: Vec<_> = book.codes_of("IN".parse().unwrap()).iter().map(ToString::to_string).collect();
        assert_eq!(codes, ["404", "405", "406"]);
    }

    #[test]
    fn a_network_can_be_assigned_to_another_country() {
        let mut book = RuleBook::built_in().unwrap();
        let (plmn, brazil) = ("001-01".parse().unwrap(), "BR".parse().unwrap());
        book.place_network(plmn, brazil);
        assert_eq!(book.locate(plmn).unwrap().country, brazil);
    }

    #[test]
    fn an_invalid_rule_is_refused_with_its_line_and_a_remedy() {
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
                "field limit_days: it has no effect",
            ),
            (
                "countries = [\"BR\"]\nkind = \"banned\"\nwindow_days = 3".to_owned(),
                "field window_days: it has no effect",
            ),
            (format!("{days}limit_days = 90"), "field window_days: it is missing"),
            (format!("{days}limit_days = 90\nwindow_days = 90"), "90 in 90 can never be exceeded"),
            (format!("{days}limit_days = 90\nwindow_days = 4000"), "field window_days: 4000 is more than 3660"),
            (
                "networks = [\"724-05\"]\ncountries = [\"TR\"]\nkind = \"banned\"".to_owned(),
                "network 724-05 is in BR",
            ),
            ("networks = [\"998-01\"]\nkind = \"banned\"".to_owned(), "no country is known"),
            ("networks = [\"724\"]\nkind = \"banned\"".to_owned(), "not a network"),
            ("countries = [\"BR\"]\nkind = \"share_of_roaming\"".to_owned(), "field max_percent: it is missing"),
            (
                "countries = [\"BR\"]\nkind = \"share_of_roaming\"\nmax_percent = 100".to_owned(),
                "more than 99",
            ),
            (
                "countries = [\"BR\"]\nkind = \"device_count\"\nmax_devices = 5\nmin_devices = 5".to_owned(),
                "field min_devices: it has no effect",
            ),
            (
                "countries = [\"BR\"]\nkind = \"banned\"\nof = \"account\"".to_owned(),
                "field of: it has no effect",
            ),
            (
                "countries = [\"BR\"]\nkind = \"banned\"\nannounced = \"2026-02-01\"\neffective = \"2026-01-01\""
                    .to_owned(),
                "takes effect before",
            ),
            (
                "countries = [\"BR\"]\nkind = \"banned\"\neffective = \"2026-02-01\"\nends = \"2026-01-01\""
                    .to_owned(),
                "ends before it begins",
            ),
            (
                "countries = [\"BR\"]\nkind = \"imei_registration\"\nlimit_days = 9".to_owned(),
                "requires = [\"imei_registration\"]",
            ),
            (
                "countries = [\"BR\"]\nkind = \"consecutive_days\"\nlimit_days = 0".to_owned(),
                "field limit_days: 0 is less than 1",
            ),
            ("countries = [\"BR\"]\nkind = \"days_since\"\nlimit_days = 9".to_owned(), "field event: it is missing"),
            (
                "countries = [\"BR\"]\nkind = \"device_count\"\nmax_devices = 5\nmin_days = 2".to_owned(),
                "field min_days: a window of 1 days never has 2 days",
            ),
            (
                "countries = [\"BR\"]\nkind = \"banned\"\nconsequence = \"blocked\"\nthrottle_kbps = 9".to_owned(),
                "field throttle_kbps: it has no effect",
            ),
            (
                "countries = [\"BR\"]\nkind = \"banned\"\nrequires = [\"visa\"]".to_owned(),
                "field requires: unknown variant `visa`",
            ),
            (
                "countries = [\"BR\"]\nkind = \"permissive\"\nrequires = [\"approval\"]".to_owned(),
                "field requires: it has no effect",
            ),
            (
                "countries = [\"BR\"]\nkind = \"banned\"\nhome_networks = [\"9012\"]".to_owned(),
                "field home_networks: \"9012\" is not",
            ),
            (
                "countries = [\"BR\"]\nkind = \"banned\"\ndated = \"2026-01-01\"".to_owned(),
                "field dated: it has no effect",
            ),
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
            "country rules, line 7, \"x\", field countries: \"BX\" is neither a country nor a group; \
             use an ISO 3166-1 alpha-2 code that networks.toml has, or define the group"
        );
        // An error of a value names the field as well, also in the second of two rules.
        let good = format!("{head}countries = [\"BR\"]\nkind = \"banned\"\n");
        let second = good.replace("\"x\"", "\"y\"").replace("2026-11-21", "21 November");
        let error = RuleBook::parse(&format!("{good}{second}")).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("country rules, line 13, \"y\", field reviewed: \"21 November\" is not a date"),
            "{error}"
        );
        assert!(RuleBook::parse("[[rule]\n").unwrap_err().to_string().contains("line 1"));
    }

    #[test]
    fn a_template_is_refused_until_it_is_filled_in_and_names_its_fields() {
        for (name, text) in TEMPLATES {
            let error = RuleBook::parse(text).unwrap_err();
            assert!(error.field.is_some() && error.what.contains('<'), "{name}: {error}");
            let mut filled = String::new();
            for line in text.lines() {
                let filling = match line.split(' ').next().unwrap() {
                    "networks" | "home_networks" => Some("[\"310-410\"]"),
                    "effective" | "dated" | "reviewed" => Some("\"2026-11-25\""),
                    "document" => Some("\"contract 7\""),
                    _ => Some("7"),
                };
                match filling.filter(|_| line.contains('<')) {
                    Some(value) => {
                        filled.push_str(&format!("{} = {value}\n", line.split(' ').next().unwrap()))
                    }
                    None => filled.push_str(&format!("{line}\n")),
                }
            }
            let book = RuleBook::parse(&filled).unwrap_or_else(|error| panic!("{name}: {error}\n{filled}"));
            assert_eq!(book.rules().len(), 3);
        }
    }

    #[test]
    fn an_invalid_table_of_networks_is_refused() {
        for (entry, words) in [
            ("{ code = \"br\", name = \"b\" }", "not a country code"),
            ("{ code = \"BR\", name = \"b\" }, { code = \"BR\", name = \"b\" }", "twice"),
            ("{ code = \"BR\", name = \"b\", mcc = [\"7\"] }", "not a mobile country code"),
            ("{ code = \"BR\", name = \"b\", mcc = [\"724\", \"724\"] }", "724 is also assigned to BR"),
            ("{ code = \"BR\", name = \"b\", plmn = [\"724\"] }", "not a network"),
        ] {
            let error = RuleBook::parse_with("", &format!("countries = [{entry}]")).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
