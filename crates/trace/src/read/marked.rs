//! One APDU per line, with a mark of its direction: `> 00A40004023F00` or `-> ...` for a command,
//! `< 9000` or `<- ...` for a response. A response can have its status word in front: `<- 9000: 6F07`.

use super::pairs::{Pairs, Pending};
use crate::octets::{self, LineError};

/// The two directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Command,
    Response,
}

/// Returns the direction and the digits of a marked line.
pub(super) fn apdu(line: &str) -> Option<(Direction, String)> {
    let line = line.trim();
    let digits = line.trim_start_matches(['<', '>', '-', '=']);
    let mark = line.strip_suffix(digits)?;
    let direction = match (mark.contains('>'), mark.contains('<')) {
        (true, false) => Direction::Command,
        (false, true) => Direction::Response,
        _ => return None,
    };
    let digits = match digits.split_once(':') {
        Some((status, data)) if direction == Direction::Response => format!("{data}{status}"),
        _ => digits.to_owned(),
    };
    let octets = octets::parse(&digits, false).ok()?;
    (octets.len() >= 2).then_some((direction, digits))
}

/// Reads a line. Lines without a mark are skipped: other output of the program, or the details in a
/// text of [`crate::Recorder`].
pub(super) fn line(line: &str, with_secrets: bool, pairs: &mut Pairs) -> Result<(), LineError> {
    let Some((direction, digits)) = apdu(line) else { return Ok(()) };
    let octets = octets::parse(&digits, with_secrets)?;
    match direction {
        Direction::Command => pairs.command(Pending::Apdu(octets)),
        Direction::Response => return pairs.response(octets),
    }
    Ok(())
}
