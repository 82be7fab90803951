//! The clock trait and its in-memory implementations.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rsp::time::Timestamp;
use tokio::time::Instant;

/// A source of time. Protocol crates never read the clock of the operating system.
pub trait Clock: Send + Sync {
    /// Returns the current time.
    fn now(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// A clock that changes only when it is set. A clone is the same clock.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// Creates a clock that shows `start`.
    pub fn at(start: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(start.0)))
    }

    /// Sets the clock to `now`, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Advances the clock.
    pub fn advance(&self, by: Duration) {
        add(&self.0, by);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// A clock that runs ahead of another one by an adjustable offset. A demonstration can skip the
/// days that a device spends abroad, without waiting for them. A clone shares the offset.
#[derive(Clone)]
pub struct ShiftedClock {
    base: Arc<dyn Clock>,
    ahead_ms: Arc<AtomicI64>,
}

impl ShiftedClock {
    /// Creates a clock that shows the time of `base` until it is advanced.
    pub fn over(base: Arc<dyn Clock>) -> Self {
        Self { base, ahead_ms: Arc::new(AtomicI64::new(0)) }
    }

    /// Advances the clock.
    pub fn advance(&self, by: Duration) {
        add(&self.ahead_ms, by);
    }

    /// Returns the offset to the base clock.
    pub fn ahead(&self) -> Duration {
        Duration::from_millis(self.ahead_ms.load(Ordering::SeqCst).unsigned_abs())
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.base.now().0.saturating_add(self.ahead_ms.load(Ordering::SeqCst)))
    }
}

/// A clock based on tokio's time that starts at a chosen moment. In a runtime with paused time it
/// stands still while any task runs, and jumps to the next timer when all tasks wait. A copy is the
/// same clock.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    start: Timestamp,
    origin: Instant,
}

impl TokioClock {
    /// Creates a clock that shows `start` now.
    pub fn starting(start: Timestamp) -> Self {
        Self { start, origin: Instant::now() }
    }

    /// Returns the time since the clock was created.
    pub fn elapsed(&self) -> Duration {
        self.origin.elapsed()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.start.plus(self.elapsed())
    }
}

/// Adds whole milliseconds. Saturates at the end of representable time.
fn add(to_ms: &AtomicI64, by: Duration) {
    let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    to_ms.update(Ordering::SeqCst, Ordering::SeqCst, |ms| ms.saturating_add(by_ms));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_changes_only_when_set_and_clones_share_it() {
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
    async fn a_tokio_clock_jumps_to_the_next_timer_when_all_tasks_wait() {
        let clock = TokioClock::starting(Timestamp(1_000));
        let same = clock;
        assert_eq!(clock.now(), Timestamp(1_000));
        tokio::time::sleep(Duration::from_secs(365 * 86_400)).await;
        assert_eq!(same.now(), Timestamp(31_536_001_000));
        assert_eq!(clock.elapsed(), Duration::from_secs(365 * 86_400));
    }
}
