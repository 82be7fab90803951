//! What is wrong with a peer's XML, and where.

use std::fmt;

/// The peer's bytes are not what the schema says they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XmlError {
    /// Names of the elements that lead to it, outermost first, such as `ES3-GetEISResponse/Eis/Smsr-id`.
    pub path: String,
    /// Line and column, from 1.
    pub position: Option<(u32, u32)>,
    /// What is wrong.
    pub problem: Problem,
}

/// One way in which text can fail to be a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// More octets, nodes or levels than any message has.
    TooLarge(&'static str),
    /// It is not UTF-8.
    NotUtf8,
    /// It is no well-formed XML, in the parser's words.
    NotXml(String),
    /// It has a document type, which SOAP forbids.
    DocumentType,
    /// A mandatory element or attribute is absent.
    Missing(String),
    /// An element is there more often than it may be.
    Twice(String),
    /// Two elements have changed places.
    OutOfOrder {
        /// What stands too late.
        element: String,
        /// What stands before it and should come after.
        after: String,
    },
    /// Another element stands where one of a certain name belongs.
    Unexpected(String),
    /// Text stands where only elements may.
    StrayText,
    /// An element stands where only text may.
    StrayElement(String),
    /// The value is not one the type can have.
    BadValue(String),
}

impl XmlError {
    /// A problem at a node, path still to be told by the callers.
    pub fn at(node: roxmltree::Node<'_, '_>, problem: Problem) -> Self {
        let position = node.document().text_pos_at(node.range().start);
        Self { path: String::new(), position: Some((position.row, position.col)), problem }
    }

    /// A problem of the whole text.
    pub fn of(problem: Problem) -> Self {
        Self { path: String::new(), position: None, problem }
    }

    /// The same error, seen from the element that has it in a child.
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
            Problem::TooLarge(what) => write!(f, "more {what} than a message may have"),
            Problem::NotUtf8 => f.write_str("the octets are not UTF-8"),
            Problem::NotXml(why) => write!(f, "not well-formed XML: {why}"),
            Problem::DocumentType => f.write_str("a document type, which SOAP does not allow"),
            Problem::Missing(what) => write!(f, "{what} is missing"),
            Problem::Twice(what) => write!(f, "{what} is there too often"),
            Problem::OutOfOrder { element, after } => {
                write!(f, "{element} stands after {after}, not before it")
            }
            Problem::Unexpected(what) => f.write_str(what),
            Problem::StrayText => f.write_str("text stands where only elements may"),
            Problem::StrayElement(element) => write!(f, "the element {element} stands where only text may"),
            Problem::BadValue(why) => f.write_str(why),
        }?;
        match self.position {
            Some((line, column)) => write!(f, " (line {line}, column {column})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for XmlError {}
