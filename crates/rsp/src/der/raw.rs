//! Values that keep the octets they were decoded from, so that signatures are verified over the
//! received octets.

use std::ops::Deref;

use super::{Asn1, DecodeError, Reader, Shape, Tag, tlv};

/// A decoded value together with the octets it was decoded from.
///
/// Encoding emits those octets; the value is never encoded again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw<T> {
    bytes: Vec<u8>,
    value: T,
}

impl<T: Asn1> Raw<T> {
    /// Encodes `value` once and keeps the octets.
    pub fn new(value: T) -> Self {
        Self::tagged(value, T::TAG)
    }

    /// Like [`Raw::new`], with the tag that the enclosing structure assigns to the value.
    pub fn tagged(value: T, tag: Tag) -> Self {
        let mut bytes = Vec::new();
        value.encode_as(tag, &mut bytes);
        Self { bytes, value }
    }
}

impl<T> Raw<T> {
    /// Returns the whole TLV as received or as first encoded.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the value without the octets.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T> Deref for Raw<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Asn1> Asn1 for Raw<T> {
    const TAG: Tag = T::TAG;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        if T::TAG == Tag::CHOICE && tag != Tag::CHOICE {
            return super::write_tlv(tag, &self.bytes, out);
        }
        match tlv::split(&self.bytes) {
            // The contents are written under another tag, so only the header differs.
            Some((own, contents)) if own != tag && tag != Tag::CHOICE => super::write_tlv(tag, contents, out),
            _ => out.extend_from_slice(&self.bytes),
        }
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        // A tag around a CHOICE is a wrapper. Only the alternative inside is signed or forwarded.
        if T::TAG == Tag::CHOICE && tag != Tag::CHOICE {
            let mut inner = reader.enter(tag)?;
            let raw = Self::decode_as(Tag::CHOICE, &mut inner)?;
            inner.finish()?;
            return Ok(raw);
        }
        let start = reader.rest();
        let value = T::decode_as(tag, reader)?;
        let length = start.len().saturating_sub(reader.rest().len());
        Ok(Self { bytes: start.get(..length).unwrap_or_default().to_vec(), value })
    }

    fn starts_with(tag: Tag, next: Tag) -> bool {
        T::starts_with(tag, next)
    }

    fn shape() -> Shape {
        T::shape()
    }
}
