//! Durable records in an SQLite file.
//!
//! The file uses WAL mode with `synchronous = FULL`: when a commit returns, it is on disk. One
//! thread writes. It combines all waiting commits into one SQLite transaction, so that they share
//! one fsync, and then completes them. Reads use their own connections and never wait for the
//! writer. Several processes can share the file.

mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use world::records::after_prefix;
use world::{BoxFuture, ChangeSet, Committed, Fault, KeyRange, Records, Stored, StoredForm, Version};

use writer::Writer;

/// "LFLD": identifies the file to this program and to file(1).
const APPLICATION_ID: i32 = 0x4c46_4c44;
/// Version of the schema. Every change that older programs cannot handle increases it.
const SCHEMA_VERSION: i32 = 2;
const SCHEMA: &str = "
    CREATE TABLE records (
        collection TEXT NOT NULL,
        key        TEXT NOT NULL,
        version    INTEGER NOT NULL,
        content    BLOB NOT NULL,
        PRIMARY KEY (collection, key)
    ) STRICT;
    CREATE TABLE last_version (version INTEGER NOT NULL) STRICT;
    INSERT INTO last_version VALUES (0);
";
/// Added by schema version 2: the form of the records.
const STORED_FORM: &str = "CREATE TABLE stored_form (party TEXT NOT NULL, version INTEGER NOT NULL) STRICT";
/// Version of the stored form in a file of schema version 1, which does not contain it.
const FIRST_FORM: u32 = 1;
/// Number of parallel reads. It equals the number of cores of a small machine; more reads would
/// only wait for each other.
const READERS: usize = 4;
/// Maximum wait for another process that writes to the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// [`Records`] in an SQLite file.
pub struct SqliteRecords {
    path: PathBuf,
    readers: Vec<Mutex<Connection>>,
    next_reader: AtomicUsize,
    writer: Writer,
}

impl SqliteRecords {
    /// Opens the file, and creates it and its folder if needed. A file that is damaged, has a newer
    /// schema or belongs to another program is refused, and so are records that belong to another
    /// party or have another version than `form`.
    pub fn open(path: impl Into<PathBuf>, form: StoredForm) -> Result<Self, Fault> {
        let path = path.into();
        create_owner_only(&path)?;
        let connection = connect(&path)?;
        prepare(&connection, &path, form)?;
        let readers = (0..READERS).map(|_| connect(&path).map(Mutex::new)).collect::<Result<_, _>>()?;
        let writer = Writer::start(connection, path.clone())?;
        Ok(Self { path, readers, next_reader: AtomicUsize::new(0), writer })
    }

    /// Runs a query on a reading connection in the caller's thread. Reading a record from the page
    /// cache takes microseconds, which is less than a handover to another thread.
    fn query<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Fault> {
        let turn = self.next_reader.fetch_add(1, Ordering::Relaxed) % READERS;
        let free = self.readers.iter().find_map(|reader| reader.try_lock().ok());
        let connection = match (free, self.readers.get(turn)) {
            (Some(free), _) => free,
            (None, Some(reader)) => reader.lock().unwrap_or_else(PoisonError::into_inner),
            (None, None) => return Err(fault(&self.path, "read", rusqlite::Error::InvalidQuery)),
        };
        query(&connection).map_err(|error| fault(&self.path, "read", error))
    }
}

impl Records for SqliteRecords {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        Box::pin(async move {
            self.query(|connection| {
                connection
                    .prepare_cached(
                        "SELECT version, content FROM records WHERE collection = ?1 AND key = ?2",
                    )?
                    .query_row(params![collection, key], |row| {
                        Ok(Stored { version: Version(row.get(0)?), bytes: row.get(1)? })
                    })
                    .optional()
            })
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
            self.query(|connection| {
                connection
                    .prepare_cached(
                        "SELECT key, version, content FROM records
                         WHERE collection = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3) AND key IS NOT ?4
                         ORDER BY key LIMIT ?5",
                    )?
                    .query_map(
                        params![collection, keys.start(), after_prefix(keys.prefix), keys.after, most],
                        |row| Ok((row.get(0)?, Stored { version: Version(row.get(1)?), bytes: row.get(2)? })),
                    )?
                    .collect()
            })
        })
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        Box::pin(self.writer.commit(changes))
    }
}

