//! Decoding of ASN.1 types from JSON, with the ASN.1 names of their elements.

use std::fmt;

use rsp::der::{Null, Unknown};
use rsp::ids::Oid;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::octets::{Fid, Octets, SecretOctets};

/// An error and its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misread {
    place: String,
    why: String,
}

impl Misread {
    pub(crate) fn new(why: &str) -> Self {
        Self { place: String::new(), why: why.to_owned() }
    }

    /// The same error, with the path extended by the enclosing table.
    pub(crate) fn within(mut self, name: &str) -> Self {
        let dot = if self.place.is_empty() || self.place.starts_with('[') { "" } else { "." };
        self.place = format!("{name}{dot}{}", self.place);
        self
    }
}

impl fmt::Display for Misread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

/// Types that can be decoded from JSON. serde is not used, because NULL and the elements of later
/// versions are types of another crate.
pub(crate) trait FromJson: Sized {
    fn from_json(value: &Value) -> Result<Self, Misread>;

    /// The value of a missing element; `None` if it is mandatory.
    fn absent() -> Option<Self> {
        None
    }
}

/// A table with no other elements than these.
pub(crate) fn object<'a>(value: &'a Value, names: &[&str]) -> Result<&'a Map<String, Value>, Misread> {
    let object = value.as_object().ok_or_else(|| Misread::new("a table is expected here"))?;
    match object.keys().find(|name| !names.contains(&name.as_str())) {
        None => Ok(object),
        Some(other) => {
            let why = format!("the name is unknown; the known names are {}", names.join(", "));
            Err(Misread::new(&why).within(other))
        }
    }
}

pub(crate) fn field<T: FromJson>(object: &Map<String, Value>, name: &str) -> Result<T, Misread> {
    match object.get(name) {
        Some(value) => T::from_json(value).map_err(|misread| misread.within(name)),
        None => T::absent().ok_or_else(|| Misread::new("it is missing").within(name)),
    }
}

/// The only element of a table.
pub(crate) fn alternative(value: &Value) -> Result<(&str, &Value), Misread> {
    let mut elements = value.as_object().into_iter().flatten();
    match (elements.next(), elements.next()) {
        (Some((name, inner)), None) => Ok((name, inner)),
        _ => Err(Misread::new("a table with one element is expected here")),
    }
}

/// Decodes a type from JSON by its own implementation of serde.
pub(crate) fn by_serde<'a, T: Deserialize<'a>>(value: &'a Value, why: &str) -> Result<T, Misread> {
    T::deserialize(value).map_err(|_| Misread::new(why))
}

macro_rules! from_json_by_serde {
    ($( $type:ty: $why:literal ),* $(,)?) => { $(
        impl FromJson for $type {
            fn from_json(value: &Value) -> Result<Self, Misread> {
                by_serde(value, $why)
            }
        }
    )* };
}

from_json_by_serde! {
    i64: "a whole number is expected here",
    String: "a text is expected here",
    Octets: "an even number of hex digits is expected here",
    SecretOctets: "an even number of hex digits is expected here",
    Fid: "a file identifier of four hex digits is expected here",
    Oid: "an object identifier is expected here, such as 2.23.143.1.2.1",
}

impl FromJson for Null {
    fn from_json(value: &Value) -> Result<Self, Misread> {
        // TOML has no null.
        match value {
            Value::Null | Value::Bool(true) => Ok(Self),
            _ => Err(Misread::new("true is expected here; if the element is absent, omit its name")),
        }
    }
}

impl FromJson for Unknown {
    fn from_json(value: &Value) -> Result<Self, Misread> {
        Octets::from_json(value).map(|octets| Self(octets.0))
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

impl<T: FromJson> FromJson for Option<T> {
    fn from_json(value: &Value) -> Result<Self, Misread> {
        T::from_json(value).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: FromJson> FromJson for Box<T> {
    fn from_json(value: &Value) -> Result<Self, Misread> {
        T::from_json(value).map(Self::new)
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(value: &Value) -> Result<Self, Misread> {
        let list = value.as_array().ok_or_else(|| Misread::new("a list is expected here"))?;
        list.iter()
            .enumerate()
            .map(|(number, value)| {
                T::from_json(value).map_err(|misread| misread.within(&format!("[{number}]")))
            })
            .collect()
    }
}
