//! The liberties that real peers take with the schemas, and that we let them take. All of them stand here.

use super::{Name, Namespace};

/// Elements that other schemas or other functions have in the other order.
///
/// ES2's functions disagree among themselves whether the ICCID or the SM-SR comes first; in a key set the schema lets
/// keys and certificates come in any order.
const EITHER_ORDER: &[(&str, &str)] = &[
    ("iccid", "smsrId"),
    ("Iccid", "Smsr-id"),
    ("Iccid", "SmSr-id"),
    ("key", "certificate"),
    ("Key", "Certificate"),
];

/// Elements of requests under another name than the schema's: the WSDL of ES3 misspells one.
const MISSPELT: &[(&str, &str)] = &[
    ("ES3-ProfileDownloadedCompletedRequest", "ES3-ProfileDownloadCompletedRequest"),
    ("ES3-ProfileDownloadedCompletedResponse", "ES3-ProfileDownloadCompletedResponse"),
];

/// Elements whose name one function spells so and another otherwise.
const SPELLINGS: &[(&str, &str)] = &[("SmSr-id", "Smsr-id"), ("completionTimestamp", "CompletionTimestamp")];

/// Namespaces of the WS-Addressing headers besides the right one: njiwa uses that of the metadata.
const ADDRESSING: &[&str] =
    &["http://www.w3.org/2005/08/addressing", "http://www.w3.org/2007/05/addressing/metadata"];

/// How an element may be spelt, in either namespace.
pub(super) fn spellings(name: Name) -> impl Iterator<Item = &'static str> {
    let others = SPELLINGS.iter().filter_map(move |(a, b)| match () {
        () if name.v1 == *a || name.v3 == *a => Some(*b),
        () if name.v1 == *b || name.v3 == *b => Some(*a),
        () => None,
    });
    [name.v1, name.v3].into_iter().chain(others)
}

/// Whether a header is one of WS-Addressing; an operator's templates have them in no namespace at all.
pub(in crate::sgp02) fn is_addressing(namespace: Option<&str>) -> bool {
    namespace.is_none_or(|uri| uri.is_empty() || ADDRESSING.contains(&uri))
}

/// Whether the two may change places.
pub(super) fn either_order(one: &str, other: &str) -> bool {
    EITHER_ORDER.iter().any(|(a, b)| (*a == one && *b == other) || (*a == other && *b == one))
}

/// Whether an element is one of the message's: those of njiwa are not qualified at all.
pub(super) fn belongs(namespace: Option<&str>, of_message: Namespace) -> bool {
    namespace.is_none_or(|uri| uri == of_message.uri() || uri.is_empty())
}

/// A message's element as the schema spells it.
pub fn spelt(element: &str) -> &str {
    MISSPELT.iter().find(|(wrong, _)| *wrong == element).map_or(element, |(_, right)| right)
}
