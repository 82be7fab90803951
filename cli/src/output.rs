//! Output: tables and timelines for people, and JSON of the same values for scripts.

use std::{
    fmt::Write as _,
    io::Write as _,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rsp::time::Timestamp;
use schemars::JsonSchema;
use world::{Clock, Event, Events, Fault, FaultKind, Outcome, PeerStatus};

/// Prints to standard output.
///
/// # Errors
/// The output cannot be written, or its reader has closed the pipe: see [`is_broken_pipe`].
pub fn print(text: &str) -> Result<(), Fault> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => {
            Fault::caused_by(BrokenPipe, "cannot print the result", "keep the pipe open")
        }
        _ => Fault::caused_by(
            error,
            "cannot print the result to standard output",
            "free some disk space, or redirect the output elsewhere",
        ),
    })
}

/// True after the command has printed its JSON document.
static DOCUMENT_PRINTED: AtomicBool = AtomicBool::new(false);

/// Prints a value as JSON, as the document of the command.
///
/// # Errors
/// As [`print()`].
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Fault> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Fault::caused_by(e, "cannot print the result as JSON", "report this"))?;
    print_document(&format!("{text}\n"))
}

/// Prints a value as JSON on one line, as the document or as one of the lines of the command.
///
/// # Errors
/// As [`print()`].
pub fn print_json_line(value: &impl serde::Serialize) -> Result<(), Fault> {
    let text = serde_json::to_string(value)
        .map_err(|e| Fault::caused_by(e, "cannot print the result as JSON", "report this"))?;
    print_document(&format!("{text}\n"))
}

/// Prints text that is the document of the command, or a part of it.
///
/// # Errors
/// As [`print()`].
pub fn print_document(text: &str) -> Result<(), Fault> {
    DOCUMENT_PRINTED.store(true, Ordering::Relaxed);
    print(text)
}

/// The JSON form of an error.
#[derive(JsonSchema, serde::Serialize)]
pub struct ErrorDocument<'a> {
    error: ErrorMembers<'a>,
}

#[derive(JsonSchema, serde::Serialize)]
struct ErrorMembers<'a> {
    kind: FaultKind,
    /// The operation that failed.
    what: &'a str,
    /// The reason.
    why: &'a str,
    /// Advice.
    next: &'a str,
    /// The status code of a server that refused with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a PeerStatus>,
}

/// Prints the error with which a command ends: as text to standard error, or as the JSON document
/// of the command. If the command has printed its document already, such as a list of results with
/// failed ones among them, the error is text on standard error too.
pub fn print_error(fault: &Fault, json: bool) {
    if json && !DOCUMENT_PRINTED.load(Ordering::Relaxed) {
        let Fault { kind, what, why, next, status, .. } = fault;
        let error = ErrorMembers { kind: *kind, what, why, next, status: status.as_deref() };
        if print_json(&ErrorDocument { error }).is_ok() {
            return;
        }
    }
    remark(&format!("landfall: {fault:#}"));
}

/// Prints a line to standard error. Failures are ignored.
pub fn remark(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// The reader of standard output has closed the pipe, as `head` does after its last line.
#[derive(Debug)]
struct BrokenPipe;

impl std::fmt::Display for BrokenPipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the reader of standard output has closed the pipe")
    }
}

impl std::error::Error for BrokenPipe {}

/// True if the output failed because its reader closed the pipe. This is not worth an error
/// message.
pub fn is_broken_pipe(fault: &Fault) -> bool {
    std::error::Error::source(fault).is_some_and(|cause| cause.is::<BrokenPipe>())
}

/// A text table. Columns are as wide as their widest cell; numbers are right-aligned.
pub struct Table {
    heading: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table with these column titles.
    pub fn new(heading: &[&str]) -> Self {
        Self { heading: heading.iter().map(|&h| h.to_owned()).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Returns the table as text.
    pub fn render(&self) -> String {
        let all = || std::iter::once(&self.heading).chain(&self.rows);
        let width = |column: usize| {
            all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let numeric = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).all(|cell| {
                cell.chars().next().is_none_or(|c| c.is_ascii_digit())
                    && cell.chars().all(|c| c.is_ascii_digit() || ".,".contains(c))
            })
        };
        let widths: Vec<(usize, bool)> =
            (0..self.heading.len()).map(|column| (width(column), numeric(column))).collect();
        let mut text = String::new();
        for (number, row) in all().enumerate() {
            let mut line = String::new();
            for (cell, (width, numeric)) in row.iter().zip(&widths) {
                let gap = if line.is_empty() { "" } else { "  " };
                // Writing to a String cannot fail.
                let _ = match numeric {
                    true => write!(line, "{gap}{cell:>width$}"),
                    false => write!(line, "{gap}{cell:<width$}"),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
            if number == 0 {
                let rule: Vec<String> = widths.iter().map(|(width, _)| "-".repeat(*width)).collect();
                text.push_str(&rule.join("  "));
                text.push('\n');
            }
        }
        text
    }
}

/// Formats one line of a timeline: real seconds since the start, the day since `start` on the
/// party's clock if that was advanced, the party, its peer, interface and function, octets
/// sent/received, and the outcome. An explanation of a demonstration is formatted as a paragraph.
pub fn timeline_line(elapsed: Duration, start: Timestamp, event: &Event) -> String {
    if event.party == DEMONSTRATION {
        return format!("\n  {}\n", event.function);
    }
    let day = match event.at.since(start).as_secs() / 86_400 {
        0 => String::new(),
        days => format!("day {days}"),
    };
    let clock = format!("{:>7.3}s {day:<7}", elapsed.as_secs_f64());
    let who = match event.peer.is_empty() {
        true => event.party.to_string(),
        false => format!("{} > {}", event.party, event.peer),
    };
    let what = match event.interface.is_empty() {
        true => event.function.to_string(),
        false => format!("{}.{}", event.interface, event.function),
    };
    let bytes = match event.bytes_sent + event.bytes_received {
        0 => String::new(),
        _ => format!("{}/{}", event.bytes_sent, event.bytes_received),
    };
    let end = match &event.outcome {
        Outcome::Done => event.note.clone(),
        Outcome::Refused(why) => format!("refused: {why} {}", event.note),
        Outcome::Failed(why) => format!("failed: {why} {}", event.note),
    };
    let mut line = format!("{clock} {who:<20}  {what:<31}  {bytes:>11}  {end}").trim_end().to_owned();
    for finding in &event.findings {
        // Writing to a String cannot fail.
        let _ = write!(line, "\n{:>17} finding: {finding}", "");
    }
    line
}

/// Party name of the events that explain the steps of a demonstration.
pub const DEMONSTRATION: &str = "demonstration";

/// Prints each event to standard error, as a timeline line or as JSON.
pub struct Lines {
    start: Timestamp,
    json: bool,
}

impl Lines {
    /// Creates an output whose timestamps count from `start`.
    pub fn new(start: Timestamp, json: bool) -> Self {
        Self { start, json }
    }
}

impl Events for Lines {
    fn emit(&self, event: Event) {
        let line = match self.json {
            true => serde_json::to_string(&event).unwrap_or_default(),
            false => timeline_line(net::OsClock.now().since(self.start), self.start, &event),
        };
        remark(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_right_aligned() {
        let mut table = Table::new(&["name", "bytes"]);
        table.row(["a", "5"]);
        table.row(["longer", "1234"]);
        assert_eq!(table.render(), "name    bytes\n------  -----\na           5\nlonger   1234\n");
    }
}
