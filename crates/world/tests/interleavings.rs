//! Concurrent transactions in many interleavings. shuttle decides at each access to the records which
//! transaction continues, and repeats a test with other decisions.
//!
//! `cargo test -p world --features interleavings --test interleavings`

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use shuttle::future::{block_on, spawn, yield_now};
use world::{
    BoxFuture, ChangeSet, Collection, Committed, Fault, KeyRange, MemoryRecords, Records, Stored, Tx,
    transact,
};

/// Random schedules of each test.
const SCHEDULES: usize = 2000;

const COUNTERS: Collection<u32> = Collection::new("counters");

/// Records that let another transaction continue before each access.
#[derive(Default)]
struct Preempted(MemoryRecords);

impl Records for Preempted {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        Box::pin(async move {
            yield_now().await;
            self.0.read(collection, key).await
        })
    }

    fn first<'a>(
        &'a self,
        collection: &'static str,
        keys: KeyRange<'a>,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        Box::pin(async move {
            yield_now().await;
            self.0.first(collection, keys, most).await
        })
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        Box::pin(async move {
            yield_now().await;
            let committed = self.0.commit(changes).await;
            yield_now().await;
            committed
        })
    }
}

async fn value(records: &Preempted, key: &str) -> u32 {
    Tx::begin(records).get(&COUNTERS, key).await.unwrap().unwrap_or(0)
}

/// Runs this number of tasks at the same time. Returns their results.
async fn together<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    tasks: u32,
    task: impl Fn(u32) -> F,
) -> Vec<T> {
    let running: Vec<_> = (0..tasks).map(|number| spawn(task(number))).collect();
    let mut results = Vec::new();
    for one in running {
        results.push(one.await.unwrap());
    }
    results
}

#[test]
fn no_increment_is_lost_and_each_runs_its_effects_once() {
    let increment = async |records: Arc<Preempted>, effects: Arc<AtomicU32>| {
        transact(&*records, |tx| {
            let effects = Arc::clone(&effects);
            Box::pin(async move {
                let next = tx.get(&COUNTERS, "n").await?.unwrap_or(0) + 1;
                tx.put(&COUNTERS, "n", &next)?;
                tx.after_commit(move || {
                    effects.fetch_add(1, Ordering::Relaxed);
                });
                Ok(next)
            })
        })
        .await
        .unwrap()
    };
    let test = move || {
        block_on(async {
            let (records, effects) = (Arc::new(Preempted::default()), Arc::new(AtomicU32::new(0)));
            let mut seen = together(3, |_| increment(Arc::clone(&records), Arc::clone(&effects))).await;
            seen.sort_unstable();
            assert_eq!(seen, [1, 2, 3]);
            assert_eq!((value(&records, "n").await, effects.load(Ordering::Relaxed)), (3, 3));
        });
    };
    shuttle::check_random(test, SCHEDULES);
}

/// Each transaction reads both records and changes one of them: without a check of what was only
/// read, both would take the last unit.
#[test]
fn a_decision_on_a_record_that_is_only_read_is_not_outdated() {
    async fn take(records: Arc<Preempted>, own: &'static str) -> bool {
        transact(&*records, |tx| {
            Box::pin(async move {
                let (a, b) = (tx.get(&COUNTERS, "a").await?, tx.get(&COUNTERS, "b").await?);
                let is_allowed = a.unwrap_or(1) + b.unwrap_or(1) > 1;
                if is_allowed {
                    tx.put(&COUNTERS, own, &0)?;
                }
                Ok(is_allowed)
            })
        })
        .await
        .unwrap()
    }
    let test = || {
        block_on(async {
            let records = Arc::new(Preempted::default());
            let task = |number| take(Arc::clone(&records), if number == 0 { "a" } else { "b" });
            let taken = together(2, task).await;
            assert_eq!(taken.iter().filter(|taken| **taken).count(), 1, "{taken:?}");
        });
    };
    shuttle::check_random(test, SCHEDULES);
    // Two transactions are few enough for every schedule.
    shuttle::check_dfs(test, None);
}

#[test]
fn a_decision_on_a_list_is_not_outdated() {
    async fn claim(records: Arc<Preempted>, number: u32) -> bool {
        transact(&*records, |tx| {
            Box::pin(async move {
                let is_free = tx.list(&COUNTERS, "seat/").await?.is_empty();
                if is_free {
                    tx.put(&COUNTERS, &format!("seat/{number}"), &number)?;
                }
                Ok(is_free)
            })
        })
        .await
        .unwrap()
    }
    let test = || {
        block_on(async {
            let records = Arc::new(Preempted::default());
            let claimed = together(3, |number| claim(Arc::clone(&records), number)).await;
            assert_eq!(claimed.iter().filter(|claimed| **claimed).count(), 1, "{claimed:?}");
            assert_eq!(records.0.list("counters", "seat/").await.unwrap().len(), 1);
        });
    };
    shuttle::check_random(test, SCHEDULES);
}
