//! The parser of traces. The content of a trace decides its format.
//!
//! | Format | Recognised by |
//! |---|---|
//! | pcapng with GSMTAP | the first four octets |
//! | JSON lines of a [`super::Recorder`] | `{` at the beginning of a line, and the key `event` |
//! | the stdio protocol of lpac | a JSON object with `type` and `payload` |
//! | a log of AT commands | `+CSIM`, `+CGLA`, `+CCHO` |
//! | one APDU per line | `>` or `->` before a command, `<` or `<-` before a response |
//! | exchanges in hexadecimal digits | `COMMAND > RESPONSE` |
//!
//! Lines of other programs are skipped in the logs of lpac, in AT logs and between marked APDUs.

mod at;
mod lpac;
mod marked;
mod pairs;

#[cfg(test)]
mod tests;

use std::fmt;

use rsp::time::Timestamp;
use serde_json::Value;

use super::octets::{self, LineError};
use super::{Event, Exchange, json, pcapng};

/// The reason why a trace cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// The line, or the block of a pcapng file, counted from 1.
    pub number: usize,
    /// True if `number` is the number of a line.
    pub is_line: bool,
    /// The reason.
    pub why: LineError,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", if self.is_line { "line" } else { "block" }, self.number, self.why)
    }
}

impl std::error::Error for ReadError {}

/// Parses a trace in any of the formats. Hidden octets are read as zero. This is permitted only for a
/// trace without secrets, which hides them again.
///
/// # Errors
/// A line or a block is malformed, or it contains hidden octets and is to be read `with_secrets`.
pub fn read(trace: &[u8], with_secrets: bool) -> Result<Vec<Exchange>, ReadError> {
    if pcapng::is_file(trace) {
        return pcapng::read(trace, with_secrets).map_err(|(number, why)| ReadError {
            number,
            is_line: false,
            why,
        });
    }
    let text = String::from_utf8_lossy(trace);
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
    let format = lines.clone().find_map(|(line, _)| LogFormat::of(line)).unwrap_or(LogFormat::Exchanges);
    let mut exchanges = Vec::new();
    let mut pairs = pairs::Pairs::default();
    for (line, number) in lines {
        match format {
            LogFormat::Exchanges => read_line(line, with_secrets).map(|exchange| exchanges.push(exchange)),
            LogFormat::Lpac => lpac::line(line, with_secrets, &mut pairs),
            LogFormat::At => at::line(line, with_secrets, &mut pairs),
            LogFormat::Marked => marked::line(line, with_secrets, &mut pairs),
        }
        .map_err(|why| ReadError { number, is_line: true, why })?;
    }
    exchanges.extend(pairs.finish());
    Ok(exchanges)
}

/// The format of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LogFormat {
    Exchanges,
    Lpac,
    At,
    Marked,
}

impl LogFormat {
    /// Returns the format to which the line belongs, if it belongs to one.
    fn of(line: &str) -> Option<Self> {
        if let Some(Value::Object(object)) = lpac::object(line) {
            let is_lpac = object.contains_key("type") && object.contains_key("payload");
            return match is_lpac {
                true => Some(Self::Lpac),
                false => line.starts_with('{').then_some(Self::Exchanges),
            };
        }
        if at::is_card_access(line) {
            return Some(Self::At);
        }
        if marked::apdu(line).is_some() {
            return Some(Self::Marked);
        }
        let (command, _) = line.split_once('>')?;
        let is_command = command.trim() == "reset" || octets::parse(command, false).is_ok();
        (is_command && !command.trim().is_empty()).then_some(Self::Exchanges)
    }
}

/// Parses a line with one exchange: a JSON object as written for [`super::Form::JsonLines`], or
/// hexadecimal digits in the form `COMMAND > ANSWER` or `reset > ATR`. Hidden octets are read as in
/// [`read()`].
///
/// # Errors
/// The line is in neither form, or it contains hidden octets and is to be read `with_secrets`.
pub fn read_line(line: &str, with_secrets: bool) -> Result<Exchange, LineError> {
    if line.starts_with('{') {
        return json::read(line, with_secrets);
    }
    let no_answer = || LineError::Malformed("the line has no > between command and answer".to_owned());
    let (command, answer) = line.split_once('>').ok_or_else(no_answer)?;
    let answer = octets::parse(answer, with_secrets)?;
    Ok(exchange(match command.trim() {
        "reset" => Event::Reset { atr: answer },
        command => Event::Command { command: octets::parse(command, with_secrets)?, answer },
    }))
}

/// An exchange of a log without times and names of cards.
fn exchange(event: Event) -> Exchange {
    Exchange { at: Timestamp::default(), card: "card".to_owned(), event }
}
