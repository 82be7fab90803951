//! The fault catalogue: what each fault does, and which requirement of which party it tests.

mod false_statement;
mod link;
mod power;
mod radio;
mod records;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::acts::false_statement::FalseStatement;
use super::acts::{LinkAct, PowerAct, RadioAct, RecordsAct};
use super::value::Value;

/// The interface at which a fault is injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// HTTP between two parties.
    Link,
    /// The durable records of a server.
    Records,
    /// Mobile networks and short messages.
    Radio,
    /// The power of a card or a device, and its memory.
    Power,
    /// False statements that a party makes under its own valid keys.
    Lie,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 5] = [Self::Link, Self::Records, Self::Radio, Self::Power, Self::Lie];

    /// The family as it is written in the name of a fault.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Records => "records",
            Self::Radio => "radio",
            Self::Power => "power",
            Self::Lie => "lie",
        }
    }

    /// A description of what the faults of the family affect, for human readers.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Link => "an HTTP request or response between two parties",
            Self::Records => "the records of a server and the process that uses them",
            Self::Radio => "the mobile networks around a device, and short messages",
            Self::Power => "the power supply and the memory of a card or a device",
            Self::Lie => "statements that a party makes under its own valid keys",
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
            format!(
                "{text:?} is not a fault family. Known families: {}",
                Self::ALL.map(Self::name).join(", ")
            )
        })
    }
}

/// A fault. Its name is stable, because scenario files and reports contain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultId {
    /// A fault of a link.
    Link(LinkAct),
    /// A fault of records.
    Records(RecordsAct),
    /// A fault of the radio.
    Radio(RadioAct),
    /// A fault of the power supply or the memory.
    Power(PowerAct),
    /// A false statement.
    Lie(FalseStatement),
}

impl FaultId {
    /// The family of the fault.
    pub const fn family(self) -> Family {
        match self {
            Self::Link(_) => Family::Link,
            Self::Records(_) => Family::Records,
            Self::Radio(_) => Family::Radio,
            Self::Power(_) => Family::Power,
            Self::Lie(_) => Family::Lie,
        }
    }

    /// The catalogue entry of the fault. `None` if the catalogue has no such fault, for example for
    /// an HTTP status that is not listed.
    pub fn entry(self) -> Option<&'static Entry> {
        all().find(|entry| entry.id == self)
    }
}

/// A catalogue entry.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The fault that the entry describes.
    #[serde(skip)]
    pub id: FaultId,
    /// Family and name, as in `link/lose-answer`.
    #[serde(rename = "id")]
    pub name: &'static str,
    /// One sentence that says what happens.
    pub what: &'static str,
    /// The parties that are tested.
    pub peer: &'static str,
    /// The required behaviour of the tested party.
    pub requirement: &'static str,
    /// The clause that contains the requirement.
    pub clause: &'static str,
    /// The refusal of the tested party: a status code where the standard defines one, otherwise the
    /// message of this implementation. Empty for faults that are not answered, and for lies that
    /// cannot be detected or that change nothing.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub answer: &'static str,
    /// The places at which the fault can be installed.
    pub places: Places,
    /// The parameter of the fault, if it has one.
    pub value: Option<Parameter>,
}

impl Entry {
    const fn new(id: FaultId, name: &'static str, places: Places) -> Self {
        let (what, peer, requirement, clause, answer) = ("", "", "", "", "");
        Self { id, name, what, peer, requirement, clause, answer, places, value: None }
    }

    const fn what(mut self, what: &'static str) -> Self {
        self.what = what;
        self
    }

    const fn peer(mut self, peer: &'static str) -> Self {
        self.peer = peer;
        self
    }

    const fn requires(mut self, requirement: &'static str, clause: &'static str) -> Self {
        (self.requirement, self.clause) = (requirement, clause);
        self
    }

    const fn answer(mut self, answer: &'static str) -> Self {
        self.answer = answer;
        self
    }

    const fn value(mut self, parameter: Parameter) -> Self {
        self.value = Some(parameter);
        self
    }

    /// The name without the family.
    pub fn short_name(&self) -> &'static str {
        self.name.split_once('/').map_or(self.name, |(_, name)| name)
    }
}

/// The kind of place at which a fault is installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Places {
    /// `INTERFACE` or `INTERFACE.Function`.
    Function,
    /// One of these functions (comma-separated), or their interface.
    Told(&'static str),
    /// `PARTY` or `PARTY:COLLECTION`.
    Collection,
    /// A mobile network.
    Network,
    /// `mt` or `mo`.
    Direction,
    /// `card` or `device`, optionally with a prefix of a cell name.
    Cell,
}

impl Places {
    /// Examples of each form, for human readers.
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

/// The parameter of a fault.
#[derive(Clone, Debug, Serialize)]
pub struct Parameter {
    /// The meaning of the parameter.
    pub what: &'static str,
    /// The default value. `None` if the fault chooses the value itself, as
    /// `what` describes.
    pub default: Option<Value>,
    /// True if the parameter is a duration, false if it is a number.
    #[serde(rename = "kind", serialize_with = "kind")]
    pub is_time: bool,
}

impl Parameter {
    const fn time(what: &'static str, default: Duration) -> Self {
        Self { what, default: Some(Value::Time(default)), is_time: true }
    }

    const fn octets(what: &'static str, default: Option<Value>) -> Self {
        Self { what, default, is_time: false }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn kind<S: Serializer>(is_time: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if *is_time { "duration" } else { "number" })
}

/// All faults, grouped by family.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    let others = [link::ENTRIES, records::ENTRIES, radio::ENTRIES, power::ENTRIES];
    others.into_iter().chain(false_statement::ENTRIES).flatten()
}

/// Returns the fault with this name.
pub fn named(name: &str) -> Option<&'static Entry> {
    all().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_kebab_case_with_the_prefix_of_their_family() {
        let mut names = BTreeSet::new();
        for entry in all() {
            let (family, name) = entry.name.split_once('/').unwrap();
            assert_eq!(family, entry.id.family().name(), "{}", entry.name);
            assert!(
                name.bytes().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || each == b'-'),
                "{name}"
            );
            assert!(names.insert(entry.name), "{} is listed twice", entry.name);
            assert_eq!(entry.id.entry().map(|found| found.name), Some(entry.name));
            assert_eq!(named(entry.name).map(|found| found.id), Some(entry.id));
        }
        assert!(names.len() > 50, "{}", names.len());
    }

    #[test]
    fn every_entry_consists_of_sentences_and_a_clause() {
        for Entry { name, what, peer, requirement, clause, answer, .. } in all() {
            assert!(what.ends_with('.') && requirement.ends_with('.'), "{name}");
            assert!(!peer.is_empty() && !clause.is_empty(), "{name}");
            assert!(!format!("{what}{requirement}{clause}{peer}{answer}").contains('|'), "{name}");
        }
    }

    #[test]
    fn family_names_round_trip() {
        for family in Family::ALL {
            assert_eq!(family.to_string().parse(), Ok(family));
        }
        let wrong = "lies".parse::<Family>().unwrap_err();
        assert_eq!(wrong, "\"lies\" is not a fault family. Known families: link, records, radio, power, lie");
    }
}
