//! Durable records: the narrow trait that a store implements.
//!
//! A record is some bytes under a collection and a key. A store knows nothing of what they mean; [`Tx`](crate::Tx) puts
//! types on top. The trait is small enough for a map, SQLite or any SQL server: reads of one and of many, and one commit
//! that compares before it sets.
//!
//! Isolation: reads outside a commit may see different moments. That does no harm, because the commit succeeds only if
//! everything that was read is still as it was read, all at one moment, and that is the moment of the transaction.

pub mod contract;
mod memory;

pub use memory::MemoryRecords;

use std::sync::Arc;

use crate::{BoxFuture, Fault};

/// A store of records, shared by any number of servers.
pub trait Records: Send + Sync {
    /// Reads one record.
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>>;

    /// Reads every record of a collection whose key begins with `prefix`, in the order of the keys (by code point).
    fn list<'a>(
        &'a self,
        collection: &'static str,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>>;

    /// The first of what [`list`](Self::list) gives, `most` of them if there are more. A store has a way of its own that does
    /// not look at the others.
    fn first<'a>(
        &'a self,
        collection: &'static str,
        prefix: &'a str,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        Box::pin(async move {
            let mut all = self.list(collection, prefix).await?;
            all.truncate(most);
            Ok(all)
        })
    }

    /// Makes all the changes, durably, or none of them.
    ///
    /// When it answers [`Committed::Yes`], the changes survive a crash. [`Committed::Conflict`] and a fault mean that
    /// nothing has changed. Whoever stops waiting, or dies first, does not know which of them it would have been.
    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>>;
}

impl<R: Records + ?Sized> Records for Arc<R> {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        (**self).read(collection, key)
    }

    fn list<'a>(
        &'a self,
        collection: &'static str,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        (**self).list(collection, prefix)
    }

    fn first<'a>(
        &'a self,
        collection: &'static str,
        prefix: &'a str,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        (**self).first(collection, prefix, most)
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        (**self).commit(changes)
    }
}

/// A record as it stands in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Which commit wrote it.
    pub version: Version,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The number of the commit that wrote a record. Numbers are never used twice in a store, so a record that was deleted
/// and written again does not look like the old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// The version of a record that does not exist.
    pub const ABSENT: Self = Self(0);
}

/// What a transaction has read and what it wants changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeSet {
    /// Every record that was read, absences included.
    pub expected: Vec<ExpectedRecord>,
    /// Every list that was read.
    pub expected_lists: Vec<ExpectedList>,
    /// What changes. No record appears twice.
    pub changes: Vec<Change>,
}

/// A record that must still be as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedRecord {
    /// Its collection.
    pub collection: &'static str,
    /// Its key.
    pub key: String,
    /// The version that was read, [`Version::ABSENT`] if there was none.
    pub version: Version,
}

/// A list that must still be as it was read.
///
/// Number and newest version say it all: a new or changed record raises the newest version, and one that is gone
/// without another having come lowers the number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedList {
    /// Its collection.
    pub collection: &'static str,
    /// What the keys begin with.
    pub prefix: String,
    /// How many records there were.
    pub count: u64,
    /// The highest version among them, [`Version::ABSENT`] if there were none.
    pub newest: Version,
}

/// One change to one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its collection.
    pub collection: &'static str,
    /// Its key.
    pub key: String,
    /// Its new content; `None` deletes it.
    pub content: Option<Vec<u8>>,
}

/// Whether a commit took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Committed {
    /// It did.
    Yes,
    /// Something that was read has changed since. Nothing was written; decide again.
    Conflict,
}

/// The first string after all strings that begin with `prefix`, in code point order; `None` if there is no such string.
///
/// For stores that can scan a range of keys but know no prefixes.
pub fn after_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // A range of char steps over the surrogates by itself.
        if let Some(next) = (last..=char::MAX).nth(1) {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_records_keep_the_contract() {
        contract::check(std::sync::Arc::new(MemoryRecords::default())).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_written_to_a_copy_is_not_in_the_other() {
        let records = MemoryRecords::default();
        let change = |key: &str| Change { collection: "a", key: key.to_owned(), content: Some(vec![1]) };
        let write = |key| ChangeSet { changes: vec![change(key)], ..ChangeSet::default() };
        assert_eq!(records.commit(write("before")).await.unwrap(), Committed::Yes);
        let copy = records.copied();
        assert_eq!(copy.commit(write("after")).await.unwrap(), Committed::Yes);
        assert_eq!(
            (records.list("a", "").await.unwrap().len(), copy.list("a", "").await.unwrap().len()),
            (1, 2)
        );
    }

    #[test]
    fn after_prefix_is_the_next_string_that_does_not_begin_so() {
        assert_eq!(after_prefix("ab"), Some("ac".into()));
        assert_eq!(after_prefix("a\u{d7ff}"), Some("a\u{e000}".into()));
        assert_eq!(after_prefix("a\u{10ffff}"), Some("b".into()));
        assert_eq!(after_prefix("\u{10ffff}"), None);
        assert_eq!(after_prefix(""), None);
    }
}
