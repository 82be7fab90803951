//! Lists and values of other parties that a receiver does not have to understand completely.

use std::{marker::PhantomData, ops::Deref};

use super::{Asn1, DecodeError, Raw, Reader, Shape, Tag, write_tlv};
use crate::finding::{FindingKind, report};

/// A SEQUENCE OF whose entries do not depend on each other. An entry that cannot be decoded is a
/// finding, and the others are used. A SEQUENCE inside a context tag, which replaces the tag of the
/// SEQUENCE, is a finding too, unless it can be an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<T: Asn1> Asn1 for List<T> {
    const TAG: Tag = Tag::SEQUENCE;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        self.0.encode_as(tag, out);
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut inner = reader.enter(tag)?;
        let can_be_entry = T::starts_with(T::TAG, Tag::SEQUENCE);
        if tag != Tag::SEQUENCE && !can_be_entry && inner.peek() == Ok(Some(Tag::SEQUENCE)) {
            report(FindingKind::NestedSequence, || format!("tag {tag}"));
            inner = inner.enter(Tag::SEQUENCE)?;
        }
        let mut entries = Vec::new();
        let mut number = 0_usize;
        while !inner.is_empty() {
            let mut entry = inner.clone();
            match T::decode_as(T::TAG, &mut entry) {
                Ok(decoded) => {
                    entries.push(decoded);
                    inner = entry;
                }
                Err(error) => {
                    inner.whole_tlv()?;
                    report(FindingKind::EntryUnreadable, || error.within_element(number).to_string());
                }
            }
            number = number.saturating_add(1);
        }
        Ok(Self(entries))
    }

    fn shape() -> Shape {
        Vec::<T>::shape()
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> FromIterator<T> for List<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

/// The octets of a value of type `T` that the receiver only forwards. Octets that cannot be decoded
/// are a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opaque<T> {
    bytes: Vec<u8>,
    of: PhantomData<T>,
}

impl<T> Opaque<T> {
    /// Creates a value from one TLV.
    pub fn new(tlv: Vec<u8>) -> Self {
        Self { bytes: tlv, of: PhantomData }
    }

    /// Returns the whole TLV.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<T: Asn1> Opaque<T> {
    /// Decodes the octets.
    ///
    /// # Errors
    /// The octets are not a value of type `T`.
    pub fn decode(&self) -> Result<Raw<T>, DecodeError> {
        Raw::from_der(&self.bytes)
    }
}

impl<T> From<Raw<T>> for Opaque<T> {
    fn from(value: Raw<T>) -> Self {
        Self::new(value.bytes().to_vec())
    }
}

impl<T: Asn1> Asn1 for Opaque<T> {
    const TAG: Tag = T::TAG;

    fn encode_as(&self, tag: Tag, out: &mut Vec<u8>) {
        if tag == T::TAG {
            out.extend_from_slice(&self.bytes);
        } else {
            write_tlv(tag, &self.bytes, out);
        }
    }

    fn decode_as(tag: Tag, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let tlv = if tag == T::TAG { reader.whole_tlv()? } else { reader.contents(tag)? };
        if let Err(error) = T::from_der(tlv) {
            report(FindingKind::EntryUnreadable, || error.to_string());
        }
        Ok(Self::new(tlv.to_vec()))
    }

    fn starts_with(tag: Tag, next: Tag) -> bool {
        tag == T::TAG || tag == next
    }

    fn shape() -> Shape {
        T::shape()
    }
}
