//! Records whose commits can be made to fail. The tests of each server include this file.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use world::{BoxFuture, ChangeSet, Committed, Fault, KeyRange, MemoryRecords, Records, Stored};

/// Records in memory. A test sets the outcome of the next commits.
#[derive(Default)]
pub(crate) struct FailingRecords {
    records: MemoryRecords,
    /// The number of next commits that are conflicts.
    pub(crate) conflicts: AtomicUsize,
    /// True if every commit fails.
    pub(crate) is_full: AtomicBool,
}

impl Records for FailingRecords {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        self.records.read(collection, key)
    }

    fn first<'a>(
        &'a self,
        collection: &'static str,
        keys: KeyRange<'a>,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        self.records.first(collection, keys, most)
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        if self.is_full.load(SeqCst) {
            return Box::pin(async { Err(Fault::new("cannot write", "the disk is full", "make room")) });
        }
        let one_less = |left: usize| left.checked_sub(1);
        if self.conflicts.fetch_update(SeqCst, SeqCst, one_less).is_ok() {
            return Box::pin(async { Ok(Committed::Conflict) });
        }
        self.records.commit(changes)
    }
}
