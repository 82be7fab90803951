//! Command scripts and their answers: TS 102 226 section 5.2, the expanded format, with the TLVs of SCP03t that
//! SGP.02 section 4.1.3.3 puts beside C-APDUs.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::octets::{Octets, hex_text};
use crate::der::{DecodeError, Problem, Reader, Tag, tlv_bytes, write_tlv};

/// How a template is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Form {
    /// AA, AB: with its length. On SMS, and between servers.
    Definite,
    /// AE 80, AF 80: ended by 00 00. On HTTPS.
    Indefinite,
    /// Without any template: some servers send only what would be in it.
    Bare,
}

const COMMANDS: Tag = Tag(0xAA);
const RESPONSES: Tag = Tag(0xAB);
const COMMANDS_INDEFINITE: u8 = 0xAE;
const RESPONSES_INDEFINITE: u8 = 0xAF;
const INDEFINITE: u8 = 0x80;
const END: [u8; 2] = [0, 0];

const C_APDU: Tag = Tag(0x22);
const R_APDU: Tag = Tag(0x23);
const EXECUTED: Tag = Tag(0x80);
const IMMEDIATE_ACTION: Tag = Tag(0x81);
const ERROR_ACTION: Tag = Tag(0x82);
const CHAINING: Tag = Tag(0x83);
const BAD_FORMAT: Tag = Tag(0x90);

/// Which script of several this is: TS 102 226 section 5.2.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Chaining {
    /// 01: the first; what is kept for the next is gone with a reset of the card.
    First,
    /// 11: the first; what is kept for the next survives a reset.
    FirstKept,
    /// 02: a further one, and more will follow.
    Following,
    /// 03: the last.
    Last,
}

impl Chaining {
    const fn code(self) -> u8 {
        match self {
            Self::First => 0x01,
            Self::FirstKept => 0x11,
            Self::Following => 0x02,
            Self::Last => 0x03,
        }
    }

    fn read(reader: &mut Octets<'_>) -> Result<Self, DecodeError> {
        let bad = reader.bad("script chaining is 01, 11, 02 or 03");
        match reader.octet()? {
            0x01 => Ok(Self::First),
            0x11 => Ok(Self::FirstKept),
            0x02 => Ok(Self::Following),
            0x03 => Ok(Self::Last),
            _ => Err(bad),
        }
    }
}

