//! XML as the web services of SGP.02 use it: Annex B.
//!
//! A type says its elements once, with `structure!`, `function!` or
//! `notification!`, and both directions follow from it, in both namespaces. What is written is in
//! the form of Exclusive XML Canonicalization, so that what we write can be signed as it stands. What is read may have
//! unknown elements between the known ones (later versions and vendors add some), and the few other liberties that are
//! listed in [`tolerated`]; everything else is refused, with the path and the place where it stands.

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

use serde::{Deserialize, Serialize};

/// The namespace of a message, and with it the spelling of its elements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Namespace {
    /// `esim-messaging/1`, of early 2015: lowerCamel names.
    V1,
    /// `esim-messaging/3`: capitalised names. What is seen in the field.
    #[default]
    V3,
}

impl Namespace {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V1, Self::V3];

    /// Its name.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::V1 => "http://namespaces.gsma.org/esim-messaging/1",
            Self::V3 => "http://namespaces.gsma.org/esim-messaging/3",
        }
    }

    /// The one of this name.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|namespace| namespace.uri() == uri)
    }
}

/// An element's name in both namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// In `esim-messaging/1`.
    pub v1: &'static str,
    /// In `esim-messaging/3`.
    pub v3: &'static str,
}

impl Name {
    /// The same in both.
    pub const fn same(name: &'static str) -> Self {
        Self { v1: name, v3: name }
    }

    /// As a message of the namespace spells it.
    pub const fn within(self, namespace: Namespace) -> &'static str {
        match namespace {
            Namespace::V1 => self.v1,
            Namespace::V3 => self.v3,
        }
    }

    /// Whether it is spelt so in either.
    pub fn is(self, local: &str) -> bool {
        tolerated::spellings(self).any(|spelling| spelling == local)
    }
}

/// What can stand in an element: once, at most once, or any number of times.
pub trait Element: Sized {
    /// Writes the element, or the elements, of this name; an absent optional one is none.
    fn write_as(&self, name: Name, out: &mut Writer);

    /// Takes the element, or the elements, of this name out of their parent's children.
    ///
    /// # Errors
    /// It is missing, or what it holds is not of this type.
    fn read_as(name: Name, from: &mut Children<'_, '_>) -> Result<Self, XmlError>;
}

/// Elements that stand side by side in one parent: the contents of a message or of a complex type.
pub trait Parts: Sized {
    /// The elements' names, in the order of the schema.
    const NAMES: &'static [&'static [Name]];

    /// Writes them.
    fn write_parts(&self, out: &mut Writer);

    /// Takes them out of their parent's children.
    ///
    /// # Errors
    /// One is missing, or is not of its type.
    fn read_parts(from: &mut Children<'_, '_>) -> Result<Self, XmlError>;

    /// Reads all that is in a parent.
    ///
    /// # Errors
    /// One is missing, is there twice, stands in a wrong place, or is not of its type.
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
