//! The stays of a device: where it was, and for how long.

use rsp::ids::Plmn;
use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    day::Day,
    imei::Imei,
    network::{Country, Home, Place},
};

/// One uninterrupted attachment to one network with one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stay {
    /// The country of the network.
    pub country: Country,
    /// The network.
    pub plmn: Plmn,
    /// The home country of the active subscription. A stay at home breaks no rule.
    pub home: Country,
    /// The home network of the subscription, if known. Only rules about home networks need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_network: Option<Plmn>,
    /// The IMEI of the equipment, if known. Only rules that count by IMEI need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imei: Option<Imei>,
    /// Start.
    pub from: Timestamp,
    /// End, exclusive; absent while the stay continues.
    pub until: Option<Timestamp>,
}

impl Stay {
    /// True if the subscription was a foreign one in the country of the stay.
    pub fn is_roaming(&self) -> bool {
        self.home != self.country
    }

    /// The first and last day on which the device was attached, as known at `now`. A stay that ends
    /// at midnight does not include the day that starts then. A stay that continues includes the
    /// day of `now`, even if `now` is midnight.
    fn days(&self, now: Timestamp) -> Option<(Day, Day)> {
        if self.from > now {
            return None;
        }
        let last = match self.until {
            Some(until) if until <= now => Timestamp(until.0.saturating_sub(1)).max(self.from),
            _ => now,
        };
        Some((Day::of(self.from), Day::of(last)))
    }
}

/// A device's stays, oldest first. Only the last one can still continue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Stored")]
pub struct History {
    stays: Vec<Stay>,
    forgotten_before: Option<Timestamp>,
}

/// A device's stays, oldest first. Only the last one can still continue.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "History")]
struct Stored {
    /// The stays.
    stays: Vec<Stay>,
    /// Earlier stays were dropped, so counts over earlier days are too low.
    #[serde(default)]
    forgotten_before: Option<Timestamp>,
}

/// An inconsistent record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// A report is older than the latest recorded event.
    #[error(
        "at {at} is before {recorded}, which is already recorded; report the registrations of a device in order, \
         or create the history again from all stays"
    )]
    OutOfOrder {
        /// The time of the report.
        at: Timestamp,
        /// The time of the latest recorded event.
        recorded: Timestamp,
    },
    /// A stay ends before it starts.
    #[error("a stay in {country} ends at {until}, before it starts at {from}; correct the stay")]
    Backwards {
        /// The country.
        country: Country,
        /// The start.
        from: Timestamp,
        /// The end.
        until: Timestamp,
    },
    /// A stay that is not the last one has no end.
    #[error("the stay in {country} from {from} has no end although another follows; give it one")]
    Unended {
        /// The country.
        country: Country,
        /// The start.
        from: Timestamp,
    },
}

impl History {
    /// Maximum number of stays: more than a device makes in a year with eleven network changes a
    /// day. The oldest stays are dropped.
    pub const MAX_STAYS: usize = 4096;

    /// Creates a history from stays, oldest first.
    pub fn from_stays(stays: impl IntoIterator<Item = Stay>) -> Result<Self, HistoryError> {
        let mut history = Self::default();
        for stay in stays {
            if let Some(last) = history.stays.last() {
                let recorded =
                    last.until.ok_or(HistoryError::Unended { country: last.country, from: last.from })?;
                if stay.from < recorded {
                    return Err(HistoryError::OutOfOrder { at: stay.from, recorded });
                }
            }
            if let Some(until) = stay.until.filter(|until| *until < stay.from) {
                return Err(HistoryError::Backwards { country: stay.country, from: stay.from, until });
            }
            history.push(stay);
        }
        Ok(history)
    }

    /// Records that the device is attached at `place` from `at` on, with a subscription whose home
    /// is `home`.
    ///
    /// Extends the present stay if nothing changed, otherwise ends it and starts another. A stay
    /// that ended earlier on the same day in the same place with the same home is continued,
    /// because this does not change any count of days.
    pub fn observe(&mut self, place: Place, home: Country, at: Timestamp) -> Result<(), HistoryError> {
        self.observe_with(place, home.into(), at)
    }

