//! A reader of octets that are not DER: packets of fixed fields, lengths of one octet,
//! COMPREHENSION-TLVs, DGIs.

use crate::der::{DecodeError, Problem, Reader};
use crate::finding::{FindingKind, report};

/// A position in an octet string. Every error contains the offset.
#[derive(Clone, Copy, Debug)]
pub struct Octets<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Octets<'a> {
    /// Creates a reader at the start of `octets`.
    pub const fn new(octets: &'a [u8]) -> Self {
        Self { rest: octets, offset: 0 }
    }

    /// Creates a reader at the start of `octets`, which are at `offset` of a larger input.
    pub const fn at(octets: &'a [u8], offset: usize) -> Self {
        Self { rest: octets, offset }
    }

    /// Returns the offset in the larger input.
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// True if everything has been read.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the octets that have not been read yet, without advancing.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Returns the next octet, without advancing.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Reads the next `count` octets.
    ///
    /// # Errors
    /// Fewer octets remain.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(self.error(Problem::Truncated))?;
        self.rest = rest;
        self.offset = self.offset.saturating_add(count);
        Ok(taken)
    }

    /// Reads all remaining octets.
    pub fn take_rest(&mut self) -> &'a [u8] {
        let taken = self.rest;
        self.offset = self.offset.saturating_add(taken.len());
        self.rest = &[];
        taken
    }

    /// Reads the next octets into an array.
    ///
    /// # Errors
    /// Fewer octets remain.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let truncated = self.error(Problem::Truncated);
        self.take(N)?.try_into().map_err(|_| truncated)
    }

    /// Reads the next octet.
    ///
    /// # Errors
    /// No octet remains.
    pub fn octet(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[octet]| octet)
    }

    /// Reads the next two octets as a big-endian number.
    ///
    /// # Errors
    /// Fewer octets remain.
    pub fn number16(&mut self) -> Result<u16, DecodeError> {
        self.array().map(u16::from_be_bytes)
    }

    /// Reads a field that is preceded by its length in one octet.
    ///
    /// # Errors
    /// The input ends inside the field.
    pub fn field(&mut self) -> Result<Octets<'a>, DecodeError> {
        let length = usize::from(self.octet()?);
        let offset = self.offset;
        Ok(Octets { rest: self.take(length)?, offset })
    }

    /// Reads a length in the encoding of TS 102 223 and GlobalPlatform: one octet up to 7F,
    /// otherwise 81, 82 or 83 followed by as many octets. A form that is not the shortest is a finding.
    ///
    /// # Errors
    /// The input ends too early, or the length has no or more than three octets.
    pub fn ber_length(&mut self) -> Result<usize, DecodeError> {
        let start = self.offset;
        let octets = match self.octet()? {
            short @ 0..=0x7F => return Ok(usize::from(short)),
            long @ 0x81..=0x83 => self.take(usize::from(long & 0x7F))?,
            _ => return Err(DecodeError::new(start, Problem::NotShortest)),
        };
        let length = octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet));
        let shortest = if octets.len() == 1 { length >= 0x80 } else { octets.first() != Some(&0) };
        if !shortest {
            report(FindingKind::NotDer, || {
                format!("the length {length} has {} octets at octet {start}", octets.len())
            });
        }
        Ok(length)
    }

    /// Checks that everything has been read.
    ///
    /// # Errors
    /// Octets remain.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(self.error(Problem::TrailingBytes { count })),
        }
    }

    /// Reports the octets that have not been read as a finding.
    pub fn report_trailing(&self) {
        if !self.rest.is_empty() {
            report(FindingKind::TrailingOctets, || format!("{} octets", self.rest.len()));
        }
    }

    /// Creates an error at the current position.
    pub fn error(&self, problem: Problem) -> DecodeError {
        DecodeError::new(self.offset, problem)
    }

    /// Creates a [`Problem::BadValue`] error at the current position.
    pub fn bad(&self, what: &'static str) -> DecodeError {
        self.error(Problem::BadValue(what))
    }
}

/// The octets that a reader of TLVs has not read yet, which are not TLVs.
impl<'a> From<Reader<'a>> for Octets<'a> {
    fn from(reader: Reader<'a>) -> Self {
        Self { rest: reader.rest(), offset: reader.offset() }
    }
}

/// Serde functions that encode octets as hexadecimal text, for records.
pub mod hex_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Serialises octets as hexadecimal digits.
    ///
    /// # Errors
    /// The serializer failed.
    pub fn serialize<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode_upper(octets))
    }

    /// Deserialises octets from hexadecimal digits.
    ///
    /// # Errors
    /// The text is not hexadecimal.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        hex::decode(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::collect;

    #[test]
    fn a_length_in_another_form_is_a_finding() {
        for (octets, length) in
            [(&[0x7F][..], 0x7F), (&[0x81, 0x80], 0x80), (&[0x82, 1, 0], 0x100), (&[0x83, 1, 0, 0], 0x1_0000)]
        {
            assert_eq!(Octets::new(octets).ber_length(), Ok(length));
        }
        for (octets, length) in [(&[0x81, 0x7F][..], 0x7F), (&[0x82, 0, 0x80], 0x80)] {
            let (found, findings) = collect(|| Octets::new(octets).ber_length());
            assert_eq!(found, Ok(length));
            assert_eq!(findings.iter().map(|it| it.kind).collect::<Vec<_>>(), [FindingKind::NotDer]);
        }
        for octets in [&[0x80][..], &[0x84, 1, 0, 0, 0], &[0xFF]] {
            assert_eq!(
                Octets::at(octets, 7).ber_length().map_err(|e| (e.offset, e.problem)),
                Err((7, Problem::NotShortest))
            );
        }
    }

    #[test]
    fn an_error_contains_the_offset() {
        let mut octets = Octets::new(&[2, 1]);
        assert_eq!(octets.octet(), Ok(2));
        assert_eq!(octets.take(2), Err(DecodeError::new(1, Problem::Truncated)));
        assert_eq!(octets.finish(), Err(DecodeError::new(1, Problem::TrailingBytes { count: 1 })));
        assert_eq!(octets.take_rest(), [1]);
        assert_eq!((octets.offset(), octets.finish()), (2, Ok(())));
    }
}
