//! Durable records in an SQLite file.
//!
//! The file uses WAL mode with `synchronous = FULL`: when a commit returns, it is on disk. One
//! thread writes. It combines all waiting commits into one SQLite transaction, so that they share
//! one fsync, and then completes them. Reads use their own connections and never wait for the
//! writer. Several processes can share the file.
//!
//! Each record has a checksum, which every read verifies. A header, which every commit updates,
//! contains the number of records, a digest of all of them, and the number of the last commit. A
//! file beside the database, with the ending `-commits`, contains that number too. All of this is
//! checked when the file is opened. `docs/decisions/0024-integrity-of-records.md` describes
//! what these checks notice, and what they cannot notice.

mod check;
mod header;
mod key;
mod mark_file;
mod schema;
mod writer;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, params};
use world::records::after_prefix;
use world::{BoxFuture, ChangeSet, Committed, Fault, KeyRange, Records, Stored, StoredForm, Version};

pub use key::StoreKey;

use mark_file::MarkFile;
use writer::Writer;

use crate::folder::{folder_of, sync_folder_of};
use crate::integrity::checksum::{Checksum, of_record};
use crate::integrity::{Damage, DamagedPart, Header, RecordsCheck, WRONG_CHECKSUM};

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
    /// Opens the file, and creates it and its folder if needed. A file that is damaged, lacks
    /// commits, has a newer schema or belongs to another program is refused, and so are records
    /// that belong to another party or have another version than `form`.
    pub fn open(path: impl Into<PathBuf>, form: StoredForm) -> Result<Self, Fault> {
        Self::open_with_key(path, form, None)
    }

    /// Opens the file as [`open`](Self::open), encrypted with this key. A file that is not
    /// encrypted is refused if there is a key.
    pub fn open_with_key(
        path: impl Into<PathBuf>,
        form: StoredForm,
        key: Option<&StoreKey>,
    ) -> Result<Self, Fault> {
        let path = path.into();
        create_owner_only(&path)?;
        let connection = connect(&path, key, Access::Write)?;
        // Until the check has passed, a journal stays as it was found.
        keep_journal(&connection, &path, true)?;
        schema::prepare(&connection, &path, form)?;
        let report = check::check(&connection, &path, 1).map_err(|error| fault(&path, "open", error))?;
        if let Some(damage) = report.damage.first() {
            return Err(damaged(&path, "open", damage).of_kind(world::FaultKind::Usage));
        }
        keep_journal(&connection, &path, false)?;
        let mark = MarkFile::open(&path).map_err(|error| fault(&path, "open", StoreError::Mark(error)))?;
        let readers = (0..READERS)
            .map(|_| connect(&path, key, Access::Write).map(Mutex::new))
            .collect::<Result<_, _>>()?;
        let writer = Writer::start(connection, path.clone(), mark)?;
        Ok(Self { path, readers, next_reader: AtomicUsize::new(0), writer })
    }

    /// Checks an existing file without changing it, and lists at most `most` damaged parts. A
    /// server can use the file at the same time.
    ///
    /// # Errors
    /// The file cannot be read, belongs to another program, or has another schema version.
    pub fn check(path: &Path, key: Option<&StoreKey>, most: usize) -> Result<RecordsCheck, Fault> {
        let connection = connect(path, key, Access::Read)?;
        keep_journal(&connection, path, true)?;
        schema::expect_current(&connection, path)?;
        check::check(&connection, path, most).map_err(|error| fault(path, "check", error))
    }

    /// Accepts the last commit in the file as the last one that was made, although later commits or
    /// the mark of the last commit are missing. Returns its number.
    ///
    /// # Errors
    /// The file is in use or damaged in another way.
    pub fn accept(path: &Path, key: Option<&StoreKey>) -> Result<u64, Fault> {
        let connection = connect(path, key, Access::Write)?;
        schema::expect_current(&connection, path)?;
        let report =
            check::check(&connection, path, usize::MAX).map_err(|error| fault(path, "check", error))?;
        if let Some(damage) = report.damage.iter().find(|damage| damage.part != DamagedPart::Commits) {
            return Err(damaged(path, "accept", damage));
        }
        let header = Header::read(&connection).map_err(|error| fault(path, "read", error))?;
        mark_file::create(path, header.mark())
            .map_err(|error| fault(path, "accept", StoreError::Mark(error)))?;
        Ok(header.last_version)
    }

    /// Encrypts a file that is not encrypted. No other process may use the file. The blocks of the
    /// disk that contained the former file are not erased.
    ///
    /// # Errors
    /// The file is in use, damaged or encrypted.
    pub fn encrypt(path: &Path, key: &StoreKey) -> Result<(), Fault> {
        let sql = |error: rusqlite::Error| fault(path, "encrypt", error);
        let connection = connect(path, None, Access::Write)?;
        schema::expect_current(&connection, path)?;
        let report = check::check(&connection, path, 1).map_err(|error| fault(path, "check", error))?;
        if let Some(damage) = report.damage.first() {
            return Err(damaged(path, "encrypt", damage));
        }
        // Copies the journal to the database. This fails if another process uses the file.
        connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())).map_err(sql)?;
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        let written = encrypted_copy(&connection, &new, key).map_err(sql);
        drop(connection);
        let replaced = written.and_then(|()| {
            let moved =
                File::open(&new).and_then(|file| file.sync_all()).and_then(|()| std::fs::rename(&new, path));
            moved.and_then(|()| sync_folder_of(path)).map_err(|error| {
                let what = format!("cannot encrypt the records in {}", path.display());
                Fault::caused_by(error, what, "check that its folder is writable; the file is unchanged")
            })
        });
        if replaced.is_err() {
            // The fault reports the failure. The next attempt overwrites a remainder.
            let _ = std::fs::remove_file(&new);
        }
        replaced
    }

    /// Runs a query on a reading connection in the caller's thread. Reading a record from the page
    /// cache takes microseconds, which is less than a handover to another thread.
    fn query<T>(&self, query: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, Fault> {
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
                let mut rows = connection.prepare_cached(
                    "SELECT key, version, content, checksum FROM records WHERE collection = ?1 AND key = ?2",
                )?;
                let record = rows
                    .query_row(params![collection, key], |row| Ok(verified(collection, row)))
                    .optional()?;
                record.map(|record| record.map(|(_, stored)| stored)).transpose()
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
                let mut rows = connection.prepare_cached(
                    "SELECT key, version, content, checksum FROM records
                     WHERE collection = ?1 AND key >= ?2 AND (?3 IS NULL OR key < ?3) AND key IS NOT ?4
                     ORDER BY key LIMIT ?5",
                )?;
                let range = params![collection, keys.start(), after_prefix(keys.prefix), keys.after, most];
                rows.query_and_then(range, |row| verified(collection, row))?.collect()
            })
        })
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        Box::pin(self.writer.commit(changes))
    }
}