    /// Records an attachment with a subscription whose home network and equipment may be known. An
    /// unknown home network or IMEI is assumed to be that of the previous stay.
    pub fn observe_with(&mut self, place: Place, home: Home, at: Timestamp) -> Result<(), HistoryError> {
        self.check_order(at)?;
        if let Some(last) = self.stays.last_mut() {
            let same = (last.country, last.plmn, last.home) == (place.country, place.plmn, home.country)
                && last.home_network.zip(home.network).is_none_or(|(then, now)| then == now)
                && last.imei.zip(home.imei).is_none_or(|(then, now)| then == now);
            if same && last.until.is_none_or(|until| Day::of(until) == Day::of(at)) {
                last.home_network = last.home_network.or(home.network);
                last.imei = last.imei.or(home.imei);
            }
            match last.until {
                None if same => return Ok(()),
                None => last.until = Some(at),
                Some(until) if same && (until == at || Day::of(until) == Day::of(at)) => {
                    last.until = None;
                    return Ok(());
                }
                Some(_) => {}
            }
        }
        self.push(Stay {
            country: place.country,
            plmn: place.plmn,
            home: home.country,
            home_network: home.network,
            imei: home.imei,
            from: at,
            until: None,
        });
        Ok(())
    }

    /// Records that the device is not attached from `at` on.
    pub fn detached(&mut self, at: Timestamp) -> Result<(), HistoryError> {
        self.check_order(at)?;
        if let Some(last) = self.stays.last_mut().filter(|last| last.until.is_none()) {
            last.until = Some(at);
        }
        Ok(())
    }

    fn check_order(&self, at: Timestamp) -> Result<(), HistoryError> {
        match self.stays.last().map(|last| last.until.unwrap_or(last.from)) {
            Some(recorded) if at < recorded => Err(HistoryError::OutOfOrder { at, recorded }),
            _ => Ok(()),
        }
    }

    fn push(&mut self, stay: Stay) {
        if self.stays.len() >= Self::MAX_STAYS {
            let oldest = self.stays.remove(0);
            self.forgotten_before = self.forgotten_before.max(oldest.until);
        }
        self.stays.push(stay);
    }

    /// Releases memory that was reserved for further stays.
    pub fn shrink_to_fit(&mut self) {
        self.stays.shrink_to_fit();
    }

    /// The stays, oldest first.
    pub fn stays(&self) -> &[Stay] {
        &self.stays
    }

    /// Counts over days before this time are too low, because stays were dropped.
    pub fn forgotten_before(&self) -> Option<Timestamp> {
        self.forgotten_before
    }

    /// The stay that continues at `now`.
    pub fn present(&self, now: Timestamp) -> Option<&Stay> {
        self.stays.iter().rev().find(|stay| stay.from <= now && stay.until.is_none_or(|until| until > now))
    }

    /// Number of consecutive days on a foreign subscription in `country`, up to the day of `at`.
    pub fn consecutive_days(&self, country: Country, at: Timestamp) -> u32 {
        let days = self.runs(at, |stay| stay.country == country && stay.is_roaming());
        let today = Day::of(at).number();
        days.containing(today).map_or(0, |(first, _)| clamp(today - first + 1))
    }

    /// Number of days with a stay for which `counts` is true, within the `window_days` days that
    /// end with the day of `at`.
    pub fn days_of(&self, window_days: u32, at: Timestamp, counts: impl Fn(&Stay) -> bool) -> u32 {
        clamp(self.runs(at, counts).within(Day::of(at).number(), window_days.into()))
    }

    /// The longest run of consecutive days with a stay for which `counts` is true, up to the day of
    /// `at`.
    pub fn longest_run_of(&self, at: Timestamp, counts: impl Fn(&Stay) -> bool) -> u32 {
        clamp(self.runs(at, counts).longest())
    }

    pub(crate) fn runs(&self, now: Timestamp, counts: impl Fn(&Stay) -> bool) -> Runs {
        Runs::of_stays(self.stays.iter().filter(|stay| counts(stay)), now)
    }
}

impl TryFrom<Stored> for History {
    type Error = HistoryError;

    fn try_from(stored: Stored) -> Result<Self, HistoryError> {
        let mut history = Self::from_stays(stored.stays)?;
        history.forgotten_before = history.forgotten_before.max(stored.forgotten_before);
        Ok(history)
    }
}

pub(crate) fn clamp(count: i64) -> u32 {
    u32::try_from(count.max(0)).unwrap_or(u32::MAX)
}

