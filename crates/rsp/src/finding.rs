//! Findings: deviations of a peer from the standard that are accepted and reported.
//!
//! If the standard requires the refusal of a deviation, Landfall refuses it. A deviation that the
//! standard does not mention is accepted and reported as a finding, so that a harmless deviation
//! does not end a test. The table of all kinds is `docs/findings.md`.

mod collect;

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

pub use collect::{MAX_FINDINGS, collect, collect_from, report};

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
        "the notification cannot be decoded, for example because its ICCID is not coded as in EF.ICCID; it is acknowledged, so that the LPA does not send it again, and is ignored otherwise";
    /// Too many notifications of an eUICC wait at the eIM for their recipients.
    NotificationOverLimit = "notification-over-limit", "SM-DP+", "SGP.32 3.7, 5.14.7",
        "the eIM keeps as many notifications of the eUICC as its limit, because their recipients have not accepted them; it does not acknowledge the notification, which stays on the eUICC until the IPA sends it again";
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
        "the MatchingID of the activation code has lower-case letters, `_` or `.`; it is sent unchanged";
    /// A host name has a character that host names cannot have.
    HostNameCharacters = "host-name-characters", "operator", "SGP.22 4.1, RFC 1123",
        "the address of the activation code has a `_` in its host name; it is used unchanged";
    /// A segment of a Bound Profile Package is longer than 1020 octets.
    LongSegment = "long-segment", "SM-DP+", "SGP.22 2.5.3",
        "a segment of the Bound Profile Package has more than 1020 octets; it is accepted up to the maximum length of STORE DATA; a card with `--strict` refuses it";
    /// A profile has an application, and the card has no runtime environment for it.
    ApplicationNotRun = "application-not-run", "operator", "TCA profile package 8.7, PE-Application",
        "the profile has an application; the card stores it with the profile and does not run it, so that it cannot be selected; a card without `javacard` in `uicc_capability` refuses such a profile";
    /// A message has an element that is not defined.
    UnknownElement = "unknown-element", "any", "SGP.22 4.1, Annex H, SGP.02 4.1, Annex B",
        "the message has an element, a JSON member, an XML element, a header or a part of an activation code that the supported versions do not define; it is ignored";
    /// A BIT STRING has a bit that is not defined.
    ReservedBit = "reserved-bit", "any", "SGP.22 Annex H, TS 102 225 5.1.1, TS 23.040 9.2.3.27",
        "a bit is set that the supported versions do not define; it is ignored";
    /// An INTEGER has a value that is not defined.
    UnknownValue = "unknown-value", "any", "SGP.22 Annex H, SGP.02 4.1",
        "the value of an enumeration is not defined by the supported versions; it is kept unchanged, and is equal to none of the defined values";
    /// The length of an OCTET STRING or of a text is not the usual one.
    LongValue = "long-value", "any", "SGP.22 Annex H, SGP.02 4.1",
        "a value is longer than the standard intends, or an AID is shorter; its length has no effect, so it is used unchanged";
    /// An element has an encoding that BER allows and DER does not.
    NotDer = "not-der", "any", "SGP.22 2.4.5, X.690 10 and 11, TS 101 220 7.1.2",
        "a length, BOOLEAN, INTEGER, NULL or BIT STRING is not in the form of DER; it is decoded as BER, and signatures are verified over the received octets";
    /// An element has a tag of an earlier version of the standard, or of another reading of it.
    OtherTag = "other-tag", "any", "SGP.32 Annex C",
        "an element has the tag of an earlier version, or a tag that follows from another reading of the ASN.1 module; it is decoded, and sent with the tag of the module";
    /// A certificate, a public key or a list has its SEQUENCE inside a context tag.
    NestedSequence = "nested-sequence", "any", "SGP.32 Annex C, X.680 31.2.7",
        "a certificate, public key or list under a context tag has its own SEQUENCE inside the tag, which the tag replaces; it is decoded, and sent without it";
    /// A signature is in the DER form instead of r and s in 64 octets.
    DerSignature = "der-signature", "any", "SGP.22 2.6.7, BSI TR-03111 5.2.1",
        "an ECDSA signature is a SEQUENCE of two INTEGERs instead of 64 octets; it is verified as r and s";
    /// A result does not contain eimTransactionId.
    EimTransactionIdMissing = "eim-transaction-id-missing", "eUICC", "SGP.32 2.11.2",
        "the result of a package does not have the eimTransactionId of the package; the eIM finds the order by the EID and the counter";
    /// The counter of a result is higher than that of every package.
    CounterUnknown = "counter-unknown", "eUICC", "SGP.32 2.11.1.1",
        "the eUICC has executed the package of an order under a higher counter than the eIM ever used; the eIM continues from this counter";
    /// A result has no results of operations.
    ResultEmpty = "result-empty", "eUICC", "SGP.32 2.11.2",
        "a signed result has no results of operations; the eIM requests the results that the eUICC keeps, and accepts this one if there is no other";
    /// A result belongs to no order.
    ResultUnknown = "result-unknown", "eUICC", "SGP.32 3.3.1",
        "a signed result belongs to no order of the eIM; it is acknowledged, so that the eUICC can remove it, and is ignored otherwise";
    /// Octets follow the message.
    TrailingOctets = "trailing-octets", "any", "SGP.22 Annex H, SGP.02 4.1",
        "octets follow the complete ASN.1 value, TLV, script or short message; they are ignored";
    /// A text is not UTF-8.
    TextNotUtf8 = "text-not-utf8", "any", "SGP.22 Annex H, UTF8String",
        "a text has octets that are not UTF-8; each of them is replaced by U+FFFD";
    /// An ICCID does not consist of decimal digits.
    IccidCoding = "iccid-coding", "any", "SGP.22 Annex H, TS 102 221 13.2",
        "an ICCID does not consist of 18 to 20 decimal digits, swapped and padded with F as in EF.ICCID; it is used unchanged";
    /// An EID does not consist of decimal digits, or its check digits are wrong.
    EidCoding = "eid-coding", "eUICC", "SGP.02 2.2.2",
        "an EID does not consist of 32 decimal digits, or its check digits are wrong; it is used unchanged";
    /// A version does not have three octets or three numbers.
    VersionForm = "version-form", "any", "SGP.22 6.2, Annex H, VersionType",
        "a version does not consist of three octets, or of three numbers in `X-Admin-Protocol`; further octets or numbers are ignored, and missing ones are 0";
    /// An entry of a list cannot be decoded.
    EntryUnreadable = "entry-unreadable", "eUICC", "SGP.22 5.7.9, 5.7.10, 5.7.15",
        "an entry of a list of profiles, notifications, commands or results cannot be decoded; the other entries are used, and an entry to be forwarded is forwarded unchanged";
    /// A base64 text is not in the usual form.
    Base64Form = "base64-form", "any", "SGP.22 6.5.2, RFC 4648 4",
        "a base64 text has line breaks, blanks, no padding or the alphabet for URLs; it is decoded";
    /// A transaction ID has lower-case letters.
    HexadecimalCase = "hexadecimal-case", "any", "SGP.22 6.5.2",
        "a transactionId has hexadecimal digits in lower case; it identifies the same transaction";
    /// A response has a 2xx status other than the required one.
    HttpStatus = "http-status", "server", "SGP.22 6.3",
        "the HTTP status is a 2xx status other than the required one, or a response with status 204 has a body; the response is processed as usual";
    /// A response has a content type other than the required one.
    ContentType = "content-type", "any", "SGP.22 6.3, 6.5.1, SGP.02 Annex B",
        "the Content-Type of a response, of a message of SGP.02 or of remote administration is not the required one; the message is accepted if its body is valid";
    /// An XML message does not have the form of the schema.
    XmlForm = "xml-form", "server", "SGP.02 Annex B",
        "an XML message has two elements in the reverse order, or elements without a namespace, as some systems send them; it is decoded";
    /// A header of remote administration does not have the required form.
    AdminHeader = "admin-header", "any", "GPC Amendment B 3",
        "a header of a remote administration session has another minor version, other capital letters or further parts, or a response has trailer fields; the parts that are not defined are ignored";
    /// The metadata of a profile have an icon that cannot be shown.
    IconUnreadable = "icon-unreadable", "SM-DP+", "SGP.22 4.4",
        "the icon of a profile is not a JPEG or PNG image of the type in iconType; it is stored unchanged";
}

