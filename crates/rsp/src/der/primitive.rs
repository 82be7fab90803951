//! The built-in types of ASN.1 that the standards use.

use std::{borrow::Cow, fmt};

use serde::{Serialize, Serializer};

use super::{Asn1, DecodeError, Problem, Reader, Shape, Tag, write_tlv};
use crate::finding::{FindingKind, report};

/// Reports an encoding that is not DER, at the place of `at`.
fn not_der(at: &Reader<'_>, what: &str) {
    report(FindingKind::NotDer, || format!("{what} at octet {}", at.offset()));
}

impl Asn1 for bool {
    const TAG: Tag = Tag::BOOLEAN;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        write_tlv(tag, &[if *self { 0xFF } else { 0x00 }], out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = reader.clone();
        match reader.contents(tag)? {
            [0xFF] => Ok(true),
            [0x00] => Ok(false),
            [octet] => {
                not_der(&at, &format!("BOOLEAN {octet:02X}"));
                Ok(true)
            }
            _ => Err(at.error(Problem::BadValue("a BOOLEAN is one octet"))),
        }
    }

    fn shape() -> Shape {
        Shape::displayed::<Self>()
    }
}

impl Asn1 for i64 {
    const TAG: Tag = Tag::INTEGER;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        let bytes = self.to_be_bytes();
        let redundant = bytes
            .windows(2)
            .take_while(|w| {
                matches!(w, [0x00, next] if next & 0x80 == 0) || matches!(w, [0xFF, next] if next & 0x80 != 0)
            })
            .count();
        write_tlv(tag, bytes.get(redundant..).unwrap_or(&bytes), out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = reader.clone();
        let mut contents = reader.contents(tag)?;
        if contents.is_empty() {
            return Err(at.error(Problem::BadValue("an INTEGER has at least one octet")));
        }
        let received = contents.len();
        while let Some((redundant @ (0x00 | 0xFF), rest)) = contents.split_first()
            && rest.first().is_some_and(|next| next & 0x80 == redundant & 0x80)
        {
            contents = rest;
        }
        if contents.len() < received {
            not_der(&at, "INTEGER with redundant octets");
        }
        if contents.len() > 8 {
            return Err(at.error(Problem::BadValue("an INTEGER of more than 8 octets is not supported")));
        }
        let sign = if contents.first().is_some_and(|b| b & 0x80 != 0) { -1 } else { 0 };
        Ok(contents.iter().fold(sign, |value, octet| value << 8 | Self::from(*octet)))
    }

    fn shape() -> Shape {
        Shape::displayed::<Self>()
    }
}

impl Asn1 for u32 {
    const TAG: Tag = Tag::INTEGER;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        i64::from(*self).encode_as(tag, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bad = reader.error(Problem::BadValue("a number from 0 to 4294967295 is expected"));
        Self::try_from(i64::decode_as(tag, reader)?).map_err(|_| bad)
    }

    fn shape() -> Shape {
        Shape::displayed::<Self>()
    }
}

/// OCTET STRING of variable length.
impl Asn1 for Vec<u8> {
    const TAG: Tag = Tag::OCTET_STRING;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        write_tlv(tag, self, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(reader.contents(tag)?.to_vec())
    }
}

/// OCTET STRING of fixed length.
impl<const N: usize> Asn1 for [u8; N] {
    const TAG: Tag = Tag::OCTET_STRING;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        write_tlv(tag, self, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bad = reader.error(Problem::BadValue("the octet string has the wrong length"));
        reader.contents(tag)?.try_into().map_err(|_| bad)
    }
}

impl Asn1 for String {
    const TAG: Tag = Tag::UTF8_STRING;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        write_tlv(tag, self.as_bytes(), out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = reader.offset();
        let text = Self::from_utf8_lossy(reader.contents(tag)?);
        if let Cow::Owned(replaced) = &text {
            report(FindingKind::TextNotUtf8, || format!("{replaced:?} at octet {at}"));
        }
        Ok(text.into_owned())
    }

    fn shape() -> Shape {
        Shape::displayed::<Self>()
    }
}

