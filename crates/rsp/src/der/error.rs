//! What is wrong with a peer's bytes, and where.

use std::fmt;

use super::Tag;

/// The peer's bytes are not what the standard says they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// Offset of the offending TLV from the start of the outermost input, in octets.
    pub offset: usize,
    /// Names of the fields that lead to it, outermost first, such as `euiccSigned1.transactionId`.
    pub path: String,
    /// What is wrong.
    pub problem: Problem,
}

/// One way in which bytes can fail to be DER of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The input ends inside a tag, a length or a value.
    Truncated,
    /// Octets remain after the value.
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// Another tag stands where this one belongs.
    UnexpectedTag {
        /// The tag that belongs there.
        expected: Tag,
        /// The tag that was found.
        found: Tag,
    },
    /// A mandatory element is absent.
    Missing {
        /// The tag that was looked for.
        expected: Tag,
    },
    /// The tag is not one of the alternatives of a CHOICE.
    NoSuchAlternative {
        /// The tag that was found.
        found: Tag,
    },
    /// A tag or a length is not in its shortest form, or the length is indefinite: not DER.
    NotShortest,
    /// Nesting deeper than the limit.
    TooDeep,
    /// The value is not one the type can have.
    BadValue(&'static str),
}

impl DecodeError {
    /// `problem` at `offset`, path still to be told by the callers.
    pub fn new(offset: usize, problem: Problem) -> Self {
        Self { offset, path: String::new(), problem }
    }

    /// The same error, seen from the structure that has it in `field`.
    #[must_use]
    pub fn within(mut self, field: &str) -> Self {
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{field}{joint}{}", self.path);
        self
    }

    /// The same error, seen from the list that has it as element `index`.
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
            Problem::TrailingBytes { count } => write!(f, "{count} octets too many"),
            Problem::UnexpectedTag { expected, found } => {
                write!(f, "tag {found} where {expected} belongs")
            }
            Problem::Missing { expected } => write!(f, "element {expected} is missing"),
            Problem::NoSuchAlternative { found } => write!(f, "tag {found} is none of the alternatives"),
            Problem::NotShortest => write!(f, "a tag or length is not in DER's shortest form"),
            Problem::TooDeep => write!(f, "nested too deeply"),
            Problem::BadValue(what) => f.write_str(what),
        }?;
        write!(f, " (at octet {})", self.offset)
    }
}

impl std::error::Error for DecodeError {}
