//! The DER codec of every ASN.1 type, with tags written as the standards print them. It writes DER,
//! and decodes deviations that no standard requires to be refused.
//!
//! A type is described once, with [`sequence!`](crate::sequence), [`choice!`](crate::choice) or
//! [`codes!`](crate::codes). Encoder and decoder both follow from the description. Three rules of
//! this project apply:
//!
//! - Octets covered by a signature are kept as received ([`Raw`]).
//! - Unknown elements are skipped, as `EXTENSIBILITY IMPLIED` requires, and reported as findings. A
//!   type whose last field is of type [`Unknown`] keeps them instead.
//! - Lengths and primitive values in a form that BER allows and DER does not are decoded and reported
//!   as findings. Any other deviation is refused, with the path and the offset of the error.
//!
//! `docs/decisions/0002-der-codec.md` explains why the types are not derived with a published
//! codec.

mod elements;
mod error;
mod expected;
mod list;
mod macros;
mod primitive;
mod raw;
mod reader;
mod shape;
mod tag;
pub mod tlv;

pub use elements::Elements;
pub use error::{DecodeError, Problem};
pub use expected::{Length, known_bits, tag_in_use, usually};
pub use list::{List, Opaque};
pub use primitive::{BitString, Null, Unknown};
pub use raw::Raw;
pub use reader::Reader;
pub use shape::{Field, Shape, Shown};
pub use tag::Tag;

/// An ASN.1 type that can be encoded and decoded.
///
/// The parameter `tag` supports implicit tagging: a field has the tag that its SEQUENCE assigns,
/// not its own.
pub trait Asn1: Sized {
    /// The type's own tag, or [`Tag::CHOICE`] for an untagged CHOICE, which has no tag.
    const TAG: Tag;

    /// Appends the whole TLV with tag `tag`, or nothing for an absent optional element.
    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>);

    /// Decodes the whole TLV with tag `tag`.
    ///
    /// # Errors
    /// The octets are not DER of this type.
    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// True if an element whose first tag is `next` can be an element of this type tagged `tag`.
    fn starts_with(tag: Tag, next: Tag) -> bool {
        tag == next
    }

    /// The structure of the encoded value, for display.
    fn shape() -> Shape {
        Shape::Octets
    }

    /// Encodes the value to DER with its own tag.
    fn to_der(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode_as(Self::TAG, &mut out);
        out
    }

    /// Decodes exactly one value from all of `bytes`.
    ///
    /// # Errors
    /// The octets are not DER of this type, or octets remain after it.
    fn from_der(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode_as(Self::TAG, &mut reader)?;
        reader.finish()?;
        Ok(value)
    }

    /// Decodes one value from a message of a peer. Octets after the value are a finding.
    ///
    /// # Errors
    /// The octets do not begin with a value of this type.
    fn from_peer(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode_as(Self::TAG, &mut reader)?;
        reader.report_trailing();
        Ok(value)
    }
}

/// Appends `tag`, the length of `contents`, and `contents`.
pub fn write_tlv(tag: Tag, contents: &[u8], out: &mut Vec<u8>) {
    tag.write(out);
    write_length(contents.len(), out);
    out.extend_from_slice(contents);
}

/// Returns one TLV.
pub fn tlv_bytes(tag: Tag, contents: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(contents.len().saturating_add(8));
    write_tlv(tag, contents, &mut out);
    out
}

/// Appends a definite length in its shortest form.
pub fn write_length(length: usize, out: &mut Vec<u8>) {
    if let Ok(short @ 0..=0x7F) = u8::try_from(length) {
        out.push(short);
        return;
    }
    let bytes = length.to_be_bytes();
    let significant: Vec<u8> = bytes.iter().copied().skip_while(|b| *b == 0).collect();
    out.push(0x80 | u8::try_from(significant.len()).unwrap_or(0x7F));
    out.extend(significant);
}

impl<T: Asn1> Asn1 for Option<T> {
    const TAG: Tag = T::TAG;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        if let Some(value) = self {
            value.encode_as(tag, out);
        }
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.peek()? {
            Some(next) if T::starts_with(tag, next) => T::decode_as(tag, reader).map(Some),
            _ => Ok(None),
        }
    }

    fn shape() -> Shape {
        T::shape()
    }
}

impl<T: Asn1> Asn1 for Box<T> {
    const TAG: Tag = T::TAG;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        T::encode_as(self, tag, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        T::decode_as(tag, reader).map(Box::new)
    }

    fn starts_with(tag: Tag, next: Tag) -> bool {
        T::starts_with(tag, next)
    }

    fn shape() -> Shape {
        T::shape()
    }
}

/// SEQUENCE OF (and SET OF in the order given).
impl<T: Asn1> Asn1 for Vec<T> {
    const TAG: Tag = Tag::SEQUENCE;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        let mut contents = Vec::new();
        for element in self {
            element.encode_as(T::TAG, &mut contents);
        }
        write_tlv(tag, &contents, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut inner = reader.enter(tag)?;
        let mut elements = Self::new();
        while !inner.is_empty() {
            let index = elements.len();
            elements.push(T::decode_as(T::TAG, &mut inner).map_err(|e| e.within_element(index))?);
        }
        Ok(elements)
    }

    fn shape() -> Shape {
        Shape::SequenceOf(T::TAG, T::shape)
    }
}

#[cfg(test)]
mod tests;
