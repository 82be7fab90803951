//! The evaluation of each rule for a device.

use rsp::time::Timestamp;

use crate::{
    book::RuleBook,
    breach::{Breach, Measurement, day_of_event, measure},
    counts::Share,
    day::Day,
    device::{Device, Policy},
    history::Stay,
    permit::Requirement,
    reason::{Citation, Finding, NamedCountry, Reason, Status},
    rules::{DevicesIn, Event, Rule, RuleKind, Unit},
};

/// The result of the evaluation: broken or nearly broken rules, most urgent first, and other
/// reasons.
pub(crate) struct Judged {
    pub(crate) urgent: Vec<Finding>,
    pub(crate) others: Vec<Reason>,
    /// True if a rule applies that could require this device to leave: its own days count, or it is
    /// one of the devices that exceed the limit of the fleet.
    pub(crate) limited: bool,
}

/// Evaluates each rule with a limit that applies to the device where it is. Returns the
/// measurements and breaches, most urgent first.
///
/// Returns nothing for a device that is not attached or is at home. [`crate::decide`] acts on the
/// rules that are broken or near.
pub fn findings(now: Timestamp, device: &Device, book: &RuleBook, policy: &Policy) -> Vec<Finding> {
    let Some(present) = device.history.present(now).filter(|present| !device.is_at_home(present)) else {
        return Vec::new();
    };
    let Judged { urgent, others, .. } = judge(now, device, present, book, policy);
    let clear = others.into_iter().filter_map(|reason| match reason {
        Reason::Rule(finding) => Some(finding),
        _ => None,
    });
    let mut all: Vec<Finding> = urgent.into_iter().chain(clear).collect();
    all.sort_by_key(|finding| finding.deadline);
    all
}

pub(crate) fn judge(
    now: Timestamp,
    device: &Device,
    present: &Stay,
    book: &RuleBook,
    policy: &Policy,
) -> Judged {
    let mut judged = Judged { urgent: Vec::new(), others: Vec::new(), limited: false };
    let mut counts_too_low = None;
    let today = Day::of(now);
    let holds = |rule: &&Rule| rule.is_known_on(today) && rule.covers_place(present);
    for rule in book.rules().iter().filter(holds) {
        let country = NamedCountry::of(book, present.country);
        if !rule.covers(present) {
            judged.others.extend(home_network_not_known(rule, present, book));
            continue;
        }
        if let Some(exemption) = exemption(rule, device, present, &country, policy) {
            judged.others.push(exemption);
            continue;
        }
        let (measurement, share) = match Measured::of(now, device, rule, policy) {
            Measured::Device(measurement) => (measurement, None),
            Measured::Fleet(measurement, share) => (measurement, Some(share)),
            Measured::NotThisOne(share) => {
                judged.others.push(fleet_rule(rule, country, share));
                continue;
            }
            Measured::NotHappened(event) => {
                judged.others.push(Reason::NotHappened { citation: Citation::from(rule), event });
                continue;
            }
            Measured::Nothing => {
                judged.others.push(without_number(rule, country));
                continue;
            }
        };
        judged.limited = true;
        let deadline = measurement.breach.day.start();
        let status = if now >= deadline {
            Status::Broken
        } else if now >= earlier(deadline, policy) {
            Status::Near
        } else {
            Status::Clear
        };
        if let Some(forgotten_before) = device.history.forgotten_before()
            && Day::of(forgotten_before).number() > today.number() - reach(&measurement)
        {
            counts_too_low = Some(Reason::CountsTooLow { forgotten_before });
        }
        let finding = Finding {
            citation: Citation::from(rule),
            says: rule.kind,
            country,
            networks: rule.networks.clone(),
            status,
            measurement,
            deadline,
            consequence: rule.consequence,
            unmet: rule
                .requires
                .iter()
                .copied()
                .filter(|requirement| !is_met(*requirement, device, present, policy))
                .collect(),
            share,
        };
        match status {
            Status::Broken | Status::Near => judged.urgent.push(finding),
            Status::Clear => judged.others.push(Reason::Rule(finding)),
        }
    }
    judged.urgent.sort_by_key(|finding| finding.deadline);
    judged.others.extend(counts_too_low);
    judged
}

/// The measurement of a rule for a device.
enum Measured {
    /// Measured on the device's own history.
    Device(Measurement),
    /// Measured on the fleet, and the device is one of those that have to leave.
    Fleet(Measurement, Share),
    /// The rule is about the fleet, and this device need not leave. `None` if the figures of the
    /// fleet are unknown.
    NotThisOne(Option<Share>),
    /// The rule counts from an event that has not happened.
    NotHappened(Event),
    /// The rule has no limit, or ends before it is broken.
    Nothing,
}

