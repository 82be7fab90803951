//! Access rules in readable form: TS 102 221 section 9.2.7, the expanded format of EF.ARR.

use std::fmt;

use rsp::der::{Reader, Tag, tlv};

use crate::element::PinKeyReference;

/// An access rule: operations on a file, and the conditions for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Names of the operations.
    pub modes: Vec<String>,
    /// The alternative conditions.
    pub conditions: Vec<Condition>,
}

/// An access condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Always.
    Always,
    /// Never.
    Never,
    /// A code was presented.
    Code(PinKeyReference),
    /// Satisfied if one of these conditions is satisfied.
    Any(Vec<Condition>),
    /// Satisfied if all of these conditions are satisfied.
    All(Vec<Condition>),
    /// Satisfied if this condition is not satisfied.
    Not(Vec<Condition>),
    /// A condition that cannot be interpreted.
    Other(String),
}

/// Maximum nesting depth of conditions. No known profile exceeds it.
const MAX_DEPTH: u8 = 8;

impl Access {
    /// The rules of a record, for a file or a directory; `None` if the record cannot be parsed. The
    /// octets after the last rule of the record are padding.
    pub fn of(record: &[u8], is_directory: bool) -> Option<Vec<Self>> {
        let filling = record.iter().rev().take_while(|octet| **octet == 0xFF).count();
        let mut reader = Reader::new(record.get(..record.len().saturating_sub(filling))?);
        let mut rules: Vec<Self> = Vec::new();
        let mut after_mode = false;
        while !reader.is_empty() {
            let (tag, contents) = reader.tlv().ok()?;
            if is_mode(tag) {
                let modes = modes_of(tag, contents, is_directory)?;
                match rules.last_mut().filter(|_| after_mode) {
                    Some(rule) => rule.modes.extend(modes),
                    None => rules.push(Self { modes, conditions: Vec::new() }),
                }
                after_mode = true;
            } else {
                rules.last_mut()?.conditions.push(Condition::of(tag, contents, 0)?);
                after_mode = false;
            }
        }
        rules.iter().all(|rule| !rule.conditions.is_empty()).then_some(rules)
    }

    /// The codes that the condition can require.
    pub fn codes(&self) -> Vec<PinKeyReference> {
        let mut codes = Vec::new();
        self.conditions.iter().for_each(|condition| condition.codes(&mut codes));
        codes
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.modes.join(", "), joined(&self.conditions, " or "))
    }
}

fn joined(conditions: &[Condition], word: &str) -> String {
    conditions.iter().map(ToString::to_string).collect::<Vec<_>>().join(word)
}

impl Condition {
    fn of(tag: Tag, contents: &[u8], depth: u8) -> Option<Self> {
        if depth >= MAX_DEPTH {
            return None;
        }
        let each = || {
            let objects = tlv::each(contents).ok().filter(|objects| !objects.is_empty())?;
            let inner = |object: &[u8]| {
                let (tag, contents) = tlv::split(object)?;
                Self::of(tag, contents, depth.saturating_add(1))
            };
            objects.into_iter().map(inner).collect::<Option<Vec<_>>>()
        };
        Some(match tag {
            Tag(0x90) if contents.is_empty() => Self::Always,
            Tag(0x97) if contents.is_empty() => Self::Never,
            Tag(0xA4) => Self::Code(code_of(contents)?),
            Tag(0xA0) => Self::Any(each()?),
            Tag(0xAF) => Self::All(each()?),
            Tag(0xA7) => Self::Not(each()?),
            // A condition in one byte or a template of secure messaging. Both are valid, but no
            // known profile uses them.
            Tag(0x9E) if contents.len() == 1 => Self::other(tag, contents),
            Tag(0xB4 | 0xB6 | 0xB8) if tlv::each(contents).is_ok_and(|objects| !objects.is_empty()) => {
                Self::other(tag, contents)
            }
            _ => return None,
        })
    }

    fn other(tag: Tag, contents: &[u8]) -> Self {
        Self::Other(format!("{tag} {}", hex::encode_upper(contents)))
    }

    fn codes(&self, codes: &mut Vec<PinKeyReference>) {
        match self {
            Self::Code(code) => codes.push(*code),
            Self::Any(inner) | Self::All(inner) | Self::Not(inner) => {
                inner.iter().for_each(|condition| condition.codes(codes));
            }
            Self::Always | Self::Never | Self::Other(_) => {}
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Never => f.write_str("never"),
            Self::Code(code) => write!(f, "{code}"),
            Self::Any(inner) => f.write_str(&joined(inner, " or ")),
            Self::All(inner) => f.write_str(&joined(inner, " and ")),
            Self::Not(inner) => write!(f, "not {}", joined(inner, " or ")),
            Self::Other(octets) => f.write_str(octets),
        }
    }
}

