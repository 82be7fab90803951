//! Decoding of PDU bodies: SMPP 3.4 section 3.1.

use super::numbers::{Status, Tag};

/// Maximum number of optional parameters in a PDU. Messages need a few.
const MAX_PARAMETERS: usize = 64;

pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    pub(super) fn octets(&mut self, count: usize) -> Option<&'a [u8]> {
        let (octets, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(octets)
    }

    pub(super) fn octet(&mut self) -> Result<u8, Status> {
        let (octet, rest) = self.0.split_first().ok_or(Status::INVALID_COMMAND_LENGTH)?;
        self.0 = rest;
        Ok(*octet)
    }

    fn number(&mut self) -> Result<u16, Status> {
        Ok(u16::from_be_bytes([self.octet()?, self.octet()?]))
    }

    /// Reads a C-octet string of at most `size` octets including its end. Only printable ASCII is
    /// accepted, because addresses, accounts and times contain nothing else.
    pub(super) fn text(&mut self, size: usize, bad: Status) -> Result<String, Status> {
        let end = self.0.iter().take(size).position(|octet| *octet == 0).ok_or(bad)?;
        let octets = self.octets(end).ok_or(bad)?;
        self.octet()?;
        let is_printable = octets.iter().all(|octet| octet.is_ascii_graphic() || *octet == b' ');
        is_printable.then(|| String::from_utf8_lossy(octets).into_owned()).ok_or(bad)
    }

    /// Reads the rest of the body as optional parameters.
    pub(super) fn parameters(&mut self) -> Result<Vec<(Tag, Vec<u8>)>, Status> {
        let mut parameters = Vec::new();
        while !self.0.is_empty() {
            if parameters.len() >= MAX_PARAMETERS {
                return Err(Status::INVALID_OPTIONAL_PART);
            }
            let tag = Tag(self.number().map_err(|_| Status::INVALID_OPTIONAL_PART)?);
            let length = self.number().map_err(|_| Status::INVALID_OPTIONAL_PART)?;
            let value = self.octets(usize::from(length)).ok_or(Status::INVALID_PARAMETER_LENGTH)?;
            parameters.push((tag, value.to_vec()));
        }
        Ok(parameters)
    }
}
