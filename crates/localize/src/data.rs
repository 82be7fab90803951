//! Parsing of data files that people write. An error names the line and the remedy.

use std::fmt;

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The reason why a data file is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataError {
    /// The kind of data, such as country rules or networks.
    pub file: &'static str,
    /// The line, counted from 1.
    pub line: Option<u32>,
    /// The rule, country or other entry.
    pub entry: Option<String>,
    /// The field of the entry.
    pub field: Option<String>,
    /// The error.
    pub what: String,
    /// The remedy.
    pub next: String,
}

impl DataError {
    /// The place and the error.
    pub fn why(&self) -> String {
        let Self { file, line, entry, field, what, next: _ } = self;
        let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
        let entry = entry.as_ref().map(|entry| format!(", {entry:?}")).unwrap_or_default();
        let field = field.as_ref().map(|field| format!(", field {field}")).unwrap_or_default();
        format!("{file}{line}{entry}{field}: {what}")
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
        toml::from_str(self.text).map_err(|error| {
            let offset = error.span().map(|span| span.start);
            let place = offset.map(|offset| self.place_of(offset)).unwrap_or_default();
            DataError {
                file: self.file,
                line: offset.and_then(|offset| self.line(offset)),
                entry: place.entry,
                field: place.field,
                what: error.message().trim().replace('\n', ", "),
                next: "the head of the built-in file describes the fields".into(),
            }
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
            line: self.line(offset),
            entry: Some(entry.to_owned()),
            field: None,
            what,
            next: next.into(),
        }
    }

    /// The error of an invalid field of an entry. If the entry does not have the field, the line is
    /// that of its id.
    pub(crate) fn error_in(&self, id: &Spanned<String>, wrong: Wrong) -> DataError {
        let Wrong { field, what, next } = wrong;
        let offset = self.entry_of(id.span().start).and_then(|(_, entry)| {
            entry.iter().find(|(key, _)| key.get_ref() == field).map(|(key, _)| key.span().start)
        });
        DataError {
            field: Some(field.to_owned()),
            ..self.error_at(offset.unwrap_or(id.span().start), id.get_ref(), what, next)
        }
    }

    /// The entry and the field at this byte of the text.
    fn place_of(&self, offset: usize) -> PlaceInText {
        let Some((_, entry)) = self.entry_of(offset) else { return PlaceInText::default() };
        let id = entry.get("id").and_then(|id| id.get_ref().as_str()).map(str::to_owned);
        let at = |(key, value): &(&Spanned<_>, &Spanned<_>)| {
            (key.span().start..value.span().end).contains(&offset)
        };
        let field = entry.iter().find(at).map(|(key, _)| key.get_ref().to_string());
        PlaceInText { entry: id, field }
    }

    /// The entry of an array of tables that contains this byte of the text.
    fn entry_of(&self, offset: usize) -> Option<(usize, DeTable<'_>)> {
        let file = DeTable::parse(self.text).ok()?.into_inner();
        let entries = file.into_iter().filter_map(|(_, value)| match value.into_inner() {
            DeValue::Array(entries) => Some(entries),
            _ => None,
        });
        let tables = entries.flatten().filter_map(|entry| {
            let start = entry.span().start;
            match entry.into_inner() {
                DeValue::Table(table) => Some((start, table)),
                _ => None,
            }
        });
        tables.filter(|(start, _)| *start <= offset).max_by_key(|(start, _)| *start)
    }

    fn line(&self, offset: usize) -> Option<u32> {
        let before = self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
        u32::try_from(before + 1).ok()
    }
}

/// The entry and the field of an error.
#[derive(Default)]
struct PlaceInText {
    entry: Option<String>,
    field: Option<String>,
}

/// An error of a field of an entry, and its remedy.
pub(crate) struct Wrong {
    pub(crate) field: &'static str,
    pub(crate) what: String,
    pub(crate) next: &'static str,
}

impl Wrong {
    pub(crate) fn new(field: &'static str, what: impl Into<String>, next: &'static str) -> Self {
        Self { field, what: what.into(), next }
    }
}
