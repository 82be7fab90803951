//! The parser of trace lines.

use std::fmt;

use rsp::time::Timestamp;

use super::{Event, Exchange, json};

/// The reason why a line cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineError {
    /// The line is malformed. Contains the reason.
    Malformed(String),
    /// The line contains hidden octets, so a trace with secrets cannot be made from it.
    Hidden,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(why) => f.write_str(why),
            Self::Hidden => f.write_str("the line contains hidden octets"),
        }
    }
}

impl std::error::Error for LineError {}

/// Parses a line of a trace: a JSON object as written for [`super::Form::JsonLines`], or
/// hexadecimal digits in the form `COMMAND > ANSWER` or `reset > ATR`. Hidden octets are read as
/// zero. This is permitted only for a trace without secrets, which hides them again.
///
/// # Errors
/// The line is in neither form, or it contains hidden octets and is to be read `with_secrets`.
pub fn read_line(line: &str, with_secrets: bool) -> Result<Exchange, LineError> {
    if line.starts_with('{') {
        return json::read(line, with_secrets);
    }
    let no_answer = || LineError::Malformed("the line has no > between command and answer".to_owned());
    let (command, answer) = line.split_once('>').ok_or_else(no_answer)?;
    let answer = octets(answer, with_secrets)?;
    let event = match command.trim() {
        "reset" => Event::Reset { atr: answer },
        command => Event::Command { command: octets(command, with_secrets)?, answer },
    };
    Ok(Exchange { at: Timestamp::default(), card: "card".to_owned(), event })
}

/// Parses hexadecimal digits, in which `**` stands for a hidden octet.
pub(super) fn octets(digits: &str, with_secrets: bool) -> Result<Vec<u8>, LineError> {
    if with_secrets && digits.contains('*') {
        return Err(LineError::Hidden);
    }
    let digits: String = digits.chars().filter(|letter| !letter.is_whitespace()).collect();
    hex::decode(digits.replace("**", "00"))
        .map_err(|_| LineError::Malformed(format!("{digits:?} does not consist of hexadecimal digits")))
}
