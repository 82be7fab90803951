//! The check of a whole store.

use std::path::Path;

use rusqlite::Connection;

use super::mark_file;
use super::{ACCEPT, RESTORE, StoreError};
use crate::commit_mark::FoundMark;
use crate::integrity::checksum::Checksum;
use crate::integrity::{DamagedPart, Found, Header, RecordsCheck, Recount};

/// Maximum number of errors in the structure that SQLite reports.
const MAX_LINES: usize = 100;

/// Checks the structure of the file, each record, the set of records, and the mark of the last
/// commit. Lists at most `most` damages.
///
/// All reads see one state of the store, so that the check can run while a server uses the store.
pub(super) fn check(connection: &Connection, path: &Path, most: usize) -> Result<RecordsCheck, StoreError> {
    // A commit raises the mark after it is durable. The mark must therefore be read first.
    let mark = mark_file::read(path).map_err(StoreError::Mark)?;
    let mut found = Found::up_to(most, |part| if *part == DamagedPart::Commits { ACCEPT } else { RESTORE });
    connection.execute_batch("BEGIN")?;
    let checked = check_snapshot(connection, mark, &mut found);
    let ended = connection.execute_batch("COMMIT");
    let mut report = match checked {
        Ok(report) => report,
        Err(error) => {
            add_error(&mut found, error)?;
            RecordsCheck::default()
        }
    };
    if found.damage.is_empty() {
        ended?;
    }
    report.damage = found.damage;
    Ok(report)
}

/// Adds an error that is damage of the file, and returns any other error.
fn add_error(found: &mut Found, error: StoreError) -> Result<(), StoreError> {
    found.add(DamagedPart::File, error.damage()?);
    Ok(())
}

fn check_snapshot(
    connection: &Connection,
    mark: Option<FoundMark>,
    found: &mut Found,
) -> Result<RecordsCheck, StoreError> {
    let header = Header::read(connection)?;
    let mut report = RecordsCheck {
        party: Some(header.party.clone()),
        last_commit: header.last_version,
        ..RecordsCheck::default()
    };
    // The structure comes last, because SQLite does not name the record, but it comes in any case:
    // a damaged index can hide a record that is intact.
    match check_records(connection, &header, found) {
        Ok(records) => report.records = records,
        Err(error) => add_error(found, error)?,
    }
    if let Err(error) = check_structure(connection, found) {
        add_error(found, error)?;
    }
    check_mark(&header, mark, found);
    Ok(report)
}

fn check_records(connection: &Connection, header: &Header, found: &mut Found) -> Result<u64, StoreError> {
    // In the order of the table and not of the index, which can be damaged.
    let mut rows =
        connection.prepare("SELECT collection, key, version, content, checksum FROM records NOT INDEXED")?;
    let mut rows = rows.query([])?;
    let mut recount = Recount::default();
    while let Some(row) = rows.next()? {
        let text = |column| -> Result<String, StoreError> {
            let octets = row.get_ref(column)?.as_bytes().map_err(rusqlite::Error::from)?;
            Ok(String::from_utf8_lossy(octets).into_owned())
        };
        let (collection, key) = (text(0)?, text(1)?);
        let version = row.get::<_, u64>(2).unwrap_or(u64::MAX);
        let content = row.get_ref(3)?.as_blob().unwrap_or_default();
        let stored: Checksum = row.get(4).unwrap_or_default();
        recount.add(found, (&collection, &key, version, content), stored);
    }
    recount.compare(header, found);
    Ok(recount.records)
}

fn check_structure(connection: &Connection, found: &mut Found) -> Result<(), StoreError> {
    let mut check = connection.prepare(&format!("PRAGMA integrity_check({})", MAX_LINES))?;
    let mut rows = check.query([])?;
    while let Some(row) = rows.next()? {
        let line: String = row.get(0)?;
        if line != "ok" {
            found.add(DamagedPart::File, line);
        }
    }
    Ok(())
}

fn check_mark(header: &Header, mark: Option<FoundMark>, found: &mut Found) {
    let last = header.last_version;
    let why = match mark {
        Some(FoundMark::Mark(mark)) if mark.store != header.store => {
            "the file with the ending -commits belongs to other records, so missing commits cannot be noticed"
                .to_owned()
        }
        Some(FoundMark::Mark(mark)) if mark.number > last => lost(last, mark.number),
        Some(FoundMark::Mark(_)) => return,
        Some(FoundMark::Nothing | FoundMark::Damaged) => {
            "the file with the ending -commits is damaged, so missing commits cannot be noticed".to_owned()
        }
        None => {
            "the file with the ending -commits is missing, so missing commits cannot be noticed".to_owned()
        }
    };
    found.add(DamagedPart::Commits, why);
}

/// Describes the missing commits.
pub(super) fn lost(last: u64, made: u64) -> String {
    format!(
        "it ends with commit {last}, although commit {made} was made: the journal (-wal) was lost or damaged, \
         or the file is an older copy"
    )
}
