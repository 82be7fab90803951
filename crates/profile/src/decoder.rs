//! Streaming decoder of a profile package, PE by PE.

use rsp::der::{Asn1, DecodeError, Problem, Reader, Tag, tlv};

use crate::element::{PeHeader, ProfileElement};

/// Maximum length of a PE in bytes. The longest PE is a load block, and no card has room for one of
/// this length.
pub const MAX_PROFILE_ELEMENT: usize = 1 << 20;

/// Accepts the bytes of a package in pieces of any size and returns each PE as soon as it is
/// complete.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Bytes of PEs that were already returned.
    before: usize,
    elements: usize,
    broken: bool,
}

impl Decoder {
    /// Creates a decoder at the start of a package.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes; [`Decoder::next_element`] then returns the complete PEs.
    ///
    /// # Errors
    /// The current PE is longer than [`MAX_PROFILE_ELEMENT`] or does not begin like a PE.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.buffer.extend_from_slice(bytes);
        self.announced().map(|_| ())
    }

    /// The next complete PE; `None` until more bytes have arrived.
    ///
    /// # Errors
    /// The bytes are not a PE. Nothing more can be read after that.
    pub fn next_element(&mut self) -> Result<Option<ProfileElement>, DecodeError> {
        let Some(length) = self.announced()? else { return Ok(None) };
        let Some((bytes, rest)) = self.buffer.split_at_checked(length) else { return Ok(None) };
        match ProfileElement::from_der(bytes) {
            Ok(element) => {
                self.buffer = rest.to_vec();
                self.before = self.before.saturating_add(length);
                self.elements = self.elements.saturating_add(1);
                Ok(Some(element))
            }
            Err(error) => {
                self.broken = true;
                Err(self.placed(error))
            }
        }
    }

    /// Ends the package.
    ///
    /// # Errors
    /// The package ends inside a PE.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.buffer.is_empty() {
            Ok(())
        } else {
            Err(self.placed(DecodeError::new(self.buffer.len(), Problem::Truncated)))
        }
    }

    /// The identification in the header of the incomplete PE, as far as it can be read, for the
    /// status report.
    pub fn identification(&self) -> Option<u16> {
        let mut reader = Reader::new(&self.buffer);
        let (tag, _) = reader.header().ok()?;
        // In the profile header, which has no PE header, this position has the version.
        if tag == Tag(0xA0) {
            return None;
        }
        let header = PeHeader::decode_as(Tag(0xA0), &mut reader).ok()?;
        u16::try_from(header.identification).ok()
    }

    /// Bytes kept for the incomplete PE.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    fn announced(&mut self) -> Result<Option<usize>, DecodeError> {
        if self.broken {
            return Err(
                self.placed(DecodeError::new(0, Problem::BadValue("nothing can be read after an error")))
            );
        }
        let announced = match tlv::announced_length(&self.buffer) {
            Ok(Some(length)) if length > MAX_PROFILE_ELEMENT => {
                Err(DecodeError::new(0, Problem::BadValue("the profile element is longer than any can be")))
            }
            other => other,
        };
        announced.map_err(|error| {
            self.broken = true;
            self.placed(error)
        })
    }

    fn placed(&self, mut error: DecodeError) -> DecodeError {
        error.offset = error.offset.saturating_add(self.before);
        error.within_element(self.elements)
    }
}
