//! Stay, or move: the decision and its reasons.

use std::{fmt, time::Duration};

use rsp::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    book::RuleBook,
    breach::measure,
    day::Day,
    device::{Destination, Device, HeldProfile, HeldState, Latency, Offer, Policy, Role},
    history::Stay,
    network::{Country, Place},
    reason::{Citation, Finding, NamedCountry, Reason, Status},
    rules::{Rule, RuleKind, Unit},
};

const DAY: Duration = Duration::from_secs(86_400);

/// What to do with a device, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// Leave it as it is.
    Stay {
        /// Why.
        reasons: Vec<Reason>,
        /// When the decision becomes another one if the device stays; none: not by the passing of time.
        next_check: Option<Timestamp>,
    },
    /// Move it to a local profile.
    Move {
        /// Which.
        to: Box<Destination>,
        /// In which country.
        country: Country,
        /// The profile to enable again if the move fails.
        fall_back_to: Option<Box<HeldProfile>>,
        /// When the first rule is broken if the device stays; past if it is broken already.
        deadline: Timestamp,
        /// Why.
        reasons: Vec<Reason>,
    },
    /// It has to move, and there is nowhere to go.
    Stuck {
        /// When the first rule is broken; past if it is broken already.
        deadline: Timestamp,
        /// When an operator that refused the device may be tried again.
        next_check: Option<Timestamp>,
        /// Why.
        reasons: Vec<Reason>,
    },
}

/// Decides about one device at `now`.
///
/// A device whose history does not say that it is attached, or whose subscription in use is at home where it is, stays.
/// Otherwise each rule that covers the subscription is measured; one that is broken, or will be within the policy's lead time,
/// makes the device move to a local profile: one on its card before one to be ordered, and not one whose operator has
/// just refused it.
pub fn decide(
    now: Timestamp,
    device: &Device,
    offers: &[Offer],
    book: &RuleBook,
    policy: &Policy,
) -> Decision {
    let Some(present) = device.history.present(now) else {
        return Decision::Stay { reasons: vec![Reason::NotAttached], next_check: None };
    };
    let country = named(book, present.country);
    if is_at_home(device, present) {
        return Decision::Stay { reasons: vec![Reason::AtHome { country }], next_check: None };
    }

    let Judged { mut urgent, mut others } = judge(now, device, present, book, policy);
    let Some(deadline) = urgent.first().map(|finding| finding.deadline) else {
        let next_check = others.iter().filter_map(|reason| next_check(reason, policy)).min();
        if others.is_empty() {
            others.push(Reason::NoRule { country, home: named(book, present.home) });
        }
        return Decision::Stay { reasons: others, next_check };
    };
    let mut reasons: Vec<Reason> = urgent.drain(..).map(Reason::Rule).collect();
    reasons.extend(others.into_iter().filter(|reason| matches!(reason, Reason::CountsTooLow { .. })));

    let refusals = Refusals { now, device, policy };
    let (to, passed_over) = destination(present.country, device, offers, &refusals);
    let next_check = passed_over.iter().filter_map(|place| refusals.until(*place)).min();
    reasons.extend(passed_over.iter().filter_map(|place| {
        refusals.until(*place).map(|until| Reason::OperatorRefused { operator: place.plmn, until })
    }));
    let Some(to) = to else {
        reasons.push(Reason::NoLocalProfile { country });
        return Decision::Stuck { deadline, next_check, reasons };
    };
    let fall_back_to = way_back(present.country, device, &to, &refusals);
    if fall_back_to.is_none() {
        reasons.push(Reason::NoWayBack { criticality: device.needs.criticality });
    }
    if device.needs.latency == Latency::Tight {
        reasons.push(Reason::ShorterPath { country });
    }
    Decision::Move {
        to: Box::new(to),
        country: present.country,
        fall_back_to: fall_back_to.map(Box::new),
        deadline,
        reasons,
    }
}

/// The history tells by which subscription the device is attached. A profile that was enabled since and is at home here counts
/// as well: the device is on its way to it.
fn is_at_home(device: &Device, present: &Stay) -> bool {
    !present.is_roaming()
        || device
            .held
            .iter()
            .any(|held| held.state == HeldState::Enabled && held.home.country == present.country)
}

/// What the rules say: broken or nearly so, most urgent first, and the rest.
struct Judged {
    urgent: Vec<Finding>,
    others: Vec<Reason>,
}

fn judge(now: Timestamp, device: &Device, present: &Stay, book: &RuleBook, policy: &Policy) -> Judged {
    let mut judged = Judged { urgent: Vec::new(), others: Vec::new() };
    let mut counts_too_low = None;
    for rule in book.rules().iter().filter(|rule| rule.covers(present.country, present.home)) {
        let country = named(book, present.country);
        let citation = Citation::from(rule);
        if let Some(exemption) = exemption(rule, device, &country, policy) {
            judged.others.push(exemption);
            continue;
        }
        let Some(measurement) = measure(&device.history, rule, now) else {
            judged.others.push(match rule.kind {
                RuleKind::Permissive => Reason::Permissive { citation, country },
                _ => Reason::CarrierTerms { citation, country },
            });
            continue;
        };
        let deadline = measurement.breach.day.start();
        let status = if now >= deadline {
            Status::Broken
        } else if now >= earlier(deadline, policy) {
            Status::Near
        } else {
            Status::Clear
        };
        let days_per_unit = match measurement.limit.unit {
            Unit::Days => 1,
            Unit::Months => 31,
        };
        // Days in a row count back to the break at most, a window to its start.
        let reach = i64::from(measurement.limit.window.unwrap_or(measurement.measured)) * days_per_unit;
        if let Some(forgotten_before) = device.history.forgotten_before()
            && Day::of(forgotten_before).number() > Day::of(now).number() - reach
        {
            counts_too_low = Some(Reason::CountsTooLow { forgotten_before });
        }
        let finding = Finding { citation, says: rule.kind, country, status, measurement, deadline };
        match status {
            Status::Broken | Status::Near => judged.urgent.push(finding),
            Status::Clear => judged.others.push(Reason::Rule(finding)),
        }
    }
    judged.urgent.sort_by_key(|finding| finding.deadline);
    judged.others.extend(counts_too_low);
    judged
}

