//! The profile package: a sequence of PEs without an envelope.

use rsp::der::{Asn1, DecodeError, Tag};
use serde::Serialize;

use crate::decoder::Decoder;
use crate::element::{FileSystemElement, FileSystemKind, ProfileElement, ProfileHeader};

/// A profile package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Package {
    /// The PEs in order.
    pub elements: Vec<ProfileElement>,
}

impl Package {
    /// Parses a package from all of `bytes`.
    ///
    /// # Errors
    /// The bytes are not a sequence of PEs. The path begins with the index of the PE, counted from
    /// 0.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut package = Self::default();
        package.read(bytes)?;
        Ok(package)
    }

    /// Parses a package like [`Self::from_der`], but keeps the PEs before the first invalid one.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut decoder = Decoder::new();
        // The bytes are passed in pieces, so that a long package is not copied again for each of
        // its PEs.
        for piece in bytes.chunks(PIECE) {
            decoder.feed(piece)?;
            while let Some(element) = decoder.next_element()? {
                self.elements.push(element);
            }
        }
        decoder.finish()
    }

    /// The package in DER. A decoded package is reproduced byte for byte.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for element in &self.elements {
            element.encode_as(Tag::CHOICE, &mut out);
        }
        out
    }

    /// The profile header, if the package begins with one.
    pub fn header(&self) -> Option<&ProfileHeader> {
        match self.elements.first() {
            Some(ProfileElement::Header(header)) => Some(header),
            _ => None,
        }
    }

    /// The first file system PE of a kind.
    pub fn file_system(&self, kind: FileSystemKind) -> Option<&FileSystemElement> {
        self.elements.iter().find_map(|element| match element {
            ProfileElement::FileSystem(element) if element.kind == kind => Some(element),
            _ => None,
        })
    }
}

/// Number of bytes that are passed to the decoder at once.
const PIECE: usize = 4096;
