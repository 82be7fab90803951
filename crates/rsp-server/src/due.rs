//! Background work of a server (deliveries, deadlines), run as independent tasks so that one slow
//! peer delays only its own.

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

/// Delay before work that failed because of an internal fault is retried.
pub const RETRY_DELAY: Duration = Duration::from_secs(30);

/// Maximum number of concurrent outgoing tasks. Callers choose the addresses, so the number needs a
/// limit.
pub const MAX_CONCURRENT_TASKS: usize = 256;

/// Work that is due now, and the time at which more work is due.
#[derive(Default)]
pub struct Due {
    /// Tasks to run concurrently. Each one takes as long as its peer takes to answer. When a task
    /// ends, the caller must query the due work again. No work is returned a second time while it is
    /// in progress.
    pub tasks: Vec<BoxFuture<'static, ()>>,
    /// Earliest time at which more work is due; `None` if nothing waits for a time.
    pub next: Option<Timestamp>,
}

impl Due {
    /// Adds a time at which more work is due.
    pub fn later(&mut self, at: Timestamp) {
        self.next = [self.next, Some(at)].into_iter().flatten().min();
    }

    /// Merges two sets of due work.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.tasks.extend(other.tasks);
        self.next = [self.next, other.next].into_iter().flatten().min();
        self
    }

    /// Runs all tasks concurrently until the last one ends.
    pub async fn run(self) {
        let mut running = self.tasks;
        poll_fn(move |cx| {
            running.retain_mut(|task| task.as_mut().poll(cx).is_pending());
            if running.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// Runs the work that `due` returns until no more is due. Returns the time at which more work is
/// due, or `None`.
///
/// # Errors
/// Returns a fault of `due`.
pub async fn run_due(due: impl AsyncFn() -> Result<Due, Fault>) -> Result<Option<Timestamp>, Fault> {
    loop {
        let due = due().await?;
        if due.tasks.is_empty() {
            return Ok(due.next);
        }
        due.run().await;
    }
}

impl From<Option<Timestamp>> for Due {
    /// Creates a value without tasks, for work that has been done already.
    fn from(next: Option<Timestamp>) -> Self {
        Self { tasks: Vec::new(), next }
    }
}

impl fmt::Debug for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Due({} now, next at {:?})", self.tasks.len(), self.next)
    }
}

/// Queue of named pieces of work. No name is served twice at the same time. Work that fails because
/// of a fault, such as an unreadable record, is kept, logged and retried after [`RETRY_DELAY`]; all
/// other work continues.
#[derive(Clone, Default)]
pub struct WorkQueue(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    slots: BTreeMap<String, Slot>,
    /// Names that found no free slot, in the order of their waiting time, longest first.
    queue: Vec<String>,
}

enum Slot {
    InProgress,
    RetryAt(Timestamp),
}

impl WorkQueue {
    /// Adds a task for each of `names`, unless work for that name is in progress or waits for its
    /// retry. `names` are all names that have something to do now. At most [`MAX_CONCURRENT_TASKS`]
    /// tasks run at the same time. Names that got no slot are served first the next time.
    pub fn begin<W>(&self, due: &mut Due, names: Vec<String>, now: Timestamp, work: impl Fn(&str) -> W)
    where
        W: Future<Output = Result<(), Fault>> + Send + 'static,
    {
        let before = std::mem::take(&mut self.lock().queue);
        let mut others: BTreeSet<String> = names.into_iter().collect();
        let mut queue: Vec<String> = before.into_iter().filter(|name| others.remove(name)).collect();
        queue.extend(others);
        queue.retain(|name| {
            // The names that are left are considered again when a task has ended.
            if self.is_full() {
                return true;
            }
            if let Some(claim) = self.claim(due, name, now) {
                let work = work(name);
                due.tasks.push(Box::pin(async move { claim.end(work.await) }));
            }
            false
        });
        self.lock().queue = queue;
    }

    /// Runs work for `name` now, unless it is in progress or waits for its retry. The work must not
    /// wait for a peer.
    pub async fn at_once(
        &self,
        due: &mut Due,
        name: &str,
        now: Timestamp,
        work: impl Future<Output = Result<(), Fault>> + Send,
    ) {
        if let Some(claim) = self.claim(due, name, now) {
            claim.end(work.await);
            if let Some(Slot::RetryAt(until)) = self.lock().slots.get(name) {
                due.later(*until);
            }
        }
    }

    fn is_full(&self) -> bool {
        self.lock().slots.values().filter(|slot| matches!(slot, Slot::InProgress)).count()
            >= MAX_CONCURRENT_TASKS
    }

    fn claim(&self, due: &mut Due, name: &str, now: Timestamp) -> Option<Claim> {
        let slots = &mut self.lock().slots;
        match slots.get(name) {
            Some(Slot::InProgress) => return None,
            Some(Slot::RetryAt(until)) if *until > now => {
                due.later(*until);
                return None;
            }
            Some(Slot::RetryAt(_)) | None => {}
        }
        slots.retain(|_, slot| !matches!(slot, Slot::RetryAt(until) if *until <= now));
        slots.insert(name.to_owned(), Slot::InProgress);
        Some(Claim { slots: self.clone(), name: name.to_owned(), began: now })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Exclusive right to work for a name. Dropping it frees the slot, even if the work was cancelled.
struct Claim {
    slots: WorkQueue,
    name: String,
    began: Timestamp,
}

impl Claim {
    fn end(self, done: Result<(), Fault>) {
        if let Err(fault) = done {
            tracing::error!(%fault, what = self.name, "a task failed because of an internal fault; it is retried in {RETRY_DELAY:?}, other work continues");
            self.slots.lock().slots.insert(self.name.clone(), Slot::RetryAt(self.began.plus(RETRY_DELAY)));
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let slots = &mut self.slots.lock().slots;
        if matches!(slots.get(&self.name), Some(Slot::InProgress)) {
            slots.remove(&self.name);
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
        Fault::new("cannot read the record", "it is corrupt", "restore it")
    }

    #[tokio::test]
    async fn a_name_is_never_served_twice_at_once_and_does_not_delay_others() {
        let slots = WorkQueue::default();
        let mut first = Due::default();
        slots.begin(&mut first, names(["slow"]), NOW, |_| std::future::pending());
        let slow = tokio::spawn(first.run());
        let mut second = Due::default();
        slots.begin(&mut second, names(["quick", "slow"]), NOW, |name| {
            assert_eq!(name, "quick", "the work for the other name is in progress");
            async { Ok(()) }
        });
        assert_eq!((second.tasks.len(), second.next), (1, None));
        second.run().await;
        slow.abort();
        assert!(slow.await.unwrap_err().is_cancelled());
        let mut third = Due::default();
        slots.begin(&mut third, names(["slow"]), NOW, |_| async { Ok(()) });
        assert_eq!(third.tasks.len(), 1, "the cancelled task freed its slot");
    }

    #[test]
    fn the_earliest_time_of_two_sets_of_work_is_kept() {
        let (early, late) = (NOW, NOW.plus(RETRY_DELAY));
        let mut due = Due::from(Some(late)).and(None.into());
        assert_eq!(due.next, Some(late));
        due.later(early);
        due.later(late);
        assert_eq!(due.and(Some(late).into()).next, Some(early));
    }

    #[tokio::test]
    async fn failed_work_is_retried_after_a_delay() {
        let slots = WorkQueue::default();
        let mut due = Due::default();
        slots.at_once(&mut due, "torn", NOW, async { Err(fault()) }).await;
        let again = NOW.plus(RETRY_DELAY);
        assert_eq!(due.next, Some(again));
        let mut due = Due::default();
        slots.begin(&mut due, names(["torn"]), NOW, |_| async { Ok(()) });
        assert_eq!((due.tasks.len(), due.next), (0, Some(again)));
        slots.begin(&mut due, names(["torn"]), again, |_| async { Ok(()) });
        assert_eq!(due.tasks.len(), 1);
    }

    #[tokio::test]
    async fn concurrent_tasks_are_limited_and_every_name_gets_its_turn() {
        let slots = WorkQueue::default();
        let all = || names((0..2 * MAX_CONCURRENT_TASKS + 1).map(|number| format!("{number:04}")));
        for most in [MAX_CONCURRENT_TASKS, MAX_CONCURRENT_TASKS, 1] {
            let served = Mutex::new(Vec::new());
            let mut due = Due::default();
            slots.begin(&mut due, all(), NOW, |name| {
                served.lock().unwrap().push(name.to_owned());
                async { Ok(()) }
            });
            assert_eq!(due.tasks.len(), MAX_CONCURRENT_TASKS);
            // Names that were served before come after all others.
            let served = served.into_inner().unwrap();
            let last = all().pop().unwrap();
            assert_eq!(served.iter().position(|name| *name == last), (most == 1).then_some(0));
            // Work that waits for no peer needs no slot.
            let mut done = false;
            let at_once = async {
                done = true;
                Ok(())
            };
            slots.at_once(&mut due, "at once", NOW, at_once).await;
            assert!(done);
            due.run().await;
        }
    }
}
