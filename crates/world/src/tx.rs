//! A transaction over typed records: load, decide, commit, speak.
//!
//! A handler reads and writes through a [`Tx`]. Nothing reaches the store before the commit, and the commit takes place
//! only if everything the handler read is still so. [`transact`] is the one place that commits: it runs the handler,
//! commits, runs it again after a conflict, and gives the handler's answer only once the changes are durable.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::records::{Change, ChangeSet, Committed, ExpectedList, ExpectedRecord, Records, Stored, Version};
use crate::{BoxFuture, Fault};

/// How often a decision is taken anew after conflicts before it is given up. Each conflict means that somebody else's
/// commit went through, so this many in a row is not contention but a handler that can never succeed.
pub const MAX_ATTEMPTS: usize = 100;

/// Runs `decide` in a transaction and commits what it wrote; again from the start after a conflict.
///
/// The answer of `decide` may well be a refusal inside `Ok`: its changes (an attempt counted) are committed like any
/// other. After an `Err` nothing is written. `decide` may run many times, so it does nothing but read and write its
/// transaction; what else is to happen, it leaves to [`Tx::after_commit`].
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
        format!("what it read was changed by others {MAX_ATTEMPTS} times in a row"),
        "ask again; if it stays, too many requests change the same record",
    ))
}

/// The name and the type of the records of one kind.
///
/// Written once, as a constant: `const ORDERS: Collection<Order> = Collection::new("orders");`
pub struct Collection<T> {
    name: &'static str,
    of: PhantomData<fn() -> T>,
}

impl<T> Collection<T> {
    /// The collection of this name.
    pub const fn new(name: &'static str) -> Self {
        Self { name, of: PhantomData }
    }

    /// Its name.
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

/// A transaction: sees its own writes, remembers what it has read, and has written nothing until [`commit`](Self::commit).
///
/// A record that is written without having been read is overwritten whatever it holds; read it first where that matters.
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

    /// Reads a record. Reading it again gives the same, or what this transaction wrote.
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

    /// Reads every record whose key begins with `prefix`, in the order of the keys, this transaction's own writes
    /// included. A record that comes or goes under the prefix before the commit is a conflict.
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
            // What was read before stays what it was: if it has changed since, the commit will find out.
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

    /// What [`list`](Self::list) would give if it were asked by itself: read now, without this transaction's writes, and
    /// no part of the decision. For choosing one of many, which is then read properly: others may choose meanwhile.
    pub async fn glance<T: DeserializeOwned>(
        &self,
        collection: &Collection<T>,
        prefix: &str,
    ) -> Result<Vec<(String, T)>, Fault> {
        let all = self.glance_each(collection, prefix).await?;
        all.into_iter().map(|(key, value)| value.map(|value| (key, value))).collect()
    }

    /// [`glance`](Self::glance) for those who go on with the others when one record cannot be understood: a fault stands in
    /// its place.
    pub async fn glance_each<T: DeserializeOwned>(
        &self,
        collection: &Collection<T>,
        prefix: &str,
    ) -> Result<Vec<(String, Result<T, Fault>)>, Fault> {
        self.glance_first(collection, prefix, usize::MAX).await
    }

    /// The first of [`glance_each`](Self::glance_each), at most so many: what comes behind them is not read.
    pub async fn glance_first<T: DeserializeOwned>(
        &self,
        collection: &Collection<T>,
        prefix: &str,
        most: usize,
    ) -> Result<Vec<(String, Result<T, Fault>)>, Fault> {
        let stored = self.records.first(collection.name, prefix, most).await?;
        let typed = |(key, stored): (String, Stored)| {
            let value = from_bytes(collection, &key, &stored.bytes);
            (key, value)
        };
        Ok(stored.into_iter().map(typed).collect())
    }

