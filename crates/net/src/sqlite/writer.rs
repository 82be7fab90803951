//! The writer thread.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::mpsc;
use world::records::{Change, ExpectedList, ExpectedRecord, after_prefix};
use world::{ChangeSet, Committed, Fault};

use super::StoreError;
use super::fault;
use super::mark_file::MarkFile;
use crate::commit_mark::CommitMark;
use crate::group_commit::{self, QUEUE, Waiting, submit};
use crate::integrity::Header;
use crate::integrity::checksum::{Checksum, of_record};

/// Handle of the writer thread. When it is dropped, the thread completes the waiting commits and
/// ends.
pub(super) struct Writer {
    path: PathBuf,
    queue: Option<mpsc::Sender<Waiting>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(connection: Connection, path: PathBuf, mark: MarkFile) -> Result<Self, Fault> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let own_path = path.clone();
        let unstarted = |error| {
            Fault::caused_by(error, "cannot start the thread that writes the records", "allow more threads")
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().map_err(unstarted)?;
        let write = move |group: &[ChangeSet]| write_marked(&connection, &own_path, &mark, group);
        let thread = std::thread::Builder::new()
            .name("records-writer".into())
            .spawn(move || runtime.block_on(write_until_closed(waiting, write)))
            .map_err(unstarted)?;
        Ok(Self { path, queue: Some(queue), thread: Some(thread) })
    }

    pub(super) async fn commit(&self, changes: ChangeSet) -> Result<Committed, Fault> {
        let submitted = match &self.queue {
            Some(queue) => submit(queue, changes).await,
            None => None,
        };
        submitted.unwrap_or_else(|| {
            Err(Fault::new(
                format!("cannot write the records in {}", self.path.display()),
                "the thread that writes them has ended",
                "restart the program, and report this",
            ))
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // The thread returns nothing. After the join, the file is closed.
            let _ = thread.join();
        }
    }
}

/// Writes groups of waiting commits with `write`, and reports their outcomes, until the queue is
/// closed and empty.
async fn write_until_closed(
    mut queue: mpsc::Receiver<Waiting>,
    mut write: impl FnMut(&[ChangeSet]) -> Result<Vec<Committed>, Fault>,
) {
    loop {
        let mut group = Vec::new();
        group_commit::fill(&mut group, &mut queue).await;
        if group.is_empty() {
            return;
        }
        let (changes, answers): (Vec<_>, Vec<_>) =
            group.into_iter().map(|waiting| (waiting.changes, waiting.answer)).unzip();
        group_commit::answer(answers, write(&changes));
    }
}

/// Writes a group, and marks its last commit.
fn write_marked(
    connection: &Connection,
    path: &Path,
    mark: &MarkFile,
    group: &[ChangeSet],
) -> Result<Vec<Committed>, Fault> {
    let (committed, last) = write_group(connection, group).map_err(|error| fault(path, "write", error))?;
    if let Err(error) = mark.raise(last) {
        let path = path.display();
        tracing::warn!(%path, %error, "cannot store the number of the last commit in the -commits file; the commit is durable");
    }
    Ok(committed)
}

/// Writes all commits of a group in one SQLite transaction. When it returns, all commits without
/// conflict are durable, or no commit is. Returns the outcomes and the last commit of the store.
fn write_group(
    connection: &Connection,
    group: &[ChangeSet],
) -> Result<(Vec<Committed>, CommitMark), StoreError> {
    // Takes the write lock, so that no other process can change the compared records.
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let written = write_each(connection, group).and_then(|committed| {
        connection.execute_batch("COMMIT")?;
        Ok(committed)
    });
    if written.is_err() {
        // It fails if SQLite has done it already. Any other failure is reported by the next BEGIN.
        let _ = connection.execute_batch("ROLLBACK");
    }
    written
}

fn write_each(
    connection: &Connection,
    group: &[ChangeSet],
) -> Result<(Vec<Committed>, CommitMark), StoreError> {
    let mut header = Header::read(connection)?;
    let before = header.last_version;
    let mut committed = Vec::with_capacity(group.len());
    for set in group {
        // All comparisons precede all changes, so a conflict leaves nothing in the shared
        // transaction.
        if !is_as_read(connection, set)? {
            committed.push(Committed::Conflict);
            continue;
        }
        if !set.changes.is_empty() {
            header.last_version += 1;
        }
        for change in &set.changes {
            apply(connection, change, &mut header)?;
        }
        committed.push(Committed::Yes);
    }
    if header.last_version != before {
        header.write(connection)?;
    }
    Ok((committed, header.mark()))
}

fn is_as_read(connection: &Connection, set: &ChangeSet) -> rusqlite::Result<bool> {
    for ExpectedRecord { collection, key, version } in &set.expected {
        let found: Option<u64> = connection
            .prepare_cached("SELECT version FROM records WHERE collection = ?1 AND key = ?2")?
            .query_row(params![collection, key], |row| row.get(0))
            .optional()?;
        if found.unwrap_or(0) != version.0 {
            return Ok(false);
        }
    }
    for ExpectedList { collection, prefix, count, newest } in &set.expected_lists {
        let found: (u64, u64) = connection
            .prepare_cached(
                "SELECT count(*), coalesce(max(version), 0) FROM records
                 WHERE collection = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3)",
            )?
            .query_row(params![collection, prefix, after_prefix(prefix)], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        if found != (*count, newest.0) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Applies a change as part of the commit `header.last_version`, and updates the header.
fn apply(connection: &Connection, change: &Change, header: &mut Header) -> rusqlite::Result<()> {
    let Change { collection, key, content } = change;
    let replaced: Option<Checksum> = connection
        .prepare_cached("SELECT checksum FROM records WHERE collection = ?1 AND key = ?2")?
        .query_row(params![collection, key], |row| row.get(0))
        .optional()?;
    if let Some(replaced) = replaced {
        header.remove(replaced);
    }
    let Some(content) = content else {
        let mut delete =
            connection.prepare_cached("DELETE FROM records WHERE collection = ?1 AND key = ?2")?;
        return delete.execute(params![collection, key]).map(drop);
    };
    let version = header.last_version;
    let checksum = of_record(collection, key, version, content);
    header.add(checksum);
    connection
        .prepare_cached(
            "INSERT INTO records (collection, key, version, content, checksum) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (collection, key) DO UPDATE SET version = ?3, content = ?4, checksum = ?5",
        )?
        .execute(params![collection, key, version, content, checksum])
        .map(drop)
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::group_commit::MAX_GROUP;

    #[tokio::test]
    async fn waiting_commits_share_a_transaction_up_to_the_limit() {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let mut answers = Vec::new();
        for _ in 0..MAX_GROUP + 2 {
            let (answer, answered) = oneshot::channel();
            queue.try_send(Waiting { changes: ChangeSet::default(), answer }).ok().unwrap();
            answers.push(answered);
        }
        drop(queue);
        let mut groups = Vec::new();
        let write = |group: &[ChangeSet]| {
            groups.push(group.len());
            Ok(vec![Committed::Yes; group.len()])
        };
        write_until_closed(waiting, write).await;
        assert_eq!(groups, [MAX_GROUP, 2]);
        for answered in answers {
            assert_eq!(answered.await.unwrap().unwrap(), Committed::Yes);
        }
    }
}

#[cfg(all(test, feature = "interleavings"))]
mod interleavings;
