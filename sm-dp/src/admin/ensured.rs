//! The outcome of ensuring that a profile, an order or an operator exists.

use std::fmt;

use crate::records::{Operator, ProfileRecord, Template};

/// The outcome of ensuring that an entry exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ensured<T> {
    /// It did not exist and was created.
    Created(T),
    /// It existed and was left unchanged.
    Existing(T),
}

impl<T> Ensured<T> {
    /// Returns the entry.
    pub fn into_inner(self) -> T {
        let (Self::Created(it) | Self::Existing(it)) = self;
        it
    }

    pub(super) fn map<U>(self, convert: impl FnOnce(T) -> U) -> Ensured<U> {
        match self {
            Self::Created(it) => Ensured::Created(convert(it)),
            Self::Existing(it) => Ensured::Existing(convert(it)),
        }
    }

    fn describe(&self, f: &mut fmt::Formatter<'_>, what: impl FnOnce(&T) -> String) -> fmt::Result {
        match self {
            Self::Created(it) => f.write_str(&what(it)),
            Self::Existing(it) => write!(f, "{} (unchanged)", what(it)),
        }
    }
}

impl fmt::Display for Ensured<ProfileRecord> {
    /// Writes the profile, its state and its MatchingID, and adds a note if the profile is
    /// unchanged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f, |profile| {
            let order = profile.order.as_ref().and_then(|order| order.matching_id.as_ref());
            let order = order.map(|matching_id| format!(" under MatchingID {matching_id:?}"));
            format!("profile {} is {}{}", profile.iccid, profile.state, order.unwrap_or_default())
        })
    }
}

impl fmt::Display for Ensured<Operator> {
    /// Writes the operator and its certificate, and adds a note if the operator is unchanged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f, |operator| {
            format!("operator {:?} has certificate {}", operator.identifier, operator.certificate_oid)
        })
    }
}

impl fmt::Display for Ensured<Template> {
    /// Writes the template and its first ICCID, and adds a note if the template is unchanged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f, |template| {
            format!("template {:?} begins with ICCID {}", template.profile_type, template.series.iccid)
        })
    }
}
