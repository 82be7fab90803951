//! In-memory records.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{ChangeSet, Committed, KeyRange, Records, Stored, Version};
use crate::{BoxFuture, Fault};

/// Records that last as long as the process. A clone is the same store.
#[derive(Clone, Default)]
pub struct MemoryRecords(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    records: BTreeMap<&'static str, BTreeMap<String, Stored>>,
    last: Version,
}

impl MemoryRecords {
    /// Returns an independent store with a copy of the records.
    pub fn copied(&self) -> Self {
        Self(Arc::new(Mutex::new(self.with(|state| state.clone()))))
    }

    fn with<T>(&self, use_state: impl FnOnce(&mut State) -> T) -> T {
        use_state(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Records for MemoryRecords {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        Box::pin(async move { Ok(self.with(|state| state.get(collection, key).cloned())) })
    }

    fn first<'a>(
        &'a self,
        collection: &'static str,
        keys: KeyRange<'a>,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        let copied = move |state: &mut State| {
            state.list(collection, keys).take(most).map(|(k, s)| (k.clone(), s.clone())).collect()
        };
        Box::pin(async move { Ok(self.with(copied)) })
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        Box::pin(async move { Ok(self.with(|state| state.commit(changes))) })
    }
}

impl State {
    fn get(&self, collection: &str, key: &str) -> Option<&Stored> {
        self.records.get(collection)?.get(key)
    }

    fn list(&self, collection: &str, keys: KeyRange<'_>) -> impl Iterator<Item = (&String, &Stored)> {
        self.records
            .get(collection)
            .into_iter()
            .flat_map(move |records| records.range(keys.start().to_owned()..))
            .skip_while(move |(key, _)| Some(key.as_str()) == keys.after)
            .take_while(move |(key, _)| key.starts_with(keys.prefix))
    }

    fn commit(&mut self, set: ChangeSet) -> Committed {
        if !self.is_as_read(&set) {
            return Committed::Conflict;
        }
        self.last = Version(self.last.0 + 1);
        for change in set.changes {
            let records = self.records.entry(change.collection).or_default();
            match change.content {
                Some(bytes) => records.insert(change.key, Stored { version: self.last, bytes }),
                None => records.remove(&change.key),
            };
        }
        Committed::Yes
    }

    fn is_as_read(&self, set: &ChangeSet) -> bool {
        let records_hold = set.expected.iter().all(|expected| {
            let found = self.get(expected.collection, &expected.key).map_or(Version::ABSENT, |s| s.version);
            found == expected.version
        });
        let lists_hold = set.expected_lists.iter().all(|expected| {
            let (count, newest) = self
                .list(expected.collection, expected.prefix.as_str().into())
                .fold((0, Version::ABSENT), |(n, newest), (_, s)| (n + 1, newest.max(s.version)));
            (count, newest) == (expected.count, expected.newest)
        });
        records_hold && lists_hold
    }
}
