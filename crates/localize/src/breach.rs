//! When a rule is broken, to the day.

use rsp::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    day::Day,
    history::{History, Runs, clamp},
    rules::{Counted, Limit, Rule, Unit},
};

/// A rule's break: the day from which the count is over the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breach {
    /// The first day over the limit; it may be past.
    pub day: Day,
    /// The first day on which the device may be cut off: the same, or later by the rule's grace.
    pub blocked_from: Day,
}

/// What a history comes to under a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measurement {
    /// How many days or months count today.
    pub measured: u32,
    /// How many are allowed.
    #[serde(flatten)]
    pub limit: Limit,
    /// When the rule is broken if the present stay goes on.
    pub breach: Breach,
}

/// What the history comes to under the rule at `now`, and when the rule is broken if the present stay goes on, or since when it
/// is; none if the device is not under the rule, the rule has no number that a device's history is measured by, or it ends before
/// it would be broken.
///
/// Counts per device, whatever foreign subscriptions it used: to change one for another does not start a new count.
pub fn measure(history: &History, rule: &Rule, now: Timestamp) -> Option<Measurement> {
    let limit = rule.kind.limit()?;
    let present = history.present(now).filter(|stay| rule.covers(stay))?;
    let days = history.runs(now, |stay| {
        let place = match rule.counted {
            Counted::Each => stay.country == present.country,
            Counted::Together => true,
        };
        place && rule.covers(stay)
    });
    let today = Day::of(now);
    let (measured, day) = match limit.unit {
        Unit::Days => {
            let (measured, day) = count(&days, today.number(), limit)?;
            (measured, Day::from_number(day))
        }
        Unit::Months => {
            let months = days.in_units(|day| Day::from_number(day).month());
            let (measured, month) = count(&months, today.month(), limit)?;
            // The month is broken by its first roaming day, which need not be the first of the month.
            let first = Day::first_of_month(month).number();
            (measured, Day::from_number(days.going_on().first_from(first)?))
        }
        Unit::Percent | Unit::Devices => return None,
    };
    let day = rule.effective.map_or(day, |effective| day.max(effective));
    if rule.ends.is_some_and(|ends| day >= ends) {
        return None;
    }
    Some(Measurement { measured, limit, breach: Breach { day, blocked_from: day.plus(rule.grace_days) } })
}

/// The count now, and the first unit from which it is over the limit without a gap up to now or, if it is not yet, the first
/// at which it will be. `now` lies in the last run.
fn count(runs: &Runs, now: i64, limit: Limit) -> Option<(u32, i64)> {
    let most = i64::from(limit.limit);
    let Some(window) = limit.window else {
        let (first, _) = runs.containing(now)?;
        return Some((clamp(now - first + 1), first + most));
    };
    if i64::from(window) <= most {
        return None;
    }
    let runs = runs.clone().going_on();
    let over = |unit| runs.within(unit, window.into()) - most;
    // From one unit to the next the count changes by one at most, so it takes `over` steps at least to cross the limit:
    // leaps of that length cannot miss the crossing.
    let mut unit = now;
    while over(unit) > 0 {
        unit -= over(unit);
    }
    if unit < now {
        return Some((clamp(over(now) + most), unit + 1));
    }
    // The window holds more than the limit, so the stay that goes on gets there.
    while over(unit) <= 0 {
        unit += 1 - over(unit);
    }
    Some((clamp(over(now) + most), unit))
}
