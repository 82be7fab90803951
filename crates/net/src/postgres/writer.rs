//! The task that writes.

use std::collections::{BTreeSet, HashSet};

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_postgres::types::ToSql;
use world::records::{ExpectedList, ExpectedRecord, after_prefix};
use world::{ChangeSet, Committed, Fault};

use super::schema::header_of;
use super::session::{PATIENCE, PAUSE, Place, PostgresError, Session, is_lost};
use crate::group_commit::{self, Waiting};
use crate::integrity::Header;
use crate::integrity::checksum::{Checksum, of_record};

/// Number of groups between two deletions of old marks.
const GROUPS_PER_PRUNING: u64 = 1000;

/// Parameters of a statement.
type Parameters<'p, const N: usize> = [&'p (dyn ToSql + Sync); N];

/// Identifies a transaction, so that the writer can ask whether it was committed.
type Token = [u8; 16];

/// Writes groups of waiting commits, and reports their outcomes, until the queue is closed and
/// empty.
pub(super) async fn write_until_closed(place: &Place, session: Session, mut queue: mpsc::Receiver<Waiting>) {
    let mut writer = Writer { place, session: Some(session), groups: 0 };
    let mut waiting = Vec::new();
    loop {
        group_commit::fill(&mut waiting, &mut queue).await;
        if waiting.is_empty() {
            return;
        }
        let (group, later) = independent(waiting);
        waiting = later;
        let (sets, answers): (Vec<_>, Vec<_>) =
            group.into_iter().map(|waiting| (waiting.changes, waiting.answer)).unzip();
        group_commit::answer(answers, writer.write(&sets, &queue).await);
    }
}

/// Divides waiting commits into those that can share a transaction, and those that read or change
/// what one of the former changes.
fn independent(waiting: Vec<Waiting>) -> (Vec<Waiting>, Vec<Waiting>) {
    let mut changed = BTreeSet::new();
    let mut are_later = Vec::with_capacity(waiting.len());
    for Waiting { changes, .. } in &waiting {
        let is_later = depends_on(&changed, changes);
        if !is_later {
            changed.extend(changes.changes.iter().map(|change| (change.collection, change.key.as_str())));
        }
        are_later.push(is_later);
    }
    let (mut group, mut later) = (Vec::new(), Vec::new());
    for (each, is_later) in waiting.into_iter().zip(are_later) {
        if is_later { &mut later } else { &mut group }.push(each);
    }
    (group, later)
}

/// True if a set reads or changes one of these records.
fn depends_on(changed: &BTreeSet<(&'static str, &str)>, set: &ChangeSet) -> bool {
    let is_changed = |collection, key: &str| changed.contains(&(collection, key));
    set.expected.iter().any(|record| is_changed(record.collection, &record.key))
        || set.changes.iter().any(|change| is_changed(change.collection, &change.key))
        || set.expected_lists.iter().any(|list| {
            let next = changed.range((list.collection, list.prefix.as_str())..).next();
            next.is_some_and(|(collection, key)| {
                *collection == list.collection && key.starts_with(&list.prefix)
            })
        })
}

struct Writer<'p> {
    place: &'p Place,
    session: Option<Session>,
    groups: u64,
}

/// The end of an attempt to write a group.
enum Attempt {
    /// The outcome of each set. The transaction is durable.
    Done(Vec<Committed>),
    /// Nothing was written.
    Failed(PostgresError),
    /// The connection was lost, and nothing was written.
    Lost(PostgresError),
    /// The connection was lost during the COMMIT. If it took place, these are the outcomes.
    InDoubt(Vec<Committed>, PostgresError),
}

