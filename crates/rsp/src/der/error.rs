//! Decoding errors: the problem and its position in the input.

use std::fmt;

use super::Tag;

/// The peer's octets do not conform to the standard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Offset of the invalid TLV from the start of the outermost input, in octets.
    pub offset: usize,
    /// The names of the enclosing fields, outermost first, such as `euiccSigned1.transactionId`.
    pub path: String,
    /// The problem.
    pub problem: Problem,
}

/// A reason why octets are not valid DER of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The input ends inside a tag, a length or a value.
    Truncated,
    /// Octets remain after the value.
    TrailingBytes {
        /// The number of octets that remain.
        count: usize,
    },
    /// Another tag was found instead of the expected one.
    UnexpectedTag {
        /// The expected tag.
        expected: Tag,
        /// The found tag.
        found: Tag,
    },
    /// A mandatory element is missing.
    Missing {
        /// The expected tag.
        expected: Tag,
    },
    /// The tag is not that of an alternative of the CHOICE.
    NoSuchAlternative {
        /// The found tag.
        found: Tag,
    },
    /// A tag or a length is not in its shortest form, or the length is indefinite: not DER.
    NotShortest,
    /// Nesting deeper than the limit.
    TooDeep,
    /// The value is not valid for the type.
    BadValue(&'static str),
}

impl DecodeError {
    /// Creates an error at `offset`. Callers add the path with [`Self::within`].
    pub fn new(offset: usize, problem: Problem) -> Self {
        Self { offset, path: String::new(), problem }
    }

    /// Prepends the name of the field that contains the error to the path.
    #[must_use]
    pub fn within(mut self, field: &str) -> Self {
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{field}{joint}{}", self.path);
        self
    }

    /// Prepends the index of the list element that contains the error to the path.
    #[must_use]
    pub fn within_element(self, index: usize) -> Self {
        self.within(&format!("[{index}]"))
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        match &self.problem {
            Problem::Truncated => write!(f, "the bytes end too early"),
            Problem::TrailingBytes { count } => write!(f, "{count} trailing octets"),
            Problem::UnexpectedTag { expected, found } => {
                write!(f, "expected tag {expected}, found {found}")
            }
            Problem::Missing { expected } => write!(f, "element {expected} is missing"),
            Problem::NoSuchAlternative { found } => {
                write!(f, "tag {found} is not an alternative of the CHOICE")
            }
            Problem::NotShortest => write!(f, "a tag or length is not in DER's shortest form"),
            Problem::TooDeep => write!(f, "nested too deeply"),
            Problem::BadValue(what) => f.write_str(what),
        }?;
        write!(f, " (at octet {})", self.offset)
    }
}

impl std::error::Error for DecodeError {}
