//! Durable records in a PostgreSQL database.
//!
//! Each party has a schema of its own in the database, named after its file in the data folder. One
//! task of the process writes. It combines waiting commits into one transaction, so that they share
//! one synchronisation of the disk. Versions are given in the order of the commits, also between
//! processes: each transaction locks the header of the store until it ends.
//!
//! A connection that is lost is opened again, to any of the hosts that accepts writes. If it is lost
//! during a COMMIT, the writer asks the database whether the transaction was committed, so that a
//! fault means that nothing has changed. `docs/decisions/0028-postgresql.md` has the reasons.

mod address;
mod check;
mod schema;
mod session;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use world::records::after_prefix;
use world::{BoxFuture, ChangeSet, Committed, Fault, KeyRange, Records, Stored, StoredForm, Version};

pub use address::PostgresAddress;

use crate::group_commit::{self, Waiting};
use crate::integrity::checksum::{Checksum, of_record};
use crate::integrity::{RecordsCheck, WRONG_CHECKSUM};
use session::{PATIENCE, Place, PostgresError, Session};

/// Number of connections for reads. Each of them carries any number of reads at the same time.
const READERS: usize = 4;

/// [`Records`] in a PostgreSQL database.
pub struct PostgresRecords {
    place: Arc<Place>,
    runtime: Handle,
    readers: [Mutex<Option<Arc<Session>>>; READERS],
    next_reader: AtomicUsize,
    queue: Option<mpsc::Sender<Waiting>>,
    thread: Option<JoinHandle<()>>,
}

impl PostgresRecords {
    /// Opens the records with this name, and creates them if they are missing. The name of their
    /// schema is `landfall_` and this name. Waits until the database has answered.
    ///
    /// # Errors
    /// The database cannot be reached or refuses the user; the records are damaged, belong to
    /// another party, or have another version than `form`.
    pub fn open(address: &PostgresAddress, name: &str, form: StoredForm) -> Result<Self, Fault> {
        Self::open_or(address, name, form, Missing::Create)
    }

    /// Opens the records with this name as [`open`](Self::open), but does not create them.
    ///
    /// # Errors
    /// Those of `open`, and [`FaultKind::NotFound`](world::FaultKind) if there are none.
    pub fn open_existing(address: &PostgresAddress, name: &str, form: StoredForm) -> Result<Self, Fault> {
        Self::open_or(address, name, form, Missing::Refuse)
    }

