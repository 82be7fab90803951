//! Errors in a scenario file, with their line and a remedy.

use std::fmt;
use std::ops::Range;

/// An error in a scenario file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidScenario {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The problem and its cause.
    pub what: String,
    /// The remedy.
    pub next: String,
}

impl fmt::Display for InvalidScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, what, next } = self;
        write!(f, "{file}:{line}: {what}")?;
        if !next.is_empty() {
            write!(f, "; {next}")?;
        }
        Ok(())
    }
}

impl std::error::Error for InvalidScenario {}

/// The text of a file that is being parsed. Line numbers of errors are computed from it.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Text<'_> {
    /// Creates an error at this position.
    pub(super) fn error(
        &self,
        at: Range<usize>,
        what: impl Into<String>,
        next: impl Into<String>,
    ) -> InvalidScenario {
        InvalidScenario {
            file: self.file.to_owned(),
            line: self.line(at.start),
            what: what.into(),
            next: next.into(),
        }
    }

    /// Rewords an error of the TOML parser.
    pub(super) fn not_toml(&self, error: &toml::de::Error) -> InvalidScenario {
        let at = error.span().unwrap_or_default();
        let message = error.message().trim();
        let line = self.text.lines().nth(self.line(at.start) - 1).unwrap_or_default().trim();
        let header = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(name) = header.filter(|name| !name.starts_with('[') && message.contains("a sequence")) {
            return self.error(at, format!("{name} is a list of tables"), format!("write [[{name}]]"));
        }
        // The TOML parser does not name the key of an invalid value, so the key is searched in the
        // text.
        let of_key = || self.key_before(at.start).map_or_else(String::new, |key| format!("{key}: "));
        let (what, next) = match message.split_once("; ") {
            Some((what, next)) => (format!("{}{what}", of_key()), next.to_owned()),
            None if message.starts_with("invalid ") => {
                let what = self.of_another_form(at.clone(), message).unwrap_or_else(|| message.to_owned());
                (format!("{}{what}", of_key()), "docs/scenarios.md describes the form".to_owned())
            }
            None => reworded(message),
        };
        self.error(at, what, next)
    }

    /// Rewords an error about a value that has the wrong type or is out of range.
    fn of_another_form(&self, at: Range<usize>, message: &str) -> Option<String> {
        let (given, expected) = message.rsplit_once(", expected ")?;
        let given = given.strip_prefix("invalid type: ").or_else(|| given.strip_prefix("invalid value: "))?;
        let written = self.text.get(at).map_or("", str::trim);
        let written = if written.is_empty() || written.contains('\n') { given } else { written };
        let expected = match expected {
            "u8" => "a number from 0 to 255",
            "u16" | "u32" | "u64" | "usize" => "a non-negative integer",
            "f64" => "a number",
            "a boolean" => "true or false",
            "a string" => "a string in quotes",
            "a sequence" => "a list",
            form if form == "a map" || form.starts_with("struct ") => "a table",
            form => form,
        };
        Some(format!("{written} is not {expected}"))
    }

    /// The key of the value at this position.
    fn key_before(&self, offset: usize) -> Option<&str> {
        let (before, _) = self.text.get(..offset)?.rsplit_once('=')?;
        let key = before.trim_end().rsplit([' ', '\t', '\n', '{', ',']).next()?;
        (!key.is_empty()).then_some(key)
    }

    pub(super) fn line(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|octet| *octet == b'\n').count() + 1
    }
}

/// Rewords an error, and suggests a remedy.
fn reworded(message: &str) -> (String, String) {
    let message = message.replace('\n', ", ");
    let quoted = |prefix: &str| message.strip_prefix(prefix)?.split('`').nth(1).map(str::to_owned);
    if let Some(key) = quoted("unknown field") {
        let known: Vec<_> = message.split('`').skip(3).step_by(2).collect();
        let next = match nearest(&key, &known) {
            Some(near) => format!("did you mean {near}? Known keys: {}", known.join(", ")),
            None => format!("use one of {}", known.join(", ")),
        };
        return (format!("unknown key {key}"), next);
    }
    if let Some(key) = quoted("missing field") {
        return (format!("{key} is missing"), format!("add {key} = ...; docs/scenarios.md describes it"));
    }
    if let Some(word) = quoted("unknown variant") {
        let known: Vec<_> = message.split('`').skip(3).step_by(2).collect();
        let near = nearest(&word, &known).map_or_else(String::new, |near| format!("did you mean {near}? "));
        let what = format!("{word:?} is not a known value");
        return (what, format!("{near}Use one of {}", known.join(", ")));
    }
    (message, "docs/scenarios.md describes the form".to_owned())
}

/// Returns the most similar known word, if one is similar.
pub(crate) fn nearest<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let distances = known.iter().map(|other| (distance(word, other), *other));
    distances.min().filter(|(distance, other)| *distance <= 1 + other.len() / 4).map(|(_, other)| other)
}

/// The edit distance of two words.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.bytes().enumerate() {
        let mut left = line + 1;
        let mut next = vec![left];
        for ((above_left, above), with) in row.iter().zip(row.iter().skip(1)).zip(other.bytes()) {
            left = (above_left + usize::from(letter != with)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
