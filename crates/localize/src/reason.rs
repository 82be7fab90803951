//! The reasons of a decision: data for programs, a sentence for readers.

use rsp::ids::Plmn;
use std::fmt;

use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    book::RuleBook,
    breach::Measurement,
    counts::Share,
    day::Day,
    needs::Criticality,
    network::{Country, NumberRange},
    permit::Requirement,
    rules::{Confidence, Consequence, DevicesIn, Document, Event, Rule, RuleId, RuleKind, Unit},
    strategy::{Means, StrategyId},
};

/// A country with its readable name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamedCountry {
    /// The code.
    pub code: Country,
    /// The name.
    pub name: String,
}

impl NamedCountry {
    /// The country with its name in the book.
    pub(crate) fn of(book: &RuleBook, code: Country) -> Self {
        Self { code, name: book.name(code) }
    }
}

impl fmt::Display for NamedCountry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A rule and its source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Citation {
    /// The rule.
    pub rule: RuleId,
    /// The document behind it.
    #[serde(flatten)]
    pub document: Option<Document>,
    /// The source.
    pub source: String,
    /// The date of the last review.
    pub reviewed: Day,
    /// Confidence in the source.
    pub confidence: Confidence,
    /// A note for readers.
    pub note: Option<String>,
}

impl From<&Rule> for Citation {
    fn from(rule: &Rule) -> Self {
        Self {
            rule: rule.id.clone(),
            document: rule.document.clone(),
            source: rule.source.clone(),
            reviewed: rule.reviewed,
            confidence: rule.confidence,
            note: rule.note.clone(),
        }
    }
}

impl fmt::Display for Citation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, document, source, reviewed, confidence, note: _ } = self;
        write!(f, "[{rule}: ")?;
        if let Some(Document { document, dated }) = document {
            write!(f, "{document}")?;
            if let Some(dated) = dated {
                write!(f, " ({dated})")?;
            }
            write!(f, ", from ")?;
        }
        write!(f, "{source}, reviewed {reviewed}, confidence {confidence}]")
    }
}

/// The distance of a rule from its breach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The limit has been passed.
    Broken,
    /// Within the lead time before the limit.
    Near,
    /// More than the lead time before the limit.
    Clear,
}

/// A rule evaluated for a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The rule.
    #[serde(flatten)]
    pub citation: Citation,
    /// The requirement of the rule.
    pub says: RuleKind,
    /// The country of the device.
    pub country: NamedCountry,
    /// The networks to which the rule is limited; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Plmn>,
    /// The distance from the breach.
    pub status: Status,
    /// The measurement of the history.
    #[serde(flatten)]
    pub measurement: Measurement,
    /// The time at which the rule is broken if nothing changes: midnight of the day of the breach.
    pub deadline: Timestamp,
    /// The consequence of the breach.
    #[serde(flatten)]
    pub consequence: Consequence,
    /// The unfulfilled requirements. If the device fulfilled them, the rule would not apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmet: Vec<Requirement>,
    /// The figures of the fleet, under a rule about many devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
}

impl Finding {
    /// The subject of the sentence: "Brazil", "network 724-05 in Brazil".
    fn subject(&self) -> String {
        on_networks(&self.networks, &self.country)
    }
}

fn on_networks(networks: &[Plmn], country: &NamedCountry) -> String {
    let list: Vec<String> = networks.iter().map(ToString::to_string).collect();
    match networks {
        [] => country.to_string(),
        [network] => format!("network {network} in {country}"),
        _ => format!("each of the networks {} in {country}", list.join(", ")),
    }
}

/// The figures of a rule about many devices, as a clause.
struct InFleet<'a>(RuleKind, &'a Share);

impl fmt::Display for InFleet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(says, Share { devices, roaming, staying, allowed, .. }) = self;
        match says {
            RuleKind::ShareOfRoaming { max_percent, window_days, min_days } => write!(
                f,
                "{max_percent} percent of the devices to roam there {}; ",
                Within(*window_days, *min_days)
            )?,
            RuleKind::DeviceCount { max_devices, window_days, min_days } => {
                write!(f, "{max_devices} devices to roam there {}; ", Within(*window_days, *min_days))?
            }
            _ => {}
        }
        write!(f, "{roaming} of {devices} did, {staying} do now")?;
        allowed.map_or(Ok(()), |allowed| write!(f, ", {allowed} may"))
    }
}

/// The window of a rule about many devices, and the minimum number of days of a device that counts.
struct Within(u32, u32);

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self(window_days, 1) => write!(f, "within {window_days} days"),
            Self(window_days, min_days) => write!(f, "on {min_days} or more of {window_days} days"),
        }
    }
}

/// Requirements as clauses that are joined by "and".
struct All<'a>(&'a [Requirement]);

