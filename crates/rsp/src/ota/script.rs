//! Command scripts and response scripts: the expanded format of TS 102 226 section 5.2, with the
//! TLVs of SCP03t that SGP.02 section 4.1.3.3 adds to C-APDUs.

use serde::{Deserialize, Serialize};

use super::octets::{Octets, hex_text};
use crate::StatusWord;
use crate::der::{DecodeError, Problem, Reader, Tag, tlv_bytes, usually, write_tlv};
use crate::finding::{FindingKind, report};

/// The encoding of a script template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Form {
    /// AA, AB: with definite length. Used over SMS and between servers.
    Definite,
    /// AE 80, AF 80: with indefinite length, terminated by 00 00. Used over HTTPS.
    Indefinite,
    /// Without a template: some servers send only the contents.
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

/// The position of a script in a chain of scripts: TS 102 226 section 5.2.1.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Chaining {
    /// 01: the first script. A reset of the card deletes the state kept for the next script.
    First,
    /// 11: the first script. The state kept for the next script survives a reset.
    FirstKept,
    /// 02: a subsequent script that is not the last.
    Following,
    /// 03: the last script.
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
        let bad = reader.bad("script chaining must be 01, 11, 02 or 03");
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
    /// 22: a C-APDU, with Lc if it has data and Le if it requests a response.
    Apdu(#[serde(with = "hex_text")] Vec<u8>),
    /// 84, 85 or 86: a whole TLV of SCP03t.
    SecureChannel(#[serde(with = "hex_text")] Vec<u8>),
    /// 81: an immediate action.
    ImmediateAction(#[serde(with = "hex_text")] Vec<u8>),
    /// 82: an action for the case that a command fails.
    ErrorAction(#[serde(with = "hex_text")] Vec<u8>),
}

/// A command script.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Script {
    /// The encoding of the script.
    pub form: Form,
    /// The position in a chain; absent for a single script.
    pub chaining: Option<Chaining>,
    /// The commands in the order of execution.
    pub commands: Vec<Command>,
}

impl Script {
    /// Creates a single script of C-APDUs with definite length.
    pub fn of_apdus(apdus: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self {
            form: Form::Definite,
            chaining: None,
            commands: apdus.into_iter().map(Command::Apdu).collect(),
        }
    }

    /// Changes the encoding of the script.
    #[must_use]
    pub fn in_form(mut self, form: Form) -> Self {
        self.form = form;
        self
    }

    /// Makes the script part of a chain.
    #[must_use]
    pub fn chained(mut self, chaining: Chaining) -> Self {
        self.chaining = Some(chaining);
        self
    }

    /// Encodes the script.
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

    /// Decodes a script in any of the three encodings.
    ///
    /// # Errors
    /// The octets are not a script. [`BadFormat::of`] converts the error to the card's response.
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
                // req: TS.102.226-5.2-Apdu
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

/// The response to one C-APDU.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ResponseApdu {
    /// The complete response data.
    #[serde(with = "hex_text")]
    pub data: Vec<u8>,
    /// The status word.
    pub status: StatusWord,
}

impl ResponseApdu {
    /// Creates a response without data.
    pub const fn status(status: StatusWord) -> Self {
        Self { data: Vec::new(), status }
    }
}

/// One element of a response script.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Answer {
    /// 23: an R-APDU.
    Apdu(ResponseApdu),
    /// 84, 85, 86, 9F44, 9F45 or 9F46: a whole TLV of SCP03t.
    SecureChannel(#[serde(with = "hex_text")] Vec<u8>),
    /// 81: the result of an immediate action.
    ImmediateAction(#[serde(with = "hex_text")] Vec<u8>),
}

/// A format error in a script: TS 102 226 section 5.2.2, tag 90.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BadFormat {
    /// 01: an unknown tag.
    UnknownTag,
    /// 02: a wrong length.
    WrongLength,
    /// 03: the length is missing.
    LengthNotFound,
    /// A reserved value.
    Reserved(u8),
}

impl BadFormat {
    const fn code(self) -> u8 {
        match self {
            Self::UnknownTag => 0x01,
            Self::WrongLength => 0x02,
            Self::LengthNotFound => 0x03,
            Self::Reserved(code) => code,
        }
    }

    fn read(code: u8) -> Self {
        match code {
            0x01 => Self::UnknownTag,
            0x02 => Self::WrongLength,
            0x03 => Self::LengthNotFound,
            reserved => {
                report(FindingKind::UnknownValue, || format!("ScriptResponse.bad_format: {reserved:02X}"));
                Self::Reserved(reserved)
            }
        }
    }

    /// Returns the card's response to a script that cannot be decoded.
    pub fn of(error: &DecodeError) -> Self {
        match error.problem {
            Problem::UnexpectedTag { .. } | Problem::NoSuchAlternative { .. } => Self::UnknownTag,
            Problem::Missing { .. } => Self::LengthNotFound,
            _ => Self::WrongLength,
        }
    }
}

/// The reason why chaining failed: TS 102 226 section 5.2.2, tag 83. The values are not verified
/// against the text of the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChainingFailure {
    /// 01: there is no previous script.
    NoPreviousScript,
    /// 02: the application does not support script chaining.
    NotSupported,
    /// 03: there is not enough memory to keep the state for the next script.
    UnableToProcess,
    /// A reserved value.
    Reserved(u8),
}

impl ChainingFailure {
    const fn code(self) -> u8 {
        match self {
            Self::NoPreviousScript => 0x01,
            Self::NotSupported => 0x02,
            Self::UnableToProcess => 0x03,
            Self::Reserved(code) => code,
        }
    }

    fn read(code: u8) -> Self {
        match code {
            0x01 => Self::NoPreviousScript,
            0x02 => Self::NotSupported,
            0x03 => Self::UnableToProcess,
            reserved => {
                report(FindingKind::UnknownValue, || format!("ScriptResponse.chaining: {reserved:02X}"));
                Self::Reserved(reserved)
            }
        }
    }
}

/// A response script.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ScriptResponse {
    /// The encoding, the same as that of the script.
    pub form: Form,
    /// The number of executed commands; some peers omit it.
    pub executed: Option<u16>,
    /// The results of the commands in the order of execution.
    pub answers: Vec<Answer>,
    /// The format error after the last executed command.
    pub bad_format: Option<BadFormat>,
    /// The reason why chaining failed.
    pub chaining: Option<ChainingFailure>,
}

