//! Why a decision was made: facts for a program, a sentence for a person.

use rsp::ids::Plmn;
use std::fmt;

use rsp::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    breach::Measurement,
    day::Day,
    device::Criticality,
    network::Country,
    rules::{Confidence, Rule, RuleId, RuleKind, Unit},
};

/// A country with the name that a person knows it by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedCountry {
    /// Its code.
    pub code: Country,
    /// Its name.
    pub name: String,
}

impl fmt::Display for NamedCountry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Which rule, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Citation {
    /// The rule.
    pub rule: RuleId,
    /// Where it was read.
    pub source: String,
    /// When it was last checked.
    pub reviewed: Day,
    /// How far to trust it.
    pub confidence: Confidence,
    /// For people.
    pub note: Option<String>,
}

impl From<&Rule> for Citation {
    fn from(rule: &Rule) -> Self {
        Self {
            rule: rule.id.clone(),
            source: rule.source.clone(),
            reviewed: rule.reviewed,
            confidence: rule.confidence,
            note: rule.note.clone(),
        }
    }
}

impl fmt::Display for Citation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let confidence = match self.confidence {
            Confidence::Low => "low",
            Confidence::Medium => "medium",
            Confidence::High => "high",
        };
        write!(f, "[{}: {}, reviewed {}, confidence {confidence}]", self.rule, self.source, self.reviewed)
    }
}

/// How close a rule is to its break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The limit has been passed.
    Broken,
    /// Within the lead time before the limit.
    Near,
    /// Further away than the lead time.
    Clear,
}

/// A rule held against a device's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule.
    #[serde(flatten)]
    pub citation: Citation,
    /// What the rule says.
    pub says: RuleKind,
    /// Where the device is.
    pub country: NamedCountry,
    /// How close the break is.
    pub status: Status,
    /// What the history comes to.
    #[serde(flatten)]
    pub measurement: Measurement,
    /// The instant at which the rule is broken if nothing changes: midnight of the breach's day.
    pub deadline: Timestamp,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measurement { measured, limit, breach } = self.measurement;
        let unit = match (limit.unit, limit.limit) {
            (Unit::Days, 1) => "day",
            (Unit::Days, _) => "days",
            (Unit::Months, 1) => "roaming month",
            (Unit::Months, _) => "roaming months",
        };
        match self.says {
            RuleKind::CarrierTerms { .. } => write!(f, "carriers in {} allow ", self.country)?,
            _ => write!(f, "{} allows ", self.country)?,
        }
        match (limit.limit, limit.window) {
            (0, _) => write!(f, "no stay")?,
            (most, None) => write!(f, "{most} {unit} in a row")?,
            (most, Some(window)) => write!(f, "{most} {unit} in any {window}")?,
        }
        write!(f, " on a foreign subscription")?;
        match self.says {
            RuleKind::ImeiRegistration { .. } => write!(f, " unless the IMEI is registered")?,
            RuleKind::LocalPresence { .. } => write!(f, " unless the owner is registered there")?,
            _ => {}
        }
        write!(f, "; counted so far: {measured}; ")?;
        match self.status {
            Status::Broken => write!(f, "broken since {}", breach.day)?,
            Status::Near | Status::Clear => write!(f, "would be broken on {}", breach.day)?,
        }
        if breach.blocked_from != breach.day {
            write!(f, ", cut off from {}", breach.blocked_from)?;
        }
        write!(f, " {}", self.citation)
    }
}

/// One reason for a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// What a rule with a number comes to.
    Rule(Finding),
    /// The operators' terms decide, at thresholds that are not public.
    CarrierTerms {
        /// The rule.
        #[serde(flatten)]
        citation: Citation,
        /// Where.
        country: NamedCountry,
    },
    /// Permanent roaming is known to be allowed.
    Permissive {
        /// The rule.
        #[serde(flatten)]
        citation: Citation,
        /// Where.
        country: NamedCountry,
    },
    /// The registration that a rule asks for is there.
    Registered {
        /// The rule.
        #[serde(flatten)]
        citation: Citation,
        /// Where.
        country: NamedCountry,
    },
    /// The rule holds for larger customers.
    TooFewDevices {
        /// The rule.
        #[serde(flatten)]
        citation: Citation,
        /// How many the owner runs.
        devices: u32,
        /// From how many on the rule holds.
        min_devices: u32,
    },
    /// No rule is known for such a subscription here.
    NoRule {
        /// Where.
        country: NamedCountry,
        /// The subscription's home.
        home: NamedCountry,
    },
    /// The subscription in use is a local one.
    AtHome {
        /// Where.
        country: NamedCountry,
    },
    /// The device is attached nowhere, so that nothing counts.
    NotAttached,
    /// Older stays were dropped: counts may be too low.
    CountsTooLow {
        /// What was before this is not known.
        forgotten_before: Timestamp,
    },
    /// No profile of the country is on the card or on offer.
    NoLocalProfile {
        /// Where.
        country: NamedCountry,
    },
    /// An operator is left alone because it refused the device.
    OperatorRefused {
        /// Its network.
        operator: Plmn,
        /// It is tried again from then on.
        until: Timestamp,
    },
    /// Nothing on the card can be fallen back to.
    NoWayBack {
        /// What it means when the device is out of reach.
        criticality: Criticality,
    },
    /// The device needs short latency, which a local subscription gives and a home-routed one does not.
    ShorterPath {
        /// Where.
        country: NamedCountry,
    },
}

impl Reason {
    /// The rule behind the reason, if one is.
    pub fn rule(&self) -> Option<&RuleId> {
        match self {
            Self::Rule(Finding { citation, .. })
            | Self::CarrierTerms { citation, .. }
            | Self::Permissive { citation, .. }
            | Self::Registered { citation, .. }
            | Self::TooFewDevices { citation, .. } => Some(&citation.rule),
            _ => None,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(finding) => finding.fmt(f),
            Self::CarrierTerms { citation, country } => {
                write!(
                    f,
                    "in {country} the operators' terms decide, at thresholds that are not public {citation}"
                )
            }
            Self::Permissive { citation, country } => {
                write!(f, "{country} allows permanent roaming {citation}")
            }
            Self::Registered { citation, country } => {
                write!(f, "the registration that {country} asks for is there {citation}")
            }
            Self::TooFewDevices { citation, devices, min_devices } => {
                write!(
                    f,
                    "the rule holds from {min_devices} devices on, and the owner runs {devices} {citation}"
                )
            }
            Self::NoRule { country, home } => {
                write!(f, "no rule is known for a subscription from {home} in {country}")
            }
            Self::AtHome { country } => write!(f, "the subscription in use is at home in {country}"),
            Self::NotAttached => f.write_str("the device is attached nowhere, so that nothing counts"),
            Self::CountsTooLow { forgotten_before } => {
                write!(f, "stays before {forgotten_before} are not known any more, so counts may be too low")
            }
            Self::NoLocalProfile { country } => {
                write!(
                    f,
                    "no profile of {country} is on the card or on offer: add an offer of an operator there"
                )
            }
            Self::OperatorRefused { operator, until } => {
                write!(f, "network {operator} refused the device and is left alone until {until}")
            }
            Self::NoWayBack { criticality } => {
                f.write_str("no profile on the card can be fallen back to")?;
                match criticality {
                    Criticality::High => {
                        f.write_str(", and the device is critical: add a bootstrap profile first")
                    }
                    _ => Ok(()),
                }
            }
            Self::ShorterPath { country } => {
                write!(
                    f,
                    "the device needs short latency, and traffic on a local subscription stays in {country}"
                )
            }
        }
    }
}
