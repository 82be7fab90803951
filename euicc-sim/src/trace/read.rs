//! Lines of a trace, read again.

use rsp::time::Timestamp;

use super::{Event, Exchange, json};

/// The exchange that a line tells: a JSON object as [`super::Form::JsonLines`] writes them, or hex digits,
/// `COMMAND > ANSWER` or `reset > ATR`. Octets that a line hides are read as zero.
///
/// # Errors
/// The line is neither: why.
pub fn read_line(line: &str) -> Result<Exchange, String> {
    if line.starts_with('{') {
        return json::read(line);
    }
    let (command, answer) = line.split_once('>').ok_or("there is no > between command and answer")?;
    let answer = octets(answer)?;
    let event = match command.trim() {
        "reset" => Event::Reset { atr: answer },
        command => Event::Command { command: octets(command)?, answer },
    };
    Ok(Exchange { at: Timestamp::default(), card: "card".to_owned(), event })
}

/// Hex digits, with `**` for an octet that is hidden.
pub(super) fn octets(digits: &str) -> Result<Vec<u8>, String> {
    let digits: String = digits.chars().filter(|letter| !letter.is_whitespace()).collect();
    hex::decode(digits.replace('*', "0")).map_err(|_| format!("{digits:?} is not in hex digits"))
}
