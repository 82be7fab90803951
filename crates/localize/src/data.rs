//! Data files that people write: what is wrong is said with its line and what to do.

use std::fmt;

use serde::de::DeserializeOwned;
use toml::Spanned;

/// Why a data file is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataError {
    /// Which data, such as country rules or networks.
    pub file: &'static str,
    /// The line, counted from 1.
    pub line: Option<usize>,
    /// The rule, country or other entry.
    pub entry: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub next: String,
}

impl DataError {
    /// Where, and what is wrong.
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

/// The text of a TOML file, of which an error can name the line.
#[derive(Clone, Copy, Debug)]
pub struct DataText<'a> {
    /// Which data, as an error names it.
    pub file: &'static str,
    /// The TOML.
    pub text: &'a str,
}

impl DataText<'_> {
    /// Reads the text as entries of its kind.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, DataError> {
        toml::from_str(self.text).map_err(|error| DataError {
            file: self.file,
            line: error.span().map(|span| self.line(span.start)),
            entry: None,
            what: error.message().trim().replace('\n', ", "),
            next: "the head of the file that comes with Landfall describes the fields".into(),
        })
    }

    /// An entry that cannot be meant.
    pub fn error(&self, id: &Spanned<String>, what: String, next: &str) -> DataError {
        self.error_at(id.span().start, id.get_ref(), what, next)
    }

    /// The same, for an entry that begins at this octet of the text.
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

/// What is wrong with an entry, and what to do.
pub(crate) struct Wrong(pub(crate) String, pub(crate) &'static str);
