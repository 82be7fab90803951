//! Networks and their countries.

use std::{fmt, str::FromStr};

use rsp::ids::Plmn;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An ISO 3166-1 alpha-2 country code, upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

rsp::text_schemas! {
    Country: pattern = "^[A-Z]{2}$";
}

impl Country {
    /// True for the code that networks.toml assigns to test networks, which can act as networks of
    /// any country.
    pub(crate) fn is_of_test_networks(self) -> bool {
        self.0 == *b"XT"
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{}", char::from(*letter)))
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a country code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a country code; use two capital letters after ISO 3166-1, such as BR")]
pub struct NotACountry(String);

impl FromStr for Country {
    type Err = NotACountry;

    fn from_str(text: &str) -> Result<Self, NotACountry> {
        match text.as_bytes() {
            &[first @ b'A'..=b'Z', second @ b'A'..=b'Z'] => Ok(Self([first, second])),
            _ => Err(NotACountry(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Country {
    type Error = NotACountry;

    fn try_from(text: String) -> Result<Self, NotACountry> {
        text.parse()
    }
}

impl From<Country> for String {
    fn from(country: Country) -> Self {
        country.to_string()
    }
}

/// The origin of a subscription: its country and, if known, its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Home {
    /// The home country.
    pub country: Country,
    /// The home network, if it is known.
    pub network: Option<Plmn>,
}

impl From<Country> for Home {
    fn from(country: Country) -> Self {
        Self { country, network: None }
    }
}

impl From<Place> for Home {
    fn from(place: Place) -> Self {
        Self { country: place.country, network: Some(place.plmn) }
    }
}

/// A network and its country.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The country.
    pub country: Country,
    /// The network.
    pub plmn: Plmn,
}