/// One element of a command script.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Command {
    /// 22: a C-APDU, always with Lc and Le where it has data and wants a response.
    Apdu(#[serde(with = "hex_text")] Vec<u8>),
    /// 84, 85 or 86: a TLV of SCP03t, whole.
    SecureChannel(#[serde(with = "hex_text")] Vec<u8>),
    /// 81: something to do at once.
    ImmediateAction(#[serde(with = "hex_text")] Vec<u8>),
    /// 82: something to do when a command fails.
    ErrorAction(#[serde(with = "hex_text")] Vec<u8>),
}

/// A command script.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Script {
    /// How it is written.
    pub form: Form,
    /// Which of several it is; absent when it stands alone.
    pub chaining: Option<Chaining>,
    /// What is to be done, in this order.
    pub commands: Vec<Command>,
}

impl Script {
    /// C-APDUs, with definite length, standing alone.
    pub fn of_apdus(apdus: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            form: Form::Definite,
            chaining: None,
            commands: apdus.into_iter().map(Command::Apdu).collect(),
        }
    }

    /// The same script, written otherwise.
    #[must_use]
    pub fn in_form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// The same script as one of several.
    #[must_use]
    pub fn chained(mut self, chaining: Chaining) -> Self {
        self.chaining = Some(chaining);
        self
    }

    /// The octets.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut contents = Vec::new();
        if let Some(chaining) = self.chaining {
            write_tlv(CHAINING, &[chaining.code()], &mut contents);
        }
        for command in &self.commands {
            match command {
                Command::Apdu(apdu) => write_tlv(C_APDU, apdu, &mut contents),
                Command::SecureChannel(tlv) => contents.extend_from_slice(tlv),
                Command::ImmediateAction(action) => write_tlv(IMMEDIATE_ACTION, action, &mut contents),
                Command::ErrorAction(action) => write_tlv(ERROR_ACTION, action, &mut contents),
            }
        }
        templated(self.form, COMMANDS, COMMANDS_INDEFINITE, contents)
    }

    /// From the octets, in any of the three forms.
    ///
    /// # Errors
    /// They are no script; [`BadFormat::of`] turns the error into what a card answers.
    pub fn parse(octets: &[u8]) -> Result<Self, DecodeError> {
        let (form, contents) = contents(octets, COMMANDS, COMMANDS_INDEFINITE)?;
        let mut script = Self { form, chaining: None, commands: Vec::new() };
        let mut reader = Reader::new(contents.rest());
        while let Some(tag) = next(&reader, contents.offset())? {
            let at = reader.clone();
            let error = |problem| shifted(at.error(problem), contents.offset());
            let whole = reader.whole_tlv().map_err(|e| shifted(e, contents.offset()))?;
            let value = crate::der::tlv::split(whole).map_or(&[][..], |(_, value)| value);
            script.commands.push(match tag {
                CHAINING if script.chaining.is_none() && script.commands.is_empty() => {
                    let mut value = Octets::at(value, contents.offset().saturating_add(at.offset()));
                    script.chaining = Some(Chaining::read(&mut value).map_err(|e| e.within("83"))?);
                    value.finish()?;
                    continue;
                }
                C_APDU if value.len() < 4 => {
                    return Err(error(Problem::BadValue("a C-APDU has at least 4 octets")));
                }
                C_APDU => Command::Apdu(value.to_vec()),
                IMMEDIATE_ACTION => Command::ImmediateAction(value.to_vec()),
                ERROR_ACTION => Command::ErrorAction(value.to_vec()),
                Tag(0x84..=0x86) => Command::SecureChannel(whole.to_vec()),
                found => return Err(error(Problem::NoSuchAlternative { found })),
            });
        }
        Ok(script)
    }
}

/// SW1 and SW2 of an answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StatusWord(pub u16);

impl StatusWord {
    /// Done.
    pub const OK: Self = Self(0x9000);
    /// GET STATUS: there is more.
    pub const MORE: Self = Self(0x6310);
    /// The memory failed.
    pub const MEMORY_FAILURE: Self = Self(0x6581);
    /// The lengths do not add up.
    pub const WRONG_LENGTH: Self = Self(0x6700);
    /// The security status is not satisfied.
    pub const SECURITY_STATUS: Self = Self(0x6982);
    /// Not in this state.
    pub const CONDITIONS_NOT_SATISFIED: Self = Self(0x6985);
    /// POL1 forbids it; only SGP.02 has this one.
    pub const POL1_PREVENTS: Self = Self(0x69E1);
    /// The data are wrong.
    pub const INCORRECT_DATA: Self = Self(0x6A80);
    /// No room.
    pub const NOT_ENOUGH_MEMORY: Self = Self(0x6A84);
    /// P1 or P2 are wrong.
    pub const INCORRECT_P1_P2: Self = Self(0x6A86);
    /// What is referred to is not there.
    pub const NOT_FOUND: Self = Self(0x6A88);
    /// No such instruction.
    pub const INSTRUCTION_NOT_SUPPORTED: Self = Self(0x6D00);
    /// No such class.
    pub const CLASS_NOT_SUPPORTED: Self = Self(0x6E00);

    /// 9000, or a warning.
    pub const fn is_success(self) -> bool {
        matches!(self.0 >> 8, 0x90 | 0x62 | 0x63)
    }
}

impl fmt::Display for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

impl fmt::Debug for StatusWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatusWord({self})")
    }
}

/// The answer to one C-APDU.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ResponseApdu {
    /// Response data, all of it.
    #[serde(with = "hex_text")]
    pub data: Vec<u8>,
    /// Status word.
    pub status: StatusWord,
}

