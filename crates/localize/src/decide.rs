//! The decision about a device, and its reasons.

use std::{fmt, time::Duration};

use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    book::RuleBook,
    device::{Destination, Device, HeldProfile, HeldState, Identity, Offer, Policy, Refused, Role},
    judge::{Judged, judge, next_check},
    needs::Latency,
    network::{Country, Place},
    reason::{NamedCountry, Reason},
    strategy::{Circumstances, Means, StrategyRow, When},
};

const DAY: Duration = Duration::from_secs(86_400);
/// An applet changes the identity within minutes of a border crossing and retries the next day. An
/// applet that has not changed it after this number of days in a country will not do so.
const IDENTITY_DAYS: u32 = 2;

/// The decision about a device, with its reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "decision", rename_all = "snake_case")]
pub enum Decision {
    /// Leave the device as it is.
    Stay {
        /// The reasons.
        reasons: Vec<Reason>,
        /// The time at which the decision changes if the device stays; absent if it does not change
        /// by the passing of time.
        next_check: Option<Timestamp>,
    },
    /// Move the device to a local profile.
    Move {
        /// The destination.
        to: Box<Destination>,
        /// The country.
        country: Country,
        /// The profile to enable again if the move fails.
        fall_back_to: Option<Box<HeldProfile>>,
        /// The time at which the first rule is broken if the device stays; in the past if it is
        /// already broken. Absent if no rule requires the move and the owner's strategy causes it.
        deadline: Option<Timestamp>,
        /// The reasons.
        reasons: Vec<Reason>,
    },
    /// The device has to move, and there is no destination.
    Stuck {
        /// The time at which the first rule is broken; in the past if it is already broken.
        deadline: Timestamp,
        /// The time at which an operator that refused the device may be tried again.
        next_check: Option<Timestamp>,
        /// The reasons.
        reasons: Vec<Reason>,
    },
}

/// Decides about one device at `now`. A device that is not attached according to its history, or
/// whose active subscription is at home in the present country, stays. Otherwise each rule that
/// covers the subscription is measured. A rule that is broken, or will be within the policy's lead
/// time, moves the device to a local profile: a profile on its card is preferred to a profile to
/// order, and a profile whose operator has recently refused the device is skipped. The matching row
/// of the policy's strategy can change this: it can move a device although no rule requires it,
/// prefer an identity of the card's applet, or exclude profiles to order. Rules about many devices
/// are compared with the counts in the policy.
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
    let country = NamedCountry::of(book, present.country);
    if device.is_at_home(present) {
        return Decision::Stay { reasons: vec![Reason::AtHome { country }], next_check: None };
    }

    let Judged { urgent, mut others, limited } = judge(now, device, present, book, policy);
    let devices = policy.counts.devices_in(present.country).max(1);
    let circumstances = Circumstances { country: present.country, devices, needs: device.needs, limited };
    let row = policy.strategy.row(&circumstances);
    let strategy = row.map(|row| Reason::Strategy {
        row: row.id.clone(),
        means: row.means,
        country: country.clone(),
        devices,
    });
    let deadline = urgent.first().map(|finding| finding.deadline);
    let due = others.iter().filter_map(|reason| next_check(reason, policy)).min();
    if others.is_empty() && urgent.is_empty() {
        others.push(Reason::NoRule { country: country.clone(), home: NamedCountry::of(book, present.home) });
    }
    let by_choice = row.is_some_and(|row| row.when == When::Always);
    if deadline.is_none() && !by_choice {
        others.extend(strategy);
        return Decision::Stay { reasons: others, next_check: due };
    }
    let mut reasons: Vec<Reason> = urgent.into_iter().map(Reason::Rule).collect();
    // If a rule is urgent, the other reasons do not explain the decision and are omitted, except
    // the reason that counts may be too low.
    let explains = |reason: &Reason| deadline.is_none() || matches!(reason, Reason::CountsTooLow { .. });
    reasons.extend(others.into_iter().filter(explains));
    reasons.extend(strategy);

    let refusals = Refusals { now, device, policy };
    let kinds = kinds(row, deadline.is_some());
    let days = device.history.consecutive_days(present.country, now);
    let is_late = days > IDENTITY_DAYS;
    let identities = if is_late { &[] } else { device.identities.as_slice() };
    let (to, passed_over) = destination(present.country, (device, identities), offers, &refusals, kinds);
    let again = passed_over.iter().filter_map(|place| refusals.until(*place)).min();
    reasons.extend(passed_over.iter().filter_map(|place| {
        let (until, Refused { cause, .. }) = refusals.latest(*place)?;
        Some(Reason::OperatorRefused { operator: place.plmn, until, cause: cause.clone() })
    }));
    let is_multi_imsi = row.is_some_and(|row| row.means == Means::MultiImsi);
    match device.identities.iter().find(|identity| identity.operator.country == present.country) {
        Some(Identity { operator }) if is_late => {
            reasons.push(Reason::IdentityNotPutOn { operator: operator.plmn, days });
        }
        None if is_multi_imsi => reasons.push(Reason::NoIdentity { country: country.clone() }),
        _ => {}
    }
    let Some(to) = to else {
        // If no rule is urgent, a strategy row for multi-IMSI only causes a search for an identity.
        // If an operator has refused the device, the reason is not a missing offer.
        if passed_over.is_empty() && (!is_multi_imsi || deadline.is_some()) {
            reasons.push(Reason::NoLocalProfile { country });
        }
        let stays = deadline.filter(|_| row.is_none_or(|row| row.means != Means::Roam));
        return match stays {
            Some(deadline) => Decision::Stuck { deadline, next_check: again, reasons },
            None => {
                let broken_on = deadline.filter(|deadline| *deadline > now);
                Decision::Stay { reasons, next_check: [again, due, broken_on].into_iter().flatten().min() }
            }
        };
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

/// Operators that must not be tried yet.
struct Refusals<'a> {
    now: Timestamp,
    device: &'a Device,
    policy: &'a Policy,
}

