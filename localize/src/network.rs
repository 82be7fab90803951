//! Networks and the countries they are in: PLMN identities (3GPP TS 23.003 clause 12.1, TS 24.008 clause 10.5.1.13).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An ISO 3166-1 alpha-2 country code, upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Country([u8; 2]);

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

/// The text does not have the form of a country code.
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

/// A mobile country code (ITU-T E.212): three digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mcc([u8; 3]);

impl fmt::Display for Mcc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|digit| write!(f, "{digit}"))
    }
}

impl FromStr for Mcc {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        digits(text)
            .and_then(|found| <[u8; 3]>::try_from(found).ok())
            .map(Self)
            .ok_or_else(|| NotANetwork(text.to_owned()))
    }
}

/// A network's identity: mobile country code and mobile network code of two or three digits.
///
/// 310-04 and 310-004 are different networks. Reads `00101`, `001-01`, `310004` and `310-004`; prints with the dash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Plmn {
    mcc: Mcc,
    mnc: [u8; 2],
    mnc_third: Option<u8>,
}

/// The text or the bytes do not name a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a network; write 3 digits of country code and 2 or 3 of network code, such as 001-01 or 310004"
)]
pub struct NotANetwork(String);

impl Plmn {
    /// The mobile country code.
    pub fn mcc(self) -> Mcc {
        self.mcc
    }

    /// The mobile network code, as text because its leading zeros and its length count.
    pub fn mnc(self) -> String {
        self.mnc.iter().chain(&self.mnc_third).map(u8::to_string).collect()
    }

    /// Three octets in the order of TS 24.008 clause 10.5.1.13: swapped nibbles, F for an absent third digit.
    pub fn to_bytes(self) -> [u8; 3] {
        let [c1, c2, c3] = self.mcc.0;
        let [n1, n2] = self.mnc;
        let n3 = self.mnc_third.unwrap_or(0xF);
        [c2 << 4 | c1, n3 << 4 | c3, n2 << 4 | n1]
    }

    /// From the three octets of TS 24.008 clause 10.5.1.13. Wildcards (EEEEEE) and unused entries (FFFFFF) are no network.
    pub fn from_bytes(bytes: [u8; 3]) -> Result<Self, NotANetwork> {
        let [a, b, c] = bytes;
        let (c1, c2, c3, n1, n2, n3) = (a & 0xF, a >> 4, b & 0xF, c & 0xF, c >> 4, b >> 4);
        if [c1, c2, c3, n1, n2].iter().any(|digit| *digit > 9) || (10..15).contains(&n3) {
            return Err(NotANetwork(format!("{a:02X}{b:02X}{c:02X}")));
        }
        Ok(Self { mcc: Mcc([c1, c2, c3]), mnc: [n1, n2], mnc_third: (n3 != 0xF).then_some(n3) })
    }
}

fn digits(text: &str) -> Option<Vec<u8>> {
    text.bytes().map(|byte| byte.is_ascii_digit().then(|| byte - b'0')).collect()
}

impl fmt::Display for Plmn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.mcc, self.mnc())
    }
}

impl FromStr for Plmn {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let bad = || NotANetwork(text.to_owned());
        let (mcc, mnc) = text.split_once('-').or_else(|| text.split_at_checked(3)).ok_or_else(bad)?;
        let mcc = mcc.parse().map_err(|_| bad())?;
        match *digits(mnc).ok_or_else(bad)? {
            [a, b] => Ok(Self { mcc, mnc: [a, b], mnc_third: None }),
            [a, b, third] => Ok(Self { mcc, mnc: [a, b], mnc_third: Some(third) }),
            _ => Err(bad()),
        }
    }
}

impl TryFrom<String> for Plmn {
    type Error = NotANetwork;

    fn try_from(text: String) -> Result<Self, NotANetwork> {
        text.parse()
    }
}

impl From<Plmn> for String {
    fn from(plmn: Plmn) -> Self {
        plmn.to_string()
    }
}

/// A network and the country it is in. [`crate::RuleBook::locate`] makes one from a [`Plmn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The country.
    pub country: Country,
    /// The network.
    pub plmn: Plmn,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_read_with_and_without_its_dash() {
        for (text, shown) in [
            ("00101", "001-01"),
            ("001-01", "001-01"),
            ("310410", "310-410"),
            ("310-004", "310-004"),
            ("72405", "724-05"),
        ] {
            assert_eq!(text.parse::<Plmn>().unwrap().to_string(), shown);
        }
        assert_ne!("310-04".parse::<Plmn>().unwrap(), "310-004".parse::<Plmn>().unwrap());
        for text in [
            "", "001", "0010", "001-0", "001-0101", "0010101", "00-101", "0a101", "001--01", "٠٠١01", "é0101",
        ] {
            assert!(text.parse::<Plmn>().is_err(), "{text}");
        }
    }

    #[test]
    fn three_octets_are_laid_out_as_in_24_008() {
        for (text, bytes) in
            [("001-01", [0x00, 0xF1, 0x10]), ("310-410", [0x13, 0x00, 0x14]), ("262-42", [0x62, 0xF2, 0x24])]
        {
            let plmn: Plmn = text.parse().unwrap();
            assert_eq!(plmn.to_bytes(), bytes, "{text}");
            assert_eq!(Plmn::from_bytes(bytes).unwrap(), plmn);
        }
        assert!(Plmn::from_bytes([0xEE; 3]).is_err());
        assert!(Plmn::from_bytes([0xFF; 3]).is_err());
    }

    #[test]
    fn every_three_octets_are_refused_or_come_back() {
        for n in 0..1u32 << 24 {
            let [_, a, b, c] = n.to_be_bytes();
            if let Ok(plmn) = Plmn::from_bytes([a, b, c]) {
                assert_eq!(plmn.to_bytes(), [a, b, c]);
            }
        }
    }
}
