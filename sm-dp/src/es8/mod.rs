//! ES8, through ES3.SendData and the ISD-R to the ISD-P: SGP.02 section 4.1.3.
//!
//! The octets of the C-APDUs are [`rsp::sgp02::es5`]'s, the arithmetic is [`crypto`]'s; the card has its own of both.
//! What is here only makes command scripts and reads what cards answer; when which of them is sent is for the procedure
//! in [`m2m`](crate::m2m). A card's answer is a peer's octets like any other: every way in which it can be wrong has a
//! name in [`CardFault`].

pub(crate) mod connectivity;
pub(crate) mod download;
mod handshake;
pub(crate) mod key_establishment;

use std::fmt;

use rsp::ota::script::{Answer, Chaining, Command, Form, ResponseApdu, Script, ScriptResponse};

/// Why a card's answer ends what was begun with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CardFault {
    /// The octets are no response script, or not the one to this script.
    Unreadable(String),
    /// A command was answered with this status word.
    StatusWord {
        /// Which command.
        command: &'static str,
        /// What the card said.
        status_word: u16,
    },
    /// SCP03t: the card answered 9F44, 9F45 or 9F46.
    Refused {
        /// Which TLV.
        command: &'static str,
        /// Its code.
        code: u8,
    },
    /// What the card sent proves that it does not have the keys: receipt, cryptogram or R-MAC.
    NotAuthentic(&'static str),
    /// The card says which profile element it could not install.
    NotInstalled(String),
}

impl fmt::Display for CardFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "the eUICC's answer cannot be read: {why}"),
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

/// A script in the form in which ES3.SendData carries it.
fn script(commands: Vec<Command>, chaining: Chaining) -> Vec<u8> {
    Script { form: Form::Definite, chaining: Some(chaining), commands }.to_bytes()
}

/// What the card answered to a script, whatever it was.
fn answers(octets: &[u8]) -> Result<Vec<Answer>, CardFault> {
    let unreadable = |why: String| CardFault::Unreadable(why);
    let response = ScriptResponse::parse(octets).map_err(|e| unreadable(e.to_string()))?;
    if let Some(bad) = response.bad_format {
        return Err(unreadable(format!("it found the script badly formed ({bad:?})")));
    }
    if let Some(failure) = response.chaining {
        return Err(unreadable(format!("it could not chain the script to the one before ({failure:?})")));
    }
    Ok(response.answers)
}

/// What the card answered to these C-APDUs, all of which must have been done.
fn apdus(octets: &[u8], commands: &[&'static str]) -> Result<Vec<ResponseApdu>, CardFault> {
    let answers = answers(octets)?;
    let mut done = Vec::new();
    for (number, command) in commands.iter().enumerate() {
        match answers.get(number) {
            Some(Answer::Apdu(apdu)) if apdu.status.is_success() => done.push(apdu.clone()),
            Some(Answer::Apdu(apdu)) => {
                return Err(CardFault::StatusWord { command, status_word: apdu.status.0 });
            }
            Some(_) => return Err(CardFault::Unreadable(format!("no R-APDU answers {command}"))),
            None => return Err(CardFault::Unreadable(format!("nothing answers {command}"))),
        }
    }
    Ok(done)
}
