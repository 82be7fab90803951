//! Transactions over typed records: read, decide, commit, and only then reply.
//!
//! A handler reads and writes through a [`Tx`]. Nothing reaches the store before the commit, and
//! the commit succeeds only if everything the handler has read is unchanged. [`transact`] is the
//! only place that commits: it runs the handler, commits, runs the handler again after a conflict,
//! and returns the handler's answer only when the changes are durable.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::records::{
    Change, ChangeSet, Committed, ExpectedList, ExpectedRecord, KeyRange, Records, Stored, Version,
};
use crate::{BoxFuture, Fault};

/// Maximum runs of a handler because of conflicts. Each conflict means that another commit
/// succeeded, so this many in a row indicate a handler that can never succeed, not contention.
pub const MAX_ATTEMPTS: usize = 100;

/// Runs `decide` in a transaction and commits its writes. Starts again after a conflict.
///
/// The answer of `decide` can be a refusal inside `Ok`: its changes (such as a counted attempt) are
/// committed like any other. After an `Err` nothing is written. `decide` can run many times, so it
/// must do nothing but read and write its transaction. All other effects belong in
/// [`Tx::after_commit`].
///
/// ```
/// # use world::{transact, Collection, Fault, MemoryRecords, Tx};
/// const VISITS: Collection<u32> = Collection::new("visits");
///
/// async fn visit(tx: &mut Tx<'_>, day: &str) -> Result<u32, Fault> {
///     let visits = tx.get(&VISITS, day).await?.unwrap_or(0) + 1;
///     tx.put(&VISITS, day, &visits)?;
///     Ok(visits)
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
///
/// let records = MemoryRecords::default();
/// let today = String::from("today");
/// assert_eq!(transact(&records, |tx| Box::pin(visit(tx, &today))).await.unwrap(), 1);
/// assert_eq!(transact(&records, |tx| Box::pin(visit(tx, &today))).await.unwrap(), 2);
/// # });
/// ```
pub async fn transact<'r, T>(
    records: &'r dyn Records,
    mut decide: impl for<'t> FnMut(&'t mut Tx<'r>) -> BoxFuture<'t, Result<T, Fault>>,
) -> Result<T, Fault> {
    for _ in 0..MAX_ATTEMPTS {
        let mut tx = Tx::begin(records);
        let answer = decide(&mut tx).await?;
        match tx.commit().await? {
            Committed::Yes => return Ok(answer),
            Committed::Conflict => {}
        }
    }
    Err(Fault::new(
        "cannot write the records of this request",
        format!("other requests changed the same records {MAX_ATTEMPTS} times in a row"),
        "retry; if the problem persists, too many requests change the same record",
    ))
}

/// The name and the type of a collection of records.
///
/// Defined once, as a constant: `const ORDERS: Collection<Order> = Collection::new("orders");`
pub struct Collection<T> {
    name: &'static str,
    of: PhantomData<fn() -> T>,
}

impl<T> Collection<T> {
    /// Creates the collection of this name.
    pub const fn new(name: &'static str) -> Self {
        Self { name, of: PhantomData }
    }

    /// Returns the name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Collection<T> {}

impl<T> fmt::Debug for Collection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Collection({})", self.name)
    }
}

/// A transaction. It sees its own writes, remembers what it has read, and writes nothing before
/// [`commit`](Self::commit).
///
/// A record that is written without having been read is overwritten unconditionally. Read it first
/// where that matters.
pub struct Tx<'r> {
    records: &'r dyn Records,
    read: BTreeMap<RecordId, Option<Stored>>,
    lists: Vec<ExpectedList>,
    written: BTreeMap<RecordId, Option<Vec<u8>>>,
    afterwards: Vec<Box<dyn FnOnce() + Send + Sync>>,
}

