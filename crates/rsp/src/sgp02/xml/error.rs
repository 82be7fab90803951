//! XML errors: the problem and its position in the input.

use std::fmt;

/// The peer's XML does not conform to the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XmlError {
    /// The names of the enclosing elements, outermost first, such as
    /// `ES3-GetEISResponse/Eis/Smsr-id`.
    pub path: String,
    /// Line and column, starting at 1.
    pub position: Option<(u32, u32)>,
    /// The problem.
    pub problem: Problem,
}

/// A reason why a text is not a valid message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The message exceeds a limit on octets, nodes, attributes or levels.
    TooLarge(&'static str),
    /// The octets are not UTF-8.
    NotUtf8,
    /// The text is not well-formed XML; contains the parser's message.
    NotXml(String),
    /// The document has a document type declaration, which SOAP forbids.
    DocumentType,
    /// A mandatory element or attribute is missing.
    Missing(String),
    /// An element occurs more often than allowed.
    Twice(String),
    /// Two elements are in the wrong order.
    OutOfOrder {
        /// The element that occurs too late.
        element: String,
        /// The element in front of it that should follow it.
        after: String,
    },
    /// An unexpected element was found instead of another one.
    Unexpected(String),
    /// Text was found where only elements are allowed.
    StrayText,
    /// An element was found where only text is allowed.
    StrayElement(String),
    /// The value is not valid for the type.
    BadValue(String),
}

impl XmlError {
    /// Creates an error at a node. Callers add the path with [`Self::within`].
    pub fn at(node: roxmltree::Node<'_, '_>, problem: Problem) -> Self {
        let position = node.document().text_pos_at(node.range().start);
        Self { path: String::new(), position: Some((position.row, position.col)), problem }
    }

    /// Creates an error that concerns the whole text.
    pub fn of(problem: Problem) -> Self {
        Self { path: String::new(), position: None, problem }
    }

    /// Prepends the name of the enclosing element to the path.
    #[must_use]
    pub fn within(mut self, element: &str) -> Self {
        let joint = if self.path.is_empty() { "" } else { "/" };
        self.path = format!("{element}{joint}{}", self.path);
        self
    }
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        match &self.problem {
            Problem::TooLarge(what) => write!(f, "more {what} than the limit for a message"),
            Problem::NotUtf8 => f.write_str("the octets are not UTF-8"),
            Problem::NotXml(why) => write!(f, "not well-formed XML: {why}"),
            Problem::DocumentType => {
                f.write_str("the document has a document type, which SOAP does not allow")
            }
            Problem::Missing(what) => write!(f, "{what} is missing"),
            Problem::Twice(what) => write!(f, "{what} occurs too often"),
            Problem::OutOfOrder { element, after } => {
                write!(f, "{element} must be before {after}")
            }
            Problem::Unexpected(what) => f.write_str(what),
            Problem::StrayText => f.write_str("text is not allowed between elements"),
            Problem::StrayElement(element) => write!(f, "the element {element} is not allowed in text"),
            Problem::BadValue(why) => f.write_str(why),
        }?;
        match self.position {
            Some((line, column)) => write!(f, " (line {line}, column {column})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for XmlError {}