/// The numbers of counted days or months, as runs with a first and a last number. The runs are
/// ordered and separated by at least one day.
#[derive(Clone, Debug, Default)]
pub(crate) struct Runs(Vec<(i64, i64)>);

impl FromIterator<(i64, i64)> for Runs {
    /// Creates runs from pairs in order of their first day.
    fn from_iter<I: IntoIterator<Item = (i64, i64)>>(runs: I) -> Self {
        let mut joined: Vec<(i64, i64)> = Vec::new();
        for (first, last) in runs {
            match joined.last_mut() {
                Some(previous) if first <= previous.1 + 1 => previous.1 = previous.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        Self(joined)
    }
}

impl Runs {
    /// The days of stays, in any order.
    pub(crate) fn of_stays<'a>(stays: impl Iterator<Item = &'a Stay>, now: Timestamp) -> Self {
        let days = stays.filter_map(|stay| stay.days(now));
        let mut days: Vec<_> = days.map(|(first, last)| (first.number(), last.number())).collect();
        days.sort_unstable();
        days.into_iter().collect()
    }

    /// Number of counted days within the `width` days that end with `end`.
    pub(crate) fn within(&self, end: i64, width: i64) -> i64 {
        let start = end - width + 1;
        self.0
            .iter()
            .rev()
            .take_while(|(_, last)| *last >= start)
            .map(|(first, last)| ((*last).min(end) - (*first).max(start) + 1).max(0))
            .sum()
    }

    /// Length of the longest run.
    pub(crate) fn longest(&self) -> i64 {
        self.0.iter().map(|(first, last)| last - first + 1).max().unwrap_or(0)
    }

    /// The run that contains `unit`.
    pub(crate) fn containing(&self, unit: i64) -> Option<(i64, i64)> {
        self.0.iter().rev().copied().find(|(first, last)| (*first..=*last).contains(&unit))
    }

    /// The first counted day.
    pub(crate) fn first(&self) -> Option<i64> {
        self.0.first().map(|(first, _)| *first)
    }

    /// The first counted day at or after `unit`.
    pub(crate) fn first_from(&self, unit: i64) -> Option<i64> {
        self.0.iter().find(|(_, last)| *last >= unit).map(|(first, _)| (*first).max(unit))
    }

    /// The runs in coarser units, such as months instead of days.
    pub(crate) fn in_units(&self, unit: impl Fn(i64) -> i64) -> Self {
        self.0.iter().map(|(first, last)| (unit(*first), unit(*last))).collect()
    }

    /// The runs, with the last run continued without end.
    pub(crate) fn going_on(mut self) -> Self {
        if let Some(last) = self.0.last_mut() {
            last.1 = i64::MAX / 2;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(plmn: &str, country: &str) -> Place {
        Place { plmn: plmn.parse().unwrap(), country: country.parse().unwrap() }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn country(code: &str) -> Country {
        code.parse().unwrap()
    }

    #[test]
    fn the_same_attachment_extends_a_stay_and_a_different_one_starts_a_new_stay() {
        let (claro, tim, gb) = (place("724-05", "BR"), place("724-02", "BR"), country("GB"));
        let mut history = History::default();
        history.observe(claro, gb, at("2026-01-01T10:00:00Z")).unwrap();
        history.observe(claro, gb, at("2026-01-05T10:00:00Z")).unwrap();
        assert_eq!(history.stays().len(), 1);
        history.observe(tim, gb, at("2026-01-06T10:00:00Z")).unwrap();
        assert_eq!(history.stays()[0].until, Some(at("2026-01-06T10:00:00Z")));
        history.detached(at("2026-01-07T10:00:00Z")).unwrap();
        history.observe(tim, gb, at("2026-01-07T23:00:00Z")).unwrap();
        assert_eq!(history.stays().len(), 2, "the interruption is shorter than a day");
        history.detached(at("2026-01-08T10:00:00Z")).unwrap();
        history.detached(at("2026-01-08T11:00:00Z")).unwrap();
        history.observe(tim, gb, at("2026-01-10T00:00:00Z")).unwrap();
        assert_eq!(history.stays().len(), 3, "the interruption is longer than a day");
        history.observe(tim, country("BR"), at("2026-01-10T01:00:00Z")).unwrap();
        assert_eq!(history.stays().len(), 4, "another subscription");
        assert_eq!(history.days_of(365, at("2026-01-20T00:00:00Z"), Stay::is_roaming), 9);
        assert_eq!(history.consecutive_days(country("BR"), at("2026-01-10T12:00:00Z")), 1);
        assert_eq!(
            history.observe(tim, gb, at("2026-01-09T00:00:00Z")).unwrap_err(),
            HistoryError::OutOfOrder { at: at("2026-01-09T00:00:00Z"), recorded: at("2026-01-10T01:00:00Z") }
        );
    }

    #[test]
    fn midnight_belongs_to_the_day_that_it_starts() {
        let (network, gb) = (place("724-05", "BR"), country("GB"));
        let stay = |from, until: Option<&str>| Stay {
            country: network.country,
            plmn: network.plmn,
            home: gb,
            home_network: None,
            imei: None,
            from: at(from),
            until: until.map(at),
        };
        for (from, until, now, days) in [
            ("2026-01-01T00:00:00Z", Some("2026-01-02T00:00:00Z"), "2026-01-09T00:00:00Z", 1),
            ("2026-01-01T23:59:59.999Z", Some("2026-01-02T00:00:00Z"), "2026-01-09T00:00:00Z", 1),
            ("2026-01-01T23:59:59.999Z", Some("2026-01-02T00:00:00.001Z"), "2026-01-09T00:00:00Z", 2),
            ("2026-01-01T12:00:00Z", Some("2026-01-01T12:00:00Z"), "2026-01-09T00:00:00Z", 1),
            ("2026-01-01T12:00:00Z", None, "2026-01-02T00:00:00Z", 2),
            ("2026-01-01T12:00:00Z", None, "2026-01-01T23:59:59.999Z", 1),
            ("2026-01-01T12:00:00Z", Some("2026-01-05T12:00:00Z"), "2026-01-03T00:00:00Z", 3),
            ("2026-01-01T12:00:00Z", None, "2026-01-01T11:59:59Z", 0),
            ("2028-02-28T12:00:00Z", Some("2028-03-01T12:00:00Z"), "2028-03-09T00:00:00Z", 3),
            ("2027-02-28T12:00:00Z", Some("2027-03-01T12:00:00Z"), "2027-03-09T00:00:00Z", 2),
        ] {
            let history = History::from_stays([stay(from, until)]).unwrap();
            assert_eq!(history.days_of(365, at(now), Stay::is_roaming), days, "{from} {until:?} {now}");
        }
        // The limits of a window: 10 days that end on the 20th start on the 11th.
        let history =
            History::from_stays([stay("2026-01-08T00:00:00Z", Some("2026-01-12T00:00:00Z"))]).unwrap();
        assert_eq!(history.days_of(10, at("2026-01-20T00:00:00Z"), Stay::is_roaming), 1);
        assert_eq!(history.days_of(10, at("2026-01-20T23:59:59.999Z"), Stay::is_roaming), 1);
        assert_eq!(history.days_of(10, at("2026-01-21T00:00:00Z"), Stay::is_roaming), 0);
    }

    #[test]
    fn an_impossible_record_is_refused_when_read() {
        let stay = r#"{"country":"BR","plmn":"724-05","home":"GB","from":2000,"until":"#;
        for (stays, words) in [
            (format!("{stay}1000}}"), "ends at"),
            (format!("{stay}null}},{stay}3000}}"), "no end"),
            (format!("{stay}3000}},{stay}4000}}"), "already recorded"),
        ] {
            let error = serde_json::from_str::<History>(&format!("{{\"stays\":[{stays}]}}")).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        let good: History = serde_json::from_str(&format!("{{\"stays\":[{stay}3000}}]}}")).unwrap();
        let text = serde_json::to_string(&good).unwrap();
        assert_eq!(serde_json::from_str::<History>(&text).unwrap(), good);
    }

    #[test]
    fn a_history_is_limited_and_reports_that_stays_were_dropped() {
        let (a, b, gb) = (place("724-05", "BR"), place("724-02", "BR"), country("GB"));
        let mut history = History::default();
        for n in 0..=i64::try_from(History::MAX_STAYS).unwrap() {
            history.observe(if n % 2 == 0 { a } else { b }, gb, Timestamp(n)).unwrap();
        }
        assert_eq!(history.stays().len(), History::MAX_STAYS);
        assert_eq!(history.forgotten_before(), Some(Timestamp(1)));
    }
}
