//! The schema of a database: creation and migration.

use std::path::Path;

use rusqlite::{Connection, params};
use world::{Fault, StoredForm};

use super::check::lost;
use super::{RESTORE, StoreError, fault, header, mark_file};
use crate::commit_mark::FoundMark;
use crate::integrity::Header;
use crate::integrity::checksum::of_record;

/// "LFLD": identifies the file to this program and to file(1).
const APPLICATION_ID: i32 = 0x4c46_4c44;
/// Version of the schema. Every change that older programs cannot handle increases it. Version 2
/// added the stored form, and version 3 the header and the checksums.
pub(super) const SCHEMA_VERSION: i32 = 3;
const RECORDS: &str = "
    CREATE TABLE records (
        collection TEXT NOT NULL,
        key        TEXT NOT NULL,
        version    INTEGER NOT NULL,
        content    BLOB NOT NULL,
        checksum   BLOB NOT NULL,
        PRIMARY KEY (collection, key)
    ) STRICT;
";
/// Version of the stored form in a file of schema version 1, which does not contain it.
pub(super) const FIRST_FORM: u32 = 1;

/// Checks the owner and the version of the file before anything is written to it, and creates or
/// migrates its schema.
pub(super) fn prepare(connection: &Connection, path: &Path, form: StoredForm) -> Result<(), Fault> {
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
    connection.execute_batch("BEGIN IMMEDIATE").map_err(sql)?;
    let done = create_or_migrate(connection, path, form)
        .and_then(|()| connection.execute_batch("COMMIT").map_err(sql));
    if done.is_err() {
        // The first error is the relevant one, even if the rollback fails.
        let _ = connection.execute_batch("ROLLBACK");
    }
    done
}

/// Checks that the file belongs to this program and has the current schema version.
pub(super) fn expect_current(connection: &Connection, path: &Path) -> Result<(), Fault> {
    let pragma = |name| {
        let value = connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
        value.map_err(|error| fault(path, "open", error))
    };
    let what = || format!("cannot check the records in {}", path.display());
    if pragma("application_id")? != APPLICATION_ID {
        return Err(Fault::usage(what(), "it is not a database of this program", "choose another file"));
    }
    let version = pragma("user_version")?;
    if version != SCHEMA_VERSION {
        let why = format!("it has schema version {version}, and checksums exist in version {SCHEMA_VERSION}");
        return Err(Fault::usage(what(), why, "start the server once, which migrates an older version"));
    }
    Ok(())
}

/// Creates the schema, or migrates an older one. The version is read again inside the transaction,
/// because another process may have been faster.
fn create_or_migrate(connection: &Connection, path: &Path, form: StoredForm) -> Result<(), Fault> {
    let opening = |error: StoreError| fault(path, "open", error);
    let version: i32 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(|error| opening(error.into()))?;
    let what = || format!("cannot open the records in {}", path.display());
    if version >= SCHEMA_VERSION {
        let header = Header::read(connection).map_err(opening)?;
        return form.check(what(), &header.party, header.form);
    }
    let mut header = match version {
        0 => Header::new(form)?,
        _ => older(connection, version, Header::new(StoredForm { version: FIRST_FORM, ..form })?)
            .map_err(|error| opening(error.into()))?,
    };
    form.check(what(), &header.party, header.form)?;
    match mark_file::read(path).map_err(|error| opening(StoreError::Mark(error)))? {
        Some(FoundMark::Mark(mark)) if mark.number > header.last_version => {
            return Err(Fault::usage(what(), lost(header.last_version, mark.number), RESTORE));
        }
        _ => {}
    }
    let written = match version {
        0 => connection
            .pragma_update(None, "application_id", APPLICATION_ID)
            .and_then(|()| connection.execute_batch(RECORDS)),
        _ => add_checksums(connection, &mut header),
    };
    written
        .and_then(|()| connection.execute_batch(header::TABLE))
        .and_then(|()| header.write(connection))
        .and_then(|()| connection.pragma_update(None, "user_version", SCHEMA_VERSION))
        .map_err(|error| opening(error.into()))?;
    // The mark must exist when the transaction is durable. If the transaction fails, the next start
    // replaces the mark.
    mark_file::create(path, header.mark()).map_err(|error| opening(StoreError::Mark(error)))
}

/// Reads party, form and last commit of a file of schema version 1 or 2.
fn older(connection: &Connection, version: i32, mut header: Header) -> rusqlite::Result<Header> {
    if version > 1 {
        (header.party, header.form) =
            connection.query_row("SELECT party, version FROM stored_form", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
    }
    header.last_version = connection.query_row("SELECT version FROM last_version", [], |row| row.get(0))?;
    Ok(header)
}

/// Migrates the records of schema version 1 or 2.
fn add_checksums(connection: &Connection, header: &mut Header) -> rusqlite::Result<()> {
    connection.execute_batch("ALTER TABLE records RENAME TO older_records")?;
    connection.execute_batch(RECORDS)?;
    let mut rows = connection.prepare("SELECT collection, key, version, content FROM older_records")?;
    let mut rows = rows.query([])?;
    let mut insert = connection.prepare("INSERT INTO records VALUES (?1, ?2, ?3, ?4, ?5)")?;
    while let Some(row) = rows.next()? {
        let (collection, key): (String, String) = (row.get(0)?, row.get(1)?);
        let (version, content): (u64, Vec<u8>) = (row.get(2)?, row.get(3)?);
        let checksum = of_record(&collection, &key, version, &content);
        insert.execute(params![collection, key, version, content, checksum])?;
        header.add(checksum);
    }
    drop(rows);
    connection
        .execute_batch("DROP TABLE older_records; DROP TABLE last_version; DROP TABLE IF EXISTS stored_form")
}
