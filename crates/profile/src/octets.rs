//! Byte strings and identifiers of the profile package, shown as hexadecimal digits.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use rsp::der::{Asn1, DecodeError, Problem, Reader, Tag, write_tlv};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroize;

/// OCTET STRING of any length; hexadecimal digits in JSON.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Octets(pub Vec<u8>);

impl Octets {
    /// Parses hexadecimal digits; `None` if `text` is invalid.
    pub fn from_hex(text: &str) -> Option<Self> {
        hex::decode(text).ok().map(Self)
    }
}

impl Deref for Octets {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Octets {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Octets {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<Vec<u8>> for Octets {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode_upper(&self.0))
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{self}'H")
    }
}

impl Asn1 for Octets {
    const TAG: Tag = Tag::OCTET_STRING;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        self.0.encode_as(tag, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Vec::decode_as(tag, reader).map(Self)
    }
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or(de::Error::custom("an even number of hex digits is expected here"))
    }
}

/// OCTET STRING with a key or a code: never in `Debug`, wiped when dropped.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct SecretOctets(Vec<u8>);

impl SecretOctets {
    /// The value, for computations.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for SecretOctets {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl From<Vec<u8>> for SecretOctets {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl<const N: usize> From<[u8; N]> for SecretOctets {
    fn from(bytes: [u8; N]) -> Self {
        Self(bytes.to_vec())
    }
}

impl Drop for SecretOctets {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretOctets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} octets>", self.0.len())
    }
}

impl Asn1 for SecretOctets {
    const TAG: Tag = Tag::OCTET_STRING;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        self.0.encode_as(tag, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Vec::decode_as(tag, reader).map(Self)
    }
}

/// Writes the secret as plain hexadecimal digits, because a stored profile includes its keys.
/// Output for users does not use this form: the module `show` hides secrets.
impl Serialize for SecretOctets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode_upper(&self.0))
    }
}

impl<'de> Deserialize<'de> for SecretOctets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Octets::deserialize(deserializer).map(|octets| Self(octets.0))
    }
}

/// Implements `JsonSchema` for types that are hexadecimal digits in JSON.
macro_rules! hex_schema {
    ($($name:ident),+) => { $(
        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": "^([0-9A-Fa-f]{2})*$" })
            }
        }
    )+ };
}
hex_schema!(Octets, SecretOctets);

/// A file identifier: two bytes, `3F00`, `6F07`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fid(pub u16);

impl Fid {
    /// The master file.
    pub const MF: Self = Self(0x3F00);

    /// Parses a path with two bytes for each step; `None` if a byte is left over.
    pub fn path(octets: &[u8]) -> Option<Vec<Self>> {
        let (pairs, rest) = octets.as_chunks::<2>();
        rest.is_empty().then(|| pairs.iter().map(|pair| Self(u16::from_be_bytes(*pair))).collect())
    }
}

impl fmt::Display for Fid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

impl fmt::Debug for Fid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Asn1 for Fid {
    const TAG: Tag = Tag::OCTET_STRING;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        write_tlv(tag, &self.0.to_be_bytes(), out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        <[u8; 2]>::decode_as(tag, reader).map(|octets| Self(u16::from_be_bytes(octets)))
    }
}

impl Serialize for Fid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u16::from_str_radix(&text, 16)
            .map(Self)
            .map_err(|_| de::Error::custom("a file identifier is four hex digits"))
    }
}

/// OBJECT IDENTIFIER, kept as its content bytes.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(Vec<u8>);

impl Oid {
    /// The identifier of a TCA template: `2.23.143.1.2.NUMBER`, followed by the version if that is
    /// greater than 1.
    pub fn template(number: u8, version: u8) -> Self {
        let mut contents = vec![0x67, 0x81, 0x0F, 0x01, 0x02, number & 0x7F];
        if version > 1 {
            contents.push(version & 0x7F);
        }
        Self(contents)
    }

