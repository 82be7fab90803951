//! Concurrent commits, callers that no longer wait, and the end of the writer in many interleavings.
//! shuttle decides at each step which task continues, and repeats the test with other decisions.
//!
//! `cargo test -p net --features interleavings --lib interleavings`

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use shuttle::future::{block_on, spawn, yield_now};
use tokio::sync::oneshot;
use world::{StoredForm, Version};

use super::*;
use crate::sqlite::{Access, check, connect, schema};

/// Random schedules. Each of them creates a database.
const SCHEDULES: usize = 150;
const FORM: StoredForm = StoredForm { party: "test", version: 1 };

/// A commit of the caller's own record, and of one record that only one caller can create.
fn change(own: u32) -> ChangeSet {
    let contested = ExpectedRecord { collection: "c", key: "contested".into(), version: Version::ABSENT };
    let write = |key: String| Change { collection: "c", key, content: Some(vec![1]) };
    ChangeSet {
        expected: vec![contested],
        changes: vec![write(format!("own/{own}")), write("contested".into())],
        ..ChangeSet::default()
    }
}

/// A commit of a record of its own.
fn independent(key: &str) -> ChangeSet {
    let change = Change { collection: "c", key: key.to_owned(), content: Some(vec![1]) };
    ChangeSet { changes: vec![change], ..ChangeSet::default() }
}

#[test]
fn each_commit_has_one_outcome_and_the_writer_completes_the_queue() {
    let abandoned_and_written = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&abandoned_and_written);
    let test = move || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.db");
        std::fs::write(&path, "").unwrap();
        let connection = connect(&path, None, Access::Write).unwrap();
        schema::prepare(&connection, &path, FORM).unwrap();
        // A commit of this test need not survive a power cut.
        connection.pragma_update(None, "synchronous", "OFF").unwrap();
        let mark = MarkFile::open(&path).unwrap();
        let own_path = path.clone();
        // A short queue, so that callers also wait for a place.
        let (queue, waiting) = mpsc::channel(1);
        let was_written = block_on(async move {
            let write = move |group: &[ChangeSet]| write_marked(&connection, &own_path, &mark, group);
            let writer = spawn(write_until_closed(waiting, write));
            let callers: Vec<_> = (0..3)
                .map(|own| {
                    let queue = queue.clone();
                    spawn(async move {
                        yield_now().await;
                        submit(&queue, change(own)).await.unwrap().unwrap()
                    })
                })
                .collect();
            let abandoning = queue.clone();
            let abandoned = spawn(async move {
                let (answer, answered) = oneshot::channel();
                abandoning.send(Waiting { changes: independent("abandoned"), answer }).await.unwrap_or(());
                drop(answered);
            });
            drop(queue);
            let mut outcomes = Vec::new();
            for caller in callers {
                outcomes.push(caller.await.unwrap());
            }
            abandoned.await.unwrap();
            // The writer ends because every sender is gone.
            writer.await.unwrap();
            outcomes.iter().filter(|outcome| **outcome == Committed::Yes).count()
        });
        assert_eq!(was_written, 1, "one caller creates the contested record");
        let connection = connect(&path, None, Access::Write).unwrap();
        let report = check::check(&connection, &path, 1).unwrap();
        assert_eq!((report.damage, report.records, report.last_commit), (Vec::new(), 3, 2));
        counted.fetch_add(1, Ordering::Relaxed);
    };
    shuttle::check_random(test, SCHEDULES);
    assert_eq!(abandoned_and_written.load(Ordering::Relaxed) as usize, SCHEDULES);
}
