//! Addresses: TS 23.040 section 9.1.2.5, also in the encoding of TS 102 223 section 8.1.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::der::DecodeError;
use crate::ids::InvalidId;
use crate::ota::octets::Octets;

/// The sender or recipient of a message.
///
/// The text form of an international number is `+491701234567`, that of a number of unknown type in
/// the ISDN numbering plan is `1234`. Any other address starts with its type of address in
/// hexadecimal: `A1:1234`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Type of number and numbering plan, with b8 set.
    type_of_address: u8,
    /// Digits, `*`, `#`, `a`, `b`, `c`. For an alphanumeric address: its semi-octets as hexadecimal
    /// digits.
    digits: String,
}

/// The characters of semi-octets 0 to 14; 15 is padding.
const SEMI_OCTETS: [char; 15] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'a', 'b', 'c'];

/// International, ISDN numbering plan.
const INTERNATIONAL: u8 = 0x91;
/// Unknown, ISDN numbering plan.
const UNKNOWN: u8 = 0x81;
/// Type of number "alphanumeric", in b5 to b7.
const ALPHANUMERIC: u8 = 0x50;

/// The maximum number of digits. TS 23.040 section 9.1.2.5 limits an address field to 12 octets.
const MAX_DIGITS: usize = 20;

impl Address {
    /// Creates an address. Returns `None` if there are more than 20 digits or other characters than
    /// digits, `*`, `#`, `a`, `b` and `c`.
    pub fn new(type_of_address: u8, digits: &str) -> Option<Self> {
        let alphabet = |c| {
            if is_alphanumeric(type_of_address) {
                char::is_ascii_hexdigit(&c)
            } else {
                SEMI_OCTETS.contains(&c)
            }
        };
        (digits.len() <= MAX_DIGITS && digits.chars().all(alphabet))
            .then(|| Self { type_of_address: type_of_address | 0x80, digits: digits.to_ascii_lowercase() })
    }

    /// Returns TON and NPI in one octet.
    pub const fn type_of_address(&self) -> u8 {
        self.type_of_address
    }

    /// Returns the type of number, with the values of SMPP: 1 is international, 5 is alphanumeric.
    pub const fn ton(&self) -> u8 {
        self.type_of_address >> 4 & 0x07
    }

    /// Returns the numbering plan identification: 1 is ISDN.
    pub const fn npi(&self) -> u8 {
        self.type_of_address & 0x0F
    }

    /// Returns the digits without a plus sign.
    pub fn digits(&self) -> &str {
        &self.digits
    }

    /// Writes the address in the format of SMS: number of digits, type, and swapped digits padded
    /// with F.
    pub fn write_sms(&self, out: &mut Vec<u8>) {
        out.push(u8::try_from(self.digits.len()).unwrap_or(0));
        out.extend(self.value());
    }

    /// Reads an address in the format of SMS.
    ///
    /// # Errors
    /// The input ends too early or contains invalid digits.
    pub fn read_sms(reader: &mut Octets<'_>) -> Result<Self, DecodeError> {
        let start = *reader;
        let digits = usize::from(reader.octet()?);
        if digits > MAX_DIGITS {
            return Err(start.bad("an address has at most 20 digits"));
        }
        let type_of_address = reader.octet()?;
        Self::of(type_of_address, reader.take(digits.div_ceil(2))?, Some(digits))
            .ok_or(start.bad("the address does not consist of digits, padded with F if their number is odd"))
    }

    /// Encodes type and digits without a length, as in TS 102 223 section 8.1 and EF.SMSP.
    pub fn value(&self) -> Vec<u8> {
        let nibbles: Vec<u8> = self.digits.chars().map(|c| semi_octet(self.type_of_address, c)).collect();
        let swapped = nibbles.chunks(2).map(|pair| match pair {
            [low, high] => high << 4 | low,
            [low] => 0xF0 | low,
            _ => 0xFF,
        });
        std::iter::once(self.type_of_address).chain(swapped).collect()
    }

