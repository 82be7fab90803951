//! Calendar days in UTC.

use std::{fmt, str::FromStr};

use rsp::time::Timestamp;
use serde::{Deserialize, Serialize};

const MILLIS: i64 = 86_400_000;

/// A calendar day in UTC, counted from 1970-01-01.
///
/// The rules count days but do not define a time zone. UTC days have no daylight saving time, so a
/// window has the same length in every country.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(i64);

rsp::text_schemas! {
    Day: format = "date";
}

impl Day {
    /// The day that contains `at`; midnight belongs to the day that it starts.
    pub fn of(at: Timestamp) -> Self {
        Self(at.0.div_euclid(MILLIS))
    }

    /// The midnight at which the day starts.
    pub fn start(self) -> Timestamp {
        Timestamp(self.0.saturating_mul(MILLIS))
    }

    /// The day `days` later.
    #[must_use]
    pub fn plus(self, days: u32) -> Self {
        Self(self.0.saturating_add(i64::from(days)))
    }

    /// Days since 1970-01-01.
    pub fn number(self) -> i64 {
        self.0
    }

    pub(crate) fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// Calendar months since January of the year 0.
    pub(crate) fn month(self) -> i64 {
        let (year, month, _) = civil(self.0);
        year * 12 + month - 1
    }

    pub(crate) fn first_of_month(month: i64) -> Self {
        Self(days_from_civil(month.div_euclid(12), month.rem_euclid(12) + 1, 1))
    }
}

/// Year, month and day of the proleptic Gregorian calendar. Years start in March here, which puts
/// the leap day last.
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_month)
}

fn days_from_civil(year: i64, month: i64, day_of_month: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + day_of_month - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// The text is not a date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a date; write it as YYYY-MM-DD, such as 2026-11-21")]
pub struct NotADay(String);

impl FromStr for Day {
    type Err = NotADay;

    fn from_str(text: &str) -> Result<Self, NotADay> {
        let mut parts = text.splitn(3, '-').map(|part| part.parse::<u16>().map(i64::from));
        let parsed = match (parts.next(), parts.next(), parts.next()) {
            (Some(Ok(year)), Some(Ok(month @ 1..=12)), Some(Ok(day @ 1..=31))) => {
                Self(days_from_civil(year, month, day))
            }
            _ => return Err(NotADay(text.to_owned())),
        };
        // The comparison refuses both 30 February and missing zeros.
        if parsed.to_string() == text { Ok(parsed) } else { Err(NotADay(text.to_owned())) }
    }
}

impl TryFrom<String> for Day {
    type Error = NotADay;

    fn try_from(text: String) -> Result<Self, NotADay> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_equals_that_of_the_time_crate() {
        for number in (-200_000..200_000).step_by(7) {
            let date = time::Date::from_julian_day(2_440_588 + number).unwrap();
            let expected = (i64::from(date.year()), i64::from(u8::from(date.month())), i64::from(date.day()));
            assert_eq!(civil(number.into()), expected);
            assert_eq!(days_from_civil(expected.0, expected.1, expected.2), i64::from(number));
        }
    }

    #[test]
    fn midnight_starts_a_day() {
        let day: Day = "2028-02-29".parse().unwrap();
        assert_eq!(Day::of(day.start()), day);
        assert_eq!(Day::of(Timestamp(day.start().0 - 1)).to_string(), "2028-02-28");
        assert_eq!(Day::of(Timestamp(-1)).to_string(), "1969-12-31");
        assert_eq!(day.plus(1).to_string(), "2028-03-01");
        assert_eq!(Day::first_of_month(day.month()).to_string(), "2028-02-01");
    }

    #[test]
    fn an_invalid_date_is_refused() {
        for text in
            ["2026-02-29", "2026-13-01", "2026-1-1", "26-01-01", "2026-01", "", "2026-01-01-01", "+026-01-01"]
        {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }
}
