//! Reading TLVs from a slice, knowing always how far from the start one is.

use super::{DecodeError, Problem, Tag};

/// No type of SGP.22 or of the profile package comes near this depth.
pub(super) const MAX_DEPTH: u8 = 32;

/// A position in a run of TLVs.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    offset: usize,
    depth: u8,
}

impl<'a> Reader<'a> {
    /// At the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, offset: 0, depth: 0 }
    }

    /// Octets read since the start of the outermost input.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Whether all has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next tag, without moving.
    ///
    /// # Errors
    /// The bytes end inside the tag, or it is not in its shortest form.
    pub fn peek(&self) -> Result<Option<Tag>, DecodeError> {
        if self.rest.is_empty() { Ok(None) } else { self.clone().tag().map(Some) }
    }

    /// The next TLV: its tag and its contents.
    ///
    /// # Errors
    /// The bytes end too early or are not DER.
    pub fn tlv(&mut self) -> Result<(Tag, &'a [u8]), DecodeError> {
        let (tag, length) = self.header()?;
        Ok((tag, self.take(length)?))
    }

    /// The next tag and length, leaving the reader at the first octet of the contents (which need not be there).
    ///
    /// # Errors
    /// The bytes end inside the header, or it is not DER.
    pub fn header(&mut self) -> Result<(Tag, usize), DecodeError> {
        Ok((self.tag()?, self.length()?))
    }

    /// The next TLV whole, header included, whatever its tag.
    ///
    /// # Errors
    /// The bytes end too early or are not DER.
    pub fn whole_tlv(&mut self) -> Result<&'a [u8], DecodeError> {
        let start = self.rest;
        self.tlv()?;
        let length = start.len().saturating_sub(self.rest.len());
        Ok(start.get(..length).unwrap_or_default())
    }

    /// The contents of the next TLV, which must carry `tag`.
    ///
    /// # Errors
    /// Another tag, no more TLV, or not DER.
    pub fn contents(&mut self, tag: Tag) -> Result<&'a [u8], DecodeError> {
        self.expect(tag)?;
        Ok(self.tlv()?.1)
    }

    /// A reader over the contents of the next TLV, which must carry `tag`.
    ///
    /// # Errors
    /// Another tag, no more TLV, not DER, or too deep.
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

    /// Nothing may remain.
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

    /// Unknown elements after the known ones are legal (`EXTENSIBILITY IMPLIED`), but they must be TLVs.
    ///
    /// # Errors
    /// What remains is not a run of DER TLVs.
    pub fn skip_unknown(&mut self) -> Result<(), DecodeError> {
        while !self.is_empty() {
            self.tlv()?;
        }
        Ok(())
    }

    /// `problem` at the present position.
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
        if shortest { Ok(length) } else { Err(start) }
    }
}
