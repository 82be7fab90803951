//! The fault catalogue: what each fault does, and which requirement of which party it tests. Its
//! entries are in `catalogue.toml`.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::acts::false_statement::FalseStatement;
use super::acts::{ApduAct, CoapAct, LinkAct, PowerAct, RadioAct, RecordsAct, TlsAct};
use super::value::Value;

/// The interface at which a fault is injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// HTTP between two parties.
    Link,
    /// CoAP messages between two parties.
    Coap,
    /// The TLS certificate that a server presents.
    Tls,
    /// The durable records of a server.
    Records,
    /// Mobile networks and short messages.
    Radio,
    /// The power of a card or a device, and its memory.
    Power,
    /// Commands of a device to its card.
    Apdu,
    /// False statements that a party makes under its own valid keys.
    Tamper,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 8] = [
        Self::Link,
        Self::Coap,
        Self::Tls,
        Self::Records,
        Self::Radio,
        Self::Power,
        Self::Apdu,
        Self::Tamper,
    ];

    /// The family as it is written in the name of a fault.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Coap => "coap",
            Self::Tls => "tls",
            Self::Records => "records",
            Self::Radio => "radio",
            Self::Power => "power",
            Self::Apdu => "apdu",
            Self::Tamper => "tamper",
        }
    }

    /// A description of what the faults of the family affect, for human readers.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Link => "an HTTP request or response between two parties",
            Self::Coap => "a CoAP message between two parties, inside DTLS",
            Self::Tls => "the TLS certificate that a server presents in a handshake",
            Self::Records => "the records of a server and the process that uses them",
            Self::Radio => "the mobile networks around a device, and short messages",
            Self::Power => "the power supply and the memory of a card or a device",
            Self::Apdu => {
                "a command of an LPA to its card, which can be one of several commands of a function"
            }
            Self::Tamper => "statements that a party makes under its own valid keys",
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultId {
    /// A fault of a link.
    Link(LinkAct),
    /// A fault of a CoAP message.
    Coap(CoapAct),
    /// A fault of a TLS certificate.
    Tls(TlsAct),
    /// A fault of records.
    Records(RecordsAct),
    /// A fault of the radio.
    Radio(RadioAct),
    /// A fault of the power supply or the memory.
    Power(PowerAct),
    /// A fault of a command to a card.
    Apdu(ApduAct),
    /// A false statement.
    Tamper(FalseStatement),
}

impl FaultId {
    /// The family of the fault.
    pub const fn family(self) -> Family {
        match self {
            Self::Link(_) => Family::Link,
            Self::Coap(_) => Family::Coap,
            Self::Tls(_) => Family::Tls,
            Self::Records(_) => Family::Records,
            Self::Radio(_) => Family::Radio,
            Self::Power(_) => Family::Power,
            Self::Apdu(_) => Family::Apdu,
            Self::Tamper(_) => Family::Tamper,
        }
    }

    /// The catalogue entry of the fault. `None` if the catalogue has no such fault, for example for
    /// an HTTP status that is not listed.
    pub fn entry(self) -> Option<&'static Entry> {
        all().find(|entry| entry.id == self)
    }
}

/// A catalogue entry.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct Entry {
    /// The fault that the entry describes.
    #[serde(skip)]
    pub id: FaultId,
    /// Family and name, as in `link/lose-answer`.
    #[serde(rename = "id")]
    pub name: String,
    /// One sentence that says what happens.
    pub what: String,
    /// The parties that are tested.
    pub peer: String,
    /// The required behaviour of the tested party.
    pub requirement: String,
    /// The clause that contains the requirement.
    pub clause: String,
    /// The refusal of the tested party: a status code where the standard defines one, otherwise the
    /// message of this implementation. Empty for faults that are not answered, and for false
    /// statements that cannot be detected or that change nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub answer: String,
    /// The places at which the fault can be installed.
    pub places: Places,
    /// The parameter of the fault, if it has one.
    pub value: Option<Parameter>,
}

impl Entry {
    /// The name without the family.
    pub fn short_name(&self) -> &str {
        self.name.split_once('/').map_or(self.name.as_str(), |(_, name)| name)
    }
}

/// The kind of place at which a fault is installed.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Places {
    /// `INTERFACE` or `INTERFACE.Function`.
    Function,
    /// One of these functions (comma-separated), or their interface.
    Functions(String),
    /// A server of SGP.22: `sm-dp` or `sm-ds`.
    Server,
    /// `PARTY` or `PARTY:COLLECTION`.
    Collection,
    /// A mobile network.
    Network,
    /// `mt` or `mo`.
    Direction,
    /// `to-server` or `from-server`.
    Datagram,
    /// `card` or `device`, optionally with a prefix of a cell name.
    Cell,
    /// `ES10a`, `ES10b` or `ES10c`, or one of their functions.
    CardFunction,
}

impl Places {
    /// Examples of each form, for human readers.
    pub fn forms(&self) -> &str {
        match self {
            Self::Function => "ES9+, ES9+.GetBoundProfilePackage",
            Self::Functions(functions) => functions,
            Self::Server => "sm-dp, sm-ds",
            Self::Collection => "sm-dp, sm-dp:profiles",
            Self::Network => "262-42",
            Self::Direction => "mt, mo",
            Self::Datagram => "to-server, from-server",
            Self::Cell => "card, card:profile/, device:intention",
            Self::CardFunction => "ES10b, ES10b.LoadBoundProfilePackage, ES10c.DeleteProfile",
        }
    }
}

/// The parameter of a fault.
#[derive(Clone, Debug, JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// The meaning of the parameter.
    pub what: String,
    /// The default value. `None` if the fault chooses the value itself, as
    /// `what` describes.
    #[schemars(with = "Option<String>")]
    pub default: Option<Value>,
    /// The form of the value.
    pub kind: ParameterKind,
}

/// The form of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterKind {
    /// A duration such as `250ms` or `2h`.
    Duration,
    /// A number.
    Number,
}

/// `catalogue.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    group: Vec<Group>,
}

/// Faults that test the same requirement at the same places.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    peer: String,
    requirement: String,
    clause: String,
    places: Places,
    faults: Vec<Fault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    name: String,
    act: FaultId,
    what: String,
    #[serde(default)]
    answer: String,
    value: Option<Parameter>,
}

impl Group {
    fn entries(self) -> impl Iterator<Item = Entry> {
        let Self { peer, requirement, clause, places, faults } = self;
        faults.into_iter().map(move |Fault { name, act, what, answer, value }| Entry {
            id: act,
            name,
            what,
            peer: peer.clone(),
            requirement: requirement.clone(),
            clause: clause.clone(),
            answer,
            places: places.clone(),
            value,
        })
    }
}

#[expect(clippy::expect_used, reason = "the file is part of the program, and the tests read it")]
static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let catalogue: Catalogue =
        toml::from_str(include_str!("../catalogue.toml")).expect("catalogue.toml is a valid catalogue");
    catalogue.group.into_iter().flat_map(Group::entries).collect()
});

/// All faults, grouped by family.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    ENTRIES.iter()
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
            assert!(names.insert(entry.name.as_str()), "{} is listed twice", entry.name);
            assert_eq!(entry.id.entry().map(|found| found.name.as_str()), Some(entry.name.as_str()));
            assert_eq!(named(&entry.name).map(|found| found.id), Some(entry.id));
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
        let wrong = "tampering".parse::<Family>().unwrap_err();
        assert_eq!(
            wrong,
            "\"tampering\" is not a fault family. Known families: link, coap, tls, records, radio, power, apdu, tamper"
        );
    }
}
