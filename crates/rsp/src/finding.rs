//! Findings: deviations of a peer from the standard that are accepted and reported.
//!
//! If the standard requires the refusal of a deviation, Landfall refuses it. A deviation that the
//! standard does not mention is accepted and reported as a finding, so that a harmless deviation
//! does not end a test. The table of all kinds is `docs/findings.md`.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

/// Defines the kinds of findings, each with its name, the party that has the deviation, its clause
/// and its description.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $name:literal, $peer:literal, $clause:literal, $text:literal;)+) => {
        /// A kind of deviation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl FindingKind {
            /// All kinds, in the order of the table in `docs/findings.md`.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// Returns the name of the kind, for filters and scripts.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// Returns the party that deviates from the standard.
            pub const fn peer(self) -> &'static str {
                match self { $(Self::$kind => $peer,)+ }
            }

            /// Returns the clause that the peer deviates from.
            pub const fn clause(self) -> &'static str {
                match self { $(Self::$kind => $clause,)+ }
            }

            /// Returns the deviation and what is done instead of a refusal, in one sentence.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$kind => $text,)+ }
            }
        }
    };
}

kinds! {
    /// The eUICC does not report its free memory in a readable form.
    CardResourcesUnreadable = "card-resources-unreadable", "eUICC", "SGP.22 5.7.8, TS 102 226 8.2.1.7.2",
        "extCardResource does not contain the free non-volatile memory; the memory is not checked";
    /// A notification cannot be decoded.
    NotificationUnreadable = "notification-unreadable", "eUICC", "SGP.22 5.6.4",
        "the notification cannot be decoded, for example because its ICCID is not coded as in EF.ICCID; it is acknowledged, so that the LPA does not send it again, and otherwise ignored";
    /// A capability that the profile needs has no bit in the eUICC's version of SGP.22.
    CapabilityReserved = "capability-reserved", "eUICC", "SGP.22 5.7.8, UICCCapability",
        "the profile needs a capability whose bit is reserved in the eUICC's version of SGP.22; the eUICC itself decides during the installation";
    /// The prefix of an activation code is not in upper case.
    ActivationCodePrefix = "activation-code-prefix", "operator", "SGP.22 4.1",
        "the prefix of the activation code is not in upper case (`LPA:`); lower-case letters are accepted";
    /// An activation code has blanks around it.
    ActivationCodeBlanks = "activation-code-blanks", "operator", "SGP.22 4.1",
        "the activation code begins or ends with blanks; they are ignored";
    /// A MatchingID has characters other than A-Z, 0-9 and -.
    MatchingIdCharacters = "matching-id-characters", "operator", "SGP.22 4.1",
        "the MatchingID of the activation code has small letters, `_` or `.`; it is sent unchanged";
    /// A host name has a character that host names cannot have.
    HostNameCharacters = "host-name-characters", "operator", "SGP.22 4.1, RFC 1123",
        "the address of the activation code has a `_` in its host name; it is used unchanged";
    /// A segment of a Bound Profile Package is longer than 1020 octets.
    LongSegment = "long-segment", "SM-DP+", "SGP.22 2.5.3",
        "a segment of the Bound Profile Package has more than 1020 octets; it is accepted up to the maximum length of STORE DATA; a card with `--strict` refuses it";
    /// A profile has an application, and the card has no runtime environment for it.
    ApplicationNotRun = "application-not-run", "operator", "TCA profile package 8.7, PE-Application",
        "the profile has an application; the card stores it with the profile and does not run it, so that it cannot be selected; a card without `javacard` in `uicc_capability` refuses such a profile";
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A deviation of a peer that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The kind of the deviation.
    pub kind: FindingKind,
    /// The value that deviates, for a reader who looks for it. It may be empty.
    pub detail: String,
}

impl Finding {
    /// Creates a finding. `detail` contains the value that deviates.
    pub fn new(kind: FindingKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl fmt::Display for Finding {
    /// Prints `NAME (CLAUSE): description (detail)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, detail } = self;
        write!(f, "{kind} ({}): {}", kind.clause(), kind.text())?;
        if detail.is_empty() { Ok(()) } else { write!(f, " ({detail})") }
    }
}

/// A finding in JSON.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Finding")]
struct FindingObject<'a> {
    /// The name of the kind in docs/findings.md.
    kind: &'a str,
    /// The clause that the peer deviates from.
    clause: &'a str,
    /// The deviation, and what is done instead of a refusal.
    text: &'a str,
    /// The value that deviates.
    detail: &'a str,
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { kind, detail } = self;
        let object = FindingObject { kind: kind.name(), clause: kind.clause(), text: kind.text(), detail };
        object.serialize(serializer)
    }
}

impl JsonSchema for Finding {
    fn schema_name() -> Cow<'static, str> {
        FindingObject::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        FindingObject::json_schema(generator)
    }
}

/// Returns the contents of `docs/findings.md`.
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    for kind in FindingKind::ALL {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| `{kind}` | {} | {} | {} |", kind.peer(), kind.clause(), kind.text());
    }
    page
}

const INTRODUCTION: &str = "# Findings

Generated from the enum `FindingKind` in `crates/rsp/src/finding.rs`.

Landfall refuses a deviation of a peer if the standard requires this. A deviation that the standard
does not mention is accepted and reported as a finding. A finding is visible

- in the log, at level `info`;
- in the event of the function: in the timeline, and as `findings` in the JSON of an event;
- in the admin API of the SM-DP+: `GET /admin/v1/events?finding=NAME` lists the events with this
  finding;
- in the reports of `landfall check sm-dp` and `landfall check device`.

| finding | peer | clause | deviation, and what is done |
|---|---|---|---|
";

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use super::*;

    #[test]
    fn the_page_contains_every_kind() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/findings.md");
        if std::env::var_os("LANDFALL_REGENERATE").is_some() {
            std::fs::write(&path, page()).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            page(),
            "docs/findings.md is stale; LANDFALL_REGENERATE=1 cargo test -p rsp --lib finding"
        );
    }

    #[test]
    fn names_are_unique_and_lower_case() {
        let names: BTreeSet<_> = FindingKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), FindingKind::ALL.len());
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
    }

    #[test]
    fn a_finding_prints_its_name_clause_and_value() {
        let finding = Finding::new(FindingKind::CardResourcesUnreadable, "0102");
        let text = finding.to_string();
        assert!(text.starts_with("card-resources-unreadable (SGP.22 5.7.8"), "{text}");
        assert!(text.ends_with("(0102)"), "{text}");
        assert_eq!(serde_json::to_value(&finding).unwrap()["kind"], "card-resources-unreadable");
    }
}
