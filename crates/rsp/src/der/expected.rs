//! Checks of values that a decoder accepts in any case. A value that does not pass a check is a
//! finding.

use super::{BitString, Reader, Tag};
use crate::{
    finding::{FindingKind, report},
    ids::SubjectKeyIdentifier,
    sgp02::Octets,
};

/// Returns the tag of the next element: one of `others` if the element has that tag, otherwise `own`.
/// Another tag is a finding. `field` is the name of the field.
pub fn tag_in_use(reader: &Reader<'_>, own: Tag, others: &[Tag], field: &str) -> Tag {
    match reader.peek() {
        Ok(Some(found)) if found != own && others.contains(&found) => {
            report(FindingKind::OtherTag, || format!("{field}: tag {found} instead of {own}"));
            found
        }
        _ => own,
    }
}

/// Reports the bits of `value` that are not among `names`. `field` is the name of the field.
pub fn known_bits<'a>(value: impl Into<Option<&'a BitString>>, names: &[(&str, usize)], field: &str) {
    let is_known = |bit: &usize| names.iter().any(|(_, known)| known == bit);
    for bit in value.into().map(BitString::ones).unwrap_or_default().iter().filter(|bit| !is_known(bit)) {
        report(FindingKind::ReservedBit, || format!("{field}: bit {bit}"));
    }
}

/// Reports a value of more than the usual `maximum` of octets. `field` is the name of the field.
pub fn usually(value: &impl Length, maximum: usize, field: &str) {
    let octets = value.octets();
    if octets > maximum {
        report(FindingKind::LongValue, || format!("{field}: {octets} octets, usually at most {maximum}"));
    }
}

/// A value that has a length in octets.
pub trait Length {
    /// Returns the number of octets; of a list, that of the longest entry.
    fn octets(&self) -> usize;
}

impl Length for Vec<u8> {
    fn octets(&self) -> usize {
        self.len()
    }
}

impl Length for String {
    fn octets(&self) -> usize {
        self.len()
    }
}

impl Length for Octets {
    fn octets(&self) -> usize {
        self.0.len()
    }
}

impl Length for SubjectKeyIdentifier {
    fn octets(&self) -> usize {
        self.0.len()
    }
}

impl Length for Vec<SubjectKeyIdentifier> {
    fn octets(&self) -> usize {
        self.iter().map(Length::octets).max().unwrap_or(0)
    }
}

impl<T: Length> Length for Option<T> {
    fn octets(&self) -> usize {
        self.as_ref().map_or(0, Length::octets)
    }
}
