//! The profile package: a run of PEs without anything around it.

use rsp::der::{Asn1, DecodeError, Tag};
use serde::Serialize;

use crate::decoder::Decoder;
use crate::element::{FileSystemElement, FileSystemKind, ProfileElement, ProfileHeader};

/// A whole profile package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Package {
    /// In order.
    pub elements: Vec<ProfileElement>,
}

impl Package {
    /// Reads a package, all of `bytes`.
    ///
    /// # Errors
    /// The octets are not a run of PEs; the path begins with the number of the PE, counted from 0.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut package = Self::default();
        package.read(bytes)?;
        Ok(package)
    }

    /// The same, keeping the PEs that come before what cannot be read.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut decoder = Decoder::new();
        // In pieces, so that a long package is not copied again for each of its PEs.
        for piece in bytes.chunks(PIECE) {
            decoder.feed(piece)?;
            while let Some(element) = decoder.next_element()? {
                self.elements.push(element);
            }
        }
        decoder.finish()
    }

    /// The package in DER; what was decoded comes back octet for octet.
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

/// How much of a package in memory goes into the decoder at once, in octets.
const PIECE: usize = 4096;