/// Why a rule that covers the subscription does not hold for this device or owner.
fn exemption(rule: &Rule, device: &Device, country: &NamedCountry, policy: &Policy) -> Option<Reason> {
    let citation = || Citation::from(rule);
    let registered = || Reason::Registered { citation: citation(), country: country.clone() };
    match rule.kind {
        RuleKind::ImeiRegistration { .. } => {
            device.imei_registered_in.contains(&country.code).then(registered)
        }
        RuleKind::LocalPresence { .. } => policy.registered_in.contains(&country.code).then(registered),
        RuleKind::RoamingMonthsInPeriod { min_devices, .. } if policy.devices < min_devices => {
            Some(Reason::TooFewDevices { citation: citation(), devices: policy.devices, min_devices })
        }
        _ => None,
    }
}

fn next_check(reason: &Reason, policy: &Policy) -> Option<Timestamp> {
    match reason {
        Reason::Rule(finding) => Some(earlier(finding.deadline, policy)),
        _ => None,
    }
}

fn earlier(deadline: Timestamp, policy: &Policy) -> Timestamp {
    let lead = i64::from(policy.lead_time_days) * 86_400_000;
    Timestamp(deadline.0.saturating_sub(lead))
}

fn named(book: &RuleBook, code: Country) -> NamedCountry {
    NamedCountry { code, name: book.name(code) }
}

/// Which operators are to be left alone.
struct Refusals<'a> {
    now: Timestamp,
    device: &'a Device,
    policy: &'a Policy,
}

impl Refusals<'_> {
    fn until(&self, operator: Place) -> Option<Timestamp> {
        self.device
            .refused
            .iter()
            .filter(|refused| refused.operator == operator.plmn)
            .map(|refused| refused.at.plus(DAY * self.policy.retry_after_days))
            .filter(|until| *until > self.now)
            .max()
    }
}

/// The best local profile, and the operators that were passed over because they refused.
fn destination(
    country: Country,
    device: &Device,
    offers: &[Offer],
    refusals: &Refusals<'_>,
) -> (Option<Destination>, Vec<Place>) {
    let mut held: Vec<_> = device.held.iter().filter(|held| held.state == HeldState::Disabled).collect();
    held.sort_by_key(|held| std::cmp::Reverse(held.role));
    let mut offers: Vec<_> = offers.iter().collect();
    offers.sort_by_key(|offer| offer.priority);
    let candidates = held.into_iter().cloned().map(Destination::Held);
    let candidates = candidates.chain(offers.into_iter().cloned().map(Destination::Offer));

    let mut passed_over = Vec::new();
    for candidate in candidates.filter(|candidate| candidate.operator().country == country) {
        let operator = candidate.operator();
        if refusals.until(operator).is_none() {
            return (Some(candidate), passed_over);
        }
        if !passed_over.contains(&operator) {
            passed_over.push(operator);
        }
    }
    (None, passed_over)
}

/// The profile to come back to: a bootstrap profile before others, the one in use before the rest. A local profile of another
/// country is none.
fn way_back(
    country: Country,
    device: &Device,
    to: &Destination,
    refusals: &Refusals<'_>,
) -> Option<HeldProfile> {
    device
        .held
        .iter()
        .filter(|held| !matches!(to, Destination::Held(target) if target == *held))
        .filter(|held| held.role != Role::Local || held.home.country == country)
        .filter(|held| refusals.until(held.home).is_none())
        .min_by_key(|held| (held.role != Role::Bootstrap, held.state != HeldState::Enabled))
        .cloned()
}

impl Decision {
    /// Why.
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Stay { reasons, .. } | Self::Move { reasons, .. } | Self::Stuck { reasons, .. } => reasons,
        }
    }
}

impl fmt::Display for Decision {
    /// The decision in one line, then a line per reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stay { next_check: Some(at), .. } => write!(f, "stay; to be decided again at {at}")?,
            Self::Stay { next_check: None, .. } => write!(f, "stay")?,
            Self::Move { to, country, fall_back_to, deadline, .. } => {
                write!(f, "move to {to}, in {country}, by {deadline}; ")?;
                match fall_back_to {
                    Some(held) => {
                        write!(f, "fall back to profile {} of network {}", held.iccid, held.home.plmn)?
                    }
                    None => write!(f, "nothing to fall back to")?,
                }
            }
            Self::Stuck { deadline, next_check, .. } => {
                write!(f, "stuck: has to leave by {deadline} and has nowhere to go")?;
                if let Some(at) = next_check {
                    write!(f, "; to be decided again at {at}")?;
                }
            }
        }
        self.reasons().iter().try_for_each(|reason| write!(f, "\n  - {reason}"))
    }
}
