//! The table of networks: countries with their names, their mobile country codes, and single
//! networks that belong to another country than their code indicates.

use std::collections::BTreeMap;

use rsp::ids::{Mcc, Plmn};
use serde::Deserialize;
use toml::Spanned;

use crate::{
    data::{DataError, DataText},
    network::{Country, NumberRange, Place},
};

/// The built-in table of mobile country codes.
pub const BUILT_IN_NETWORKS: &str = include_str!("../data/networks.toml");

/// The names of countries, and the country of each network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NetworkTable {
    names: BTreeMap<Country, String>,
    mccs: BTreeMap<Mcc, Country>,
    plmns: BTreeMap<Plmn, Country>,
}

/// The country of a network is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no country is known for network {0}; add its country code to networks.toml, or assign the network to a country"
)]
pub struct UnknownNetwork(pub Plmn);

impl NetworkTable {
    /// Parses a table in the format of `networks.toml`.
    pub(crate) fn parse(text: &str) -> Result<Self, DataError> {
        let mut table = Self { names: BTreeMap::new(), mccs: BTreeMap::new(), plmns: BTreeMap::new() };
        let source = DataText { file: "networks", text };
        for entry in source.read::<NetworksFile>()?.countries {
            let code = entry.code.get_ref().as_str();
            let bad = |what: String, next: &str| source.error(&entry.code, what, next);
            let country: Country = code
                .parse()
                .map_err(|_| bad("not a country code".into(), "use two capital letters after ISO 3166-1"))?;
            if table.names.insert(country, entry.name.clone()).is_some() {
                return Err(bad("the country is listed twice".into(), "join the entries"));
            }
            for text in &entry.mcc {
                let mcc: Mcc = text.parse().map_err(|_| {
                    bad(
                        format!("{text:?} is not a mobile country code"),
                        "write three digits, such as \"724\"",
                    )
                })?;
                if let Some(other) = table.mccs.insert(mcc, country) {
                    return Err(bad(
                        format!("{mcc} is also assigned to {other}"),
                        "assign it to one of them only",
                    ));
                }
            }
            for text in &entry.plmn {
                let plmn: Plmn = text.parse().map_err(|error| bad(format!("{error}"), "correct it"))?;
                if let Some(other) = table.plmns.insert(plmn, country) {
                    return Err(bad(
                        format!("{plmn} is also assigned to {other}"),
                        "assign it to one of them only",
                    ));
                }
            }
        }
        Ok(table)
    }

    /// The readable name of the country, or its code if it has none.
    pub(crate) fn name(&self, country: Country) -> String {
        self.names.get(&country).cloned().unwrap_or_else(|| country.to_string())
    }

    /// True if the country is in the table.
    pub(crate) fn knows(&self, country: Country) -> bool {
        self.names.contains_key(&country)
    }

    /// The country of a network.
    pub(crate) fn locate(&self, plmn: Plmn) -> Result<Place, UnknownNetwork> {
        let country = self.plmns.get(&plmn).or_else(|| self.mccs.get(&plmn.mcc()));
        country.map(|country| Place { country: *country, plmn }).ok_or(UnknownNetwork(plmn))
    }

    /// The mobile country codes of a country.
    pub(crate) fn codes_of(&self, country: Country) -> Vec<Mcc> {
        self.mccs.iter().filter(|(_, of)| **of == country).map(|(mcc, _)| *mcc).collect()
    }

    /// The country of a range of numbers.
    pub(crate) fn country_of(&self, range: NumberRange) -> Option<Country> {
        match range {
            NumberRange::Mcc(mcc) => self.mccs.get(&mcc).copied(),
            NumberRange::Network(network) => self.locate(network).ok().map(|place| place.country),
        }
    }

    /// Assigns one network to a country, regardless of its country code.
    pub(crate) fn place_network(&mut self, plmn: Plmn, country: Country) {
        self.plmns.insert(plmn, country);
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
