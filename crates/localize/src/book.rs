//! The rule book: the rules of all countries, and the table of networks, by which the rules are
//! validated.

use std::collections::BTreeSet;

use rsp::ids::{Mcc, Plmn};

use crate::{
    data::{DataError, DataText, Wrong},
    entry::RulesFile,
    network::{Country, Place},
    network_table::{BUILT_IN_NETWORKS, NetworkTable, UnknownNetwork},
    rules::Rule,
};

/// The built-in rules.
pub const BUILT_IN_RULES: &str = include_str!("../data/countries.toml");
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
                .map_err(|Wrong(what, next)| source.error(&entry.id, what, next))?;
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
        assert_eq!(fair_use.countries.len(), 27);
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
                "limit_days has no effect",
            ),
            (
                "countries = [\"BR\"]\nkind = \"local_presence\"\nwindow_days = 3".to_owned(),
                "window_days has no effect",
            ),
            (format!("{days}limit_days = 90"), "window_days is missing"),
            (format!("{days}limit_days = 90\nwindow_days = 90"), "90 days in 90 can never be exceeded"),
            (format!("{days}limit_days = 90\nwindow_days = 4000"), "window_days = 4000 is more than 3660"),
            (
                "networks = [\"724-05\"]\ncountries = [\"TR\"]\nkind = \"banned\"".to_owned(),
                "network 724-05 is in BR",
            ),
            ("networks = [\"998-01\"]\nkind = \"banned\"".to_owned(), "no country is known"),
            ("networks = [\"724\"]\nkind = \"banned\"".to_owned(), "not a network"),
            ("countries = [\"BR\"]\nkind = \"share_of_roaming\"".to_owned(), "max_percent is missing"),
            (
                "countries = [\"BR\"]\nkind = \"share_of_roaming\"\nmax_percent = 100".to_owned(),
                "more than 99",
            ),
            (
                "countries = [\"BR\"]\nkind = \"device_count\"\nmax_devices = 5\nmin_devices = 5".to_owned(),
                "min_devices has no effect",
            ),
            (
                "countries = [\"BR\"]\nkind = \"banned\"\nof = \"account\"".to_owned(),
                "of has no effect",
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
