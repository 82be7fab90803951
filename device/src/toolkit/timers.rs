//! The card's timers (TS 102 223 sections 6.4.21 and 7.4) and the polling of the card (section
//! 6.4.5), on tokio's clock.

use std::collections::BTreeMap;
use std::time::Duration;

use rsp::ota::cat::TimerValue;
use tokio::time::Instant;

/// The default poll interval.
pub(in super::super) const POLL_INTERVAL: Duration = Duration::from_secs(30);

#[derive(Default)]
pub(super) struct Timers(BTreeMap<u8, Running>);

#[derive(Clone, Copy)]
struct Running {
    since: Instant,
    until: Instant,
}

impl Timers {
    pub(super) fn start(&mut self, timer: u8, value: TimerValue) {
        let since = Instant::now();
        self.0.insert(timer, Running { since, until: since + value.as_time() });
    }

    /// Stops a timer and returns its remaining time.
    pub(super) fn stop(&mut self, timer: u8) -> Option<TimerValue> {
        self.0.remove(&timer).map(Running::left)
    }

    pub(super) fn left(&self, timer: u8) -> Option<TimerValue> {
        self.0.get(&timer).copied().map(Running::left)
    }

    /// Returns the expiry time of the next timer.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|running| running.until).min()
    }

    /// Removes an expired timer and returns it with its duration.
    pub(super) fn expired(&mut self) -> Option<(u8, TimerValue)> {
        let now = Instant::now();
        let (timer, running) = self.0.iter().find(|(_, running)| running.until <= now)?;
        let (timer, ran) = (*timer, running.until.duration_since(running.since));
        self.0.remove(&timer);
        Some((timer, TimerValue::of_seconds(ran.as_secs())))
    }
}

impl Running {
    /// Returns the remaining time, rounded up, so that it is never zero while the timer runs.
    fn left(self) -> TimerValue {
        let left = self.until.saturating_duration_since(Instant::now());
        TimerValue::of_seconds(left.as_secs().saturating_add(u64::from(left.subsec_nanos() > 0)))
    }
}

/// The schedule of polls.
pub(super) struct Polling {
    interval: Option<Duration>,
    polled: Instant,
}

impl Polling {
    pub(super) fn new() -> Self {
        Self { interval: Some(POLL_INTERVAL), polled: Instant::now() }
    }

    pub(super) fn every(&mut self, interval: Duration) {
        *self = Self { interval: Some(interval), polled: Instant::now() };
    }

    pub(super) fn off(&mut self) {
        self.interval = None;
    }

    /// Restarts the interval. Any command counts as a poll, because its answer can announce a
    /// proactive command.
    pub(super) fn polled(&mut self) {
        self.polled = Instant::now();
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.interval.map(|interval| self.polled + interval)
    }
}
