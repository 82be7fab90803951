//! Time windows in which moves can begin.

use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A day of the week, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// A daily time window in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Days of the week on which the window opens. Empty means every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Weekday>,
    /// First hour, 0 to 23.
    pub from_hour: u8,
    /// End hour, 1 to 24. If it is not later than the first hour, the window ends on the next day.
    pub until_hour: u8,
}

/// Milliseconds of an hour.
pub(super) const HOUR: i64 = 3_600_000;
const HOURS_A_WEEK: i64 = 168;
/// The epoch began on a Thursday.
const EPOCH_IN_WEEK: i64 = 3 * 24;

/// Returns the clock hour of a time, counted from the epoch.
pub(super) fn hour_of(at: Timestamp) -> i64 {
    at.0.div_euclid(HOUR)
}

/// Returns the start of a clock hour.
pub(super) fn start_of(hour: i64) -> Timestamp {
    Timestamp(hour.saturating_mul(HOUR))
}

impl Window {
    /// True if the hours are in their ranges.
    pub(crate) fn is_valid(&self) -> bool {
        self.from_hour < 24 && (1..=24).contains(&self.until_hour)
    }

    fn has(&self, hour: i64) -> bool {
        let of_week = hour.saturating_add(EPOCH_IN_WEEK).rem_euclid(HOURS_A_WEEK);
        let (from, until) = (i64::from(self.from_hour), i64::from(self.until_hour));
        let hours = if until > from { until - from } else { until + 24 - from };
        (0..7)
            .filter(|day| self.days.is_empty() || self.days.iter().any(|named| *named as i64 == *day))
            .any(|day| (of_week - (day * 24 + from)).rem_euclid(HOURS_A_WEEK) < hours)
    }
}

/// True if moves can begin in this clock hour.
pub(super) fn is_open(windows: &[Window], hour: i64) -> bool {
    windows.is_empty() || windows.iter().any(|window| window.has(hour))
}

/// Returns the first clock hour, from this one on, in which moves can begin.
pub(super) fn next_open(windows: &[Window], hour: i64) -> i64 {
    (hour..).take(168).find(|hour| is_open(windows, *hour)).unwrap_or(hour)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_at(windows: &[Window], at: &str) -> bool {
        is_open(windows, hour_of(at.parse().unwrap()))
    }

    #[test]
    fn a_window_is_open_during_its_hours_on_its_days() {
        let nights = [Window { days: vec![Weekday::Fri, Weekday::Sat], from_hour: 22, until_hour: 4 }];
        // 2026-11-20 is a Friday.
        for (at, open) in [
            ("2026-11-20T21:59:59Z", false),
            ("2026-11-20T22:00:00Z", true),
            ("2026-11-21T03:59:59Z", true),
            ("2026-11-21T04:00:00Z", false),
            ("2026-11-22T01:00:00Z", true),
            ("2026-11-22T22:00:00Z", false),
            ("2026-11-19T23:00:00Z", false),
        ] {
            assert_eq!(open_at(&nights, at), open, "{at}");
        }
        let always = [Window { days: vec![], from_hour: 0, until_hour: 24 }];
        assert!(open_at(&always, "2026-11-20T23:00:00Z") && open_at(&[], "2026-11-20T23:00:00Z"));
    }

    #[test]
    fn the_next_opening_can_be_in_the_following_week() {
        let mondays = [Window { days: vec![Weekday::Mon], from_hour: 9, until_hour: 17 }];
        let next = |at: &str| start_of(next_open(&mondays, hour_of(at.parse().unwrap()))).to_string();
        assert_eq!(next("2026-11-21T08:00:00Z"), "2026-11-23T09:00:00Z");
        assert_eq!(next("2026-11-23T16:30:00Z"), "2026-11-23T16:00:00Z");
        assert_eq!(next("2026-11-23T17:00:00Z"), "2026-11-30T09:00:00Z");
    }
}
