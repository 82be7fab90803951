//! The header of a store: the single row of the table `header`, which every commit updates.

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::StoreError;
use super::checksum::{Checksum, Digest128, first_half};
use crate::commit_mark::{CommitMark, StoreId};

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

/// The description of a store, which is part of its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The party that the records belong to.
    pub(super) party: String,
    /// The version of their stored form.
    pub(super) form: u32,
    /// The random identifier of the store.
    pub(super) store: StoreId,
    /// The number of the last commit.
    pub(super) last_version: u64,
    /// The number of records.
    pub(super) records: u64,
    /// The digest of all records.
    pub(super) digest: Digest128,
}

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

    fn checksum(&self) -> Checksum {
        let Self { party, form, store, last_version, records, digest } = self;
        let mut hash = Sha256::new_with_prefix(b"header");
        hash.update((party.len() as u64).to_be_bytes());
        hash.update(party);
        hash.update(form.to_be_bytes());
        hash.update(store);
        hash.update(last_version.to_be_bytes());
        hash.update(records.to_be_bytes());
        hash.update(digest.octets());
        first_half(hash)
    }
}