    /// Writes a record, at commit.
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
                "report this: a type that is kept as a record does not fit JSON",
            )
        })?;
        self.written.insert((collection.name, key.to_owned()), Some(bytes));
        Ok(())
    }

    /// Deletes a record, at commit. Deleting one that is not there is no fault.
    pub fn delete<T>(&mut self, collection: &Collection<T>, key: &str) {
        self.written.insert((collection.name, key.to_owned()), None);
    }

    /// The keys of the records of the collection that it writes, and not those that it deletes.
    pub fn written_keys<T>(&self, collection: &Collection<T>) -> Vec<String> {
        let mine =
            self.written.iter().filter(|((name, _), content)| *name == collection.name && content.is_some());
        mine.map(|((_, key), _)| key.clone()).collect()
    }

    /// Has this done once the changes are durable, and dropped if they never are: for telling somebody in this process what
    /// could not be taken back.
    pub fn after_commit(&mut self, then: impl FnOnce() + Send + Sync + 'static) {
        self.afterwards.push(Box::new(then));
    }

    /// What this transaction has read and wants changed.
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

    /// Makes the changes durable, if everything that was read is still so.
    ///
    /// A transaction that wrote nothing is checked too: its answer then rests on records that were all so at one moment.
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
            format!("cannot understand record {}/{key}", collection.name),
            "the store was written by another version or damaged; restore a copy of it, or start with an empty one",
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
    async fn a_transaction_sees_its_own_writes_and_nobody_else_does() {
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
    async fn a_repeated_read_gives_the_same_and_the_change_is_found_at_commit() {
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
    async fn a_glance_is_no_part_of_the_decision() {
        let records = records();
        set(&records, "a1", 1).await;
        let mut tx = Tx::begin(&records);
        assert_eq!(tx.glance(&COUNTERS, "a").await.unwrap(), vec![("a1".to_owned(), 1)]);
        tx.put(&COUNTERS, "b", &1).unwrap();
        set(&records, "a1", 2).await;
        set(&records, "a2", 3).await;
        assert_eq!(tx.get(&COUNTERS, "a1").await.unwrap(), Some(2));
        assert_eq!(tx.commit().await.unwrap(), Committed::Yes);
    }

    #[tokio::test]
    async fn an_absence_that_was_read_is_part_of_the_decision() {
        let records = records();
        let mut tx = Tx::begin(&records);
        assert_eq!(tx.get(&COUNTERS, "a").await.unwrap(), None);
        tx.put(&COUNTERS, "a", &1).unwrap();
        set(&records, "a", 5).await;
        assert_eq!(tx.commit().await.unwrap(), Committed::Conflict);
    }

    #[tokio::test]
    async fn a_fault_in_the_decision_writes_nothing() {
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
    async fn a_conflict_runs_the_decision_again_and_only_the_last_one_counts() {
        let records = records();
        let (mut runs, said) = (0, Arc::new(AtomicU32::new(0)));
        let answer = transact(&records, |tx| {
            runs += 1;
            let (run, records, said) = (runs, &records, Arc::clone(&said));
            Box::pin(async move {
                tx.after_commit(move || {
                    said.fetch_add(run, Ordering::Relaxed);
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
        assert_eq!((runs, said.load(Ordering::Relaxed)), (3, 3));
        assert_eq!(Tx::begin(&records).get(&COUNTERS, "a").await.unwrap(), Some(21));
    }

    #[tokio::test]
    async fn a_decision_that_never_fits_ends_in_a_fault() {
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
    async fn a_record_of_another_shape_is_a_fault_that_names_it() {
        let records = records();
        set(&records, "a", 1).await;
        let fault = Tx::begin(&records).get(&Collection::<String>::new("counters"), "a").await.unwrap_err();
        assert!(fault.to_string().contains("counters/a"), "{fault}");
    }

    #[tokio::test]
    async fn one_record_of_another_shape_does_not_hide_the_others() {
        let records = records();
        set(&records, "a", 1).await;
        let mut tx = Tx::begin(&records);
        tx.put(&Collection::<String>::new("counters"), "b", &"torn".to_owned()).unwrap();
        assert_eq!(tx.commit().await.unwrap(), Committed::Yes);
        assert!(Tx::begin(&records).glance(&COUNTERS, "").await.is_err());
        let all = Tx::begin(&records).glance_each(&COUNTERS, "").await.unwrap();
        let [(a, one), (b, torn)] = &all[..] else { panic!("{all:?}") };
        assert_eq!((a.as_str(), one.as_ref().ok(), b.as_str()), ("a", Some(&1), "b"));
        assert!(torn.as_ref().unwrap_err().to_string().contains("counters/b"));
    }

    /// A shell boxes its handler's future; that needs a transaction to be `Send` whatever the handler borrows.
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
