//! Output: tables and timelines for people, and JSON of the same values for scripts.

use std::{
    borrow::Cow,
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

/// Prints a line to standard error. Failures are ignored. Control characters other than line breaks
/// and tabs are escaped, because a part of the line may come from a peer.
pub fn remark(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", escaped(line, |c| matches!(c, '\n' | '\t')));
}

/// Escapes the control characters of a text, except those that are allowed.
fn escaped(text: &str, is_allowed: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_harmful = |c: char| c.is_control() && !is_allowed(c);
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| if is_harmful(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escape).collect())
}

/// Escapes all control characters of a text from a peer, so that it fits in one line.
fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// Standard error for the log. Each write is one entry. Line breaks in an entry are escaped, because
/// a peer could forge entries with them.
#[derive(Debug)]
pub struct LogOutput<W>(pub W);

impl<W: std::io::Write> std::io::Write for LogOutput<W> {
    fn write(&mut self, entry: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(entry);
        let (line, end) = match text.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (&*text, ""),
        };
        // The log itself uses escape sequences for colours, and escapes those in values.
        let line = escaped(line, |c| matches!(c, '\t' | '\u{1b}'));
        self.0.write_all(format!("{line}{end}").as_bytes())?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
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
        self.rows.push(cells.into_iter().map(|cell| one_line(&cell.into()).into_owned()).collect());
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
    let (who, what, end) = (one_line(&who), one_line(&what), one_line(&end));
    let mut line = format!("{clock} {who:<20}  {what:<31}  {bytes:>11}  {end}").trim_end().to_owned();
    for finding in &event.findings {
        // Writing to a String cannot fail.
        let _ = write!(line, "\n{:>17} finding: {}", "", one_line(&finding.to_string()));
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
    fn text_of_a_peer_cannot_forge_a_line() {
        let event = Event::new(Timestamp::default(), "SM-DP+", "ConfirmOrder")
            .with_peer("ES2+", "a\r\nb".to_owned())
            .with_outcome(Outcome::Refused("x\n12:00 forged \u{1b}[31m".to_owned()));
        let line = timeline_line(Duration::ZERO, Timestamp::default(), &event);
        assert!(line.contains("a\\r\\nb") && line.contains("x\\n12:00 forged \\u{1b}[31m"), "{line}");
        assert!(!line.contains(char::is_control), "{line}");
        let mut log = LogOutput(Vec::new());
        log.write_all(b"WARN why=x\r\nWARN forged\n").unwrap();
        assert_eq!(log.0, b"WARN why=x\\r\\nWARN forged\n");
    }

    #[test]
    fn numbers_are_right_aligned() {
        let mut table = Table::new(&["name", "bytes"]);
        table.row(["a", "5"]);
        table.row(["longer", "1234"]);
        assert_eq!(table.render(), "name    bytes\n------  -----\na           5\nlonger   1234\n");
    }
}
