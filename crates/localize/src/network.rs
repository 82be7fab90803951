//! Networks and their countries.

use std::{fmt, str::FromStr};

use rsp::ids::{Mcc, Plmn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::imei::Imei;

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

/// The origin of a subscription: its country and, if known, its network; and the equipment in which
/// it is used, if known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Home {
    /// The home country.
    pub country: Country,
    /// The home network, if it is known.
    pub network: Option<Plmn>,
    /// The IMEI of the equipment, if it is known.
    pub imei: Option<Imei>,
}

impl From<Country> for Home {
    fn from(country: Country) -> Self {
        Self { country, network: None, imei: None }
    }
}

impl From<Place> for Home {
    fn from(place: Place) -> Self {
        Self { country: place.country, network: Some(place.plmn), imei: None }
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

/// A range of subscriber numbers: all networks of a mobile country code, such as 901, or one
/// network, such as 234-15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NumberRange {
    /// All networks of a mobile country code.
    Mcc(Mcc),
    /// One network.
    Network(Plmn),
}

rsp::text_schemas! {
    NumberRange: pattern = "^[0-9]{3}(-[0-9]{2,3})?$";
}

impl NumberRange {
    /// True if the subscribers of the network are in the range.
    pub fn has(self, network: Plmn) -> bool {
        match self {
            Self::Mcc(mcc) => mcc == network.mcc(),
            Self::Network(one) => one == network,
        }
    }
}

impl fmt::Display for NumberRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mcc(mcc) => mcc.fmt(f),
            Self::Network(network) => network.fmt(f),
        }
    }
}

/// The text is not a range of numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network or a mobile country code; write 234-15 or 901")]
pub struct NotANumberRange(String);

impl FromStr for NumberRange {
    type Err = NotANumberRange;

    fn from_str(text: &str) -> Result<Self, NotANumberRange> {
        let mcc = text.parse().map(Self::Mcc);
        mcc.or_else(|_| text.parse().map(Self::Network)).map_err(|_| NotANumberRange(text.to_owned()))
    }
}

impl TryFrom<String> for NumberRange {
    type Error = NotANumberRange;

    fn try_from(text: String) -> Result<Self, NotANumberRange> {
        text.parse()
    }
}

impl From<NumberRange> for String {
    fn from(range: NumberRange) -> Self {
        range.to_string()
    }
}