/// Writes an encrypted copy of a database to a new file.
fn encrypted_copy(connection: &Connection, new: &Path, key: &StoreKey) -> rusqlite::Result<()> {
    let _ = std::fs::remove_file(new);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(new).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    let key = key.literal();
    connection
        .execute("ATTACH DATABASE ?1 AS encrypted KEY ?2", params![new.to_string_lossy(), key.as_str()])?;
    connection.query_row("SELECT sqlcipher_export('encrypted')", [], |_| Ok(()))?;
    for pragma in ["application_id", "user_version"] {
        let value: i32 = connection.pragma_query_value(None, pragma, |row| row.get(0))?;
        connection.pragma_update(Some("encrypted"), pragma, value)?;
    }
    connection.execute_batch("DETACH DATABASE encrypted")
}

/// Reads key, version and content of a record from a row, and verifies the checksum.
fn verified(collection: &str, row: &Row<'_>) -> Result<(String, Stored), StoreError> {
    let damaged = |key: &str| {
        let part = DamagedPart::Record { collection: collection.to_owned(), key: key.to_owned() };
        StoreError::Damaged(Damage { part, why: WRONG_CHECKSUM.to_owned(), next: RESTORE }.to_string())
    };
    let Ok(key) = row.get::<_, String>(0) else { return Err(damaged("<invalid key>")) };
    let (Ok(version), Ok(bytes), Ok(checksum)) =
        (row.get::<_, u64>(1), row.get::<_, Vec<u8>>(2), row.get::<_, Checksum>(3))
    else {
        return Err(damaged(&key));
    };
    if of_record(collection, &key, version, &bytes) != checksum {
        return Err(damaged(&key));
    }
    Ok((key, Stored { version: Version(version), bytes }))
}

/// Creates the file with access for its owner only, because records contain keys. SQLite gives its
/// other files the same permissions.
fn create_owner_only(path: &Path) -> Result<(), Fault> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    crate::os::create_private_folder(folder_of(path)).and_then(|()| options.open(path)).map(drop).map_err(
        |error| {
            Fault::caused_by(
                error,
                format!("cannot open the records in {}", path.display()),
                "check that the folder exists and is writable, or choose another with --data-dir",
            )
        },
    )
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

