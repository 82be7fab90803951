//! Namespaces: groups of records and events, so that jobs that share a server do not see each other.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use http::Request;
use serde::{Deserialize, Serialize};
use world::DEFAULT_NAMESPACE;

use crate::api::Problem;

/// The name of a namespace: 1 to 64 characters out of letters, digits, `.`, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Namespace(String);

impl Namespace {
    /// The request header with the namespace of a call to an API.
    pub const HEADER: &'static str = "Landfall-Namespace";
    /// Maximum length of a name in characters.
    pub const MAX_LENGTH: usize = 64;

    /// Reads the namespace of a request. Without the header it is the default namespace.
    ///
    /// # Errors
    /// The header is not a name, or occurs more than once.
    pub fn of(request: &Request<Bytes>) -> Result<Self, Problem> {
        let refused = |why: String| {
            let next = format!("send one {} of 1 to 64 characters out of A-Z, a-z, 0-9, . _ -", Self::HEADER);
            Problem::bad_request(format!("cannot read the header {}", Self::HEADER), why, next)
        };
        let mut values = request.headers().get_all(Self::HEADER).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(Self::default()),
            (Some(value), None) => {
                let value = value.to_str().map_err(|e| refused(e.to_string()))?;
                value.parse().map_err(|e: InvalidNamespace| refused(e.to_string()))
            }
            (Some(_), Some(_)) => Err(refused("the request has it more than once".to_owned())),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for the namespace of requests without the header.
    pub fn is_default(&self) -> bool {
        self.0 == DEFAULT_NAMESPACE
    }
}

impl Default for Namespace {
    /// The namespace of requests without the header.
    fn default() -> Self {
        Self(DEFAULT_NAMESPACE.to_owned())
    }
}

/// A text that is not the name of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidNamespace(String);

impl fmt::Display for InvalidNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a namespace: use 1 to 64 characters out of A-Z, a-z, 0-9, . _ -", self.0)
    }
}

impl std::error::Error for InvalidNamespace {}

impl FromStr for Namespace {
    type Err = InvalidNamespace;

    fn from_str(name: &str) -> Result<Self, InvalidNamespace> {
        let is_valid = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'_' | b'-');
        if (1..=Self::MAX_LENGTH).contains(&name.len()) && name.bytes().all(is_valid) {
            return Ok(Self(name.to_owned()));
        }
        Err(InvalidNamespace(rsp::status::cut(name.to_owned(), Self::MAX_LENGTH)))
    }
}

impl TryFrom<String> for Namespace {
    type Error = InvalidNamespace;

    fn try_from(name: String) -> Result<Self, InvalidNamespace> {
        name.parse()
    }
}

impl From<Namespace> for String {
    fn from(namespace: Namespace) -> Self {
        namespace.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

rsp::text_schemas! {
    Namespace: pattern = "^[A-Za-z0-9._-]{1,64}$";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&str]) -> Result<Namespace, Problem> {
        let mut request = Request::builder();
        for value in values {
            request = request.header(Namespace::HEADER, *value);
        }
        Namespace::of(&request.body(Bytes::new()).unwrap())
    }

    #[test]
    fn a_request_has_the_namespace_of_its_header_or_the_default_one() {
        assert!(of(&[]).unwrap().is_default());
        assert!(of(&["default"]).unwrap().is_default());
        assert_eq!(of(&["Job-7.a_b"]).unwrap().as_str(), "Job-7.a_b");
        for invalid in [&["a/b"] as &[&str], &[""], &["a b"], &["a", "b"], &[&"x".repeat(65)], &["\u{e4}"]] {
            assert!(of(invalid).is_err(), "{invalid:?}");
        }
    }
}