type RecordId = (&'static str, String);

impl<'r> Tx<'r> {
    /// Begins a transaction. Servers use [`transact`] instead.
    pub fn begin(records: &'r dyn Records) -> Self {
        let (read, lists, written) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        Self { records, read, lists, written, afterwards: Vec::new() }
    }

    /// Reads a record. A repeated read returns the same value, or the value that this transaction
    /// wrote.
    pub async fn get<T: DeserializeOwned>(
        &mut self,
        collection: &Collection<T>,
        key: &str,
    ) -> Result<Option<T>, Fault> {
        let id = (collection.name, key.to_owned());
        let bytes = match self.written.get(&id) {
            Some(written) => written.as_deref(),
            None => match self.read.entry(id) {
                Entry::Occupied(read) => read.into_mut(),
                Entry::Vacant(unread) => unread.insert(self.records.read(collection.name, key).await?),
            }
            .as_ref()
            .map(|stored| stored.bytes.as_slice()),
        };
        bytes.map(|bytes| from_bytes(collection, key, bytes)).transpose()
    }

    /// Reads every record whose key begins with `prefix`, ordered by key, including this
    /// transaction's own writes. A record that is added or deleted under the prefix before the
    /// commit is a conflict.
    pub async fn list<T: DeserializeOwned>(
        &mut self,
        collection: &Collection<T>,
        prefix: &str,
    ) -> Result<Vec<(String, T)>, Fault> {
        let stored = self.records.list(collection.name, prefix).await?;
        self.lists.push(ExpectedList {
            collection: collection.name,
            prefix: prefix.to_owned(),
            count: stored.len().try_into().unwrap_or(u64::MAX),
            newest: stored.iter().map(|(_, stored)| stored.version).max().unwrap_or(Version::ABSENT),
        });
        let mut seen: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (key, stored) in stored {
            // A record that was read before keeps its value. If it has changed since, the commit
            // fails.
            let known = self.read.entry((collection.name, key.clone())).or_insert(Some(stored));
            if let Some(known) = known {
                seen.insert(key, known.bytes.clone());
            }
        }
        for ((name, key), content) in &self.written {
            if *name == collection.name && key.starts_with(prefix) {
                match content {
                    Some(bytes) => seen.insert(key.clone(), bytes.clone()),
                    None => seen.remove(key),
                };
            }
        }
        seen.into_iter()
            .map(|(key, bytes)| from_bytes(collection, &key, &bytes).map(|value| (key, value)))
            .collect()
    }

    /// Reads the list from the store now, without this transaction's writes and without making it
    /// an expectation of the commit. Use it to choose one of many records, and then read that
    /// record with [`get`](Self::get): other transactions may choose at the same time.
    pub async fn peek_list<T: DeserializeOwned>(
        &self,
        collection: &Collection<T>,
        prefix: &str,
    ) -> Result<Vec<(String, T)>, Fault> {
        let all = self.peek_each(collection, prefix).await?;
        all.into_iter().map(|(key, value)| value.map(|value| (key, value))).collect()
    }

    /// Like [`peek_list`](Self::peek_list), but returns a fault in place of each record that cannot be
    /// decoded.
    pub async fn peek_each<T: DeserializeOwned>(
        &self,
        collection: &Collection<T>,
        prefix: &str,
    ) -> Result<Vec<(String, Result<T, Fault>)>, Fault> {
        self.peek_first(collection, prefix, usize::MAX).await
    }

    /// Reads at most the first `most` records of [`peek_each`](Self::peek_each). The others are
    /// not read.
    pub async fn peek_first<T: DeserializeOwned>(
        &self,
        collection: &Collection<T>,
        prefix: &str,
        most: usize,
    ) -> Result<Vec<(String, Result<T, Fault>)>, Fault> {
        let stored = self.records.first(collection.name, prefix.into(), most).await?;
        let typed = |(key, stored): (String, Stored)| {
            let value = from_bytes(collection, &key, &stored.bytes);
            (key, value)
        };
        Ok(stored.into_iter().map(typed).collect())
    }

    /// Reads at most the first `most` records of the collection whose key comes after `after`, or
    /// from the first key without `after`. Each record has the version of the commit that wrote it.
    /// Like [`peek_list`](Self::peek_list), it reads the store now, and the commit expects nothing.
    pub async fn peek_page<T: DeserializeOwned>(
        &self,
        collection: &Collection<T>,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<(String, Version, T)>, Fault> {
        let keys = KeyRange { prefix: "", after };
        let stored = self.records.first(collection.name, keys, most).await?;
        let typed = |(key, stored): (String, Stored)| {
            let value = from_bytes(collection, &key, &stored.bytes)?;
            Ok((key, stored.version, value))
        };
        stored.into_iter().map(typed).collect()
    }

    /// Writes a record at commit.
    pub fn put<T: Serialize>(
        &mut self,
        collection: &Collection<T>,
        key: &str,
        value: &T,
    ) -> Result<(), Fault> {
        let bytes = serde_json::to_vec(value).map_err(|error| {
            Fault::caused_by(
                error,
                format!("cannot write record {}/{key}", collection.name),
                "report this as a bug: the type of the record cannot be encoded as JSON",
            )
        })?;
        self.written.insert((collection.name, key.to_owned()), Some(bytes));
        Ok(())
    }

    /// Deletes a record at commit. It need not exist.
    pub fn delete<T>(&mut self, collection: &Collection<T>, key: &str) {
        self.written.insert((collection.name, key.to_owned()), None);
    }

    /// Returns the keys of the records of the collection that this transaction writes, without
    /// those that it deletes.
    pub fn written_keys<T>(&self, collection: &Collection<T>) -> Vec<String> {
        let written =
            self.written.iter().filter(|((name, _), content)| *name == collection.name && content.is_some());
        written.map(|((_, key), _)| key.clone()).collect()
    }

    /// Returns the records of the collection that this transaction changes: the written ones, and
    /// `None` for those that it deletes.
    ///
    /// # Errors
    /// A written record is not of this type.
    pub fn changes<T: DeserializeOwned>(
        &self,
        collection: &Collection<T>,
    ) -> Result<Vec<(String, Option<T>)>, Fault> {
        let changed = self.written.iter().filter(|((name, _), _)| *name == collection.name);
        let typed = changed.map(|((_, key), content)| {
            let value = content.as_ref().map(|bytes| from_bytes(collection, key, bytes)).transpose()?;
            Ok((key.clone(), value))
        });
        typed.collect()
    }

    /// Registers a function that runs when the changes are durable. It is dropped if they never
    /// are. Use it for notifications within this process, which cannot be taken back.
    pub fn after_commit(&mut self, then: impl FnOnce() + Send + Sync + 'static) {
        self.afterwards.push(Box::new(then));
    }

    /// Returns the expectations and the changes of this transaction.
    pub fn into_change_set(self) -> ChangeSet {
        let expected = self.read.into_iter().map(|((collection, key), stored)| ExpectedRecord {
            collection,
            key,
            version: stored.map_or(Version::ABSENT, |stored| stored.version),
        });
        let changes =
            self.written.into_iter().map(|((collection, key), content)| Change { collection, key, content });
        ChangeSet { expected: expected.collect(), expected_lists: self.lists, changes: changes.collect() }
    }

    /// Makes the changes durable if everything that was read is unchanged.
    ///
    /// A transaction without writes is checked as well. Its answer is then based on records that
    /// all existed at one moment.
    pub async fn commit(mut self) -> Result<Committed, Fault> {
        let (records, afterwards) = (self.records, std::mem::take(&mut self.afterwards));
        let committed = records.commit(self.into_change_set()).await?;
        if committed == Committed::Yes {
            afterwards.into_iter().for_each(|then| then());
        }
        Ok(committed)
    }
}

fn from_bytes<T: DeserializeOwned>(collection: &Collection<T>, key: &str, bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes).map_err(|error| {
        Fault::caused_by(
            error,
            format!("cannot decode record {}/{key}", collection.name),
            "the store is damaged or was written by another version; restore a copy of it, or start with an empty one",
        )
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::MemoryRecords;

    const COUNTERS: Collection<u32> = Collection::new("counters");

    fn records() -> MemoryRecords {
        MemoryRecords::default()
    }

    async fn set(records: &MemoryRecords, key: &str, value: u32) {
        let mut tx = Tx::begin(records);
        tx.put(&COUNTERS, key, &value).unwrap();
        assert_eq!(tx.commit().await.unwrap(), Committed::Yes);
    }

    #[tokio::test]
    async fn only_the_transaction_itself_sees_its_writes_before_the_commit() {
        let records = records();
        set(&records, "a1", 1).await;
        set(&records, "b", 9).await;
        let mut tx = Tx::begin(&records);
        tx.put(&COUNTERS, "a2", &2).unwrap();
        tx.delete(&COUNTERS, "a1");
        assert_eq!(tx.get(&COUNTERS, "a1").await.unwrap(), None);
        assert_eq!(tx.get(&COUNTERS, "a2").await.unwrap(), Some(2));
        assert_eq!(tx.list(&COUNTERS, "a").await.unwrap(), vec![("a2".to_owned(), 2)]);
        let mut other = Tx::begin(&records);
        assert_eq!(other.list(&COUNTERS, "a").await.unwrap(), vec![("a1".to_owned(), 1)]);
        assert_eq!(tx.commit().await.unwrap(), Committed::Yes);
        assert_eq!(other.commit().await.unwrap(), Committed::Conflict);
    }

    #[tokio::test]
    async fn a_transaction_knows_what_it_changes_in_each_collection() {
        const NAMES: Collection<String> = Collection::new("names");
        let records = records();
        set(&records, "old", 1).await;
        let mut tx = Tx::begin(&records);
        tx.put(&NAMES, "a", &"x".to_owned()).unwrap();
        tx.put(&COUNTERS, "b", &2).unwrap();
        tx.delete(&COUNTERS, "old");
        assert_eq!((NAMES.name(), COUNTERS.name()), ("names", "counters"));
        assert_eq!(tx.written_keys(&COUNTERS), ["b"]);
        assert_eq!(tx.changes(&COUNTERS).unwrap(), [("b".to_owned(), Some(2)), ("old".to_owned(), None)]);
        assert_eq!(tx.changes(&NAMES).unwrap(), [("a".to_owned(), Some("x".to_owned()))]);
        // A write under another name is in neither list.
        assert_eq!(tx.list(&COUNTERS, "a").await.unwrap(), []);
        assert_eq!(tx.list(&NAMES, "").await.unwrap(), [("a".to_owned(), "x".to_owned())]);
        tx.put(&Collection::<String>::new("counters"), "torn", &"text".to_owned()).unwrap();
        assert!(tx.changes(&COUNTERS).is_err());
    }

    #[tokio::test]
    async fn a_repeated_read_is_stable_and_the_commit_detects_the_change() {
        let records = records();
        set(&records, "a", 1).await;
        let mut tx = Tx::begin(&records);
        assert_eq!(tx.get(&COUNTERS, "a").await.unwrap(), Some(1));
        set(&records, "a", 2).await;
        assert_eq!(tx.get(&COUNTERS, "a").await.unwrap(), Some(1));
        assert_eq!(tx.list(&COUNTERS, "").await.unwrap(), vec![("a".to_owned(), 1)]);
        assert_eq!(tx.commit().await.unwrap(), Committed::Conflict);
    }

    #[tokio::test]
    async fn a_peek_is_not_an_expectation_of_the_commit() {
        let records = records();
        set(&records, "a1", 1).await;
        let mut tx = Tx::begin(&records);
        assert_eq!(tx.peek_list(&COUNTERS, "a").await.unwrap(), vec![("a1".to_owned(), 1)]);
        tx.put(&COUNTERS, "b", &1).unwrap();
        set(&records, "a1", 2).await;
        set(&records, "a2", 3).await;
        assert_eq!(tx.get(&COUNTERS, "a1").await.unwrap(), Some(2));
        assert_eq!(tx.commit().await.unwrap(), Committed::Yes);
    }

    #[tokio::test]
    async fn reading_an_absent_record_is_an_expectation_of_the_commit() {
        let records = records();
        let mut tx = Tx::begin(&records);
        assert_eq!(tx.get(&COUNTERS, "a").await.unwrap(), None);
        tx.put(&COUNTERS, "a", &1).unwrap();
        set(&records, "a", 5).await;
        assert_eq!(tx.commit().await.unwrap(), Committed::Conflict);
    }

    #[tokio::test]
    async fn a_fault_in_the_handler_writes_nothing() {
        let records = records();
        let answer = transact(&records, |tx| {
            Box::pin(async {
                tx.put(&COUNTERS, "a", &1)?;
                Err::<(), _>(Fault::new("x", "y", "z"))
            })
        });
        assert!(answer.await.is_err());
        assert_eq!(Tx::begin(&records).get(&COUNTERS, "a").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_conflict_runs_the_handler_again_and_only_the_last_run_takes_effect() {
        let records = records();
        let (mut runs, effects) = (0, Arc::new(AtomicU32::new(0)));
        let answer = transact(&records, |tx| {
            runs += 1;
            let (run, records, effects) = (runs, &records, Arc::clone(&effects));
            Box::pin(async move {
                tx.after_commit(move || {
                    effects.fetch_add(run, Ordering::Relaxed);
                });
                let seen = tx.get(&COUNTERS, "a").await?.unwrap_or(0);
                if run < 3 {
                    set(records, "a", 10 * run).await;
                }
                tx.put(&COUNTERS, "a", &(seen + 1))?;
                Ok(seen)
            })
        });
        assert_eq!(answer.await.unwrap(), 20);
        assert_eq!((runs, effects.load(Ordering::Relaxed)), (3, 3));
        assert_eq!(Tx::begin(&records).get(&COUNTERS, "a").await.unwrap(), Some(21));
    }

    #[tokio::test]
    async fn a_handler_that_always_conflicts_ends_in_a_fault() {
        let records = records();
        let answer = transact(&records, |tx| {
            let records = &records;
            Box::pin(async move {
                let seen = tx.get(&COUNTERS, "a").await?.unwrap_or(0);
                set(records, "a", seen + 1).await;
                Ok(())
            })
        });
        assert!(answer.await.unwrap_err().why.contains("100 times"));
    }

    #[tokio::test]
    async fn a_record_of_another_type_is_a_fault_that_names_it() {
        let records = records();
        set(&records, "a", 1).await;
        let fault = Tx::begin(&records).get(&Collection::<String>::new("counters"), "a").await.unwrap_err();
        assert!(fault.to_string().contains("counters/a"), "{fault}");
    }

    #[tokio::test]
    async fn one_record_of_another_type_does_not_hide_the_others() {
        let records = records();
        set(&records, "a", 1).await;
        let mut tx = Tx::begin(&records);
        tx.put(&Collection::<String>::new("counters"), "b", &"torn".to_owned()).unwrap();
        assert_eq!(tx.commit().await.unwrap(), Committed::Yes);
        assert!(Tx::begin(&records).peek_list(&COUNTERS, "").await.is_err());
        let all = Tx::begin(&records).peek_each(&COUNTERS, "").await.unwrap();
        let [(a, one), (b, torn)] = &all[..] else { panic!("{all:?}") };
        assert_eq!((a.as_str(), one.as_ref().ok(), b.as_str()), ("a", Some(&1), "b"));
        assert!(torn.as_ref().unwrap_err().to_string().contains("counters/b"));
    }

    /// A server boxes its handler's future. This requires the transaction to be `Send` regardless
    /// of what the handler borrows.
    #[test]
    fn a_transaction_fits_into_a_boxed_send_future() {
        struct Server {
            records: Arc<dyn Records>,
        }
        impl Server {
            async fn handle(&self, tx: &mut Tx<'_>, by: &u32) -> Result<u32, Fault> {
                let now = tx.get(&COUNTERS, "a").await?.unwrap_or(0) + by;
                tx.put(&COUNTERS, "a", &now)?;
                Ok(now)
            }

            fn serve(&self, by: u32) -> crate::BoxFuture<'_, Result<u32, Fault>> {
                Box::pin(async move { transact(&self.records, |tx| Box::pin(self.handle(tx, &by))).await })
            }
        }
        let server = Server { records: Arc::new(records()) };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(server.serve(4)).unwrap(), 4);
    }
}