/// NULL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Null;

impl Serialize for Null {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_none()
    }
}

impl Asn1 for Null {
    const TAG: Tag = Tag::NULL;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        write_tlv(tag, &[], out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = reader.clone();
        if !reader.contents(tag)?.is_empty() {
            not_der(&at, "NULL with contents");
        }
        Ok(Self)
    }

    fn shape() -> Shape {
        Shape::debugged::<Self>()
    }
}

/// A BIT STRING. Bit 0 is the most significant bit of the first octet.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BitString {
    unused: u8,
    bytes: Vec<u8>,
}

impl BitString {
    /// Creates a named bit list with these bits set. DER omits trailing zero bits.
    pub fn of(bits: &[usize]) -> Self {
        let mut list = Self::default();
        for bit in bits {
            list.set(*bit);
        }
        list
    }

    /// True if `bit` is present and set.
    pub fn has(&self, bit: usize) -> bool {
        self.bytes.get(bit / 8).is_some_and(|octet| octet & (0x80 >> (bit % 8)) != 0)
    }

    /// Returns the numbers of the bits that are set, ascending.
    pub fn ones(&self) -> Vec<usize> {
        (0..self.len()).filter(|bit| self.has(*bit)).collect()
    }

    /// Returns the number of bits.
    pub fn len(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(usize::from(self.unused))
    }

    /// True if the string has no bits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn set(&mut self, bit: usize) {
        if self.bytes.len() <= bit / 8 {
            self.bytes.resize(bit / 8 + 1, 0);
        }
        if let Some(octet) = self.bytes.get_mut(bit / 8) {
            *octet |= 0x80 >> (bit % 8);
        }
        let trailing = self.bytes.last().map_or(0, |last| last.trailing_zeros());
        self.unused = u8::try_from(trailing.min(7)).unwrap_or(0);
    }
}

impl fmt::Debug for BitString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        for bit in 0..self.len() {
            f.write_str(if self.has(bit) { "1" } else { "0" })?;
        }
        f.write_str("'B")
    }
}

impl Serialize for BitString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.ones())
    }
}

impl Asn1 for BitString {
    const TAG: Tag = Tag::BIT_STRING;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        let mut contents = vec![self.unused];
        contents.extend_from_slice(&self.bytes);
        write_tlv(tag, &contents, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = reader.clone();
        let (unused, octets) = match reader.contents(tag)?.split_first() {
            Some((unused @ 0..=7, octets)) => (*unused, octets),
            Some(_) => return Err(at.error(Problem::BadValue("a BIT STRING has at most 7 unused bits"))),
            None => {
                not_der(&at, "BIT STRING without octets");
                (0, &[][..])
            }
        };
        let mut bytes = octets.to_vec();
        match bytes.last_mut() {
            Some(last) if *last & ((1 << unused) - 1) != 0 => {
                not_der(&at, "BIT STRING with unused bits that are set");
                *last &= !((1 << unused) - 1);
            }
            None if unused != 0 => {
                not_der(&at, "BIT STRING with unused bits and no others");
                return Ok(Self::default());
            }
            _ => {}
        }
        Ok(Self { unused, bytes })
    }

    fn shape() -> Shape {
        Shape::debugged::<Self>()
    }
}

/// Elements that are unknown to a type, kept so that they can be forwarded or reported.
///
/// As the last field of a `sequence!` it takes all elements after the known ones.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Unknown(pub Vec<u8>);

impl Serialize for Unknown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl Asn1 for Unknown {
    const TAG: Tag = Tag::CHOICE;

    fn encode_as(&self, _: Tag, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn decode_as(_: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut kept = Vec::new();
        while let Some(tag) = reader.peek()? {
            let offset = reader.offset();
            kept.extend_from_slice(reader.whole_tlv()?);
            // The contents may be a key, and findings are logged.
            report(FindingKind::UnknownElement, || format!("element {tag} at octet {offset}"));
        }
        Ok(Self(kept))
    }

    fn starts_with(_: Tag, _: Tag) -> bool {
        true
    }
}
