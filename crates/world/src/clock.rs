//! Time as a trait.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rsp::time::Timestamp;
use tokio::time::Instant;

/// Tells the time. Nothing in a protocol crate asks the operating system.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// A clock that stands still until it is moved. A clone is the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn at(start: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(start.0)))
    }

    /// Puts the clock to `now`, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        add(&self.0, by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Another clock, ahead of itself by an amount that can grow: lets a demonstration pass days of foreign stay while
/// everything else keeps running. A clone shares the amount.
#[derive(Clone)]
pub struct ShiftedClock {
    base: Arc<dyn Clock>,
    ahead_ms: Arc<AtomicI64>,
}

impl ShiftedClock {
    /// Shows the time of `base` until it is moved.
    pub fn over(base: Arc<dyn Clock>) -> Self {
        Self { base, ahead_ms: Arc::new(AtomicI64::new(0)) }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        add(&self.ahead_ms, by);
    }

    /// How far this clock has been moved ahead of the one beneath it.
    pub fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead_ms.load(Ordering::SeqCst).unsigned_abs())
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.base.now().0.saturating_add(self.ahead_ms.load(Ordering::SeqCst)))
    }
}

/// The clock of tokio's time, begun at a chosen moment. In a runtime whose time is paused it stands still while anybody
/// works, and jumps to whatever is due next once everybody waits. A copy is the same clock.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    start: Timestamp,
    origin: Instant,
}

impl TokioClock {
    /// Shows `start` now.
    pub fn starting(start: Timestamp) -> Self {
        Self { start, origin: Instant::now() }
    }

    /// How long it has been running.
    pub fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.start.plus(self.elapsed())
    }
}

/// Adds in whole milliseconds; saturates at the end of representable time.
fn add(to_ms: &AtomicI64, by: Duration) {
    let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    to_ms.update(Ordering::SeqCst, Ordering::SeqCst, |ms| ms.saturating_add(by_ms));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_moved_and_clones_share_it() {
        let clock = ManualClock::at(Timestamp(1_000));
        let same = clock.clone();
        assert_eq!(clock.now(), Timestamp(1_000));
        same.advance(Duration::from_secs(2));
        assert_eq!(clock.now(), Timestamp(3_000));
        clock.set(Timestamp(5));
        assert_eq!(same.now(), Timestamp(5));
    }

    #[test]
    fn a_shifted_clock_follows_its_base() {
        let base = ManualClock::at(Timestamp(10));
        let shifted = ShiftedClock::over(Arc::new(base.clone()));
        shifted.advance(Duration::from_millis(100));
        base.advance(Duration::from_millis(1));
        assert_eq!(shifted.now(), Timestamp(111));
        assert_eq!(shifted.ahead(), Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_of_tokio_s_time_jumps_when_everybody_waits() {
        let clock = TokioClock::starting(Timestamp(1_000));
        let same = clock;
        assert_eq!(clock.now(), Timestamp(1_000));
        tokio::time::sleep(Duration::from_secs(365 * 86_400)).await;
        assert_eq!(same.now(), Timestamp(31_536_001_000));
        assert_eq!(clock.elapsed(), Duration::from_secs(365 * 86_400));
    }
}
