//! The catalogue: every fault, what happens, and which requirement of which peer it tests.

mod lie;
mod link;
mod power;
mod radio;
mod records;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::fault_spec::Value;
use super::{LieAct, LinkAct, PowerAct, RadioAct, RecordsAct};

/// At which seam a fault lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// HTTP between two parties.
    Link,
    /// A server's durable records.
    Records,
    /// The networks, and short messages.
    Radio,
    /// The power of a card or a device, and its memory.
    Power,
    /// What a party says under its own valid keys.
    Lie,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 5] = [Self::Link, Self::Records, Self::Radio, Self::Power, Self::Lie];

    /// As it is written in the name of a fault.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Records => "records",
            Self::Radio => "radio",
            Self::Power => "power",
            Self::Lie => "lie",
        }
    }

    /// What its faults happen to, for people.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Link => "a request over HTTP, or its answer, between two parties",
            Self::Records => "the records of a server, and the process that holds them",
            Self::Radio => "the networks round a device, and short messages",
            Self::Power => "the power of a card or of a device, and its memory",
            Self::Lie => "what a party says under its own valid keys",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Family {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|family| family.name() == text).ok_or_else(|| {
            format!("{text:?} is no family of faults; there are {}", Self::ALL.map(Self::name).join(", "))
        })
    }
}

/// A fault. Its name never changes: scenario files and reports have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultId {
    /// Of a link.
    Link(LinkAct),
    /// Of records.
    Records(RecordsAct),
    /// Of the radio.
    Radio(RadioAct),
    /// Of the power.
    Power(PowerAct),
    /// What is said that is not so.
    Lie(LieAct),
}

impl FaultId {
    /// Its family.
    pub const fn family(self) -> Family {
        match self {
            Self::Link(_) => Family::Link,
            Self::Records(_) => Family::Records,
            Self::Radio(_) => Family::Radio,
            Self::Power(_) => Family::Power,
            Self::Lie(_) => Family::Lie,
        }
    }

    /// What the catalogue says of it; none of an act that the catalogue does not have, such as a status that nobody sends.
    pub fn entry(self) -> Option<&'static Entry> {
        all().find(|entry| entry.id == self)
    }
}

/// What the catalogue says of a fault.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Which.
    #[serde(skip)]
    pub id: FaultId,
    /// Family and name, as in `link/lose-answer`.
    #[serde(rename = "id")]
    pub name: &'static str,
    /// What happens, a sentence.
    pub what: &'static str,
    /// Who is tested.
    pub peer: &'static str,
    /// What is required of it.
    pub requirement: &'static str,
    /// Where that is required.
    pub clause: &'static str,
    /// The word by which the tested peer refuses: a code where the standard has one, otherwise what ours says. Empty for
    /// faults that nobody answers, and for lies that nobody can find or that change nothing.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub answer: &'static str,
    /// Where it may be put.
    pub places: Places,
    /// What can be said about how it happens.
    pub value: Option<Parameter>,
}

impl Entry {
    /// The name without the family.
    pub fn short_name(&self) -> &'static str {
        self.name.split_once('/').map_or(self.name, |(_, name)| name)
    }
}

/// What the place of a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Places {
    /// `INTERFACE` or `INTERFACE.Function`.
    Function,
    /// One of these functions, or their interface.
    Told(&'static str),
    /// `PARTY` or `PARTY:COLLECTION`.
    Collection,
    /// A network.
    Network,
    /// `mt` or `mo`.
    Direction,
    /// `card` or `device`, and perhaps the beginning of a cell's name.
    Cell,
}

impl Places {
    /// An example of each form, for people.
    pub const fn forms(self) -> &'static str {
        match self {
            Self::Function => "ES9+, ES9+.GetBoundProfilePackage",
            Self::Told(functions) => functions,
            Self::Collection => "sm-dp, sm-dp:profiles",
            Self::Network => "262-42",
            Self::Direction => "mt, mo",
            Self::Cell => "card, card:profile/, device:intention",
        }
    }
}

/// What can be said about how a fault happens.
#[derive(Clone, Debug, Serialize)]
pub struct Parameter {
    /// What it means.
    pub what: &'static str,
    /// What holds when nothing is said; none is by the fault's own choice, which `what` describes.
    pub default: Option<Value>,
    /// Whether it is a duration; otherwise a number.
    #[serde(rename = "kind", serialize_with = "kind")]
    pub is_time: bool,
}

impl Parameter {
    const fn time(what: &'static str, default: Duration) -> Option<Self> {
        Some(Self { what, default: Some(Value::Time(default)), is_time: true })
    }

    const fn octets(what: &'static str, default: Option<u32>) -> Option<Self> {
        let default = match default {
            Some(number) => Some(Value::Number(number)),
            None => None,
        };
        Some(Self { what, default, is_time: false })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn kind<S: Serializer>(is_time: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if *is_time { "duration" } else { "number" })
}

/// Every fault, family by family.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    let others = [link::ENTRIES, records::ENTRIES, radio::ENTRIES, power::ENTRIES];
    others.into_iter().chain(lie::ENTRIES).flatten()
}

/// The fault of this name.
pub fn named(name: &str) -> Option<&'static Entry> {
    all().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_kebab_case_stand_in_their_family_and_are_there_once() {
        let mut names = BTreeSet::new();
        for entry in all() {
            let (family, name) = entry.name.split_once('/').unwrap();
            assert_eq!(family, entry.id.family().name(), "{}", entry.name);
            assert!(
                name.bytes().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || each == b'-'),
                "{name}"
            );
            assert!(names.insert(entry.name), "{} is there twice", entry.name);
            assert_eq!(entry.id.entry().map(|found| found.name), Some(entry.name));
            assert_eq!(named(entry.name).map(|found| found.id), Some(entry.id));
        }
        assert!(names.len() > 50, "{}", names.len());
    }

    #[test]
    fn every_entry_is_told_in_sentences_with_a_clause() {
        for Entry { name, what, peer, requirement, clause, answer, .. } in all() {
            assert!(what.ends_with('.') && requirement.ends_with('.'), "{name}");
            assert!(!peer.is_empty() && !clause.is_empty(), "{name}");
            assert!(!format!("{what}{requirement}{clause}{peer}{answer}").contains('|'), "{name}");
        }
    }

    #[test]
    fn families_are_read_as_they_are_written() {
        for family in Family::ALL {
            assert_eq!(family.to_string().parse(), Ok(family));
        }
        let wrong = "lies".parse::<Family>().unwrap_err();
        assert_eq!(wrong, "\"lies\" is no family of faults; there are link, records, radio, power, lie");
    }
}
