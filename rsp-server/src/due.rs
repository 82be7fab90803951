//! What a server has to do besides answering: in pieces, each of which holds up nobody but itself.

use std::{
    collections::BTreeMap,
    fmt,
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use rsp::time::Timestamp;
use world::{BoxFuture, Fault};

/// How long that rests which could not be done because of a fault of ours.
pub const REST: Duration = Duration::from_secs(30);

/// How many pieces are under way at a time: callers name addresses, and could name ever more.
pub const MOST: usize = 256;

/// What is due now, and when something is due next.
#[derive(Default)]
pub struct Due {
    /// Each takes as long as the one takes whom it is for. They are to be run at the same time, and when one of them has
    /// ended it is to be asked anew what is due: not before, nothing that is under way is given twice.
    pub tasks: Vec<BoxFuture<'static, ()>>,
    /// When something is due that is not yet; `None` when nothing waits for a time.
    pub next: Option<Timestamp>,
}

impl Due {
    /// Something is due then.
    pub fn later(&mut self, at: Timestamp) {
        self.next = [self.next, Some(at)].into_iter().flatten().min();
    }

    /// Both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.tasks.extend(other.tasks);
        self.next = [self.next, other.next].into_iter().flatten().min();
        self
    }

    /// Runs all tasks at the same time, to the end of the last.
    pub async fn run(self) {
        let mut running = self.tasks;
        poll_fn(move |cx| {
            running.retain_mut(|task| task.as_mut().poll(cx).is_pending());
            if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl From<Option<Timestamp>> for Due {
    /// What is due was done already.
    fn from(next: Option<Timestamp>) -> Self {
        Self { tasks: Vec::new(), next }
    }
}

impl fmt::Debug for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Due({} now, next at {:?})", self.tasks.len(), self.next)
    }
}

/// Who is being served: nobody twice at a time. And who rests: what cannot be done because of a fault, such as a record
/// that cannot be read, is kept, said, and tried again, while all others go on.
#[derive(Clone, Default)]
pub struct Lanes(Arc<Mutex<BTreeMap<String, Lane>>>);

enum Lane {
    Busy,
    Rests(Timestamp),
}

impl Lanes {
    /// Puts work for `name` among the tasks, unless there is some under way, or it rests.
    pub fn begin(
        &self,
        due: &mut Due,
        name: &str,
        now: Timestamp,
        work: impl Future<Output = Result<(), Fault>> + Send + 'static,
    ) {
        if let Some(turn) = self.turn(due, name, now) {
            due.tasks.push(Box::pin(async move { turn.end(work.await) }));
        }
    }

    /// Does work for `name` that waits for nobody outside, now, unless it rests.
    pub async fn at_once(
        &self,
        due: &mut Due,
        name: &str,
        now: Timestamp,
        work: impl Future<Output = Result<(), Fault>> + Send,
    ) {
        if let Some(turn) = self.turn(due, name, now) {
            turn.end(work.await);
            if let Some(Lane::Rests(until)) = self.lock().get(name) {
                due.later(*until);
            }
        }
    }

    fn turn(&self, due: &mut Due, name: &str, now: Timestamp) -> Option<Turn> {
        let mut lanes = self.lock();
        match lanes.get(name) {
            Some(Lane::Busy) => return None,
            Some(Lane::Rests(until)) if *until > now => {
                due.later(*until);
                return None;
            }
            Some(Lane::Rests(_)) | None => {}
        }
        // It is asked for again when one of them has ended.
        if lanes.values().filter(|lane| matches!(lane, Lane::Busy)).count() >= MOST {
            return None;
        }
        lanes.retain(|_, lane| !matches!(lane, Lane::Rests(until) if *until <= now));
        lanes.insert(name.to_owned(), Lane::Busy);
        Some(Turn { lanes: self.clone(), name: name.to_owned(), began: now })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Lane>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lane is free again when this is dropped, whatever became of the work.
struct Turn {
    lanes: Lanes,
    name: String,
    began: Timestamp,
}

impl Turn {
    fn end(self, done: Result<(), Fault>) {
        if let Err(fault) = done {
            tracing::error!(%fault, what = self.name, "this is left as it is and tried again in {REST:?}; all else goes on");
            self.lanes.lock().insert(self.name.clone(), Lane::Rests(self.began.plus(REST)));
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lock();
        if matches!(lanes.get(&self.name), Some(Lane::Busy)) {
            lanes.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn fault() -> Fault {
        Fault::new("cannot read it", "it is torn", "restore it")
    }

    #[tokio::test]
    async fn nobody_is_served_twice_at_a_time_and_who_waits_holds_up_nobody() {
        let lanes = Lanes::default();
        let mut first = Due::default();
        lanes.begin(&mut first, "slow", NOW, std::future::pending());
        let slow = tokio::spawn(first.run());
        let mut second = Due::default();
        lanes.begin(&mut second, "slow", NOW, async { panic!("it is under way") });
        lanes.begin(&mut second, "quick", NOW, async { Ok(()) });
        assert_eq!((second.tasks.len(), second.next), (1, None));
        second.run().await;
        slow.abort();
        assert!(slow.await.unwrap_err().is_cancelled());
        let mut third = Due::default();
        lanes.begin(&mut third, "slow", NOW, async { Ok(()) });
        assert_eq!(third.tasks.len(), 1, "nobody serves it any more");
    }

    #[tokio::test]
    async fn what_has_a_fault_rests_and_is_tried_again() {
        let lanes = Lanes::default();
        let mut due = Due::default();
        lanes.at_once(&mut due, "torn", NOW, async { Err(fault()) }).await;
        let again = NOW.plus(REST);
        assert_eq!(due.next, Some(again));
        let mut due = Due::default();
        lanes.begin(&mut due, "torn", NOW, async { Ok(()) });
        assert_eq!((due.tasks.len(), due.next), (0, Some(again)));
        lanes.begin(&mut due, "torn", again, async { Ok(()) });
        assert_eq!(due.tasks.len(), 1);
    }

    #[tokio::test]
    async fn there_is_an_end_to_what_is_under_way() {
        let lanes = Lanes::default();
        let mut due = Due::default();
        for number in 0..MOST + 5 {
            lanes.begin(&mut due, &number.to_string(), NOW, async { Ok(()) });
        }
        assert_eq!(due.tasks.len(), MOST);
        due.run().await;
        let mut due = Due::default();
        lanes.begin(&mut due, "one more", NOW, async { Ok(()) });
        assert_eq!(due.tasks.len(), 1);
    }
}
