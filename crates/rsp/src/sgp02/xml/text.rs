//! Types whose value is the text of an element or attribute.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{Children, Element, Name, Problem, Writer, XmlError, text_of};
use crate::{
    ids::{Aid, Eid, Iccid, Imsi, Oid, Version},
    time::Timestamp,
};

/// A value in text form.
pub trait Text: Sized {
    /// Returns the lexical form of the schema.
    fn to_text(&self) -> String;

    /// Parses the text. Surrounding white space is significant only for `String`.
    ///
    /// # Errors
    /// The reason why the text is not a value of this type.
    fn from_text(text: &str) -> Result<Self, String>;
}

impl<T: Text> Element for T {
    fn write_as(&self, name: Name, out: &mut Writer) {
        let text = self.to_text();
        out.part(name, |out| out.text(&text));
    }

    fn read_as(name: Name, from: &mut Children<'_, '_>) -> Result<Self, XmlError> {
        let node = from.take(name)?;
        text_of(node)
            .and_then(|text| T::from_text(&text).map_err(|why| XmlError::at(node, Problem::BadValue(why))))
            .map_err(|e| e.within(node.tag_name().name()))
    }
}

macro_rules! by_display {
    ($($type:ty),+) => { $(
        impl Text for $type {
            fn to_text(&self) -> String {
                self.to_string()
            }

            fn from_text(text: &str) -> Result<Self, String> {
                text.trim().parse().map_err(|e: <$type as FromStr>::Err| e.to_string())
            }
        }
    )+ };
}

by_display!(Aid, Imsi, Oid, Version);

macro_rules! of_peers {
    ($($type:ty),+) => { $(
        impl Text for $type {
            fn to_text(&self) -> String {
                self.to_string()
            }

            fn from_text(text: &str) -> Result<Self, String> {
                Self::from_peer_text(text.trim()).map_err(|e| e.to_string())
            }
        }
    )+ };
}

of_peers!(Eid, Iccid);

macro_rules! integers {
    ($($type:ty),+) => { $(
        impl Text for $type {
            fn to_text(&self) -> String {
                self.to_string()
            }

            fn from_text(text: &str) -> Result<Self, String> {
                let text = text.trim();
                text.parse().map_err(|_| {
                    format!("{text:?} is not a whole number from {} to {}", <$type>::MIN, <$type>::MAX)
                })
            }
        }
    )+ };
}

integers!(u8, u32, u64);

impl Text for String {
    fn to_text(&self) -> String {
        self.clone()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl Text for bool {
    fn to_text(&self) -> String {
        self.to_string()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        match text.trim() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            other => Err(format!("{other:?} is neither true nor false")),
        }
    }
}

impl Text for Timestamp {
    fn to_text(&self) -> String {
        self.to_string()
    }

    /// Parses a dateTime. Without a time zone it is taken as UTC.
    fn from_text(text: &str) -> Result<Self, String> {
        let text = text.trim();
        text.parse()
            .or_else(|e: crate::time::InvalidTimestamp| format!("{text}Z").parse().map_err(|_| e))
            .map_err(|e| e.to_string())
    }
}

/// Octets that are hexadecimal in XML and in records.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Octets(pub Vec<u8>);

impl Octets {
    /// Returns the octets as a slice.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Octets {
    fn from(octets: Vec<u8>) -> Self {
        Self(octets)
    }
}

impl From<&[u8]> for Octets {
    fn from(octets: &[u8]) -> Self {
        Self(octets.to_vec())
    }
}

impl fmt::Display for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode_upper(&self.0))
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Octets({self})")
    }
}

impl Text for Octets {
    fn to_text(&self) -> String {
        self.to_string()
    }

    fn from_text(text: &str) -> Result<Self, String> {
        hex::decode(text.trim()).map(Self).map_err(|e| format!("not hexadecimal octets: {e}"))
    }
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_text(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