impl Writer<'_> {
    /// Writes all commits of a group in one transaction. After a fault nothing of them has changed.
    async fn write(
        &mut self,
        sets: &[ChangeSet],
        queue: &mpsc::Receiver<Waiting>,
    ) -> Result<Vec<Committed>, Fault> {
        let until = Instant::now() + PATIENCE;
        loop {
            let session = match self.session.take().filter(|session| !session.client.is_closed()) {
                Some(session) => session,
                None => self.place.session("write", until).await?,
            };
            let token = new_token()?;
            match attempt(&session, sets, &token).await {
                Attempt::Done(outcomes) => {
                    self.prune(&session).await;
                    self.session = Some(session);
                    return Ok(outcomes);
                }
                Attempt::Failed(error) => {
                    // The transaction has ended; an error of the rollback shows at the next use.
                    let _ = session.client.batch_execute("ROLLBACK").await;
                    self.session = Some(session);
                    return Err(self.place.fault("write", error));
                }
                Attempt::Lost(error) => self.expect_time(until, error)?,
                Attempt::InDoubt(outcomes, error) => {
                    drop(session);
                    if self.was_committed(&token, queue).await? {
                        return Ok(outcomes);
                    }
                    self.expect_time(until, error)?;
                }
            }
        }
    }

    /// Returns the fault of an attempt, if there is no time left for another one.
    fn expect_time(&self, until: Instant, error: PostgresError) -> Result<(), Fault> {
        if Instant::now() < until { Ok(()) } else { Err(self.place.fault("write", error)) }
    }

    /// Asks the database whether a transaction was committed, and prevents that it still is. Waits
    /// until the database answers, because any other answer could be wrong.
    ///
    /// # Errors
    /// The store is closed, so that nobody waits for the outcome any more.
    async fn was_committed(&mut self, token: &Token, queue: &mpsc::Receiver<Waiting>) -> Result<bool, Fault> {
        tracing::warn!(records = %self.place.name, "the connection was lost during a commit");
        while !queue.is_closed() {
            // The insertion waits for a transaction with the same token that has not ended.
            if let Ok(session) = self.place.session("write", Instant::now()).await
                && let Ok(marked) = session.client.execute(&session.mark, &[&token.as_slice()]).await
            {
                self.session = Some(session);
                return Ok(marked == 0);
            }
            sleep(PAUSE).await;
        }
        Err(self.place.ended())
    }

    /// Deletes marks that no process can ask for any more.
    async fn prune(&mut self, session: &Session) {
        self.groups += 1;
        if self.groups.is_multiple_of(GROUPS_PER_PRUNING)
            && let Err(error) = session.client.execute(&session.forget, &[]).await
        {
            tracing::warn!(records = %self.place.name, %error, "cannot delete old marks of commits");
        }
    }
}

fn new_token() -> Result<Token, Fault> {
    let mut token = Token::default();
    getrandom::fill(&mut token).map_err(|error| {
        Fault::caused_by(error, "cannot get random numbers", "check that getrandom(2) works for this process")
    })?;
    Ok(token)
}

async fn attempt(session: &Session, sets: &[ChangeSet], token: &Token) -> Attempt {
    let failed = |error: PostgresError| match &error {
        PostgresError::Server(server) if is_lost(&session.client, server) => Attempt::Lost(error),
        _ => Attempt::Failed(error),
    };
    let (header, conflicts, replaced) = match compare(session, sets).await {
        Ok(compared) => compared,
        Err(error) => return failed(error),
    };
    let outcome = |number| if conflicts.contains(&number) { Committed::Conflict } else { Committed::Yes };
    let outcomes: Vec<Committed> = (0..sets.len()).map(outcome).collect();
    let writes = Writes::of(sets, &outcomes, header, &replaced);
    if writes.is_empty() {
        // Nothing was written, so the end of the transaction does not matter.
        return match session.client.batch_execute("ROLLBACK").await {
            Ok(()) => Attempt::Done(outcomes),
            Err(error) => failed(error.into()),
        };
    }
    match writes.commit(session, token).await {
        Ok(()) => Attempt::Done(outcomes),
        Err(error) if is_lost(&session.client, &error) => Attempt::InDoubt(outcomes, error.into()),
        Err(error) => Attempt::Failed(error.into()),
    }
}

