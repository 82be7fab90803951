//! Parser for the segments of a Bound Profile Package: SGP.22 sections 2.5.5 and 5.7.6.
//!
//! Segments end at TLV boundaries. The header of a TLV can arrive in an earlier segment than its
//! contents. The parser then counts the missing octets.

use rsp::der::{Asn1, Problem, Reader, Tag};
use rsp::sgp22::es8plus::{BoundProfilePackage, InitialiseSecureChannelRequest};

/// The parser position in the package.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stream {
    place: Place,
}

#[derive(Clone, Copy, Debug, Default)]
enum Place {
    #[default]
    Start,
    /// Between sequences; `left` octets of the package remain.
    Between { after: Tag, left: usize },
    /// In a sequence; `left` octets of it and `left_after` octets of the package after it remain.
    Within { sequence: Tag, left: usize, left_after: usize },
}

/// An element found in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A complete TLV BF23.
    InitialiseSecureChannel(Vec<u8>),
    /// A complete TLV 86, 87 or 88.
    Segment(Vec<u8>),
    /// The end of a sequence.
    EndOfSequence,
}

/// The segment violates the structure of the package.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InvalidStructure;

// req: SGP.22-5.7.6-Truncated
impl From<rsp::der::DecodeError> for InvalidStructure {
    fn from(_: rsp::der::DecodeError) -> Self {
        Self
    }
}

impl Stream {
    /// Returns the elements of the next segment.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<Vec<Part>, InvalidStructure> {
        let mut reader = Reader::new(piece);
        let mut parts = Vec::new();
        while !reader.is_empty() {
            self.place = self.place.step(&mut reader, &mut parts)?;
        }
        Ok(parts)
    }

    /// True if all octets that the headers announced have been received.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.place, Place::Between { left: 0, .. })
    }
}

impl Place {
    fn step(self, reader: &mut Reader<'_>, parts: &mut Vec<Part>) -> Result<Self, InvalidStructure> {
        match self {
            Self::Start => {
                let (tag, length) = reader.header()?;
                if tag != BoundProfilePackage::TAG {
                    return Err(InvalidStructure);
                }
                let request = whole(reader, InitialiseSecureChannelRequest::TAG)?;
                let left = length.checked_sub(request.len()).ok_or(InvalidStructure)?;
                parts.push(Part::InitialiseSecureChannel(request));
                Ok(Self::Between { after: InitialiseSecureChannelRequest::TAG, left })
            }
            Self::Between { after, left } => {
                let before = reader.offset();
                let (sequence, length) = reader.header()?;
                let header = reader.offset().saturating_sub(before);
                let left_after = left
                    .checked_sub(header)
                    .and_then(|left| left.checked_sub(length))
                    .ok_or(InvalidStructure)?;
                if !may_follow(after, sequence) || length == 0 {
                    return Err(InvalidStructure);
                }
                Ok(Self::Within { sequence, left: length, left_after })
            }
            Self::Within { sequence, left, left_after } => {
                let segment = whole(reader, segment_of(sequence))?;
                let left = left.checked_sub(segment.len()).ok_or(InvalidStructure)?;
                parts.push(Part::Segment(segment));
                if left > 0 {
                    return Ok(Self::Within { sequence, left, left_after });
                }
                parts.push(Part::EndOfSequence);
                Ok(Self::Between { after: sequence, left: left_after })
            }
        }
    }
}

fn whole(reader: &mut Reader<'_>, tag: Tag) -> Result<Vec<u8>, InvalidStructure> {
    match reader.peek()? {
        Some(found) if found == tag => Ok(reader.whole_tlv()?.to_vec()),
        _ => Err(reader.error(Problem::Missing { expected: tag }).into()),
    }
}

fn may_follow(before: Tag, sequence: Tag) -> bool {
    matches!(
        (before, sequence),
        (InitialiseSecureChannelRequest::TAG, FIRST_SEQUENCE_OF_87)
            | (FIRST_SEQUENCE_OF_87, SEQUENCE_OF_88)
            | (SEQUENCE_OF_88, SECOND_SEQUENCE_OF_87 | SEQUENCE_OF_86)
            | (SECOND_SEQUENCE_OF_87, SEQUENCE_OF_86)
    )
}

fn segment_of(sequence: Tag) -> Tag {
    match sequence {
        SEQUENCE_OF_88 => Tag(0x88),
        SEQUENCE_OF_86 => Tag(0x86),
        _ => Tag(0x87),
    }
}

const FIRST_SEQUENCE_OF_87: Tag = Tag(0xA0);
const SEQUENCE_OF_88: Tag = Tag(0xA1);
const SECOND_SEQUENCE_OF_87: Tag = Tag(0xA2);
const SEQUENCE_OF_86: Tag = Tag(0xA3);

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(hex: &str, cut: usize) -> Result<(Vec<Part>, bool), InvalidStructure> {
        let package = hex::decode(hex).unwrap();
        let mut stream = Stream::default();
        let (first, rest) = package.split_at(cut);
        let mut parts = stream.take(first)?;
        parts.extend(stream.take(rest)?);
        Ok((parts, stream.is_complete()))
    }

    const PACKAGE: &str = "bf3614 bf2300 a00387 0101 a1058801018800 a30386 01ff";

    #[test]
    fn headers_can_arrive_before_their_contents() {
        let package = PACKAGE.replace(' ', "");
        let expected = [
            Part::InitialiseSecureChannel(vec![0xBF, 0x23, 0]),
            Part::Segment(vec![0x87, 1, 1]),
            Part::EndOfSequence,
            Part::Segment(vec![0x88, 1, 1]),
            Part::Segment(vec![0x88, 0]),
            Part::EndOfSequence,
            Part::Segment(vec![0x86, 1, 0xFF]),
            Part::EndOfSequence,
        ];
        // Cuts at all TLV boundaries.
        for cut in [6, 8, 11, 13, 16, 18, 20] {
            assert_eq!(
                take_all(&package, cut),
                Ok((Vec::from_iter(expected.iter().map(clone)), true)),
                "{cut}"
            );
        }
        for cut in [1, 4, 7, 9, 14] {
            assert_eq!(take_all(&package, cut), Err(InvalidStructure), "{cut}");
        }
    }

    fn clone(part: &Part) -> Part {
        match part {
            Part::InitialiseSecureChannel(octets) => Part::InitialiseSecureChannel(octets.clone()),
            Part::Segment(octets) => Part::Segment(octets.clone()),
            Part::EndOfSequence => Part::EndOfSequence,
        }
    }

    #[test]
    fn order_and_lengths_are_checked() {
        for package in [
            "bf3603bf2400",
            "bf3602bf2300",
            "bf360bbf2300a1058801018800",
            "bf3608bf2300a003860101",
            "bf3605bf2300a000",
            "bf3608bf2300a002870101",
            "bf3607bf2300a003870101",
        ] {
            assert_eq!(take_all(package, 0).err(), Some(InvalidStructure), "{package}");
        }
        assert!(!take_all("bf3620bf2300a003870101", 0).unwrap().1);
    }
}
