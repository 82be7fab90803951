//! Octets as hexadecimal digits, in which `**` stands for a hidden octet.

use std::fmt;
use std::ops::Range;

/// Formats octets as hexadecimal digits, with asterisks for hidden ones.
pub(super) fn format(octets: &[u8], secret: &Range<usize>) -> String {
    let digits = octets.iter().enumerate().map(|(at, octet)| match secret.contains(&at) {
        true => "**".to_owned(),
        false => format!("{octet:02X}"),
    });
    digits.collect()
}

/// Parses hexadecimal digits, in which `**` stands for a hidden octet.
pub(super) fn parse(digits: &str, with_secrets: bool) -> Result<Vec<u8>, LineError> {
    if with_secrets && digits.contains('*') {
        return Err(LineError::Hidden);
    }
    let digits: String = digits.chars().filter(|letter| !letter.is_whitespace()).collect();
    hex::decode(digits.replace("**", "00"))
        .map_err(|_| LineError::Malformed(format!("{digits:?} does not consist of hexadecimal digits")))
}

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