/// Begins a transaction, locks the header, and compares what the sets have read. Returns the header,
/// the numbers of the sets in conflict, and the checksums of the records that the others change.
async fn compare(
    session: &Session,
    sets: &[ChangeSet],
) -> Result<(Header, HashSet<usize>, Vec<(usize, Checksum)>), PostgresError> {
    let (records, versions) = Names::expected(sets);
    let ExpectedLists { names: lists, last, count, newest } = ExpectedLists::of(sets);
    let changed = Names::changed(sets);
    let Session { client, .. } = session;
    let records: Parameters<4> = [&records.set, &records.collection, &records.key, &versions];
    let lists: Parameters<6> = [&lists.set, &lists.collection, &lists.key, &last, &count, &newest];
    let changed: Parameters<3> = [&changed.set, &changed.collection, &changed.key];
    // The statements are sent together, in this order. Each of them sees what was committed before
    // it runs, and therefore everything that was committed before the lock.
    let (begun, header, changed_records, changed_lists, checksums) = tokio::join!(
        biased;
        client.batch_execute("BEGIN"),
        client.query(&session.lock, &[]),
        client.query(&session.changed_records, &records),
        client.query(&session.changed_lists, &lists),
        client.query(&session.checksums, &changed),
    );
    begun?;
    let header = header_of(&header?)?;
    let mut conflicts = HashSet::new();
    for row in changed_records?.iter().chain(&changed_lists?) {
        conflicts.insert(usize::try_from(row.try_get::<_, i32>(0)?).unwrap_or(usize::MAX));
    }
    let mut replaced = Vec::new();
    for row in checksums? {
        let set = usize::try_from(row.try_get::<_, i32>(0)?).unwrap_or(usize::MAX);
        replaced.push((set, row.try_get::<_, &[u8]>(1)?.try_into().unwrap_or_default()));
    }
    Ok((header, conflicts, replaced))
}

/// The number of a set of a group.
fn number(set: usize) -> i32 {
    i32::try_from(set).unwrap_or(i32::MAX)
}

fn signed(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// The columns that name records, with the set that each belongs to.
#[derive(Default)]
struct Names<'s> {
    set: Vec<i32>,
    collection: Vec<&'static str>,
    key: Vec<&'s str>,
}

impl<'s> Names<'s> {
    fn push(&mut self, set: usize, collection: &'static str, key: &'s str) {
        self.set.push(number(set));
        self.collection.push(collection);
        self.key.push(key);
    }

    /// The records that the sets change.
    fn changed(sets: &'s [ChangeSet]) -> Self {
        let mut names = Self::default();
        for (at, set) in sets.iter().enumerate() {
            set.changes.iter().for_each(|change| names.push(at, change.collection, &change.key));
        }
        names
    }

    /// The records that the sets have read, with their versions.
    fn expected(sets: &'s [ChangeSet]) -> (Self, Vec<i64>) {
        let (mut names, mut versions) = (Self::default(), Vec::new());
        for (at, set) in sets.iter().enumerate() {
            for ExpectedRecord { collection, key, version } in &set.expected {
                // No record has a key with NUL, and a transaction that read one found nothing.
                if !key.contains('\0') {
                    names.push(at, collection, key);
                    versions.push(signed(version.0));
                }
            }
        }
        (names, versions)
    }
}

/// The columns of the expected lists of all sets. The name of a list is its prefix.
#[derive(Default)]
struct ExpectedLists<'s> {
    names: Names<'s>,
    last: Vec<Option<String>>,
    count: Vec<i64>,
    newest: Vec<i64>,
}

impl<'s> ExpectedLists<'s> {
    fn of(sets: &'s [ChangeSet]) -> Self {
        let mut columns = Self::default();
        for (at, set) in sets.iter().enumerate() {
            for ExpectedList { collection, prefix, count, newest } in &set.expected_lists {
                if !prefix.contains('\0') {
                    columns.names.push(at, collection, prefix);
                    columns.last.push(after_prefix(prefix));
                    columns.count.push(signed(*count));
                    columns.newest.push(signed(newest.0));
                }
            }
        }
        columns
    }
}

/// The changes of all sets without conflict.
struct Writes<'s> {
    header: Header,
    deleted: (Vec<&'static str>, Vec<&'s str>),
    collection: Vec<&'static str>,
    key: Vec<&'s str>,
    version: Vec<i64>,
    content: Vec<&'s [u8]>,
    checksum: Vec<Vec<u8>>,
}