impl ResponseApdu {
    /// Without data.
    pub const fn status(status: StatusWord) -> Self {
        Self { data: Vec::new(), status }
    }
}

/// One element of a response script.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Answer {
    /// 23: an R-APDU.
    Apdu(ResponseApdu),
    /// 84, 85, 86, 9F44, 9F45 or 9F46: a TLV of SCP03t, whole.
    SecureChannel(#[serde(with = "hex_text")] Vec<u8>),
    /// 81: what came of an immediate action.
    ImmediateAction(#[serde(with = "hex_text")] Vec<u8>),
}

/// What is wrong with a script: TS 102 226 section 5.2.2, tag 90.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BadFormat {
    /// 01: an unknown tag.
    UnknownTag,
    /// 02: a wrong length.
    WrongLength,
    /// 03: no length.
    LengthNotFound,
}

impl BadFormat {
    /// What a card answers to a script that is none.
    pub fn of(error: &DecodeError) -> Self {
        match error.problem {
            Problem::UnexpectedTag { .. } | Problem::NoSuchAlternative { .. } => Self::UnknownTag,
            Problem::Missing { .. } => Self::LengthNotFound,
            _ => Self::WrongLength,
        }
    }
}

/// Why chaining failed: TS 102 226 section 5.2.2, tag 83. From memory of the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChainingFailure {
    /// 01: no script came before this one.
    NoPreviousScript,
    /// 02: the application does not chain scripts.
    NotSupported,
    /// 03: there is no room to keep what the next one needs.
    UnableToProcess,
}

/// A response script.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ScriptResponse {
    /// How it is written: as the script was.
    pub form: Form,
    /// How many commands were executed; some peers leave it out.
    pub executed: Option<u16>,
    /// Their answers, in order.
    pub answers: Vec<Answer>,
    /// What was wrong with the script after the last of them.
    pub bad_format: Option<BadFormat>,
    /// Why the script could not follow another.
    pub chaining: Option<ChainingFailure>,
}

impl ScriptResponse {
    /// Answers to as many commands.
    pub fn of(form: Form, answers: Vec<Answer>) -> Self {
        let executed = Some(u16::try_from(answers.len()).unwrap_or(u16::MAX));
        Self { form, executed, answers, bad_format: None, chaining: None }
    }

    /// The answer to the last command, where that was an R-APDU.
    pub fn last_apdu(&self) -> Option<&ResponseApdu> {
        match self.answers.last() {
            Some(Answer::Apdu(apdu)) => Some(apdu),
            _ => None,
        }
    }

    /// The R-APDUs, in order.
    pub fn apdus(&self) -> impl Iterator<Item = &ResponseApdu> {
        self.answers.iter().filter_map(|answer| match answer {
            Answer::Apdu(apdu) => Some(apdu),
            _ => None,
        })
    }