impl fmt::Display for All<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, requirement) in self.0.iter().enumerate() {
            write!(f, "{}{requirement}", if place == 0 { "" } else { " and " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measurement { measured, limit, breach } = self.measurement;
        if let Some(share) = &self.share {
            write!(f, "{} allows {}", self.subject(), InFleet(self.says, share))?;
            write!(
                f,
                "; this device is one of those that must leave, with {} days or more there",
                share.from_days
            )?;
            match self.status {
                Status::Broken => write!(f, "; broken since {} at least", breach.day)?,
                Status::Near | Status::Clear => write!(f, "; would be broken on {}", breach.day)?,
            }
            return write!(f, " {}", self.citation);
        }
        let unit = match (limit.unit, limit.limit) {
            (Unit::Days, 1) => "day",
            (Unit::Days, _) => "days",
            (Unit::Months, 1) => "roaming month",
            (Unit::Months, _) => "roaming months",
            (Unit::Percent, _) => "percent of the devices",
            (Unit::Devices, _) => "devices",
        };
        write!(f, "{} allows ", self.subject())?;
        match (self.says, limit.limit, limit.window) {
            (RuleKind::DaysSince { event, .. }, 0, _) => write!(f, "no stay after {event}")?,
            (RuleKind::DaysSince { event, .. }, most, _) => write!(f, "{most} {unit} since {event}")?,
            (_, 0, _) => write!(f, "no stay")?,
            (_, most, None) => write!(f, "{most} {unit} in a row")?,
            (_, most, Some(window)) => write!(f, "{most} {unit} in any {window}")?,
        }
        write!(f, " on a foreign subscription")?;
        if !self.unmet.is_empty() {
            write!(f, " unless {}", All(&self.unmet))?;
        }
        write!(f, "; counted so far: {measured}; ")?;
        match self.status {
            Status::Broken => write!(f, "broken since {}", breach.day)?,
            Status::Near | Status::Clear => write!(f, "would be broken on {}", breach.day)?,
        }
        if breach.blocked_from != breach.day || self.consequence != Consequence::Blocked {
            write!(f, ", {} from {}", self.consequence, breach.blocked_from)?;
        }
        write!(f, " {}", self.citation)
    }
}

/// A reason for a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// The evaluation of a rule with a limit.
    Rule(Finding),
    /// The terms of the operators decide. Their thresholds are not public.
    CarrierTerms {
        /// The rule.
        #[serde(flatten)]
        citation: Citation,
        /// The country.
        country: NamedCountry,
    },
    /// Permanent roaming is known to be allowed.
    Permissive {
        /// The rule.
        #[serde(flatten)]
        citation: Citation,
        /// The country.
        country: NamedCountry,
    },
    /// The device fulfils the requirements of a rule, which therefore does not apply.
    Fulfilled {
        /// The rule.
        #[serde(flatten)]
        citation: Citation,
        /// The country.
        country: NamedCountry,
        /// The requirements.
        requires: Vec<Requirement>,
    },
    /// The rule counts from an event that has not happened.
    NotHappened {
        /// The rule.
        #[serde(flatten)]
        citation: Citation,
        /// The event.
        event: Event,
    },
    /// The rule applies to larger customers.
    TooFewDevices {
        /// The rule.
        #[serde(flatten)]
        citation: Citation,
        /// Number of the owner's devices.
        devices: u32,
        /// The number from which on the rule applies.
        min_devices: u32,
        /// The devices that are counted.
        #[serde(default)]
        devices_in: DevicesIn,
    },
    /// The rule is about many devices, and does not require this device to leave.
    FleetRule {
        /// The rule.
        #[serde(flatten)]
        citation: Citation,
        /// The requirement of the rule.
        says: RuleKind,
        /// The country.
        country: NamedCountry,
        /// The networks to which the rule is limited; empty for all.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        networks: Vec<Plmn>,
        /// The figures of the fleet; absent if it was not counted.
        share: Option<Share>,
    },
    /// The rule ends before it would be broken.
    EndsFirst {
        /// The rule.
        #[serde(flatten)]
        citation: Citation,
        /// The first day without the rule.
        ends: Day,
    },
    /// The rule is about certain home networks, and the home network of the subscription is
    /// unknown.
    HomeNetworkNotKnown {
        /// The rule.
        #[serde(flatten)]
        citation: Citation,
        /// The home networks of the rule.
        home_networks: Vec<NumberRange>,
    },
    /// The owner's strategy for such a device in this country.
    Strategy {
        /// The row that applies.
        row: StrategyId,
        /// The connection.
        #[serde(rename = "use")]
        means: Means,
        /// The country.
        country: NamedCountry,
        /// Number of devices in the country.
        devices: u32,
    },
    /// No rule is known for such a subscription here.
    NoRule {
        /// The country.
        country: NamedCountry,
        /// The home of the subscription.
        home: NamedCountry,
    },
    /// The active subscription is a local one.
    AtHome {
        /// The country.
        country: NamedCountry,
    },
    /// The device is not attached, so that no days are counted.
    NotAttached,
    /// Older stays were dropped, so counts may be too low.
    CountsTooLow {
        /// Stays before this time are unknown.
        forgotten_before: Timestamp,
    },
    /// No profile of the country is on the card or on offer.
    NoLocalProfile {
        /// The country.
        country: NamedCountry,
    },
    /// The strategy prefers an identity of the country, and no profile on the card has one.
    NoIdentity {
        /// The country.
        country: NamedCountry,
    },
    /// The card has an identity of the country, but its applet has not selected it.
    IdentityNotPutOn {
        /// The network of the identity.
        operator: Plmn,
        /// Number of consecutive days that the device has been there without it.
        days: u32,
    },
    /// An operator is not tried because it refused the device.
    OperatorRefused {
        /// The operator's network.
        operator: Plmn,
        /// The time from which on it is tried again.
        until: Timestamp,
        /// The cause in words, if it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<Box<str>>,
    },
    /// No profile on the card can serve as a fallback.
    NoWayBack {
        /// The effect of a device that is unreachable.
        criticality: Criticality,
    },
    /// The device needs short response times, which a local subscription has and a home-routed one
    /// does not.
    ShorterPath {
        /// The country.
        country: NamedCountry,
    },
}

