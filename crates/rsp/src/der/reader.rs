//! A reader of TLVs from a slice that keeps track of its offset from the start.

use super::{DecodeError, Problem, Tag};
use crate::finding::{FindingKind, report};

/// The maximum nesting depth. All types of SGP.22 and of the profile package stay far below it.
pub(super) const MAX_DEPTH: u8 = 32;

/// A position in a sequence of TLVs.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
    depth: u8,
}

impl<'a> Reader<'a> {
    /// Creates a reader at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, offset: 0, depth: 0 }
    }

    /// Returns the number of octets read since the start of the outermost input.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// True if everything has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the octets that have not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Returns the next tag without advancing.
    ///
    /// # Errors
    /// The input ends inside the tag, or the tag is not in its shortest form.
    pub fn peek(&self) -> Result<Option<Tag>, DecodeError> {
        if self.rest.is_empty() { Ok(None) } else { self.clone().tag().map(Some) }
    }

    /// Reads the next tag of a list of tags without lengths and contents.
    ///
    /// # Errors
    /// The input ends inside the tag, or the tag is not in its shortest form.
    pub fn next_tag(&mut self) -> Result<Tag, DecodeError> {
        self.tag()
    }

    /// Reads the next TLV and returns its tag and its contents.
    ///
    /// # Errors
    /// The input ends too early, or a tag or a length is not decodable.
    pub fn tlv(&mut self) -> Result<(Tag, &'a [u8]), DecodeError> {
        let (tag, length) = self.header()?;
        Ok((tag, self.take(length)?))
    }

    /// Reads the next tag and length. The next octet to read is then the first octet of the
    /// contents, which may be missing.
    ///
    /// # Errors
    /// The input ends inside the header, or the header is not DER.
    pub fn header(&mut self) -> Result<(Tag, usize), DecodeError> {
        Ok((self.tag()?, self.length()?))
    }

    /// Reads the next TLV with any tag and returns it including its header.
    ///
    /// # Errors
    /// The input ends too early, or a tag or a length is not decodable.
    pub fn whole_tlv(&mut self) -> Result<&'a [u8], DecodeError> {
        let start = self.rest;
        self.tlv()?;
        let length = start.len().saturating_sub(self.rest.len());
        Ok(start.get(..length).unwrap_or_default())
    }

    /// Reads the next TLV, which must have tag `tag`, and returns its contents.
    ///
    /// # Errors
    /// The tag differs, the TLV is missing, or the input is not DER.
    pub fn contents(&mut self, tag: Tag) -> Result<&'a [u8], DecodeError> {
        self.expect(tag)?;
        Ok(self.tlv()?.1)
    }

    /// Returns a reader over the contents of the next TLV, which must have tag `tag`.
    ///
    /// # Errors
    /// The tag differs, the TLV is missing, the input is not DER, or the nesting is too deep.
    pub fn enter(&mut self, tag: Tag) -> Result<Reader<'a>, DecodeError> {
        self.expect(tag)?;
        if self.depth >= MAX_DEPTH {
            return Err(self.error(Problem::TooDeep));
        }
        let (_, contents) = self.tlv()?;
        Ok(Reader {
            rest: contents,
            offset: self.offset.saturating_sub(contents.len()),
            depth: self.depth.saturating_add(1),
        })
    }

    /// Checks that everything has been read.
    ///
    /// # Errors
    /// Octets remain.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.error(Problem::TrailingBytes { count: self.rest.len() }))
        }
    }

    /// Reports the octets that have not been read as a finding.
    pub fn report_trailing(&self) {
        if !self.rest.is_empty() {
            report(FindingKind::TrailingOctets, || format!("{} octets", self.rest.len()));
        }
    }

    /// Skips unknown elements of the type `of` after the known ones. They are allowed
    /// (`EXTENSIBILITY IMPLIED`) but must be TLVs.
    ///
    /// # Errors
    /// The remaining octets are not a sequence of TLVs.
    pub fn skip_unknown(&mut self, of: &str) -> Result<(), DecodeError> {
        while let Some(tag) = self.peek()? {
            self.skip(of, tag)?;
        }
        Ok(())
    }

    /// Skips elements of the type `of` up to the next one whose tag is among `known`.
    ///
    /// # Errors
    /// The octets up to that element are not a sequence of TLVs.
    pub fn skip_up_to(&mut self, of: &str, known: &[Tag]) -> Result<(), DecodeError> {
        while let Some(tag) = self.peek()?.filter(|tag| !known.contains(tag)) {
            self.skip(of, tag)?;
        }
        Ok(())
    }

    /// Skips unknown elements of the type `of` before its element number `next`, if one of its
    /// further elements follows them. `known` recognises the elements.
    pub fn skip_unknown_before(&mut self, of: &str, next: usize, known: &[fn(Tag) -> bool]) {
        let mut ahead = self.clone();
        loop {
            match ahead.peek() {
                Ok(Some(tag)) if known.iter().skip(next).any(|is| is(tag)) => break,
                Ok(Some(tag)) if !known.iter().any(|is| is(tag)) && ahead.tlv().is_ok() => {}
                // The decoder of the element reports the error.
                _ => return,
            }
        }
        while self.offset < ahead.offset
            && let Ok(Some(tag)) = self.peek()
            && self.skip(of, tag).is_ok()
        {}
    }

    fn skip(&mut self, of: &str, tag: Tag) -> Result<(), DecodeError> {
        let offset = self.offset;
        self.tlv()?;
        report(FindingKind::UnknownElement, || format!("{of}: element {tag} at octet {offset}"));
        Ok(())
    }

    /// Creates an error at the current position.
    pub fn error(&self, problem: Problem) -> DecodeError {
        DecodeError::new(self.offset, problem)
    }

    fn expect(&self, expected: Tag) -> Result<(), DecodeError> {
        match self.peek()? {
            Some(found) if found == expected => Ok(()),
            Some(found) => Err(self.error(Problem::UnexpectedTag { expected, found })),
            None => Err(self.error(Problem::Missing { expected })),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(self.error(Problem::Truncated))?;
        self.rest = rest;
        self.offset = self.offset.saturating_add(count);
        Ok(taken)
    }

    fn octet(&mut self) -> Result<u8, DecodeError> {
        let taken = self.take(1)?;
        taken.first().copied().ok_or(self.error(Problem::Truncated))
    }

    fn tag(&mut self) -> Result<Tag, DecodeError> {
        let start = self.error(Problem::NotShortest);
        let first = self.octet()?;
        let mut number = u32::from(first);
        if first & 0x1F != 0x1F {
            return Ok(Tag(number));
        }
        for position in 0..3 {
            let next = self.octet()?;
            if position == 0 && (next == 0x80 || next < 0x1F) {
                return Err(start);
            }
            number = number << 8 | u32::from(next);
            if next & 0x80 == 0 {
                return Ok(Tag(number));
            }
        }
        Err(start)
    }

    fn length(&mut self) -> Result<usize, DecodeError> {
        let start = self.error(Problem::NotShortest);
        let first = self.octet()?;
        if first < 0x80 {
            return Ok(usize::from(first));
        }
        let count = usize::from(first & 0x7F);
        if count == 0 || count > 4 {
            return Err(start);
        }
        let mut length = 0usize;
        for octet in self.take(count)? {
            length = length << 8 | usize::from(*octet);
        }
        let shortest = match count {
            1 => length >= 0x80,
            _ => length >> (8 * (count - 1)) != 0,
        };
        if !shortest {
            report(FindingKind::NotDer, || {
                format!("the length {length} has {count} octets at octet {}", start.offset)
            });
        }
        Ok(length)
    }
}
