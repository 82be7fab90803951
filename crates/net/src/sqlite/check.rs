//! The check of a whole store.

use std::path::Path;

use rusqlite::Connection;

use super::StoreError;
use super::checksum::{Checksum, Digest128, of_record};
use super::header::Header;
use super::mark_file;
use crate::commit_mark::FoundMark;

/// Maximum number of errors in the structure that SQLite reports.
const MAX_LINES: usize = 100;

/// The result of a check of the records in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordsCheck {
    /// The party that the records belong to, if the header can be read.
    pub party: Option<String>,
    /// The number of the last commit.
    pub last_commit: u64,
    /// The number of records.
    pub records: u64,
    /// The damage, at most as many entries as requested.
    pub damage: Vec<Damage>,
}

/// One damage of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The damaged part.
    pub part: DamagedPart,
    /// The reason.
    pub why: String,
}

impl Damage {
    /// Returns advice for the operator of the server.
    pub fn advice(&self) -> &'static str {
        if self.part == DamagedPart::Commits { super::ACCEPT } else { super::RESTORE }
    }
}

/// The damaged part of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DamagedPart {
    /// The structure of the file.
    File,
    /// The record with this collection and key.
    Record {
        /// The collection.
        collection: String,
        /// The key.
        key: String,
    },
    /// The set of records: some are missing, or were added or replaced by another program.
    Set,
    /// The commits after the last one in the file, or the mark that would show that they are
    /// missing.
    Commits,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.part {
            DamagedPart::Record { collection, key } => write!(f, "record {collection}/{key}: {}", self.why),
            DamagedPart::File | DamagedPart::Set | DamagedPart::Commits => f.write_str(&self.why),
        }
    }
}

/// Collects damage up to a limit.
struct Found {
    damage: Vec<Damage>,
    most: usize,
}

impl Found {
    fn add(&mut self, part: DamagedPart, why: impl Into<String>) {
        if self.damage.len() < self.most {
            self.damage.push(Damage { part, why: why.into() });
        }
    }

    /// Adds an error that is damage of the file, and returns any other error.
    fn add_error(&mut self, error: StoreError) -> Result<(), StoreError> {
        match error.damage() {
            Ok(why) => {
                self.add(DamagedPart::File, why);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Checks the structure of the file, each record, the set of records, and the mark of the last
/// commit. Lists at most `most` damages.
///
/// All reads see one state of the store, so that the check can run while a server uses the store.
pub(super) fn check(connection: &Connection, path: &Path, most: usize) -> Result<RecordsCheck, StoreError> {
    // A commit raises the mark after it is durable. The mark must therefore be read first.
    let mark = mark_file::read(path).map_err(StoreError::Mark)?;
    let mut found = Found { damage: Vec::new(), most };
    connection.execute_batch("BEGIN")?;
    let checked = check_snapshot(connection, mark, &mut found);
    let ended = connection.execute_batch("COMMIT");
    let mut report = match checked {
        Ok(report) => report,
        Err(error) => {
            found.add_error(error)?;
            RecordsCheck::default()
        }
    };
    if found.damage.is_empty() {
        ended?;
    }
    report.damage = found.damage;
    Ok(report)
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
        Err(error) => found.add_error(error)?,
    }
    if let Err(error) = check_structure(connection, found) {
        found.add_error(error)?;
    }
    check_mark(&header, mark, found);
    Ok(report)
}

fn check_records(connection: &Connection, header: &Header, found: &mut Found) -> Result<u64, StoreError> {
    // In the order of the table and not of the index, which can be damaged.
    let mut rows =
        connection.prepare("SELECT collection, key, version, content, checksum FROM records NOT INDEXED")?;
    let mut rows = rows.query([])?;
    let (mut records, mut newest, mut digest) = (0, 0, Digest128::default());
    while let Some(row) = rows.next()? {
        records += 1;
        let text = |column| -> Result<String, StoreError> {
            let octets = row.get_ref(column)?.as_bytes().map_err(rusqlite::Error::from)?;
            Ok(String::from_utf8_lossy(octets).into_owned())
        };
        let (collection, key) = (text(0)?, text(1)?);
        let version = row.get::<_, u64>(2).unwrap_or(u64::MAX);
        let content = row.get_ref(3)?.as_blob().unwrap_or_default();
        let stored: Checksum = row.get(4).unwrap_or_default();
        newest = version.max(newest);
        digest.add(stored);
        if of_record(&collection, &key, version, content) != stored {
            found.add(
                DamagedPart::Record { collection, key },
                "its checksum does not match its collection, key, version and content",
            );
        }
    }
    if records != header.records {
        let why = format!("it has {records} records, and its header counts {}", header.records);
        found.add(DamagedPart::Set, why);
    } else if digest != header.digest {
        found.add(DamagedPart::Set, "the digest of all records differs from that in its header");
    }
    if newest > header.last_version && found.damage.is_empty() {
        let why = format!("a record is of commit {newest}, and the last commit is {}", header.last_version);
        found.add(DamagedPart::Set, why);
    }
    Ok(records)
}

fn check_structure(connection: &Connection, found: &mut Found) -> Result<(), StoreError> {
    let mut check = connection.prepare(&format!("PRAGMA integrity_check({})", found.most.min(MAX_LINES)))?;
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
