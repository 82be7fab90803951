//! Hours in which moves may begin.

use rsp::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A day of the week, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

/// Hours of days, UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// On these days; on all if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Weekday>,
    /// From this hour on, 0 to 23.
    pub from_hour: u8,
    /// Until this hour, 1 to 24. One that is not later than the first is of the next day.
    pub until_hour: u8,
}

/// Milliseconds.
pub(super) const HOUR: i64 = 3_600_000;
const HOURS_A_WEEK: i64 = 168;
/// The epoch began on a Thursday.
const EPOCH_IN_WEEK: i64 = 3 * 24;

/// The clock hour of a time, counted from the epoch.
pub(super) fn hour_of(at: Timestamp) -> i64 {
    at.0.div_euclid(HOUR)
}

/// When a clock hour begins.
pub(super) fn start_of(hour: i64) -> Timestamp {
    Timestamp(hour.saturating_mul(HOUR))
}

impl Window {
    /// Whether its hours can be meant.
    pub(crate) fn is_sound(&self) -> bool {
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

/// Whether moves may begin in this clock hour.
pub(super) fn is_open(windows: &[Window], hour: i64) -> bool {
    windows.is_empty() || windows.iter().any(|window| window.has(hour))
}

/// The first clock hour from this one on in which moves may begin.
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
    fn a_window_is_open_in_its_hours_of_its_days() {
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
    fn the_next_opening_is_found_over_the_end_of_the_week() {
        let mondays = [Window { days: vec![Weekday::Mon], from_hour: 9, until_hour: 17 }];
        let asked = |at: &str| start_of(next_open(&mondays, hour_of(at.parse().unwrap()))).to_string();
        assert_eq!(asked("2026-11-21T08:00:00Z"), "2026-11-23T09:00:00Z");
        assert_eq!(asked("2026-11-23T16:30:00Z"), "2026-11-23T16:00:00Z");
        assert_eq!(asked("2026-11-23T17:00:00Z"), "2026-11-30T09:00:00Z");
    }
}
