//! The identity of the equipment around a card.

use std::{fmt, num::NonZeroU64, str::FromStr};

use serde::{Deserialize, Serialize};

/// An IMEI of 15 digits (TS 23.003 clause 6.2.1). The check digit is not verified, because test
/// equipment has IMEIs without one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Imei(NonZeroU64);

rsp::text_schemas! {
    Imei: pattern = "^[0-9]{15}$";
}

impl fmt::Display for Imei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:015}", self.0)
    }
}

impl fmt::Debug for Imei {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an IMEI.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an IMEI; write its 15 digits")]
pub struct NotAnImei(String);

impl FromStr for Imei {
    type Err = NotAnImei;

    fn from_str(text: &str) -> Result<Self, NotAnImei> {
        let is_long_enough = text.len() == 15 && text.bytes().all(|digit| digit.is_ascii_digit());
        let number = text.parse().ok().filter(|_| is_long_enough);
        number.map(Self).ok_or_else(|| NotAnImei(text.to_owned()))
    }
}

impl TryFrom<String> for Imei {
    type Error = NotAnImei;

    fn try_from(text: String) -> Result<Self, NotAnImei> {
        text.parse()
    }
}

impl From<Imei> for String {
    fn from(imei: Imei) -> Self {
        imei.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_imei_has_15_digits_and_keeps_its_zeros() {
        assert_eq!("004999010640000".parse::<Imei>().unwrap().to_string(), "004999010640000");
        for text in ["", "49990106400001", "4999010640000012", "+99901064000001", "000000000000000"] {
            assert!(text.parse::<Imei>().is_err(), "{text}");
        }
    }
}
