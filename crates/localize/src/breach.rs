//! The day on which a rule is broken.

use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    day::Day,
    device::Device,
    history::{Runs, clamp},
    rules::{Event, Limit, Rule, RuleKind, Unit},
};

/// The breach of a rule: the day from which the count exceeds the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RuleBreach")]
pub struct Breach {
    /// The first day over the limit; it can be in the past.
    pub day: Day,
    /// The first day of the rule's consequence, such as a cut-off: the day of the breach plus the
    /// rule's grace period.
    pub blocked_from: Day,
}

/// The measurement of a history under a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Measurement {
    /// Number of days or months that count today.
    pub measured: u32,
    /// The limit.
    #[serde(flatten)]
    pub limit: Limit,
    /// The breach, assuming that the present stay continues.
    pub breach: Breach,
}

/// Measures the device under the rule at `now`. Finds the day since which the rule is broken or, if
/// it is not broken yet, the day on which it will be broken if the present stay continues. Returns
/// `None` if the rule does not apply to the device, cannot be measured on one device, or ends before
/// it would be broken.
///
/// Days are counted for the device and not for each subscription, so a change from one foreign
/// subscription to another does not restart the count.
pub fn measure(device: &Device, rule: &Rule, now: Timestamp) -> Option<Measurement> {
    let limit = rule.kind.limit()?;
    let present = device.history.present(now).filter(|stay| rule.covers(stay))?;
    let days = device.days_under(rule, present, now);
    let today = Day::of(now);
    let (measured, day) = match (rule.kind, limit.unit) {
        (RuleKind::DaysSince { event, limit_days }, _) => {
            let first = day_of_event(event, device, rule, now)?;
            (clamp(today.number() - first.number() + 1), first.plus(limit_days))
        }
        (_, Unit::Days) => {
            let (measured, day) = count(&days, today.number(), limit)?;
            (measured, Day::from_number(day))
        }
        (_, Unit::Months) => {
            let months = days.in_units(|day| Day::from_number(day).month());
            let (measured, month) = count(&months, today.month(), limit)?;
            // The rule is broken on the first roaming day of the month, which is not necessarily
            // the first day of the month.
            let first = Day::first_of_month(month).number();
            (measured, Day::from_number(days.going_on().first_from(first)?))
        }
        (_, Unit::Percent | Unit::Devices) => return None,
    };
    let day = rule.effective.map_or(day, |effective| day.max(effective));
    if rule.ends.is_some_and(|ends| day >= ends) {
        return None;
    }
    Some(Measurement { measured, limit, breach: Breach { day, blocked_from: day.plus(rule.grace_days) } })
}

/// Returns the day of the event from which the rule counts, if the event happened between the
/// arrival and now.
pub(crate) fn day_of_event(event: Event, device: &Device, rule: &Rule, now: Timestamp) -> Option<Day> {
    let present = device.history.present(now).filter(|stay| rule.covers(stay))?;
    let arrival = Day::from_number(device.days_under(rule, present, now).first()?);
    let day = match event {
        Event::Arrival => Some(arrival),
        Event::ChangeOfOwner => device.owner_since,
        Event::SwapRequest => device.swap_requested,
    };
    day.filter(|day| (arrival..=Day::of(now)).contains(day))
}

/// Returns the count now, and the unit (day or month) in which the breach begins. If the count
/// exceeds the limit now, this is the first unit since which it has exceeded the limit without
/// interruption. Otherwise it is the first unit in which the count will exceed the limit. `now` is
/// in the last run.
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
    // The count changes by one at most from one unit to the next, so it takes at least `over` steps
    // to cross the limit. Steps of that length cannot miss the crossing.
    let mut unit = now;
    while over(unit) > 0 {
        unit -= over(unit);
    }
    if unit < now {
        return Some((clamp(over(now) + most), unit + 1));
    }
    // The window is longer than the limit, so the continuing stay reaches the limit.
    while over(unit) <= 0 {
        unit += 1 - over(unit);
    }
    Some((clamp(over(now) + most), unit))
}