/// Creates the file with access for its owner only, because records contain keys. SQLite gives its
/// other files the same permissions.
fn create_owner_only(path: &Path) -> Result<(), Fault> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    std::fs::create_dir_all(folder).and_then(|()| options.open(path)).map(drop).map_err(|error| {
        Fault::caused_by(
            error,
            format!("cannot open the records in {}", path.display()),
            "check that the folder exists and is writable, or choose another with --data-dir",
        )
    })
}

fn connect(path: &Path) -> Result<Connection, Fault> {
    let open = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(connection)
    };
    open().map_err(|error| fault(path, "open", error))
}

/// Checks the owner and version of the file before anything is written to it.
fn prepare(connection: &Connection, path: &Path, form: StoredForm) -> Result<(), Fault> {
    let sql = |error| fault(path, "open", error);
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(sql);
    let refused = |why: String, next: &str| {
        Err(Fault::usage(format!("cannot open the records in {}", path.display()), why, next))
    };
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(sql)?;
    let (owner, version) = (pragma("application_id")?, pragma("user_version")?);
    if owner != APPLICATION_ID && (tables != 0 || owner != 0) {
        return refused(
            "it is a database of another program".into(),
            "choose another file, or another folder with --data-dir",
        );
    }
    if version > SCHEMA_VERSION {
        return refused(
            format!("it has schema version {version}, and this program knows up to {SCHEMA_VERSION}"),
            "use the newer program that wrote it, or another folder with --data-dir",
        );
    }
    let mode: String =
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(sql)?;
    if mode != "wal" {
        return refused(
            format!("its file system allows journal mode {mode} only, not WAL"),
            "choose a folder on a local disk with --data-dir",
        );
    }
    create_schema(connection, form).map_err(sql)?;
    let (party, version): (String, u32) = connection
        .query_row("SELECT party, version FROM stored_form", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(sql)?;
    form.check(format!("cannot open the records in {}", path.display()), &party, version)?;
    let health: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(sql)?;
    if health != "ok" { refused(format!("it is damaged: {health}"), RESTORE) } else { Ok(()) }
}

/// Creates the schema or migrates an older one, in one transaction. The version is checked again
/// inside it, because another process may have been faster.
fn create_schema(connection: &Connection, form: StoredForm) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let done = connection
        .pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0))
        .and_then(|version| match version {
            0 => {
                connection.execute_batch(SCHEMA)?;
                connection.pragma_update(None, "application_id", APPLICATION_ID)?;
                add_stored_form(connection, form)
            }
            1 => add_stored_form(connection, StoredForm { version: FIRST_FORM, ..form }),
            _ => Ok(()),
        })
        .and_then(|()| connection.execute_batch("COMMIT"));
    if done.is_err() {
        // The first error is the relevant one, whether or not the rollback succeeds.
        let _ = connection.execute_batch("ROLLBACK");
    }
    done
}

fn add_stored_form(connection: &Connection, form: StoredForm) -> rusqlite::Result<()> {
    connection.execute_batch(STORED_FORM)?;
    connection.execute("INSERT INTO stored_form VALUES (?1, ?2)", params![form.party, form.version])?;
    connection.pragma_update(None, "user_version", SCHEMA_VERSION)
}

const RESTORE: &str =
    "restore a copy of it, or move it (with its -wal and -shm files) away to start with an empty one";