    fn open_or(
        address: &PostgresAddress,
        name: &str,
        form: StoredForm,
        missing: Missing,
    ) -> Result<Self, Fault> {
        let place = Arc::new(Place::new(address, name)?);
        let (queue, waiting) = mpsc::channel(group_commit::QUEUE);
        let (opened, is_open) = std::sync::mpsc::channel();
        let own_place = Arc::clone(&place);
        let run = move |runtime: tokio::runtime::Runtime| {
            runtime.block_on(async {
                let session = match open(&own_place, form, missing).await {
                    Ok(session) => session,
                    Err(fault) => return drop(opened.send(Err(fault))),
                };
                if opened.send(Ok(Handle::current())).is_ok() {
                    writer::write_until_closed(&own_place, session, waiting).await;
                }
            });
        };
        let unstarted = |error| {
            Fault::caused_by(error, "cannot start the thread that writes the records", "allow more threads")
        };
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unstarted)?;
        let thread = std::thread::Builder::new()
            .name("records-postgres".into())
            .spawn(move || run(runtime))
            .map_err(unstarted)?;
        let runtime = is_open.recv().map_err(|_| place.ended())??;
        Ok(Self {
            place,
            runtime,
            readers: Default::default(),
            next_reader: AtomicUsize::new(0),
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Returns the names of all records in a database, in order.
    ///
    /// # Errors
    /// The database cannot be reached or refuses the user.
    pub async fn names(address: &PostgresAddress) -> Result<Vec<String>, Fault> {
        let place = Place::new(address, "all")?;
        let listing = |error| place.fault("list", error);
        let client = place.connect().await.map_err(listing)?;
        let rows = client.query(schema::NAMES, &[]).await.map_err(|error| listing(error.into()))?;
        rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>().map_err(|error| listing(error.into()))
    }

    /// Checks the records with this name without changing them, and lists at most `most` damaged
    /// parts. Servers can use them at the same time.
    ///
    /// # Errors
    /// The database cannot be reached, or has no such records.
    pub async fn check(address: &PostgresAddress, name: &str, most: usize) -> Result<RecordsCheck, Fault> {
        let place = Place::new(address, name)?;
        let client = place.connect().await.map_err(|error| place.fault("check", error))?;
        check::check(&client, &place, most).await
    }

    /// Returns a connection for a read. A connection that was lost is opened again.
    async fn session(&self, until: Instant) -> Result<Arc<Session>, Fault> {
        let turn = self.next_reader.fetch_add(1, Ordering::Relaxed) % READERS;
        let Some(reader) = self.readers.get(turn) else { return Err(self.place.ended()) };
        let mut reader = reader.lock().await;
        if let Some(session) = reader.as_ref().filter(|session| !session.client.is_closed()) {
            return Ok(Arc::clone(session));
        }
        let place = Arc::clone(&self.place);
        // The connection belongs to the runtime of the store, which is independent of the caller's.
        let session = self.runtime.spawn(async move { place.session("read", until).await });
        let session = Arc::new(session.await.map_err(|_| self.place.ended())??);
        *reader = Some(Arc::clone(&session));
        Ok(session)
    }

    /// Runs a query, again if the connection was lost.
    async fn rows(
        &self,
        query: fn(&Session) -> &tokio_postgres::Statement,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<(String, Stored)>, Fault> {
        let until = Instant::now() + PATIENCE;
        loop {
            let session = self.session(until).await?;
            match session.client.query(query(&session), parameters).await {
                Ok(rows) => return rows.iter().map(|row| self.verified(row)).collect(),
                Err(error) if session::is_lost(&session.client, &error) && Instant::now() < until => {}
                Err(error) => return Err(self.place.fault("read", error.into())),
            }
        }
    }

    /// Reads a record from a row, and verifies the checksum.
    fn verified(&self, row: &Row) -> Result<(String, Stored), Fault> {
        let record = decoded(row).map_err(|error| self.place.fault("read", error.into()))?;
        let Record { collection, key, version, content, checksum } = record;
        if of_record(&collection, &key, version, &content) != checksum {
            let why = format!("record {collection}/{key}: {WRONG_CHECKSUM}");
            return Err(self.place.fault("read", PostgresError::Damaged(why)));
        }
        Ok((key, Stored { version: Version(version), bytes: content }))
    }
}

impl Drop for PostgresRecords {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // The thread completes the waiting commits. It returns nothing.
            let _ = thread.join();
        }
    }
}

impl Records for PostgresRecords {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        Box::pin(async move {
            if key.contains('\0') {
                // A text of PostgreSQL contains no NUL, so there is no such record.
                return Ok(None);
            }
            let rows = self.rows(|session| &session.read, &[&collection, &key]).await?;
            Ok(rows.into_iter().next().map(|(_, stored)| stored))
        })
    }

    fn first<'a>(
        &'a self,
        collection: &'static str,
        keys: KeyRange<'a>,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        Box::pin(async move {
            if keys.prefix.contains('\0') {
                return Ok(Vec::new());
            }
            // No key contains NUL, so the same keys come after the text before a NUL.
            let after = keys.after.map(|after| after.split('\0').next().unwrap_or_default());
            let keys = KeyRange { after, ..keys };
            let (start, end) = (keys.start(), after_prefix(keys.prefix));
            self.rows(|session| &session.first, &[&collection, &start, &end, &after, &most]).await
        })
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        Box::pin(async move {
            if let Some(change) = changes.changes.iter().find(|change| change.key.contains('\0')) {
                return Err(Fault::usage(
                    format!("cannot write the record {:?} in {}", change.key, self.place.name),
                    "PostgreSQL accepts no NUL in a key",
                    "use a name without this character",
                ));
            }
            let submitted = match &self.queue {
                Some(queue) => group_commit::submit(queue, changes).await,
                None => None,
            };
            submitted.unwrap_or_else(|| Err(self.place.ended()))
        })
    }
}

/// A row of the table of records.
struct Record {
    collection: String,
    key: String,
    version: u64,
    content: Vec<u8>,
    checksum: Checksum,
}

/// Decodes a row of the columns collection, key, version, content and checksum. A version or a
/// checksum that no record can have becomes one that does not match.
fn decoded(row: &Row) -> Result<Record, tokio_postgres::Error> {
    Ok(Record {
        collection: row.try_get(0)?,
        key: row.try_get(1)?,
        version: u64::try_from(row.try_get::<_, i64>(2)?).unwrap_or(u64::MAX),
        content: row.try_get(3)?,
        checksum: row.try_get::<_, &[u8]>(4)?.try_into().unwrap_or_default(),
    })
}

/// What happens to records that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Create,
    Refuse,
}

/// Connects, creates or checks the schema, and prepares the statements.
async fn open(place: &Place, form: StoredForm, missing: Missing) -> Result<Session, Fault> {
    let opening = |error| place.fault("open", error);
    let client = place.connect().await.map_err(opening)?;
    schema::prepare(&client, place, form, missing).await?;
    let session = Session::prepare(client, place).await.map_err(|error| opening(error.into()))?;
    Ok(session)
}
