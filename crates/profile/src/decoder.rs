//! Reading a profile package as it arrives, PE by PE.

use rsp::der::{Asn1, DecodeError, Problem, Reader, Tag, tlv};

use crate::element::{PeHeader, ProfileElement};

/// The longest PE that is taken in, in octets. A load block is the longest thing in a package, and no card has
/// room for one this long.
pub const MAX_PROFILE_ELEMENT: usize = 1 << 20;

/// Takes the octets of a package in pieces of any size and gives back each PE as soon as it is complete.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Octets of PEs already given back.
    before: usize,
    elements: usize,
    broken: bool,
}

impl Decoder {
    /// At the start of a package.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what came next; [`Decoder::next_element`] then gives back what is complete.
    ///
    /// # Errors
    /// The PE under way says that it is longer than [`MAX_PROFILE_ELEMENT`], or does not begin like one.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.buffer.extend_from_slice(bytes);
        self.announced().map(|_| ())
    }

    /// The next complete PE; `None` until more has come.
    ///
    /// # Errors
    /// The octets are not a PE. Nothing more can be read after that.
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

    /// The package ends here.
    ///
    /// # Errors
    /// It ends inside a PE.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.buffer.is_empty() {
            Ok(())
        } else {
            Err(self.placed(DecodeError::new(self.buffer.len(), Problem::Truncated)))
        }
    }

    /// The identification in the header of the PE under way, as far as it can be read: for the status report.
    pub fn identification(&self) -> Option<u16> {
        let mut reader = Reader::new(&self.buffer);
        let (tag, _) = reader.header().ok()?;
        // The profile header has no PE header; what looks like one there is its version.
        if tag == Tag(0xA0) {
            return None;
        }
        let header = PeHeader::decode_as(Tag(0xA0), &mut reader).ok()?;
        u16::try_from(header.identification).ok()
    }

    /// Octets kept for the PE under way.
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
