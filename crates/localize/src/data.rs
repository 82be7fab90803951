//! Parsing of data files that people write. An error names the line and the remedy.

use std::fmt;

use serde::de::DeserializeOwned;
use toml::Spanned;

/// The reason why a data file is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataError {
    /// The kind of data, such as country rules or networks.
    pub file: &'static str,
    /// The line, counted from 1.
    pub line: Option<usize>,
    /// The rule, country or other entry.
    pub entry: Option<String>,
    /// The error.
    pub what: String,
    /// The remedy.
    pub next: String,
}

impl DataError {
    /// The place and the error.
    pub fn why(&self) -> String {
        let Self { file, line, entry, what, next: _ } = self;
        let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
        let entry = entry.as_ref().map(|entry| format!(", {entry:?}")).unwrap_or_default();
        format!("{file}{line}{entry}: {what}")
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.why(), self.next)
    }
}

impl std::error::Error for DataError {}

/// The text of a TOML file, whose errors name the line.
#[derive(Clone, Copy, Debug)]
pub struct DataText<'a> {
    /// The kind of data, as an error names it.
    pub file: &'static str,
    /// The TOML text.
    pub text: &'a str,
}

impl DataText<'_> {
    /// Parses the text as entries of its kind.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, DataError> {
        toml::from_str(self.text).map_err(|error| DataError {
            file: self.file,
            line: error.span().map(|span| self.line(span.start)),
            entry: None,
            what: error.message().trim().replace('\n', ", "),
            next: "the head of the built-in file describes the fields".into(),
        })
    }

    /// The error of an invalid entry.
    pub fn error(&self, id: &Spanned<String>, what: String, next: &str) -> DataError {
        self.error_at(id.span().start, id.get_ref(), what, next)
    }

    /// The error of an invalid entry that begins at this byte of the text.
    pub fn error_at(&self, offset: usize, entry: &str, what: String, next: &str) -> DataError {
        DataError {
            file: self.file,
            line: Some(self.line(offset)),
            entry: Some(entry.to_owned()),
            what,
            next: next.into(),
        }
    }

    fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }
}

/// An error of an entry, and its remedy.
pub(crate) struct Wrong(pub(crate) String, pub(crate) &'static str);