impl FindingKind {
    /// True if a later version of the standard may cause the finding, so that a receiver must
    /// ignore it. Strict parties do not refuse such a finding.
    pub const fn is_extension(self) -> bool {
        matches!(
            self,
            Self::UnknownElement | Self::ReservedBit | Self::UnknownValue | Self::CapabilityReserved
        )
    }
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
    /// The deviating value, or its place in the message. It may be empty.
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
    page.push_str(REFUSED);
    page
}

const REFUSED: &str = "
## Deviations that are refused

The standard requires the refusal of these deviations, or they make the message ambiguous.

| deviation | clause | refusal |
|---|---|---|
| a signature that does not verify over the received octets | SGP.22 5.6.3, 5.7.5, 5.7.13 | the error of the function |
| a mandatory element is missing | SGP.22 6.5.1, 6.6.1 | 1.3.1/2.2; HTTP 400 in the ASN.1 binding; 6A80 by the card |
| a JSON member occurs twice, or has another JSON type | SGP.22 6.5.1 | 1.3.1/2.1 |
| a request with a wrong Content-Type, or without `X-Admin-Protocol` | SGP.22 6.2 | 1.2.1/2.1, 1.2.2/2.1 |
| a value of the wrong size whose octets have a meaning: transaction IDs, challenges, hashes, keys | SGP.22 Annex H | the refusal of an invalid element |
| a Bound Profile Package whose elements are missing or in the wrong order | SGP.22 2.5.4, 2.5.5 | incorrectInputValues, scp03tStructureError |
| metadata with names or an icon that are longer than their maximum | SGP.22 4.4, 5.5.3 | incorrectInputValues |
| metadata in the package that differ from the metadata in AuthenticateClient | SGP.22 3.1.3 | CancelSession with metadataMismatch |
| an indefinite length, or a tag that is not in the shortest form | SGP.22 Annex H, X.690 8.1 | the refusal of an invalid element |
| an XML message with elements out of order or twice, or with text between elements | SGP.02 Annex B | SOAP fault |
| an XML value that is not of its type in the schema: identifiers, numbers, enumerations | SGP.02 Annex B | SOAP fault |
| an unknown SOAP header with mustUnderstand, or an element after the Body | SOAP 1.2 5.2.3 and 5.1 | SOAP fault |
| an unknown tag in a command script, or a chaining value that is not defined | TS 102 226 5.2.2 | the card's Bad format TLV; 1.3.1/2.1 of ES3.SendData |
| the reserved condition for a proof of receipt in SPI | TS 102 225 5.1.1 | 6A80 by the card; the SM-SR ignores the packet |
| a secured packet whose lengths do not match its octets | TS 102 225 5 | 6A80 by the card; the SM-SR ignores the packet |
| an element of a template of SGP.02 that occurs twice | SGP.02 4.1 | 6A80 by the card |
| a value of the wrong size whose octets have a meaning: EID, sequence number, challenge, AID in a command | SGP.02 4.1 | 6A80 by the card |
| octets after a data group in STORE DATA, which another card could execute as another data group | SGP.02 4.1 | 6A80 by the card; 8.3.1/1.2 by the SM-SR |
| reserved bits of STORE DATA to the ISD-R that an SM-DP sends, because another card could give them a meaning | SGP.02 4.1.3.1 | 8.3.1/1.2 by the SM-SR |
| an SCP03t segment of more than 1024 octets | SGP.02 4.1.3.3 | 9F46 with 01 |
| a message of remote administration with another media type, or without its mandatory headers | GPC Amendment B 3 | HTTP 400; the card ends the session |
";

const INTRODUCTION: &str = "# Findings

Generated from the enum `FindingKind` in `crates/rsp/src/finding.rs`.

Landfall refuses a deviation of a peer if the standard requires this. A deviation that the standard
does not mention is accepted and reported as a finding. A finding is visible

- in the log, at level `info`;
- in the event of the function: in the timeline, and as `findings` in the JSON of an event;
- in an event of the card: a card in the process of `landfall euicc`, `device` or `up` reports the
  first finding of each kind;
- in the admin API of the SM-DP+: `GET /admin/v1/events?finding=NAME` lists the events with this
  finding;
- in the reports of `landfall check sm-dp`, `landfall check eim`, `landfall check device` and
  `landfall check card`.

A strict party refuses findings, except those that later versions of the standard may cause:
`capability-reserved`, `unknown-element`, `reserved-bit` and `unknown-value`.

- `landfall check sm-dp --strict` fails a case with another finding.
- `landfall euicc --strict`, `landfall device --strict` and `landfall load --strict` have strict
  cards. A strict card still installs a profile with an application (`application-not-run`); remove
  `javacard` from its `uicc_capability` to refuse the profile. M2M cards cannot be strict.

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
        let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        assert!(names.iter().all(|name| name.bytes().all(is_name)));
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
