//! Coordinates of the plots, and the time axis.

use std::fmt;
use std::time::Duration;

use rsp::time::Timestamp;

/// Width of the plots in units. A plot fills the width of the page, so that a unit is about a CSS
/// pixel on a wide screen, and less on a narrow screen. Heights and texts are in CSS pixels and are
/// the same on all screens.
pub(super) const WIDTH: f64 = 800.0;
/// CSS pixels of a unit on a screen of 375 pixels.
pub(super) const NARROW: f64 = 0.26;
/// Maximum number of labels of a time axis on a narrow screen.
const NARROW_LABELS: u32 = 3;

const DAY: f64 = 86_400.0;
/// Steps between ticks, in seconds.
const STEPS: [f64; 19] = [
    1.0,
    5.0,
    15.0,
    60.0,
    300.0,
    900.0,
    3600.0,
    3.0 * 3600.0,
    6.0 * 3600.0,
    12.0 * 3600.0,
    DAY,
    2.0 * DAY,
    5.0 * DAY,
    10.0 * DAY,
    20.0 * DAY,
    30.0 * DAY,
    60.0 * DAY,
    100.0 * DAY,
    365.0 * DAY,
];

/// The time axis of a run.
#[derive(Clone, Copy)]
pub(super) struct Time {
    begins: Timestamp,
    seconds: f64,
}

impl Time {
    pub(super) fn new(begins: Timestamp, ended: Timestamp) -> Self {
        Self { begins, seconds: ended.since(begins).as_secs_f64().max(1.0) }
    }

    /// Number of days of the run, including an incomplete last day.
    pub(super) fn days(self) -> usize {
        (self.seconds / DAY).ceil() as usize
    }

    pub(super) fn of(self, at: Timestamp) -> f64 {
        self.of_seconds(at.since(self.begins).as_secs_f64())
    }

    /// The coordinate of the start of a day.
    pub(super) fn of_day(self, day: usize) -> f64 {
        self.of_seconds(day as f64 * DAY)
    }

    fn of_seconds(self, seconds: f64) -> f64 {
        WIDTH * (seconds / self.seconds).min(1.0)
    }

    /// The grid lines from `top` to `bottom`, with labels below them.
    pub(super) fn axis(self, top: f64, bottom: f64) -> Axis {
        let step = STEPS.into_iter().find(|step| self.seconds / step <= 10.0).unwrap_or(3650.0 * DAY);
        let (unit, of) = match step {
            step if step >= DAY => ("days", DAY),
            step if step >= 3600.0 => ("hours", 3600.0),
            step if step >= 60.0 => ("minutes", 60.0),
            _ => ("seconds", 1.0),
        };
        let last = (self.seconds / step) as u32;
        let every = (last + 1).div_ceil(NARROW_LABELS).max(1);
        let tick = |tick| {
            let seconds = f64::from(tick) * step;
            TimeTick {
                x: Percent(self.of_seconds(seconds)),
                label: Number(seconds / of),
                date: (seconds % DAY == 0.0)
                    .then(|| date(self.begins.plus(Duration::from_secs_f64(seconds)))),
                on_wide_screens_only: tick % every != 0,
            }
        };
        Axis { top, bottom, unit, ticks: (0..=last).map(tick).collect() }
    }
}

/// A drawn time axis.
pub(super) struct Axis {
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) unit: &'static str,
    pub(super) ticks: Vec<TimeTick>,
}

/// A vertical grid line with its label.
pub(super) struct TimeTick {
    pub(super) x: Percent,
    pub(super) label: Number,
    /// The date, if a day of the run begins here.
    pub(super) date: Option<String>,
    pub(super) on_wide_screens_only: bool,
}

/// The date of a time (UTC), such as `2027-03-24`.
pub(super) fn date(at: Timestamp) -> String {
    at.to_string().chars().take_while(|character| *character != 'T').collect()
}

/// Returns a round step, 1, 2 or 5 times a power of ten, such that at most five steps reach `most`.
pub(super) fn step(most: f64) -> f64 {
    let power = 10_f64.powf((most.max(f64::MIN_POSITIVE) / 5.0).log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|step| step * power)
        .find(|step| step * 5.0 >= most)
        .unwrap_or(power * 10.0)
}

/// A coordinate, displayed with at most one decimal.
#[derive(Clone, Copy)]
pub(super) struct Number(pub(super) f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.1}", self.0);
        f.write_str(text.strip_suffix(".0").unwrap_or(&text))
    }
}

/// A horizontal coordinate or width in units, displayed as a share of the width of the plot.
#[derive(Clone, Copy)]
pub(super) struct Percent(pub(super) f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.2}", self.0 * 100.0 / WIDTH);
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round() {
        for (most, expected) in
            [(3.0, 1.0), (5.0, 1.0), (50.0, 10.0), (51.0, 20.0), (100_000.0, 20_000.0), (0.04, 0.01)]
        {
            assert!((step(most) - expected).abs() < 1e-9, "{most}: {}", step(most));
        }
        assert!(step(0.0).is_finite());
    }
}