impl<'s> Writes<'s> {
    fn of(
        sets: &'s [ChangeSet],
        outcomes: &[Committed],
        header: Header,
        replaced: &[(usize, Checksum)],
    ) -> Self {
        let mut writes = Self {
            header,
            deleted: Default::default(),
            collection: Vec::new(),
            key: Vec::new(),
            version: Vec::new(),
            content: Vec::new(),
            checksum: Vec::new(),
        };
        let is_written = |set: usize| outcomes.get(set) == Some(&Committed::Yes);
        replaced.iter().filter(|(set, _)| is_written(*set)).for_each(|(_, old)| writes.header.remove(*old));
        for (_, set) in sets.iter().enumerate().filter(|(at, set)| is_written(*at) && !set.changes.is_empty())
        {
            writes.header.last_version += 1;
            let version = writes.header.last_version;
            for change in &set.changes {
                let Some(content) = &change.content else {
                    writes.deleted.0.push(change.collection);
                    writes.deleted.1.push(&change.key);
                    continue;
                };
                let checksum = of_record(change.collection, &change.key, version, content);
                writes.header.add(checksum);
                writes.collection.push(change.collection);
                writes.key.push(&change.key);
                writes.version.push(signed(version));
                writes.content.push(content);
                writes.checksum.push(checksum.to_vec());
            }
        }
        writes
    }

    fn is_empty(&self) -> bool {
        self.key.is_empty() && self.deleted.0.is_empty()
    }

    /// Writes the changes, the header and the token, and ends the transaction.
    async fn commit(&self, session: &Session, token: &Token) -> Result<(), tokio_postgres::Error> {
        let Session { client, .. } = session;
        let header = &self.header;
        let (digest, checksum) = (header.digest.octets(), header.checksum());
        let (digest, checksum, token) = (digest.as_slice(), checksum.as_slice(), token.as_slice());
        let (last, records) = (signed(header.last_version), signed(header.records));
        let deleted: Parameters<2> = [&self.deleted.0, &self.deleted.1];
        let written: Parameters<5> =
            [&self.collection, &self.key, &self.version, &self.content, &self.checksum];
        let header: Parameters<4> = [&last, &records, &digest, &checksum];
        let token: Parameters<1> = [&token];
        let (deleted, written, updated, marked, committed) = tokio::join!(
            biased;
            client.execute(&session.delete, &deleted),
            client.execute(&session.write, &written),
            client.execute(&session.header, &header),
            client.execute(&session.mark, &token),
            client.batch_execute("COMMIT"),
        );
        // After a failed statement, COMMIT is a rollback and reports no error.
        deleted.and(written).and(updated).and(marked)?;
        committed
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use world::Version;
    use world::records::Change;

    use super::*;

    fn waiting(reads: &[&str], lists: &[&str], changes: &[&str]) -> Waiting {
        let record =
            |key: &&str| ExpectedRecord { collection: "c", key: (*key).into(), version: Version::ABSENT };
        let list = |prefix: &&str| {
            let (prefix, newest) = ((*prefix).into(), Version::ABSENT);
            ExpectedList { collection: "c", prefix, count: 0, newest }
        };
        let change = |key: &&str| Change { collection: "c", key: (*key).into(), content: None };
        let changes = ChangeSet {
            expected: reads.iter().map(record).collect(),
            expected_lists: lists.iter().map(list).collect(),
            changes: changes.iter().map(change).collect(),
        };
        Waiting { changes, answer: oneshot::channel().0 }
    }

    #[test]
    fn commits_that_depend_on_each_other_have_different_transactions() {
        for (second, is_later) in [
            (waiting(&["a"], &[], &["x"]), true),
            (waiting(&[], &["a"], &["x"]), true),
            (waiting(&[], &[""], &["x"]), true),
            (waiting(&[], &[], &["a"]), true),
            (waiting(&["b", "aa"], &["b", "aa"], &["x"]), false),
        ] {
            let what = format!("{:?}", second.changes);
            let (group, later) = independent(vec![waiting(&["a", "x"], &["x"], &["a"]), second]);
            assert_eq!(
                (group.len(), later.len()),
                (if is_later { 1 } else { 2 }, usize::from(is_later)),
                "{what}"
            );
        }
        let mut other = waiting(&["a"], &["a"], &["a"]);
        other.changes.expected[0].collection = "d";
        other.changes.expected_lists[0].collection = "d";
        other.changes.changes[0].collection = "d";
        assert_eq!(independent(vec![waiting(&[], &[], &["a"]), other]).0.len(), 2);
    }
}