fn fault(path: &Path, verb: &str, error: rusqlite::Error) -> Fault {
    let next = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => RESTORE,
        Some(ErrorCode::DiskFull) => "free some disk space; nothing of this request was written",
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "check that the file and its folder are writable, or choose another with --data-dir"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process has locked the file for too long; stop it or try again"
        }
        Some(_) | None => "check the disk and the system log; nothing of this request was written",
    };
    Fault::caused_by(error, format!("cannot {verb} the records in {}", path.display()), next)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use world::{Collection, Tx, transact};

    use super::*;

    const NOTES: Collection<String> = Collection::new("notes");
    const FORM: StoredForm = StoredForm { party: "SM-XY", version: 2 };

    fn new() -> (tempfile::TempDir, PathBuf, SqliteRecords) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/records.db");
        let records = SqliteRecords::open(&path, FORM).unwrap();
        (folder, path, records)
    }

    async fn write(records: &SqliteRecords, key: &str, text: &str) -> Result<Committed, Fault> {
        let mut tx = Tx::begin(records);
        tx.put(&NOTES, key, &text.to_owned())?;
        tx.commit().await
    }

    fn refused(path: &Path) -> Fault {
        SqliteRecords::open(path, FORM).err().expect("the file must be refused")
    }

    #[tokio::test]
    async fn sqlite_records_fulfil_the_contract() {
        let (_folder, _path, records) = new();
        world::records::contract::check(Arc::new(records)).await.unwrap();
    }

    #[tokio::test]
    async fn records_and_versions_survive_reopening() {
        let (_folder, path, records) = new();
        assert_eq!(write(&records, "a", "kept").await.unwrap(), Committed::Yes);
        let before = records.read("notes", "a").await.unwrap().unwrap();
        drop(records);
        let records = SqliteRecords::open(&path, FORM).unwrap();
        assert_eq!(records.read("notes", "a").await.unwrap().unwrap(), before);
        assert_eq!(write(&records, "a", "again").await.unwrap(), Committed::Yes);
        assert!(records.read("notes", "a").await.unwrap().unwrap().version > before.version);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn concurrent_increments_lose_no_update() {
        const COUNTER: Collection<u32> = Collection::new("counter");
        async fn count(records: Arc<SqliteRecords>) -> Result<u32, Fault> {
            transact(&records, |tx| {
                Box::pin(async {
                    let next = tx.get(&COUNTER, "n").await?.unwrap_or(0) + 1;
                    tx.put(&COUNTER, "n", &next)?;
                    Ok(next)
                })
            })
            .await
        }
        let (_folder, _path, records) = new();
        let records = Arc::new(records);
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..20 {
            tasks.spawn(count(Arc::clone(&records)));
        }
        let mut answers: Vec<u32> = tasks.join_all().await.into_iter().map(Result::unwrap).collect();
        answers.sort_unstable();
        assert_eq!(answers, (1..=20).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn two_stores_on_one_file_detect_conflicts() {
        let (_folder, path, first) = new();
        let second = SqliteRecords::open(&path, FORM).unwrap();
        let mut tx = Tx::begin(&first);
        assert_eq!(tx.get(&NOTES, "a").await.unwrap(), None);
        assert_eq!(write(&second, "a", "second").await.unwrap(), Committed::Yes);
        tx.put(&NOTES, "a", &"first".to_owned()).unwrap();
        assert_eq!(tx.commit().await.unwrap(), Committed::Conflict);
        assert_eq!(Tx::begin(&first).get(&NOTES, "a").await.unwrap().unwrap(), "second");
    }

    #[tokio::test]
    async fn a_full_disk_is_a_fault_and_loses_nothing() {
        let (_folder, path, records) = new();
        assert_eq!(write(&records, "small", "kept").await.unwrap(), Committed::Yes);
        drop(records);
        let connection = connect(&path).unwrap();
        prepare(&connection, &path, FORM).unwrap();
        // At this limit SQLite fails exactly as with a full disk.
        let _: i64 = connection.query_row("PRAGMA max_page_count = 10", [], |row| row.get(0)).unwrap();
        let mut records = SqliteRecords::open(&path, FORM).unwrap();
        records.writer = Writer::start(connection, path.clone()).unwrap();
        let fault = write(&records, "large", &"x".repeat(100_000)).await.unwrap_err();
        assert!(fault.next.starts_with("free some"), "{fault}");
        assert_eq!(Tx::begin(&records).get(&NOTES, "large").await.unwrap(), None);
        assert_eq!(write(&records, "small", "still works").await.unwrap(), Committed::Yes);
    }

    #[tokio::test]
    async fn a_damaged_file_is_refused_with_advice() {
        let (_folder, path, records) = new();
        for i in 0..100 {
            assert_eq!(write(&records, &i.to_string(), &"x".repeat(300)).await.unwrap(), Committed::Yes);
        }
        drop(records);
        let whole = std::fs::read(&path).unwrap();
        let mut torn_page = whole.clone();
        torn_page[4096..8192].fill(0x55);
        let cases = [
            ("garbage", b"this is not a database, it only looks long enough to be one".repeat(20)),
            ("cut short", whole[..whole.len() / 2].to_vec()),
            ("a torn page", torn_page),
        ];
        for (name, bytes) in cases {
            std::fs::write(&path, bytes).unwrap();
            let fault = refused(&path);
            assert!(fault.next.starts_with("restore"), "{name}: {fault}");
        }
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let (_folder, path, records) = new();
        drop(records);
        connect(&path).unwrap().pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
        assert!(refused(&path).why.contains("schema version 3"));
    }

    #[test]
    fn another_stored_form_is_refused_and_both_versions_are_named() {
        let (_folder, path, records) = new();
        drop(records);
        for (party, version, expected) in [
            ("SM-XY", 1, "their stored form has version 2, and this SM-XY reads version 1"),
            ("SM-XY", 3, "their stored form has version 2, and this SM-XY reads version 3"),
            ("SM-ZZ", 2, "they are the records of the SM-XY, and this is the SM-ZZ"),
        ] {
            let refused = SqliteRecords::open(&path, StoredForm { party, version }).err().unwrap();
            assert_eq!(refused.why, expected);
            assert!(refused.next.contains("--data-dir"), "{refused}");
        }
        SqliteRecords::open(&path, FORM).unwrap();
    }

    #[tokio::test]
    async fn a_file_without_a_version_has_the_first_stored_form() {
        let first = StoredForm { version: FIRST_FORM, ..FORM };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.db");
        let records = SqliteRecords::open(&path, first).unwrap();
        assert_eq!(write(&records, "a", "kept").await.unwrap(), Committed::Yes);
        drop(records);
        connect(&path).unwrap().execute_batch("DROP TABLE stored_form; PRAGMA user_version = 1").unwrap();
        assert_eq!(refused(&path).why, "their stored form has version 1, and this SM-XY reads version 2");
        let records = SqliteRecords::open(&path, first).unwrap();
        assert_eq!(Tx::begin(&records).get(&NOTES, "a").await.unwrap().unwrap(), "kept");
    }

    #[test]
    fn a_database_of_another_program_is_refused_and_not_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(refused(&path).why.contains("another program"));
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn an_unwritable_folder_is_a_fault() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "x").unwrap();
        assert!(refused(&file.join("records.db")).next.contains("--data-dir"));
        assert!(refused(folder.path()).next.contains("--data-dir"), "a folder in place of the file");
    }

    #[cfg(unix)]
    #[test]
    #[cfg_attr(
        not(has_unprivileged),
        ignore = "needs a user other than root, because root may write everywhere"
    )]
    fn a_folder_without_permission_is_a_fault() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
        assert!(refused(&folder.path().join("records.db")).next.contains("--data-dir"));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_has_access_to_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, path, _records) = new();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
    }
}
