//! Deviations of real peers from the schemas that this implementation accepts. All of them are
//! listed here.

use super::{Name, Namespace};

/// Pairs of elements that are accepted in either order.
///
/// The functions of ES2 differ in the order of ICCID and SM-SR. In a key set the schema allows keys
/// and certificates in any order.
const EITHER_ORDER: &[(&str, &str)] = &[
    ("iccid", "smsrId"),
    ("Iccid", "Smsr-id"),
    ("Iccid", "SmSr-id"),
    ("key", "certificate"),
    ("Key", "Certificate"),
];

/// Misspelt element names of requests, with the name in the schema. The WSDL of ES3 misspells one.
const MISSPELT: &[(&str, &str)] = &[
    ("ES3-ProfileDownloadedCompletedRequest", "ES3-ProfileDownloadCompletedRequest"),
    ("ES3-ProfileDownloadedCompletedResponse", "ES3-ProfileDownloadCompletedResponse"),
];

/// Element names that are spelt differently in different functions.
const SPELLINGS: &[(&str, &str)] = &[("SmSr-id", "Smsr-id"), ("completionTimestamp", "CompletionTimestamp")];

/// Accepted namespaces of the WS-Addressing headers. The second namespace, that of the metadata, is
/// used by the open-source server njiwa.
const ADDRESSING: &[&str] =
    &["http://www.w3.org/2005/08/addressing", "http://www.w3.org/2007/05/addressing/metadata"];

/// Returns the accepted spellings of an element in both namespaces.
pub(super) fn spellings(name: Name) -> impl Iterator<Item = &'static str> {
    let others = SPELLINGS.iter().filter_map(move |(a, b)| match () {
        () if name.v1 == *a || name.v3 == *a => Some(*b),
        () if name.v1 == *b || name.v3 == *b => Some(*a),
        () => None,
    });
    [name.v1, name.v3].into_iter().chain(others)
}

/// True if a header is one of WS-Addressing. Headers without a namespace are accepted, because an
/// operator's templates send them.
pub(in crate::sgp02) fn is_addressing(namespace: Option<&str>) -> bool {
    namespace.is_none_or(|uri| uri.is_empty() || ADDRESSING.contains(&uri))
}

/// True if the two elements are accepted in either order.
pub(super) fn either_order(one: &str, other: &str) -> bool {
    EITHER_ORDER.iter().any(|(a, b)| (*a == one && *b == other) || (*a == other && *b == one))
}

/// True if an element belongs to the message. Elements without a namespace are accepted, because
/// the open-source server njiwa does not qualify them.
pub(super) fn belongs(namespace: Option<&str>, of_message: Namespace) -> bool {
    namespace.is_none_or(|uri| uri == of_message.uri() || uri.is_empty())
}

/// Returns the name of a message element in the spelling of the schema.
pub fn spelt(element: &str) -> &str {
    MISSPELT.iter().find(|(wrong, _)| *wrong == element).map_or(element, |(_, right)| right)
}