impl Reason {
    /// The rule behind the reason, if there is one.
    pub fn rule(&self) -> Option<&RuleId> {
        match self {
            Self::Rule(Finding { citation, .. })
            | Self::CarrierTerms { citation, .. }
            | Self::Permissive { citation, .. }
            | Self::Fulfilled { citation, .. }
            | Self::NotHappened { citation, .. }
            | Self::FleetRule { citation, .. }
            | Self::EndsFirst { citation, .. }
            | Self::HomeNetworkNotKnown { citation, .. }
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
            Self::Fulfilled { citation, country, requires } => {
                write!(f, "the requirements of {country} are fulfilled: {} {citation}", All(requires))
            }
            Self::NotHappened { citation, event } => {
                write!(f, "the rule counts from {event}, which has not happened {citation}")
            }
            Self::TooFewDevices { citation, devices, min_devices, devices_in } => {
                let those = match devices_in {
                    DevicesIn::Fleet => "the owner has",
                    DevicesIn::Place => "where it applies there are",
                };
                write!(f, "the rule applies from {min_devices} devices on, and {those} {devices} {citation}")
            }
            Self::FleetRule { citation, says, country, networks, share: Some(share) } => {
                let who = on_networks(networks, country);
                write!(f, "{who} allows {}; ", InFleet(*says, share))?;
                f.write_str(match share.is_exceeded() {
                    true => "others have been there longer and leave first",
                    false => "no device has to leave",
                })?;
                write!(f, " {citation}")
            }
            Self::FleetRule { citation, share: None, .. } => {
                write!(f, "the rule is about the fleet as a whole, which has not been counted {citation}")
            }
            Self::EndsFirst { citation, ends } => {
                write!(f, "the rule ends on {ends}, before it would be broken {citation}")
            }
            Self::HomeNetworkNotKnown { citation, home_networks } => {
                let list: Vec<String> = home_networks.iter().map(ToString::to_string).collect();
                let list = list.join(", ");
                write!(
                    f,
                    "the rule is for subscriptions of {list}, and the home network of this one is unknown {citation}"
                )
            }
            Self::Strategy { row, means, country, devices } => {
                write!(f, "strategy: {means}, because \"{row}\" fits with {devices} devices in {country}")
            }
            Self::NoRule { country, home } => {
                write!(f, "no rule is known for a subscription from {home} in {country}")
            }
            Self::AtHome { country } => write!(f, "the subscription in use is at home in {country}"),
            Self::NotAttached => f.write_str("the device is not attached, so no days are counted"),
            Self::CountsTooLow { forgotten_before } => {
                write!(f, "stays before {forgotten_before} are no longer known, so counts may be too low")
            }
            Self::NoLocalProfile { country } => {
                write!(
                    f,
                    "no profile of {country} is on the card or on offer: add an offer of an operator there"
                )
            }
            Self::NoIdentity { country } => {
                write!(
                    f,
                    "no profile on the card has an identity of {country}: another profile is needed for such an identity"
                )
            }
            Self::IdentityNotPutOn { operator, days } => {
                write!(
                    f,
                    "the card's applet has not selected its identity of network {operator} within {days} days"
                )
            }
            Self::OperatorRefused { operator, until, cause } => {
                write!(f, "network {operator} refused the device")?;
                if let Some(cause) = cause {
                    write!(f, " ({cause})")?;
                }
                write!(f, " and is not tried before {until}")
            }
            Self::NoWayBack { criticality } => {
                f.write_str("no profile on the card can serve as a fallback")?;
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
                    "the device needs a low latency, and traffic on a local subscription stays in {country}"
                )
            }
        }
    }
}
