//! Durable records: the interface that a store implements.
//!
//! A record is a byte string under a collection and a key. A store does not interpret it;
//! [`Tx`](crate::Tx) adds types on top. The interface is small enough for a map, SQLite or any SQL
//! server: reads of one record and of many, and a commit that compares before it writes.
//!
//! Isolation: reads outside a commit may see different states of the store. This does no harm,
//! because the commit succeeds only if everything that was read is unchanged at one single moment,
//! and that moment is the time of the transaction.

pub mod contract;
mod memory;

pub use memory::MemoryRecords;

use std::{cmp::Ordering, sync::Arc};

use crate::{BoxFuture, Fault};

/// A store of records, shared by any number of servers.
pub trait Records: Send + Sync {
    /// Reads one record.
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>>;

    /// Reads the records of a collection whose keys are in `keys`, ordered by key (code points).
    /// Returns at most the first `most` of them.
    fn first<'a>(
        &'a self,
        collection: &'static str,
        keys: KeyRange<'a>,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>>;

    /// Reads every record of a collection whose key begins with `prefix`, in the order of
    /// [`first`](Self::first).
    fn list<'a>(
        &'a self,
        collection: &'static str,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        self.first(collection, prefix.into(), usize::MAX)
    }

    /// Makes all changes durably, or none of them.
    ///
    /// After [`Committed::Yes`] the changes survive a crash. After [`Committed::Conflict`] or a
    /// fault nothing has changed. If the caller drops the future or crashes before it completes,
    /// the outcome is unknown.
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

    fn first<'a>(
        &'a self,
        collection: &'static str,
        keys: KeyRange<'a>,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        (**self).first(collection, keys, most)
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        (**self).commit(changes)
    }
}

/// A range of keys: those that begin with a prefix and come after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRange<'a> {
    /// The prefix of the keys.
    pub prefix: &'a str,
    /// The last key before the range. It need not exist. Default: the range begins with the prefix.
    pub after: Option<&'a str>,
}

impl<'a> KeyRange<'a> {
    /// The smallest key that may be in the range. The key `after` itself is not.
    pub fn start(&self) -> &'a str {
        self.after.map_or(self.prefix, |after| after.max(self.prefix))
    }
}

impl<'a> From<&'a str> for KeyRange<'a> {
    /// Returns all keys with this prefix.
    fn from(prefix: &'a str) -> Self {
        Self { prefix, after: None }
    }
}

/// The stored form of a party's records: their types, keys and collections in this program. A store
/// keeps the form of the party that created it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredForm {
    /// The party, such as `SM-SR`.
    pub party: &'static str,
    /// The version of the form, from 1. A change that makes existing records unreadable must
    /// increase it.
    pub version: u32,
}

impl StoredForm {
    /// Checks the party and the version that a store keeps.
    ///
    /// # Errors
    /// Returns a fault that begins with `what` if the records belong to another party or have
    /// another version.
    pub fn check(self, what: String, party: &str, version: u32) -> Result<(), Fault> {
        let Self { party: own, version: known } = self;
        if party != own {
            let why = format!("they are the records of the {party}, and this is the {own}");
            let next = "choose another file or database, or another folder with --data-dir";
            return Err(Fault::usage(what, why, next));
        }
        let next = match version.cmp(&known) {
            Ordering::Equal => return Ok(()),
            Ordering::Greater => "use the newer program that wrote them, or another folder or database",
            Ordering::Less => "use the older program that wrote them, or another folder or database",
        };
        let why = format!("their stored form has version {version}, and this {own} reads version {known}");
        Err(Fault::usage(what, why, next))
    }
}

/// A record in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The commit that wrote the record.
    pub version: Version,
    /// The content.
    pub bytes: Vec<u8>,
}

/// The number of the commit that wrote a record. A store never reuses a number, so a record that
/// was deleted and written again differs from the old one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// The version of a record that does not exist.
    pub const ABSENT: Self = Self(0);
}

/// The records that a transaction has read and those that it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangeSet {
    /// Every record that was read, including those that did not exist.
    pub expected: Vec<ExpectedRecord>,
    /// Every list that was read.
    pub expected_lists: Vec<ExpectedList>,
    /// The changes. No record appears twice.
    pub changes: Vec<Change>,
}

/// A record that must be unchanged since it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedRecord {
    /// The collection.
    pub collection: &'static str,
    /// The key.
    pub key: String,
    /// The version that was read, or [`Version::ABSENT`] if there was no record.
    pub version: Version,
}

/// A list that must be unchanged since it was read.
///
/// The count and the newest version are sufficient: a new or changed record raises the newest
/// version, and a deletion without an addition lowers the count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedList {
    /// The collection.
    pub collection: &'static str,
    /// The prefix of the keys.
    pub prefix: String,
    /// The number of records.
    pub count: u64,
    /// The highest version among them, or [`Version::ABSENT`] if there were none.
    pub newest: Version,
}

/// A change to one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The collection.
    pub collection: &'static str,
    /// The key.
    pub key: String,
    /// The new content; `None` deletes the record.
    pub content: Option<Vec<u8>>,
}

/// The outcome of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Committed {
    /// The changes are durable.
    Yes,
    /// Something that was read has changed since. Nothing was written; decide again.
    Conflict,
}

/// Returns the first string after all strings that begin with `prefix`, in code point order, or
/// `None` if there is no such string.
///
/// For stores that can scan a range of keys but not a prefix.
pub fn after_prefix(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // A range of `char` skips the surrogates.
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
    async fn memory_records_fulfil_the_contract() {
        contract::check(std::sync::Arc::new(MemoryRecords::default())).await.unwrap();
    }

    #[tokio::test]
    async fn a_copy_of_a_store_is_independent() {
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
    fn a_stored_form_reads_its_own_party_and_version_only() {
        let form = StoredForm { party: "SM-DP+", version: 2 };
        form.check("x".into(), "SM-DP+", 2).unwrap();
        for (party, version, advice) in
            [("SM-DS", 2, "choose another"), ("SM-DP+", 1, "use the older"), ("SM-DP+", 3, "use the newer")]
        {
            let fault = form.check("x".into(), party, version).unwrap_err();
            assert!(fault.next.starts_with(advice), "{party} {version}: {fault}");
        }
    }

    #[test]
    fn after_prefix_is_the_next_string_without_the_prefix() {
        assert_eq!(after_prefix("ab"), Some("ac".into()));
        assert_eq!(after_prefix("a\u{d7ff}"), Some("a\u{e000}".into()));
        assert_eq!(after_prefix("a\u{10ffff}"), Some("b".into()));
        assert_eq!(after_prefix("\u{10ffff}"), None);
        assert_eq!(after_prefix(""), None);
    }
}