impl ScriptResponse {
    /// Creates a response in which each result belongs to one executed command.
    pub fn of(form: Form, answers: Vec<Answer>) -> Self {
        let executed = Some(u16::try_from(answers.len()).unwrap_or(u16::MAX));
        Self { form, executed, answers, bad_format: None, chaining: None }
    }

    /// Returns the last result if it is an R-APDU.
    pub fn last_apdu(&self) -> Option<&ResponseApdu> {
        match self.answers.last() {
            Some(Answer::Apdu(apdu)) => Some(apdu),
            _ => None,
        }
    }

    /// Returns the R-APDUs in order.
    pub fn apdus(&self) -> impl Iterator<Item = &ResponseApdu> {
        self.answers.iter().filter_map(|answer| match answer {
            Answer::Apdu(apdu) => Some(apdu),
            _ => None,
        })
    }

    /// Encodes the response script.
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
                        &[apdu.data.as_slice(), &apdu.status.to_bytes()].concat(),
                        &mut contents,
                    );
                }
                Answer::SecureChannel(tlv) => contents.extend_from_slice(tlv),
                Answer::ImmediateAction(result) => write_tlv(IMMEDIATE_ACTION, result, &mut contents),
            }
        }
        if let Some(bad) = self.bad_format {
            write_tlv(BAD_FORMAT, &[bad.code()], &mut contents);
        }
        if let Some(failure) = self.chaining {
            write_tlv(CHAINING, &[failure.code()], &mut contents);
        }
        templated(self.form, RESPONSES, RESPONSES_INDEFINITE, contents)
    }

    /// Decodes a response script in any of the three encodings.
    ///
    /// # Errors
    /// The octets are not a response script.
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
                    response.executed = Some(executed(value).ok_or_else(|| {
                        bad("the number of executed commands has at least one octet, and is at most FFFF")
                    })?)
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
                    let [code] = value else { return Err(bad("a bad format has one octet")) };
                    response.bad_format = Some(BadFormat::read(*code));
                }
                CHAINING => {
                    let [code] = value else { return Err(bad("a chaining failure has one octet")) };
                    response.chaining = Some(ChainingFailure::read(*code));
                }
                found => report(FindingKind::UnknownElement, || {
                    format!("ScriptResponse: element {found} at octet {}", at.offset())
                }),
            }
        }
        let has_any = response.executed.is_some()
            || !response.answers.is_empty()
            || response.bad_format.is_some()
            || response.chaining.is_some();
        match form {
            // Without a template, only a known element shows that the octets are a response script.
            Form::Bare if !has_any => Err(DecodeError::new(0, Problem::Missing { expected: RESPONSES })),
            _ => Ok(response),
        }
    }
}

/// Decodes the number of executed commands.
fn executed(octets: &[u8]) -> Option<u16> {
    usually(&octets.to_vec(), 2, "ScriptResponse.executed");
    let number = |number: u16, octet: &u8| Some(number.checked_mul(0x100)? | u16::from(*octet));
    octets.first().and(octets.iter().try_fold(0, number))
}

fn templated(form: Form, definite: Tag, indefinite: u8, contents: Vec<u8>) -> Vec<u8> {
    match form {
        Form::Definite => tlv_bytes(definite, &contents),
        Form::Indefinite => [&[indefinite, INDEFINITE], contents.as_slice(), &END].concat(),
        Form::Bare => contents,
    }
}

/// Returns the encoding and the contents of a template. The contents keep their offset in `octets`.
/// Octets after the template are a finding.
fn contents(octets: &[u8], definite: Tag, indefinite: u8) -> Result<(Form, Octets<'_>), DecodeError> {
    match octets {
        [first, INDEFINITE, rest @ ..] if *first == indefinite => {
            let mut reader = Reader::new(rest);
            // No TLV has the tag 00.
            while !reader.rest().starts_with(&END) {
                reader.whole_tlv().map_err(|e| shifted(e, 2))?;
            }
            let (contents, after) = rest.split_at_checked(reader.offset()).unwrap_or_default();
            Octets::new(after.get(END.len()..).unwrap_or_default()).report_trailing();
            Ok((Form::Indefinite, Octets::at(contents, 2)))
        }
        [first, ..] if u32::from(*first) == definite.0 => {
            let mut reader = Reader::new(octets);
            let contents = reader.contents(definite)?;
            reader.report_trailing();
            let start = reader.offset().saturating_sub(contents.len());
            Ok((Form::Definite, Octets::at(contents, start)))
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