fn connect(path: &Path, key: Option<&StoreKey>, access: Access) -> Result<Connection, Fault> {
    expect_encryption(path, key.is_some())?;
    let open = || {
        let access = match access {
            Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        if let Some(key) = key {
            // SQLCipher would print errors that the faults of this module report.
            connection.pragma_update(None, "cipher_log_level", "NONE")?;
            connection.pragma_update(None, "key", key.literal().as_str())?;
            let _: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        }
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(connection)
    };
    open().map_err(|error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) if key.is_some() => Fault::usage(
            format!("cannot open the records in {}", path.display()),
            "the key is not the key of this file, or the file is damaged",
            "set records-key-file to the file with its key; if the key is right, restore a copy of the records",
        ),
        _ => fault(path, "open", error),
    })
}

/// Refuses an encrypted file if there is no key, and a plain file if there is one.
fn expect_encryption(path: &Path, has_key: bool) -> Result<(), Fault> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut start));
    let what = || format!("cannot open the records in {}", path.display());
    read.map_err(|error| {
        Fault::caused_by(
            error,
            what(),
            "check the path and its permissions, or choose another with --data-dir",
        )
    })?;
    let is_plain = start == MAGIC;
    if has_key && is_plain {
        return Err(Fault::usage(
            what(),
            "it is not encrypted, and there is a key for the records",
            "encrypt it with `landfall records encrypt FILE`, or remove the setting of the key",
        ));
    }
    if !has_key && !is_plain && !start.is_empty() {
        return Err(Fault::usage(what(), "it is encrypted or damaged, or it is not a database", ENCRYPTED));
    }
    Ok(())
}

/// Sets whether SQLite keeps the journal when the last connection is closed. Otherwise it copies
/// the journal to the database and deletes it, including the parts that it could not read.
fn keep_journal(connection: &Connection, path: &Path, keep: bool) -> Result<(), Fault> {
    let set = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep);
    set.map(drop).map_err(|error| fault(path, "open", error))
}

const RESTORE: &str = "restore a copy of it with its -wal and -commits files, or move it (with its -wal, -shm and \
     -commits files) away to start with an empty one; `landfall records check FILE` lists all damage";
const ENCRYPTED: &str =
    "set records-key-file to the file with its key if it is encrypted; otherwise restore a copy of it";
const ACCEPT: &str = "restore the missing file, or a copy with its -wal and -commits files; to continue without \
     the missing commits, run `landfall records accept FILE`";

/// An error below the interface of the store.
#[derive(Debug)]
enum StoreError {
    Sqlite(rusqlite::Error),
    /// The file with the mark of the last commit cannot be read or written.
    Mark(io::Error),
    /// The file is damaged. The text is the reason.
    Damaged(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl StoreError {
    /// Returns the reason if the error shows damage of the file, and otherwise the error.
    fn damage(self) -> Result<String, Self> {
        match self {
            Self::Damaged(why) => Ok(why),
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) => {
                    Ok(error.to_string())
                }
                Some(_) => Err(Self::Sqlite(error)),
                // A value of another type, a number out of range, text that is not UTF-8, or a row
                // that is missing.
                None => Ok(error.to_string()),
            },
            Self::Mark(_) => Err(self),
        }
    }
}

fn damaged(path: &Path, verb: &str, damage: &Damage) -> Fault {
    Fault::new(format!("cannot {verb} the records in {}", path.display()), damage.to_string(), damage.next)
}

fn fault(path: &Path, verb: &str, error: impl Into<StoreError>) -> Fault {
    let what = format!("cannot {verb} the records in {}", path.display());
    let error = match error.into() {
        StoreError::Mark(error) => {
            let next = "check that the file with the ending -commits and its folder are writable";
            return Fault::caused_by(error, what, next);
        }
        error => match error.damage() {
            Ok(why) => return Fault::new(what, format!("it is damaged: {why}"), RESTORE),
            Err(StoreError::Sqlite(error)) => error,
            Err(_) => return Fault::new(what, "it is damaged", RESTORE),
        },
    };
    let next = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "free some disk space; nothing of this request was written",
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "check that the file and its folder are writable, or choose another with --data-dir"
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process has locked the file for too long; stop it or try again"
        }
        Some(_) | None => "check the disk and the system log; nothing of this request was written",
    };
    Fault::caused_by(error, what, next)
}

#[cfg(test)]
mod tests;
