//! The contract of a store, as a check that the tests of every store run.

use std::sync::Arc;

use super::{Change, ChangeSet, Committed, ExpectedList, ExpectedRecord, KeyRange, Records, Version};
use crate::Fault;

/// Checks an empty store against the contract of [`Records`]. The error names the rule that the
/// store violates.
pub async fn check(records: Arc<dyn Records>) -> Result<(), String> {
    let store = Checked(records);
    store.absent_then_written_then_deleted().await?;
    store.a_failed_expectation_writes_nothing().await?;
    store.lists_are_prefixes_in_order().await?;
    store.a_list_that_changed_is_a_conflict().await
}

const C: &str = "contract";

struct Checked(Arc<dyn Records>);

impl Checked {
    async fn absent_then_written_then_deleted(&self) -> Result<(), String> {
        ensure(self.version("r").await? == Version::ABSENT, "an empty store has no records")?;
        self.must_commit(&[("r", Some(b"one"))]).await?;
        let first = self.version("r").await?;
        ensure(first > Version::ABSENT, "a record has a version")?;
        self.must_commit(&[("r", None)]).await?;
        ensure(self.version("r").await? == Version::ABSENT, "a deleted record is absent")?;
        self.must_commit(&[("r", None)]).await?;
        self.must_commit(&[("r", Some(b"one"))]).await?;
        ensure(self.version("r").await? > first, "a record that is written again has a new version")?;
        ensure(self.version("R").await? == Version::ABSENT, "keys differ by case")?;
        let elsewhere = self.0.read("contract2", "r").await.map_err(text)?;
        ensure(elsewhere.is_none(), "collections are separate")
    }

    async fn a_failed_expectation_writes_nothing(&self) -> Result<(), String> {
        let now = self.version("r").await?;
        for wrong in [Version::ABSENT, Version(now.0 + 1)] {
            let mut set = changes(&[("r", Some(b"two")), ("s", Some(b"two"))]);
            set.expected = vec![ExpectedRecord { collection: C, key: "r".into(), version: wrong }];
            ensure(self.commit(set).await? == Committed::Conflict, "a wrong expectation is a conflict")?;
        }
        ensure(self.version("r").await? == now, "a conflict changes nothing")?;
        ensure(self.version("s").await? == Version::ABSENT, "a conflict writes no part")?;
        let mut set = changes(&[("r", Some(b"two"))]);
        set.expected = vec![
            ExpectedRecord { collection: C, key: "r".into(), version: now },
            ExpectedRecord { collection: C, key: "s".into(), version: Version::ABSENT },
        ];
        ensure(self.commit(set.clone()).await? == Committed::Yes, "a correct expectation commits")?;
        ensure(self.commit(set).await? == Committed::Conflict, "the same commit twice is a conflict")
    }

    async fn lists_are_prefixes_in_order(&self) -> Result<(), String> {
        let keys = ["l/b", "l/a", "l0", "l", "l/\u{10ffff}x", "l/%", "l/_"];
        let puts: Vec<_> = keys.iter().map(|key| (*key, Some(b"x".as_slice()))).collect();
        self.must_commit(&puts).await?;
        let listed = self.0.list(C, "l/").await.map_err(text)?;
        let listed: Vec<&str> = listed.iter().map(|(key, _)| key.as_str()).collect();
        ensure(
            listed == ["l/%", "l/_", "l/a", "l/b", "l/\u{10ffff}x"],
            "a list contains the keys with the prefix, in order",
        )?;
        for most in [0, 2, 5, usize::MAX] {
            let first = self.0.first(C, "l/".into(), most).await.map_err(text)?;
            let expected = listed.iter().copied().take(most);
            ensure(
                first.iter().map(|(key, _)| key.as_str()).eq(expected),
                "`first` returns the beginning of the list, at most the requested number",
            )?;
        }
        for (after, expected) in [
            ("", listed.as_slice()),
            ("l", listed.as_slice()),
            ("l/_", &["l/a", "l/b", "l/\u{10ffff}x"]),
            ("l/a0", &["l/b", "l/\u{10ffff}x"]),
            ("l/\u{10ffff}x", &[]),
            ("m", &[]),
        ] {
            let keys = KeyRange { prefix: "l/", after: Some(after) };
            let page = self.0.first(C, keys, usize::MAX).await.map_err(text)?;
            ensure(
                page.iter().map(|(key, _)| key.as_str()).eq(expected.iter().copied()),
                "a range begins after its key, whether or not a record has this key",
            )?;
        }
        let all = self.0.list(C, "").await.map_err(text)?;
        ensure(all.len() == keys.len() + 1, "the empty prefix lists the whole collection")
    }

    async fn a_list_that_changed_is_a_conflict(&self) -> Result<(), String> {
        for change in [("l/c", Some(b"new".as_slice())), ("l/a", Some(b"changed")), ("l/b", None)] {
            let expected = self.expect_list("l/").await?;
            let check = ChangeSet { expected_lists: vec![expected], ..ChangeSet::default() };
            ensure(self.commit(check.clone()).await? == Committed::Yes, "an unchanged list commits")?;
            self.must_commit(&[change]).await?;
            ensure(self.commit(check).await? == Committed::Conflict, "a list that changed is a conflict")?;
        }
        Ok(())
    }

    async fn expect_list(&self, prefix: &str) -> Result<ExpectedList, String> {
        let listed = self.0.list(C, prefix).await.map_err(text)?;
        Ok(ExpectedList {
            collection: C,
            prefix: prefix.into(),
            count: listed.len().try_into().unwrap_or(u64::MAX),
            newest: listed.iter().map(|(_, stored)| stored.version).max().unwrap_or(Version::ABSENT),
        })
    }

    async fn version(&self, key: &str) -> Result<Version, String> {
        let stored = self.0.read(C, key).await.map_err(text)?;
        Ok(stored.map_or(Version::ABSENT, |stored| stored.version))
    }

    async fn must_commit(&self, puts: &[(&str, Option<&[u8]>)]) -> Result<(), String> {
        ensure(self.commit(changes(puts)).await? == Committed::Yes, "a commit without expectations succeeds")
    }

    async fn commit(&self, set: ChangeSet) -> Result<Committed, String> {
        self.0.commit(set).await.map_err(text)
    }
}

fn changes(puts: &[(&str, Option<&[u8]>)]) -> ChangeSet {
    let change = |(key, content): &(&str, Option<&[u8]>)| Change {
        collection: C,
        key: (*key).to_owned(),
        content: content.map(<[u8]>::to_vec),
    };
    ChangeSet { changes: puts.iter().map(change).collect(), ..ChangeSet::default() }
}

fn ensure(holds: bool, sentence: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("violated: {sentence}")) }
}

fn text(fault: Fault) -> String {
    fault.to_string()
}
