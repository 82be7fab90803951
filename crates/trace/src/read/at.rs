//! AT commands for card access, TS 27.007 sections 8.17 and 8.43 to 8.46, as a terminal or
//! ModemManager logs them: `AT+CSIM=10,"0070000001"` and `+CSIM: 6,"019000"` anywhere in a line.

use super::pairs::{Pairs, Pending, on_channel};
use crate::octets::{self, LineError};

/// True if the line has a command or an answer for card access.
pub(super) fn is_card_access(line: &str) -> bool {
    ["AT+CSIM=", "AT+CGLA=", "AT+CCHO=", "+CSIM:", "+CGLA:"].iter().any(|part| line.contains(part))
}

/// Reads a line. Other lines are skipped.
pub(super) fn line(line: &str, with_secrets: bool, pairs: &mut Pairs) -> Result<(), LineError> {
    let parameters = |name: &str| line.split_once(name).map(|(_, parameters)| parameters);
    if let Some(text) = parameters("AT+CSIM=") {
        if let Some(command) = apdu(text, 1, with_secrets)? {
            add(Pending::Apdu(command), pairs);
        }
    } else if let Some(text) = parameters("AT+CGLA=") {
        if let Some(mut command) = apdu(text, 2, with_secrets)? {
            if let Some(class) = command.first_mut() {
                *class = on_channel(*class, channel(text));
            }
            add(Pending::Apdu(command), pairs);
        }
    } else if let Some(text) = parameters("AT+CCHO=") {
        if let Some(aid) = apdu(text, 0, with_secrets)? {
            add(Pending::Open(aid), pairs);
        }
    } else if let Some(text) = parameters("AT+CCHC=") {
        add(Pending::Close(channel(text)), pairs);
    } else if let Some(text) = parameters("+CSIM:").or_else(|| parameters("+CGLA:")) {
        // A test command has ranges instead of digits in its answer.
        if let Some(response) = apdu(text, 1, with_secrets)? {
            pairs.response(response)?;
        }
    } else {
        end(line, pairs);
    }
    Ok(())
}

/// Reads a line that can end a command without an APDU.
fn end(line: &str, pairs: &mut Pairs) {
    let text = line.rsplit("--").next().unwrap_or(line).replace("<CR>", "").replace("<LF>", "");
    let text = text.trim_matches(|c: char| c.is_whitespace() || "'><\"".contains(c));
    if text.contains("ERROR") {
        pairs.fail(&format!("the modem answered {text}"));
        return;
    }
    match pairs.pending() {
        Some(Pending::Open(_)) => {
            // Some modems answer with the session only.
            let session = text.split_once("+CCHO:").map_or(text, |(_, session)| session).trim();
            if session.starts_with(|c: char| c.is_ascii_digit()) {
                pairs.done(Some(channel(session)));
            }
        }
        Some(Pending::Close(_)) if text.contains("OK") || text.contains("+CCHC") => pairs.done(None),
        _ => {}
    }
}

/// Adds a command. The echo of the pending command is not another command.
fn add(command: Pending, pairs: &mut Pairs) {
    if pairs.pending() != Some(&command) {
        pairs.command(command);
    }
}

/// Parses the digits in a parameter, with or without quotation marks.
fn apdu(parameters: &str, at: usize, with_secrets: bool) -> Result<Option<Vec<u8>>, LineError> {
    let Some(text) = parameters.split(',').nth(at) else { return Ok(None) };
    let text = text.trim_start_matches([' ', '"', '\\']);
    let end = text.find(|c: char| !c.is_ascii_hexdigit() && c != '*').unwrap_or(text.len());
    match text.get(..end) {
        None | Some("") => Ok(None),
        Some(digits) => octets::parse(digits, with_secrets).map(Some),
    }
}

/// Returns the channel for a session of +CCHO. Modems number sessions as they like; most use the number
/// of the channel. Other numbers are read as channel 1.
fn channel(parameters: &str) -> u8 {
    let digits: String = parameters.trim().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|channel| *channel <= 19).unwrap_or(1)
}
