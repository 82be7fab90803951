//! The parser of trace lines.

use rsp::time::Timestamp;

use super::octets::{self, LineError};
use super::{Event, Exchange, json};

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
    let answer = octets::parse(answer, with_secrets)?;
    let event = match command.trim() {
        "reset" => Event::Reset { atr: answer },
        command => Event::Command { command: octets::parse(command, with_secrets)?, answer },
    };
    Ok(Exchange { at: Timestamp::default(), card: "card".to_owned(), event })
}
