//! XML as the web services of SGP.02 use it: Annex B.
//!
//! A type declares its elements once, with `structure!`, `function!` or `notification!`. Encoder
//! and decoder for both namespaces follow from the declaration. The encoder emits Exclusive XML
//! Canonicalization, so its output can be signed without further processing. The decoder accepts
//! unknown elements between the known ones, because later versions and vendors add some, and the
//! few deviations listed in [`tolerated`]. Everything else is refused, with the path and the
//! position of the error.

mod c14n;
mod error;
mod limits;
mod read;
mod text;
pub mod tolerated;
mod write;

pub use c14n::exclusive;
pub use error::{Problem, XmlError};
pub use limits::{MAX_ATTRIBUTES, MAX_DEPTH, MAX_NODES, MAX_OCTETS};
pub use read::{Children, parse, text_of};
pub use text::{Octets, Text};
pub use write::{Prefix, Writer};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The namespace of a message, which also determines the spelling of its elements.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema, Serialize, Deserialize,
)]
pub enum Namespace {
    /// `esim-messaging/1`, of early 2015: names in lowerCamel.
    V1,
    /// `esim-messaging/3`: capitalised names. Deployed systems use this namespace.
    #[default]
    V3,
}

impl Namespace {
    /// Both namespaces.
    pub const ALL: [Self; 2] = [Self::V1, Self::V3];

    /// Returns the namespace URI.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::V1 => "http://namespaces.gsma.org/esim-messaging/1",
            Self::V3 => "http://namespaces.gsma.org/esim-messaging/3",
        }
    }

    /// Returns the namespace with this URI.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|namespace| namespace.uri() == uri)
    }
}

/// The name of an element in both namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name in `esim-messaging/1`.
    pub v1: &'static str,
    /// The name in `esim-messaging/3`.
    pub v3: &'static str,
}

impl Name {
    /// Creates a name that is the same in both namespaces.
    pub const fn same(name: &'static str) -> Self {
        Self { v1: name, v3: name }
    }

    /// Returns the name in a message of this namespace.
    pub const fn within(self, namespace: Namespace) -> &'static str {
        match namespace {
            Namespace::V1 => self.v1,
            Namespace::V3 => self.v3,
        }
    }

    /// True if `local` is an accepted spelling of this name.
    pub fn is(self, local: &str) -> bool {
        tolerated::spellings(self).any(|spelling| spelling == local)
    }
}

/// The contents of an element position: mandatory, optional or repeated.
pub trait Element: Sized {
    /// Writes the elements with this name; an absent optional value writes none.
    fn write_as(&self, name: Name, out: &mut Writer);

    /// Takes the elements with this name out of the children of their parent.
    ///
    /// # Errors
    /// A mandatory element is missing, or its contents are not of this type.
    fn read_as(name: Name, from: &mut Children<'_, '_>) -> Result<Self, XmlError>;
}

/// A sequence of elements in one parent: the contents of a message or of a complex type.
pub trait Parts: Sized {
    /// The names of the elements, in the order of the schema.
    const NAMES: &'static [&'static [Name]];

    /// Writes the elements.
    fn write_parts(&self, out: &mut Writer);

    /// Takes the elements out of the children of their parent.
    ///
    /// # Errors
    /// An element is missing or not of its type.
    fn read_parts(from: &mut Children<'_, '_>) -> Result<Self, XmlError>;

    /// Decodes all children of a parent.
    ///
    /// # Errors
    /// An element is missing, duplicated, out of order, or not of its type.
    fn read_all(mut from: Children<'_, '_>) -> Result<Self, XmlError> {
        let parts = Self::read_parts(&mut from)?;
        from.finish(Self::NAMES)?;
        Ok(parts)
    }
}

impl<T: Element> Element for Option<T> {
    fn write_as(&self, name: Name, out: &mut Writer) {
        if let Some(value) = self {
            value.write_as(name, out);
        }
    }

    fn read_as(name: Name, from: &mut Children<'_, '_>) -> Result<Self, XmlError> {
        if from.has(name) { T::read_as(name, from).map(Some) } else { Ok(None) }
    }
}

impl<T: Element> Element for Vec<T> {
    fn write_as(&self, name: Name, out: &mut Writer) {
        for value in self {
            value.write_as(name, out);
        }
    }

    fn read_as(name: Name, from: &mut Children<'_, '_>) -> Result<Self, XmlError> {
        let mut values = Self::new();
        while from.has(name) {
            values.push(T::read_as(name, from)?);
        }
        Ok(values)
    }
}
