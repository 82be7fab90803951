//! The clock of a world in which tokio's time is all there is: it stands still until everybody waits, and then jumps.

use rsp::time::Timestamp;
use tokio::time::Instant;
use world::Clock;

pub(crate) struct TokioClock(Instant);

impl TokioClock {
    /// Begins now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp(1_795_000_000_000).plus(self.0.elapsed())
    }
}
