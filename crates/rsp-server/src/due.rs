//! What a server has to do besides answering: in pieces, each of which holds up nobody but itself.

use std::{
    collections::{BTreeMap, BTreeSet},
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

/// How many pieces that wait for others are under way at a time: callers name addresses, and could name ever more.
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
pub struct WorkQueue(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    lanes: BTreeMap<String, Lane>,
    /// For whom there was no lane: whoever has waited longest comes first.
    queue: Vec<String>,
}

enum Lane {
    Busy,
    Rests(Timestamp),
}

impl WorkQueue {
    /// Puts work for each of them among the tasks, unless there is some under way, or it rests. `names` are all for whom
    /// there is something to do now: there are [`MOST`] lanes, and who gets none is before the others the next time.
    pub fn begin<W>(&self, due: &mut Due, names: Vec<String>, now: Timestamp, work: impl Fn(&str) -> W)
    where
        W: Future<Output = Result<(), Fault>> + Send + 'static,
    {
        let before = std::mem::take(&mut self.lock().queue);
        let mut others: BTreeSet<String> = names.into_iter().collect();
        let mut queue: Vec<String> = before.into_iter().filter(|name| others.remove(name)).collect();
        queue.extend(others);
        queue.retain(|name| {
            // It is asked for again when one of them has ended.
            if self.are_all_busy() {
                return true;
            }
            if let Some(turn) = self.turn(due, name, now) {
                let work = work(name);
                due.tasks.push(Box::pin(async move { turn.end(work.await) }));
            }
            false
        });
        self.lock().queue = queue;
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
            if let Some(Lane::Rests(until)) = self.lock().lanes.get(name) {
                due.later(*until);
            }
        }
    }

    fn are_all_busy(&self) -> bool {
        self.lock().lanes.values().filter(|lane| matches!(lane, Lane::Busy)).count() >= MOST
    }

    fn turn(&self, due: &mut Due, name: &str, now: Timestamp) -> Option<Turn> {
        let lanes = &mut self.lock().lanes;
        match lanes.get(name) {
            Some(Lane::Busy) => return None,
            Some(Lane::Rests(until)) if *until > now => {
                due.later(*until);
                return None;
            }
            Some(Lane::Rests(_)) | None => {}
        }
        lanes.retain(|_, lane| !matches!(lane, Lane::Rests(until) if *until <= now));
        lanes.insert(name.to_owned(), Lane::Busy);
        Some(Turn { lanes: self.clone(), name: name.to_owned(), began: now })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lane is free again when this is dropped, whatever became of the work.
struct Turn {
    lanes: WorkQueue,
    name: String,
    began: Timestamp,
}

impl Turn {
    fn end(self, done: Result<(), Fault>) {
        if let Err(fault) = done {
            tracing::error!(%fault, what = self.name, "this is left as it is and tried again in {REST:?}; all else goes on");
            self.lanes.lock().lanes.insert(self.name.clone(), Lane::Rests(self.began.plus(REST)));
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let lanes = &mut self.lanes.lock().lanes;
        if matches!(lanes.get(&self.name), Some(Lane::Busy)) {
            lanes.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn names<T: Into<String>>(names: impl IntoIterator<Item = T>) -> Vec<String> {
        names.into_iter().map(Into::into).collect()
    }

    fn fault() -> Fault {
        Fault::new("cannot read it", "it is torn", "restore it")
    }

    #[tokio::test]
    async fn nobody_is_served_twice_at_a_time_and_who_waits_holds_up_nobody() {
        let lanes = WorkQueue::default();
        let mut first = Due::default();
        lanes.begin(&mut first, names(["slow"]), NOW, |_| std::future::pending());
        let slow = tokio::spawn(first.run());
        let mut second = Due::default();
        lanes.begin(&mut second, names(["quick", "slow"]), NOW, |name| {
            assert_eq!(name, "quick", "the other is under way");
            async { Ok(()) }
        });
        assert_eq!((second.tasks.len(), second.next), (1, None));
        second.run().await;
        slow.abort();
        assert!(slow.await.unwrap_err().is_cancelled());
        let mut third = Due::default();
        lanes.begin(&mut third, names(["slow"]), NOW, |_| async { Ok(()) });
        assert_eq!(third.tasks.len(), 1, "nobody serves it any more");
    }

    #[tokio::test]
    async fn what_has_a_fault_rests_and_is_tried_again() {
        let lanes = WorkQueue::default();
        let mut due = Due::default();
        lanes.at_once(&mut due, "torn", NOW, async { Err(fault()) }).await;
        let again = NOW.plus(REST);
        assert_eq!(due.next, Some(again));
        let mut due = Due::default();
        lanes.begin(&mut due, names(["torn"]), NOW, |_| async { Ok(()) });
        assert_eq!((due.tasks.len(), due.next), (0, Some(again)));
        lanes.begin(&mut due, names(["torn"]), again, |_| async { Ok(()) });
        assert_eq!(due.tasks.len(), 1);
    }

    #[tokio::test]
    async fn there_is_an_end_to_what_is_under_way_and_everybody_has_his_turn() {
        let lanes = WorkQueue::default();
        let all = || names((0..2 * MOST + 1).map(|number| format!("{number:04}")));
        for most in [MOST, MOST, 1] {
            let served = Mutex::new(Vec::new());
            let mut due = Due::default();
            lanes.begin(&mut due, all(), NOW, |name| {
                served.lock().unwrap().push(name.to_owned());
                async { Ok(()) }
            });
            assert_eq!(due.tasks.len(), MOST);
            // Whoever was served before comes after all others.
            let served = served.into_inner().unwrap();
            let last = all().pop().unwrap();
            assert_eq!(served.iter().position(|name| *name == last), (most == 1).then_some(0));
            // What waits for nobody needs no lane.
            let mut done = false;
            let at_once = async {
                done = true;
                Ok(())
            };
            lanes.at_once(&mut due, "at once", NOW, at_once).await;
            assert!(done);
            due.run().await;
        }
    }
}