    /// Decodes type and digits without a length.
    ///
    /// # Errors
    /// The type is missing, or the rest does not consist of digits.
    pub fn from_value(octets: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Octets::new(octets);
        let type_of_address = reader.octet()?;
        let bad = reader
            .bad("the address does not consist of at most 20 digits, padded with F if their number is odd");
        Self::of(type_of_address, reader.take_rest(), None).ok_or(bad)
    }

    fn of(type_of_address: u8, octets: &[u8], digits: Option<usize>) -> Option<Self> {
        let mut nibbles: Vec<u8> = octets.iter().flat_map(|octet| [octet & 0x0F, octet >> 4]).collect();
        let filled = match digits {
            Some(digits) => digits % 2 == 1,
            None => nibbles.last() == Some(&0x0F),
        };
        if filled && nibbles.pop() != Some(0x0F) {
            return None;
        }
        let text: Option<String> = nibbles
            .into_iter()
            .map(|nibble| match is_alphanumeric(type_of_address) {
                true => char::from_digit(u32::from(nibble), 16),
                false => SEMI_OCTETS.get(usize::from(nibble)).copied(),
            })
            .collect();
        // If b8 is not set, an extension octet would follow, which no known address has.
        Self::new(type_of_address, &text?).filter(|_| type_of_address & 0x80 != 0)
    }
}

const fn is_alphanumeric(type_of_address: u8) -> bool {
    type_of_address & 0x70 == ALPHANUMERIC
}

fn semi_octet(type_of_address: u8, c: char) -> u8 {
    let value = if is_alphanumeric(type_of_address) {
        c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())
    } else {
        (0..).zip(SEMI_OCTETS).find(|(_, each)| *each == c).map(|(value, _)| value)
    };
    value.unwrap_or(0x0F)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.type_of_address {
            INTERNATIONAL => write!(f, "+{}", self.digits),
            UNKNOWN => f.write_str(&self.digits),
            other => write!(f, "{other:02X}:{}", self.digits),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl FromStr for Address {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let parsed = match (text.strip_prefix('+'), text.split_once(':')) {
            (Some(digits), _) => Self::new(INTERNATIONAL, digits),
            (None, Some((kind, digits))) => {
                u8::from_str_radix(kind, 16).ok().and_then(|kind| Self::new(kind, digits))
            }
            (None, None) => Self::new(UNKNOWN, text),
        };
        parsed.filter(|address| !address.digits.is_empty()).ok_or_else(|| {
            InvalidId::new(text, "a telephone number such as +491701234567 (at most 20 digits)")
        })
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sms(hex: &str) -> Result<Address, DecodeError> {
        Address::read_sms(&mut Octets::new(&hex::decode(hex).unwrap()))
    }

    /// The first three are those of pySim's tests/unittests/test_sms.py (`Test_AddressField`).
    #[test]
    fn addresses_convert_between_text_and_octets() {
        for (text, octets) in [
            ("80:1234", "04802143"),
            ("80:123", "038021f3"),
            ("+12345", "05912143f5"),
            ("12345678", "088121436587"),
            ("+", "0091"),
            ("*#abc", "0581badcfe"),
        ] {
            let address = sms(octets).unwrap();
            let mut written = Vec::new();
            address.write_sms(&mut written);
            assert_eq!(hex::encode(&written), octets, "{text}");
            assert_eq!(Address::from_value(&written[1..]).unwrap(), address);
            if text.len() > 1 {
                assert_eq!(text.parse(), Ok(address));
            }
        }
    }

    #[test]
    fn an_alphanumeric_originator_is_preserved() {
        let address = sms("08d0e5759a0e").unwrap();
        assert_eq!((address.ton(), address.npi()), (5, 0));
        assert_eq!(address.to_string().parse(), Ok(address.clone()));
        assert_eq!(hex::encode(address.value()), "d0e5759a0e");
    }

    #[test]
    fn invalid_addresses_are_refused() {
        for octets in
            ["", "04", "0491", "049121", "15912143658709214365870921", "03912143", "0411f121", "04912f43"]
        {
            assert!(sms(octets).is_err(), "{octets}");
        }
        for text in ["", "+", "+49 170", "123456789012345678901", "x", "Z1:12"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
