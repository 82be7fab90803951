//! Lines of a trace, read again.

use std::fmt;

use rsp::time::Timestamp;

use super::{Event, Exchange, json};

/// Why a line was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineError {
    /// It is not a line of a trace: why.
    Malformed(String),
    /// It hides octets, and a trace with secrets cannot be made of it.
    Hidden,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => f.write_str(why),
            Self::Hidden => f.write_str("octets of it are hidden"),
        }
    }
}

impl std::error::Error for LineError {}

/// The exchange that a line tells: a JSON object as [`super::Form::JsonLines`] writes them, or hex digits,
/// `COMMAND > ANSWER` or `reset > ATR`. Octets that a line hides are read as zero, which is for a trace without secrets
/// only: it hides them again.
///
/// # Errors
/// The line is neither, or it hides octets that are to be read `with_secrets`.
pub fn read_line(line: &str, with_secrets: bool) -> Result<Exchange, LineError> {
    if line.starts_with('{') {
        return json::read(line, with_secrets);
    }
    let no_answer = || LineError::Malformed("there is no > between command and answer".to_owned());
    let (command, answer) = line.split_once('>').ok_or_else(no_answer)?;
    let answer = octets(answer, with_secrets)?;
    let event = match command.trim() {
        "reset" => Event::Reset { atr: answer },
        command => Event::Command { command: octets(command, with_secrets)?, answer },
    };
    Ok(Exchange { at: Timestamp::default(), card: "card".to_owned(), event })
}

/// Hex digits, with `**` for an octet that is hidden.
pub(super) fn octets(digits: &str, with_secrets: bool) -> Result<Vec<u8>, LineError> {
    if with_secrets && digits.contains('*') {
        return Err(LineError::Hidden);
    }
    let digits: String = digits.chars().filter(|letter| !letter.is_whitespace()).collect();
    hex::decode(digits.replace("**", "00"))
        .map_err(|_| LineError::Malformed(format!("{digits:?} is not in hex digits")))
}
