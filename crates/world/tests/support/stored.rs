//! Fixtures of stored records: a file in the repository with the records of a server, as a release
//! wrote them. The tests of each server include this file.
//!
//! The file is a JSON object. A member is named by collection and key, and its value is the record.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy takes only #[test] functions for tests, not the helpers beside them"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use world::{
    BoxFuture, Collection, Fault, KeyRange, MemoryRecords, Records, Tx,
    records::{Change, ChangeSet, Committed, Stored},
};

/// Maximum size of a fixture.
const MAX_OCTETS: usize = 100_000;

/// Records in memory that remember the names of their collections.
#[derive(Clone, Default)]
pub(crate) struct NamedRecords {
    records: MemoryRecords,
    collections: Arc<Mutex<BTreeSet<&'static str>>>,
}

impl Records for NamedRecords {
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
        self.collections.lock().unwrap().extend(changes.changes.iter().map(|change| change.collection));
        self.records.commit(changes)
    }
}

impl NamedRecords {
    /// Writes all records to the file if `LANDFALL_REGENERATE` is set.
    pub(crate) async fn regenerate(&self, file: &Path) {
        if std::env::var_os("LANDFALL_REGENERATE").is_none() {
            return;
        }
        let mut all = BTreeMap::<String, Value>::new();
        let collections = self.collections.lock().unwrap().clone();
        for collection in collections {
            for (key, stored) in self.records.list(collection, "").await.unwrap() {
                all.insert(format!("{collection}/{key}"), serde_json::from_slice(&stored.bytes).unwrap());
            }
        }
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, serde_json::to_string_pretty(&all).unwrap() + "\n").unwrap();
    }
}

/// A fixture.
pub(crate) struct Fixture {
    records: BTreeMap<(&'static str, String), Value>,
    checked: BTreeSet<&'static str>,
}

/// The path of the fixture `name` of the crate that is in the folder `manifest`.
pub(crate) fn file(manifest: &str, name: &str) -> PathBuf {
    Path::new(manifest).join("tests/stored").join(name)
}

impl Fixture {
    pub(crate) fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap();
        assert!(text.len() <= MAX_OCTETS, "{} has {} octets", file.display(), text.len());
        assert!(!text.contains("PRIVATE KEY"), "{} has a private key", file.display());
        let all: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
        let records = all.into_iter().map(|(name, record)| {
            let (collection, key) = name.split_once('/').unwrap();
            // The name of a collection must be static, so it is leaked. The test reads only a few
            // files.
            let collection: &'static str = Box::leak(collection.into());
            ((collection, key.to_owned()), record)
        });
        Self { records: records.collect(), checked: BTreeSet::new() }
    }

    /// A store with these records.
    pub(crate) async fn records(&self) -> MemoryRecords {
        store(self.records.iter().map(|((collection, key), record)| (*collection, key.as_str(), record)))
            .await
    }

    /// Checks the records of a collection:
    ///
    /// - Each can be read, and writing it again keeps all its values, so that no field was skipped.
    /// - A record with an unknown field, or with a renamed one, is refused, and the error names the
    ///   record.
    #[allow(dead_code, reason = "the types of some parties accept unknown fields")]
    pub(crate) async fn check<T: Serialize + DeserializeOwned>(&mut self, collection: &Collection<T>) {
        self.check_kept(collection).await;
        let name = collection.name();
        for ((_, key), record) in self.records.iter().filter(|((known, _), _)| *known == name) {
            let Value::Object(fields) = record else { continue };
            let mut changed = vec![record.clone()];
            changed[0].as_object_mut().unwrap().insert("unknown-field".to_owned(), Value::Null);
            for field in fields.keys() {
                let mut renamed = record.clone();
                let value = renamed.as_object_mut().unwrap().remove(field).unwrap();
                renamed.as_object_mut().unwrap().insert(format!("renamed-{field}"), value);
                changed.push(renamed);
            }
            for changed in changed {
                let Err(fault) = self::read(collection, key, &changed).await else {
                    panic!("this record {name}/{key} is accepted: {changed}")
                };
                assert_eq!(fault.what, format!("cannot decode record {name}/{key}"));
                assert!(fault.why.contains("field") || fault.why.contains("variant"), "{fault}");
            }
        }
    }

    /// Checks that each record of a collection can be read, and that writing it again keeps all its
    /// values, so that no field was skipped.
    pub(crate) async fn check_kept<T: Serialize + DeserializeOwned>(&mut self, collection: &Collection<T>) {
        let name = collection.name();
        let of_it: Vec<_> = self.records.iter().filter(|((known, _), _)| *known == name).collect();
        assert!(!of_it.is_empty(), "the fixture has no record of {name}");
        for ((_, key), record) in of_it {
            let read = read(collection, key, record).await.unwrap_or_else(|fault| panic!("{fault}"));
            let written = serde_json::to_value(&read).unwrap();
            if let Some(path) = lost(record, &written) {
                panic!("record {name}/{key} is written without the value at {path}: {written}");
            }
        }
        self.checked.insert(name);
    }

    /// Marks collections whose types are private as checked. The test of the party uses their
    /// records instead.
    #[allow(dead_code, reason = "most parties have no such collections")]
    pub(crate) fn used(&mut self, prefix: &str) {
        let names = self.records.keys().map(|(collection, _)| *collection);
        self.checked.extend(names.filter(|name| name.starts_with(prefix)));
    }

    /// Checks that no collection was left out.
    pub(crate) fn all_checked(&self) {
        let all: BTreeSet<_> = self.records.keys().map(|(collection, _)| *collection).collect();
        assert_eq!(self.checked, all, "the test does not check all collections of the fixture");
    }
}

async fn store<'a>(all: impl Iterator<Item = (&'static str, &'a str, &'a Value)>) -> MemoryRecords {
    let records = MemoryRecords::default();
    let changes = all.map(|(collection, key, record)| Change {
        collection,
        key: key.to_owned(),
        content: Some(serde_json::to_vec(record).unwrap()),
    });
    let changes = ChangeSet { changes: changes.collect(), ..ChangeSet::default() };
    assert_eq!(records.commit(changes).await.unwrap(), Committed::Yes);
    records
}

async fn read<T: DeserializeOwned>(
    collection: &Collection<T>,
    key: &str,
    record: &Value,
) -> Result<T, Fault> {
    let records = store(std::iter::once((collection.name(), key, record))).await;
    Ok(Tx::begin(&records).get(collection, key).await?.unwrap())
}

/// The path of the first value of `old` that `new` does not have. New fields are no difference.
fn lost(old: &Value, new: &Value) -> Option<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => old.iter().find_map(|(name, old)| {
            let lost = match new.get(name) {
                Some(new) => lost(old, new)?,
                None if old.is_null() => return None,
                None => String::new(),
            };
            Some(format!("/{name}{lost}"))
        }),
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            let pairs = old.iter().zip(new).enumerate();
            let mut lost = pairs.filter_map(|(n, (old, new))| Some(format!("/{n}{}", lost(old, new)?)));
            lost.next()
        }
        _ => (old != new).then(String::new),
    }
}