    /// The number and the version of a TCA template (a number alone means version 1); `None` for any other identifier.
    pub fn as_template(&self) -> Option<(u8, u8)> {
        match self.0.as_slice() {
            [0x67, 0x81, 0x0F, 0x01, 0x02, number @ 0..=0x7F] => Some((*number, 1)),
            [0x67, 0x81, 0x0F, 0x01, 0x02, number @ 0..=0x7F, version @ 2..=0x7F] => {
                Some((*number, *version))
            }
            _ => None,
        }
    }

    fn arcs(&self) -> Vec<u128> {
        let mut arcs = Vec::new();
        let mut value = 0u128;
        for octet in &self.0 {
            value = value << 7 | u128::from(octet & 0x7F);
            if octet & 0x80 != 0 {
                continue;
            }
            if arcs.is_empty() {
                let first = (value / 40).min(2);
                arcs.push(first);
                value -= first * 40;
            }
            arcs.push(value);
            value = 0;
        }
        arcs
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arcs: Vec<String> = self.arcs().iter().map(ToString::to_string).collect();
        f.write_str(&arcs.join("."))
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Oid {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str =
            "an object identifier is written as numbers with dots between them, such as 2.23.143.1.2.1";
        let arcs: Vec<u64> =
            text.split('.').map(|arc| arc.parse().map_err(|_| WRONG)).collect::<Result<_, _>>()?;
        let [first @ 0..=2, second, rest @ ..] = arcs.as_slice() else { return Err(WRONG) };
        if *first < 2 && *second > 39 {
            return Err(WRONG);
        }
        let joint = second.checked_add(first * 40).ok_or(WRONG)?;
        let mut contents = Vec::new();
        for arc in std::iter::once(&joint).chain(rest) {
            let septets = (64 - arc.leading_zeros()).div_ceil(7).max(1);
            for place in (0..septets).rev() {
                let septet = u8::try_from(arc >> (7 * place) & 0x7F).unwrap_or_default();
                contents.push(if place == 0 { septet } else { septet | 0x80 });
            }
        }
        Ok(Self(contents))
    }
}

impl Asn1 for Oid {
    const TAG: Tag = Tag::OBJECT_IDENTIFIER;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        write_tlv(tag, &self.0, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bad = reader.error(Problem::BadValue("the octets are not an OBJECT IDENTIFIER"));
        let contents = reader.contents(tag)?;
        let ends = contents.last().is_some_and(|last| last & 0x80 == 0);
        let mut starts = std::iter::once(true).chain(contents.iter().map(|octet| octet & 0x80 == 0));
        let padded = contents.iter().any(|octet| starts.next() == Some(true) && *octet == 0x80);
        let longest = contents.split(|octet| octet & 0x80 == 0).map(<[u8]>::len).max().unwrap_or_default();
        // An arc is limited to 63 bits, to prevent overflows. No known identifier has a longer one.
        if ends && !padded && longest < 9 { Ok(Self(contents.to_vec())) } else { Err(bad) }
    }
}

impl Serialize for Oid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Oid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn object_identifiers_are_parsed_and_printed() {
        for (text, contents) in [
            ("2.23.143.1.2.1", "67810f010201"),
            ("2.23.143.1.2.10.2", "67810f01020a02"),
            ("1.2.840.113549", "2a864886f70d"),
            ("2.999.3", "883703"),
            ("0.39", "27"),
        ] {
            let oid: Oid = text.parse().unwrap();
            assert_eq!(hex::encode(&oid.0), contents);
            assert_eq!(oid.to_string(), text);
            assert_eq!(Oid::from_der(&oid.to_der()), Ok(oid));
        }
        assert_eq!("2.23.143.1.2.10.2".parse::<Oid>().unwrap().as_template(), Some((10, 2)));
        assert_eq!(Oid::template(5, 1).to_string(), "2.23.143.1.2.5");
        for wrong in ["06028001", "060181", "0600"] {
            assert!(Oid::from_der(&hex::decode(wrong).unwrap()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_not_shown_in_debug_output() {
        assert_eq!(format!("{:?}", SecretOctets::from([1, 2, 3])), "<3 octets>");
    }
}