impl Refusals<'_> {
    fn until(&self, operator: Place) -> Option<Timestamp> {
        self.latest(operator).map(|(until, _)| until)
    }

    /// The latest refusal that is still respected, with the time until which it is.
    fn latest(&self, operator: Place) -> Option<(Timestamp, &Refused)> {
        self.device
            .refused
            .iter()
            .filter(|refused| refused.operator == operator.plmn)
            .map(|refused| (refused.at.plus(DAY * self.policy.retry_after_days), refused))
            .filter(|(until, _)| *until > self.now)
            .max_by_key(|(until, _)| *until)
    }
}

/// A kind of destination.
#[derive(Clone, Copy)]
enum Kind {
    Held,
    Offer,
    Identity,
}

/// Permitted kinds of destination under the row of the strategy, the best first.
fn kinds(row: Option<&StrategyRow>, rule_presses: bool) -> &'static [Kind] {
    match row.map(|row| row.means) {
        Some(Means::MultiImsi) if rule_presses => &[Kind::Identity, Kind::Held, Kind::Offer],
        Some(Means::MultiImsi) => &[Kind::Identity],
        Some(Means::Roam) => &[Kind::Held, Kind::Identity],
        Some(Means::LocalProfile) | None => &[Kind::Held, Kind::Offer, Kind::Identity],
    }
}

/// The best local profile, and the operators that were skipped because they refused the device.
fn destination(
    country: Country,
    (device, identities): (&Device, &[Identity]),
    offers: &[Offer],
    refusals: &Refusals<'_>,
    kinds: &[Kind],
) -> (Option<Destination>, Vec<Place>) {
    let mut held: Vec<_> = device.held.iter().filter(|held| held.state == HeldState::Disabled).collect();
    held.sort_by_key(|held| std::cmp::Reverse(held.role));
    let mut offers: Vec<_> = offers.iter().collect();
    offers.sort_by_key(|offer| offer.priority);
    let candidates = kinds.iter().flat_map(|kind| -> Vec<Destination> {
        match kind {
            Kind::Held => held.iter().map(|held| Destination::Held((*held).clone())).collect(),
            Kind::Offer => offers.iter().map(|offer| Destination::Offer((*offer).clone())).collect(),
            Kind::Identity => identities.iter().copied().map(Destination::Identity).collect(),
        }
    });

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

/// The profile to fall back to: bootstrap profiles are preferred, then the active profile. A local
/// profile of another country does not qualify.
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
    /// The reasons.
    pub fn reasons(&self) -> &[Reason] {
        match self {
            Self::Stay { reasons, .. } | Self::Move { reasons, .. } | Self::Stuck { reasons, .. } => reasons,
        }
    }
}

impl fmt::Display for Decision {
    /// The decision in one line, then one line for each reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stay { next_check: Some(at), .. } => write!(f, "stay; next evaluation at {at}")?,
            Self::Stay { next_check: None, .. } => write!(f, "stay")?,
            Self::Move { to, country, fall_back_to, deadline, .. } => {
                write!(f, "move to {to}, in {country}, ")?;
                match deadline {
                    Some(deadline) => write!(f, "by {deadline}; ")?,
                    None => write!(f, "by the owner's strategy; ")?,
                }
                match fall_back_to {
                    Some(held) => {
                        write!(f, "fall back to profile {} of network {}", held.iccid, held.home.plmn)?
                    }
                    None => write!(f, "without a fallback")?,
                }
            }
            Self::Stuck { deadline, next_check, .. } => {
                write!(f, "stuck: has to leave by {deadline} and has no destination")?;
                if let Some(at) = next_check {
                    write!(f, "; next evaluation at {at}")?;
                }
            }
        }
        self.reasons().iter().try_for_each(|reason| write!(f, "\n  - {reason}"))
    }
}