/// The code that an authentication template requires (section 9.2.4.2): The template contains the
/// reference of the code and the usage qualifier of user verification, each once, and nothing else.
fn code_of(template: &[u8]) -> Option<PinKeyReference> {
    const KNOWN_BY_A_USER: u8 = 0x08;
    let (mut code, mut usage) = (None, None);
    for object in tlv::each(template).ok()? {
        match tlv::split(object)? {
            (Tag(0x83), [reference]) if code.is_none() => code = Some(PinKeyReference(*reference)),
            (Tag(0x95), [KNOWN_BY_A_USER]) if usage.is_none() => usage = Some(()),
            _ => return None,
        }
    }
    usage.and(code)
}

/// True if a data object is an access mode, not a condition.
fn is_mode(tag: Tag) -> bool {
    matches!(tag, Tag(0x80..=0x8F | 0x9C))
}

/// The names of an access mode; `None` if it is invalid.
fn modes_of(tag: Tag, contents: &[u8], is_directory: bool) -> Option<Vec<String>> {
    const OF_FILES: [&str; 7] = ["read", "update", "write", "deactivate", "activate", "terminate", "delete"];
    const OF_DIRECTORIES: [&str; 7] = [
        "delete files",
        "create files",
        "create directories",
        "deactivate",
        "activate",
        "terminate",
        "delete",
    ];
    match tag {
        Tag(0x80) => {
            let [mode] = *contents else { return None };
            // If bit 8 is set, bits 7 to 4 are proprietary.
            let known = if mode & 0x80 == 0 { 0x7F } else { 0x07 };
            let names = if is_directory { OF_DIRECTORIES } else { OF_FILES };
            let set = names.iter().enumerate().filter(|(bit, _)| (mode & known) >> bit & 1 == 1);
            let mut modes: Vec<String> = set.map(|(_, name)| (*name).to_owned()).collect();
            if mode & !known != 0 || modes.is_empty() {
                modes.push(format!("mode {mode:02X}"));
            }
            Some(modes)
        }
        Tag(0x84) if !contents.is_empty() => {
            Some(contents.iter().map(|instruction| instruction_name(*instruction)).collect())
        }
        // The last four bits say which of CLA, INS, P1 and P2 are listed for each command.
        Tag(tag @ 0x81..=0x8F)
            if contents.is_empty() || !contents.len().is_multiple_of((tag & 0xF).count_ones() as usize) =>
        {
            None
        }
        Tag(0x81..=0x8F) => Some(vec![format!("command {tag} {}", hex::encode_upper(contents))]),
        Tag(0x9C) => Some(vec![format!("state {}", hex::encode_upper(contents))]),
        _ => None,
    }
}

fn instruction_name(instruction: u8) -> String {
    match instruction {
        0x32 => "increase".to_owned(),
        0xD4 => "resize".to_owned(),
        _ => format!("command {instruction:02X}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(record: &str, is_directory: bool) -> Option<String> {
        let rules = Access::of(&hex::decode(record).unwrap(), is_directory)?;
        Some(rules.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn rules_of_ts_48_in_words() {
        for (record, expected) in [
            (
                "8001019000800102A4068301019501088401D4A40683010A950108800158A40683010A950108FFFF",
                "read: always; update: pinAppl1; resize: adm1; deactivate, activate, delete: adm1",
            ),
            (
                "840132A406830101950108800102A010A406830181950108A40683010A950108",
                "increase: pinAppl1; update: secondPINAppl1 or adm1",
            ),
            ("8001039700", "read, update: never"),
            ("800101AF10A406830101950108A40683010A950108", "read: pinAppl1 and adm1"),
        ] {
            assert_eq!(words(record, false).as_deref(), Some(expected), "{record}");
        }
        assert_eq!(
            words("80015EA40683010A950108", true).as_deref(),
            Some("create files, create directories, deactivate, activate, delete: adm1")
        );
    }

    #[test]
    fn an_invalid_rule_is_not_parsed() {
        for record in [
            "800101",
            "9000",
            "8001019000800102",
            "8001",
            "800101A403830101A4",
            "800101A400",
            "7F01019000",
            "8001015B06830101950108",
            "80FE0190",
            "80009000",
            "8002010190",
            "8001019001",
            "800101A403830101",
            "800101A406830101950107",
            "800101A40683010195010890",
            "800101A0009000",
            "84009000",
            "8303A0A4009000",
            "8001019E00",
        ] {
            assert_eq!(words(record, false), None, "{record}");
        }
        assert_eq!(words("FFFFFF", false).as_deref(), Some(""));
        let deep = (0..20).fold("9000".to_owned(), |inner, _| format!("A0{:02X}{inner}", inner.len() / 2));
        assert_eq!(words(&format!("800101{deep}"), false), None);
    }
}