impl Measured {
    fn of(now: Timestamp, device: &Device, rule: &Rule, policy: &Policy) -> Self {
        let Some(limit) = rule.kind.limit().filter(|_| rule.kind.is_of_fleet()) else {
            if let RuleKind::DaysSince { event, .. } = rule.kind
                && day_of_event(event, device, rule, now).is_none()
            {
                return Self::NotHappened(event);
            }
            return measure(device, rule, now).map_or(Self::Nothing, Self::Device);
        };
        let Some(share) = policy.counts.under_rule.get(&rule.id).copied() else {
            return Self::NotThisOne(None);
        };
        let days = device.history.days_of(limit.window.unwrap_or(1), now, |stay| rule.covers(stay));
        if !share.is_exceeded() || days < share.from_days {
            return Self::NotThisOne(Some(share));
        }
        let day = rule.effective.map_or(Day::of(now), |effective| effective.max(Day::of(now)));
        if rule.ends.is_some_and(|ends| day >= ends) {
            return Self::Nothing;
        }
        let measured = match limit.unit {
            Unit::Percent => share.percent(),
            _ => share.roaming,
        };
        let breach = Breach { day, blocked_from: day.plus(rule.grace_days) };
        Self::Fleet(Measurement { measured, limit, breach }, share)
    }
}

/// Number of days that a count covers: the length of the window or, without a window, the days
/// counted so far.
fn reach(measurement: &Measurement) -> i64 {
    let days_per_unit = match measurement.limit.unit {
        Unit::Months => 31,
        Unit::Days | Unit::Percent | Unit::Devices => 1,
    };
    i64::from(measurement.limit.window.unwrap_or(measurement.measured)) * days_per_unit
}

fn without_number(rule: &Rule, country: NamedCountry) -> Reason {
    let citation = Citation::from(rule);
    match (rule.kind, rule.ends) {
        (RuleKind::Permissive, _) => Reason::Permissive { citation, country },
        (kind, Some(ends)) if kind.limit().is_some() => Reason::EndsFirst { citation, ends },
        _ => Reason::CarrierTerms { citation, country },
    }
}

fn fleet_rule(rule: &Rule, country: NamedCountry, share: Option<Share>) -> Reason {
    let (citation, networks) = (Citation::from(rule), rule.networks.clone());
    Reason::FleetRule { citation, says: rule.kind, country, networks, share }
}

/// Reports an unknown home network if it could be one of the rule's networks.
fn home_network_not_known(rule: &Rule, present: &Stay, book: &RuleBook) -> Option<Reason> {
    let home = |range| book.country_of(range) == Some(present.home);
    let possible = present.home_network.is_none() && rule.home_networks.iter().copied().any(home);
    possible.then(|| Reason::HomeNetworkNotKnown {
        citation: Citation::from(rule),
        home_networks: rule.home_networks.clone(),
    })
}

/// The reason for which a rule that covers the subscription does not apply to this device or owner.
fn exemption(
    rule: &Rule,
    device: &Device,
    present: &Stay,
    country: &NamedCountry,
    policy: &Policy,
) -> Option<Reason> {
    let citation = Citation::from(rule);
    let devices = match rule.devices_in {
        DevicesIn::Fleet => policy.devices,
        DevicesIn::Place => policy.counts.under_rule.get(&rule.id).map_or(1, |share| share.staying),
    };
    if devices < rule.min_devices {
        let (min_devices, devices_in) = (rule.min_devices, rule.devices_in);
        return Some(Reason::TooFewDevices { citation, devices, min_devices, devices_in });
    }
    let fulfils = !rule.requires.is_empty()
        && rule.requires.iter().all(|requirement| is_met(*requirement, device, present, policy));
    fulfils.then(|| Reason::Fulfilled {
        citation,
        country: country.clone(),
        requires: rule.requires.iter().copied().collect(),
    })
}

/// True if the device fulfils the requirement where it is.
fn is_met(requirement: Requirement, device: &Device, present: &Stay, policy: &Policy) -> bool {
    let country = present.country;
    match requirement {
        Requirement::ImeiRegistration => device.imei_registered_in.contains(&country),
        Requirement::LocalPresence => policy.registered_in.contains(&country),
        other => other
            .permit(country, present.plmn)
            .is_some_and(|permit| device.permits.contains(&permit) || policy.permits.contains(&permit)),
    }
}

/// The time at which a reason to stay can change by the passing of time.
pub(crate) fn next_check(reason: &Reason, policy: &Policy) -> Option<Timestamp> {
    match reason {
        Reason::Rule(finding) => Some(earlier(finding.deadline, policy)),
        _ => None,
    }
}

fn earlier(deadline: Timestamp, policy: &Policy) -> Timestamp {
    let lead = i64::from(policy.lead_time_days) * 86_400_000;
    Timestamp(deadline.0.saturating_sub(lead))
}
