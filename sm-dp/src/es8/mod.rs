//! ES8, the interface to the ISD-P, reached through ES3.SendData and the ISD-R: SGP.02 section 4.1.3.
//!
//! This module builds command scripts and evaluates card responses. [`rsp::sgp02::es5`] encodes the
//! C-APDUs and [`crypto`] does the cryptography; the simulated card has its own implementation of
//! both. The procedure in [`m2m`](crate::m2m) decides when each script is sent. A card response is
//! untrusted input, and every way in which it can be invalid is a variant of [`CardFault`].

pub(crate) mod connectivity;
pub(crate) mod download;
mod handshake;
pub(crate) mod key_establishment;

use std::fmt;

use rsp::ota::script::{Answer, Chaining, Command, Form, ResponseApdu, Script, ScriptResponse};

/// The reason why a card response ends a procedure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CardFault {
    /// The octets are not a response script, or not one that matches the command script.
    Unreadable(String),
    /// The card returned an error status word for a command.
    StatusWord {
        /// The name of the command.
        command: &'static str,
        /// The status word.
        status_word: u16,
    },
    /// SCP03t: the card answered 9F44, 9F45 or 9F46.
    Refused {
        /// The name of the command TLV.
        command: &'static str,
        /// The error code.
        code: u8,
    },
    /// A receipt, cryptogram or R-MAC does not verify, so the card does not have the keys.
    NotAuthentic(&'static str),
    /// The card reported a profile element that it could not install.
    NotInstalled(String),
}

impl fmt::Display for CardFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "the eUICC's response is invalid: {why}"),
            Self::StatusWord { command, status_word } => {
                write!(f, "the eUICC answered {command} with {status_word:04X}")
            }
            Self::Refused { command, code } => {
                let why = match code {
                    1 => "structure",
                    2 => "security",
                    3 => "referenced data not found",
                    _ => "unknown reason",
                };
                write!(f, "the eUICC refused {command}: {why} ({code:02X})")
            }
            Self::NotAuthentic(what) => write!(f, "the {what} of the eUICC does not verify"),
            Self::NotInstalled(why) => write!(f, "the eUICC did not install the profile: {why}"),
        }
    }
}

impl std::error::Error for CardFault {}

/// Encodes a script in the format of ES3.SendData.
fn script(commands: Vec<Command>, chaining: Chaining) -> Vec<u8> {
    Script { form: Form::Definite, chaining: Some(chaining), commands }.to_bytes()
}

/// Parses a response script without checking status words.
fn answers(octets: &[u8]) -> Result<Vec<Answer>, CardFault> {
    let unreadable = |why: String| CardFault::Unreadable(why);
    let response = ScriptResponse::parse(octets).map_err(|e| unreadable(e.to_string()))?;
    if let Some(bad) = response.bad_format {
        return Err(unreadable(format!("the eUICC rejected the format of the script ({bad:?})")));
    }
    if let Some(failure) = response.chaining {
        return Err(unreadable(format!(
            "the eUICC could not chain the script to the previous one ({failure:?})"
        )));
    }
    Ok(response.answers)
}

/// Returns the responses to these C-APDUs. Fails if any of them was not successful.
fn apdus(octets: &[u8], commands: &[&'static str]) -> Result<Vec<ResponseApdu>, CardFault> {
    let answers = answers(octets)?;
    let mut done = Vec::new();
    for (number, command) in commands.iter().enumerate() {
        match answers.get(number) {
            Some(Answer::Apdu(apdu)) if apdu.status.is_success() => done.push(apdu.clone()),
            Some(Answer::Apdu(apdu)) => {
                return Err(CardFault::StatusWord { command, status_word: apdu.status.0 });
            }
            Some(_) => {
                return Err(CardFault::Unreadable(format!("the response to {command} is not an R-APDU")));
            }
            None => return Err(CardFault::Unreadable(format!("there is no response to {command}"))),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_code_of_a_refused_command_has_a_meaning() {
        let refused = |code| CardFault::Refused { command: "INITIALIZE UPDATE", code }.to_string();
        let codes =
            [(1, "structure"), (2, "security"), (3, "referenced data not found"), (4, "unknown reason")];
        for (code, why) in codes {
            assert!(refused(code).contains(why), "{}", refused(code));
        }
    }
}
