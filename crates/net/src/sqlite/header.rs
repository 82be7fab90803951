//! The header of a file: the single row of the table `header`, which every commit updates.

use rusqlite::{Connection, params};

use super::StoreError;
use crate::commit_mark::CommitMark;
use crate::integrity::Header;
use crate::integrity::checksum::{Checksum, Digest128};

pub(super) const TABLE: &str = "
    CREATE TABLE header (
        party        TEXT NOT NULL,
        form         INTEGER NOT NULL,
        store        BLOB NOT NULL,
        last_version INTEGER NOT NULL,
        records      INTEGER NOT NULL,
        digest       BLOB NOT NULL,
        checksum     BLOB NOT NULL
    ) STRICT;
";

impl Header {
    /// Reads and verifies the header.
    pub(super) fn read(connection: &Connection) -> Result<Self, StoreError> {
        let mut rows = connection.prepare_cached(
            "SELECT party, form, store, last_version, records, digest, checksum FROM header",
        )?;
        let mut read = rows.query_map([], |row| {
            let header = Self {
                party: row.get(0)?,
                form: row.get(1)?,
                store: row.get(2)?,
                last_version: row.get(3)?,
                records: row.get(4)?,
                digest: Digest128::from_octets(row.get(5)?),
            };
            Ok((header, row.get::<_, Checksum>(6)?))
        })?;
        match (read.next().transpose()?, read.next().transpose()?) {
            (Some((header, checksum)), None) if header.checksum() == checksum => Ok(header),
            (Some(_), None) => Err(StoreError::Damaged("the header has a wrong checksum".into())),
            (None, _) => Err(StoreError::Damaged("the header is missing".into())),
            (Some(_), Some(_)) => Err(StoreError::Damaged("there is more than one header".into())),
        }
    }

    /// Replaces the header, or adds the first one.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        let Self { party, form, store, last_version, records, digest } = self;
        let row = params![party, form, store, last_version, records, digest.octets(), self.checksum()];
        let changed = connection
            .prepare_cached(
                "UPDATE header SET party = ?1, form = ?2, store = ?3, last_version = ?4, records = ?5,
                 digest = ?6, checksum = ?7",
            )?
            .execute(row)?;
        if changed == 0 {
            let row = params![party, form, store, last_version, records, digest.octets(), self.checksum()];
            connection.execute("INSERT INTO header VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", row)?;
        }
        Ok(())
    }

    /// Returns the mark of the last commit.
    pub(super) fn mark(&self) -> CommitMark {
        CommitMark { store: self.store, number: self.last_version }
    }
}
