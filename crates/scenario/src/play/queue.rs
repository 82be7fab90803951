//! The event queue of a run.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use localize::Day;
use rsp::ids::Plmn;
use rsp::time::Timestamp;
use tokio::sync::Notify;

/// A scheduled event.
#[derive(Clone, Debug)]
pub(super) enum Due {
    /// A device arrives at a stop of its journey.
    Stop { device: usize, stop: usize, round: u32 },
    /// A network gains or loses its coverage.
    Coverage { network: Plmn, is_there: bool },
    /// A network starts or stops accepting roamers.
    Roaming { network: Plmn, of: Option<Plmn>, takes: bool },
    /// A network stops rejecting devices.
    Accept { network: Plmn, devices: Vec<usize> },
    /// A step of the scenario is performed.
    Step(usize),
    /// An injected fault of the scenario starts.
    Fault(usize),
    /// A campaign starts.
    Campaign(usize),
    /// Devices get their power back.
    Power(Vec<usize>),
    /// The platform runs its due tasks.
    Platform,
    /// A network rejects a device that has roamed for too long, if the registration is still the
    /// same.
    Expel { device: usize, epoch: u32 },
    /// A device breaks a rule, if the registration is still the same.
    Breach { device: usize, epoch: u32, rule: String, day: Day },
    /// A device wakes up.
    Wake(usize),
    /// A day ends.
    Day,
    /// An expectation is checked.
    Expect(usize),
}

/// Events at the same time are processed in this order: the environment, then the devices, then
/// counters and expectations.
impl Due {
    fn rank(&self) -> u8 {
        match self {
            Self::Wake(_) => 1,
            Self::Day | Self::Expect(_) => 2,
            _ => 0,
        }
    }
}

/// Scheduled events, ordered by time, rank and insertion.
#[derive(Default)]
pub(super) struct Queue {
    due: Mutex<All>,
    changed: Notify,
}

#[derive(Default)]
struct All {
    due: BTreeMap<(Timestamp, u8, u64), Due>,
    put: u64,
}

impl Queue {
    /// Schedules an event.
    pub(super) fn put(&self, at: Timestamp, due: Due) {
        let mut all = self.all();
        all.put += 1;
        let key = (at, due.rank(), all.put);
        let is_first = all.due.first_key_value().is_none_or(|(first, _)| key < *first);
        all.due.insert(key, due);
        drop(all);
        if is_first {
            self.changed.notify_one();
        }
    }

    /// The time of the next event.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.all().due.first_key_value().map(|((at, _, _), _)| *at)
    }

    /// Removes and returns the next event, if it is due.
    pub(super) fn take(&self, now: Timestamp) -> Option<Due> {
        let mut all = self.all();
        let first = all.due.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    /// Waits until the next event is earlier than before.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
