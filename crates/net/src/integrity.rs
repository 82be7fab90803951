//! The integrity of a store: its header, the checksums of its records, and the damage that a check
//! of all of them finds.
//!
//! `docs/decisions/0024-integrity-of-records.md` describes what these checks notice, and what
//! they cannot notice.

pub(crate) mod checksum;

use sha2::{Digest, Sha256};
use world::{Fault, StoredForm};

use crate::commit_mark::StoreId;
use checksum::{Checksum, Digest128, first_half, of_record};

/// The result of a check of all records of a store.
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
    /// Advice to the operator of the server.
    pub next: &'static str,
}

/// The damaged part of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DamagedPart {
    /// The structure of the store.
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
    /// The commits after the last one in the store, or the mark that would show that they are
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

/// The description of a store, which is part of its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The party that the records belong to.
    pub(crate) party: String,
    /// The version of their stored form.
    pub(crate) form: u32,
    /// The random identifier of the store.
    pub(crate) store: StoreId,
    /// The number of the last commit.
    pub(crate) last_version: u64,
    /// The number of records.
    pub(crate) records: u64,
    /// The digest of all records.
    pub(crate) digest: Digest128,
}

impl Header {
    /// Returns the header of an empty store.
    ///
    /// # Errors
    /// The operating system has no random numbers for the identifier of the store.
    pub(crate) fn new(form: StoredForm) -> Result<Self, Fault> {
        let mut store = StoreId::default();
        getrandom::fill(&mut store).map_err(|error| {
            Fault::caused_by(
                error,
                "cannot get random numbers",
                "check that getrandom(2) or /dev/urandom works for this process",
            )
        })?;
        Ok(Self {
            party: form.party.to_owned(),
            form: form.version,
            store,
            last_version: 0,
            records: 0,
            digest: Digest128::default(),
        })
    }

    /// Counts a record that a commit adds or replaces.
    pub(crate) fn add(&mut self, record: Checksum) {
        self.digest.add(record);
        self.records = self.records.saturating_add(1);
    }

    /// Counts a record that a commit deletes or replaces.
    pub(crate) fn remove(&mut self, record: Checksum) {
        self.digest.remove(record);
        self.records = self.records.saturating_sub(1);
    }

    /// Returns the checksum of the other members.
    pub(crate) fn checksum(&self) -> Checksum {
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

/// Damage that a check finds, up to a limit.
pub(crate) struct Found {
    pub(crate) damage: Vec<Damage>,
    most: usize,
    advice: fn(&DamagedPart) -> &'static str,
}

impl Found {
    /// Collects at most `most` damages.
    pub(crate) fn up_to(most: usize, advice: fn(&DamagedPart) -> &'static str) -> Self {
        Self { damage: Vec::new(), most, advice }
    }

    pub(crate) fn add(&mut self, part: DamagedPart, why: impl Into<String>) {
        if self.damage.len() < self.most {
            let next = (self.advice)(&part);
            self.damage.push(Damage { part, why: why.into(), next });
        }
    }
}

/// The records that a check has read, for the comparison with the header.
#[derive(Default)]
pub(crate) struct Recount {
    pub(crate) records: u64,
    newest: u64,
    digest: Digest128,
}

impl Recount {
    /// Counts a record, and verifies its checksum.
    pub(crate) fn add(&mut self, found: &mut Found, record: (&str, &str, u64, &[u8]), stored: Checksum) {
        let (collection, key, version, content) = record;
        self.records += 1;
        self.newest = version.max(self.newest);
        self.digest.add(stored);
        if of_record(collection, key, version, content) != stored {
            let part = DamagedPart::Record { collection: collection.to_owned(), key: key.to_owned() };
            found.add(part, WRONG_CHECKSUM);
        }
    }

    /// Compares the records with the header.
    pub(crate) fn compare(&self, header: &Header, found: &mut Found) {
        if self.records != header.records {
            let why = format!("it has {} records, and its header counts {}", self.records, header.records);
            found.add(DamagedPart::Set, why);
        } else if self.digest != header.digest {
            found.add(DamagedPart::Set, "the digest of all records differs from that in its header");
        }
        if self.newest > header.last_version && found.damage.is_empty() {
            let (newest, last) = (self.newest, header.last_version);
            let why = format!("a record is of commit {newest}, and the last commit is {last}");
            found.add(DamagedPart::Set, why);
        }
    }
}

/// The damage of a record whose checksum is wrong.
pub(crate) const WRONG_CHECKSUM: &str =
    "its checksum does not match its collection, key, version and content";
