//! Typed values of a description.

use std::{fmt, str::FromStr};

use rsp::ids::Plmn;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroize;

macro_rules! text {
    ($($name:ident: $pattern:literal),+ $(,)?) => { $(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.text())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    )+ };
}

text! {
    Code: "^[0-9]{4,8}$",
    Digits: "^\\+?[0-9]{1,20}$",
    Network: "^[0-9]{3}-?[0-9]{2,3}( [a-z0-9A-F]+)*$",
}

/// A PIN or administrative code: 4 to 8 digits. `Debug` does not show it, and it is wiped when
/// dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

impl Code {
    fn text(&self) -> String {
        self.0.clone()
    }

    /// The digits.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// TS 102 221 section 9.5.1: ASCII digits, padded with FF.
    pub(crate) fn octets(&self) -> [u8; 8] {
        let mut octets = [0xFF; 8];
        octets.iter_mut().zip(self.0.bytes()).for_each(|(octet, digit)| *octet = digit);
        octets
    }

    /// Decodes the result of [`Code::octets`].
    pub(crate) fn of(octets: &[u8]) -> Option<Self> {
        let digits = octets.iter().copied().take_while(|octet| *octet != 0xFF).collect();
        let code: Self = String::from_utf8(digits).ok()?.parse().ok()?;
        (code.octets() == octets).then_some(code)
    }
}

impl FromStr for Code {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (4..=8).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_digit());
        fits.then(|| Self(text.to_owned())).ok_or("a code has 4 to 8 digits")
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} digits>", self.0.len())
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A telephone number: up to 20 digits, `+` before an international one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digits(String);

impl Digits {
    fn text(&self) -> String {
        self.0.clone()
    }

    /// The digits without the sign.
    pub fn digits(&self) -> &str {
        self.0.trim_start_matches('+')
    }
}

impl FromStr for Digits {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let fits = (1..=20).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_digit());
        fits.then(|| Self(text.to_owned())).ok_or("a number has 1 to 20 digits, and may begin with +")
    }
}

/// A network and its technologies (TS 31.102 section 4.2.5): `724-05`, `724-05 eutran ngran`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The network.
    pub plmn: Plmn,
    /// The two bytes of technologies.
    pub technologies: u16,
}

/// Technologies by name; all of these if none is named.
const TECHNOLOGIES: [(&str, u16); 4] =
    [("utran", 0x8000), ("eutran", 0x4000), ("ngran", 0x0800), ("gsm", 0x0080)];
const ALL: u16 = 0xC880;

impl Network {
    fn text(&self) -> String {
        let named: Vec<&str> = TECHNOLOGIES
            .iter()
            .filter(|(_, bit)| self.technologies & bit != 0)
            .map(|(name, _)| *name)
            .collect();
        match self.technologies {
            ALL => self.plmn.to_string(),
            bits if bits & !ALL != 0 || bits == 0 => format!("{} {bits:04X}", self.plmn),
            _ => format!("{} {}", self.plmn, named.join(" ")),
        }
    }

    pub(crate) fn octets(self) -> [u8; 5] {
        let ([a, b, c], [d, e]) = (self.plmn.to_bytes(), self.technologies.to_be_bytes());
        [a, b, c, d, e]
    }

    pub(crate) fn of([a, b, c, d, e]: [u8; 5]) -> Option<Self> {
        Some(Self { plmn: Plmn::from_bytes([a, b, c]).ok()?, technologies: u16::from_be_bytes([d, e]) })
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut words = text.split_ascii_whitespace();
        let plmn =
            words.next().unwrap_or_default().parse().map_err(|e: rsp::ids::InvalidId| e.to_string())?;
        let mut technologies = None;
        for word in words {
            let named = TECHNOLOGIES.iter().find(|(name, _)| *name == word).map(|(_, bit)| *bit);
            let bits =
                named.or_else(|| (word.len() == 4).then(|| u16::from_str_radix(word, 16).ok()).flatten());
            let bits = bits.ok_or_else(|| {
                format!("{word:?} is not a technology: utran, eutran, ngran, gsm, or four hex digits")
            })?;
            technologies = Some(technologies.unwrap_or_default() | bits);
        }
        Ok(Self { plmn, technologies: technologies.unwrap_or(ALL) })
    }
}