    /// The octets.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut contents = Vec::new();
        if let Some(executed) = self.executed {
            let octets = executed.to_be_bytes();
            let shortest = if executed > 0xFF { &octets[..] } else { octets.get(1..).unwrap_or_default() };
            write_tlv(EXECUTED, shortest, &mut contents);
        }
        for answer in &self.answers {
            match answer {
                Answer::Apdu(apdu) => {
                    write_tlv(
                        R_APDU,
                        &[apdu.data.as_slice(), &apdu.status.0.to_be_bytes()].concat(),
                        &mut contents,
                    );
                }
                Answer::SecureChannel(tlv) => contents.extend_from_slice(tlv),
                Answer::ImmediateAction(result) => write_tlv(IMMEDIATE_ACTION, result, &mut contents),
            }
        }
        if let Some(bad) = self.bad_format {
            write_tlv(BAD_FORMAT, &[bad as u8 + 1], &mut contents);
        }
        if let Some(failure) = self.chaining {
            write_tlv(CHAINING, &[failure as u8 + 1], &mut contents);
        }
        templated(self.form, RESPONSES, RESPONSES_INDEFINITE, contents)
    }

    /// From the octets, in any of the three forms.
    ///
    /// # Errors
    /// They are no response script.
    pub fn parse(octets: &[u8]) -> Result<Self, DecodeError> {
        let (form, contents) = contents(octets, RESPONSES, RESPONSES_INDEFINITE)?;
        let mut response =
            Self { form, executed: None, answers: Vec::new(), bad_format: None, chaining: None };
        let mut reader = Reader::new(contents.rest());
        while let Some(tag) = next(&reader, contents.offset())? {
            let at = reader.clone();
            let error = |problem| shifted(at.error(problem), contents.offset());
            let bad = |what| error(Problem::BadValue(what));
            let whole = reader.whole_tlv().map_err(|e| shifted(e, contents.offset()))?;
            let value = crate::der::tlv::split(whole).map_or(&[][..], |(_, value)| value);
            match tag {
                EXECUTED => {
                    response.executed = Some(match value {
                        [count] => u16::from(*count),
                        [high, low] => u16::from_be_bytes([*high, *low]),
                        _ => return Err(bad("the number of executed commands has one octet or two")),
                    });
                }
                R_APDU => match value.split_last_chunk() {
                    Some((data, status)) => response.answers.push(Answer::Apdu(ResponseApdu {
                        data: data.to_vec(),
                        status: StatusWord(u16::from_be_bytes(*status)),
                    })),
                    None => return Err(bad("an R-APDU has at least a status word")),
                },
                IMMEDIATE_ACTION => response.answers.push(Answer::ImmediateAction(value.to_vec())),
                Tag(0x84..=0x86 | 0x9F44..=0x9F46) => {
                    response.answers.push(Answer::SecureChannel(whole.to_vec()));
                }
                BAD_FORMAT => {
                    response.bad_format = Some(match value {
                        [1] => BadFormat::UnknownTag,
                        [2] => BadFormat::WrongLength,
                        [3] => BadFormat::LengthNotFound,
                        _ => return Err(bad("a bad format is 01, 02 or 03")),
                    });
                }
                CHAINING => {
                    response.chaining = Some(match value {
                        [1] => ChainingFailure::NoPreviousScript,
                        [2] => ChainingFailure::NotSupported,
                        [3] => ChainingFailure::UnableToProcess,
                        _ => return Err(bad("a chaining failure is 01, 02 or 03")),
                    });
                }
                found => return Err(error(Problem::NoSuchAlternative { found })),
            }
        }
        Ok(response)
    }
}

fn templated(form: Form, definite: Tag, indefinite: u8, contents: Vec<u8>) -> Vec<u8> {
    match form {
        Form::Definite => tlv_bytes(definite, &contents),
        Form::Indefinite => [&[indefinite, INDEFINITE], contents.as_slice(), &END].concat(),
        Form::Bare => contents,
    }
}

/// The contents, told from where in `octets` they begin.
fn contents(octets: &[u8], definite: Tag, indefinite: u8) -> Result<(Form, Octets<'_>), DecodeError> {
    match octets {
        [first, INDEFINITE, rest @ ..] if *first == indefinite => {
            let end = DecodeError::new(octets.len(), Problem::Truncated);
            // The end is that of the last TLV; 00 is the tag of none.
            let contents = rest.strip_suffix(&END).ok_or(end)?;
            Ok((Form::Indefinite, Octets::at(contents, 2)))
        }
        [first, ..] if u32::from(*first) == definite.0 => {
            let mut reader = Reader::new(octets);
            let contents = reader.contents(definite)?;
            reader.finish()?;
            Ok((Form::Definite, Octets::at(contents, octets.len().saturating_sub(contents.len()))))
        }
        [] => Err(DecodeError::new(0, Problem::Missing { expected: definite })),
        _ => Ok((Form::Bare, Octets::new(octets))),
    }
}

fn next(reader: &Reader<'_>, offset: usize) -> Result<Option<Tag>, DecodeError> {
    reader.peek().map_err(|e| shifted(e, offset))
}

fn shifted(mut error: DecodeError, by: usize) -> DecodeError {
    error.offset = error.offset.saturating_add(by);
    error
}

#[cfg(test)]
mod tests;
