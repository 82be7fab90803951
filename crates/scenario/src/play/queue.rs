//! What is due when.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use localize::Day;
use rsp::ids::Plmn;
use rsp::time::Timestamp;
use tokio::sync::Notify;

/// Something that happens at its time.
#[derive(Clone, Debug)]
pub(super) enum Due {
    /// A device gets to a stop of its journey.
    Stop { device: usize, stop: usize, round: u32 },
    /// A network comes on the air, or goes off it.
    Coverage { network: Plmn, is_there: bool },
    /// A network takes roamers, or takes none any more.
    Roaming { network: Plmn, of: Option<Plmn>, takes: bool },
    /// A network stops refusing devices.
    Accept { network: Plmn, devices: Vec<usize> },
    /// A step of the scenario.
    Step(usize),
    /// A fault of the scenario begins.
    Trouble(usize),
    /// A campaign begins.
    Campaign(usize),
    /// Devices have power again.
    Power(Vec<usize>),
    /// The platform looks what is due for it.
    Platform,
    /// A network finds that a device has roamed in it for too long, if it is still the same registration.
    Expel { device: usize, epoch: u32 },
    /// A device breaks a rule, if it is still the same registration.
    Breach { device: usize, epoch: u32, rule: String, day: Day },
    /// A device wakes up.
    Wake(usize),
    /// A day is over.
    Day,
    /// Something is expected.
    Expect(usize),
}

/// Looked at in this order where several things are due at once: the world, then the devices in it, then who looks at it.
impl Due {
    fn rank(&self) -> u8 {
        match self {
            Self::Wake(_) => 1,
            Self::Day | Self::Expect(_) => 2,
            _ => 0,
        }
    }
}

/// What is due when: by time, rank and the order in which it was put here.
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
    /// Something more.
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

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.all().due.first_key_value().map(|((at, _, _), _)| *at)
    }

    /// The next, if it is due by now.
    pub(super) fn take(&self, now: Timestamp) -> Option<Due> {
        let mut all = self.all();
        let first = all.due.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    /// Waits until something is due earlier than what was.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
