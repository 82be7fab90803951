//! Non-volatile memory of a card or device in a file: a journal of batches.
//!
//! ```text
//! journal    = "landfall-memory 2 begun\n" batch*
//! batch      = "LFb\n", number (8), length of the changes (4), checksum (16), change*
//! change     = length of the name (2), name, and 0: the cell is deleted; or 1, length (4), content: the new cell
//! ```
//!
//! Integers are big-endian, and batches are numbered consecutively. The checksum is the first half
//! of SHA-256 over number, length and changes. A commit appends one batch and syncs it to disk
//! before it returns. An incomplete batch at the end is the remainder of a power cut during a
//! commit that never returned, and is dropped. Any other mismatch is reported as damage.
//!
//! When outdated octets outweigh live ones, the memory is written as a single batch to a new file,
//! which is synced and renamed over the old one. The first line of such a file ends in `compacted`:
//! its first batch was complete before the file got its name, so it cannot be the remainder of a
//! power cut.
//!
//! The lock file beside the journal contains the number of the last batch that was committed. A
//! journal that ends before this batch has lost commits and is refused. A journal whose lock file is
//! missing or empty, like a copy or one of an earlier version, is accepted.

mod journal;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use world::{Batch, Cells, Fault, Memory};

use crate::Claim;
use crate::commit_mark::{CommitMark, FoundMark, StoreId};
use crate::folder::{folder_of, sync_folder_of};
use journal::{BEGUN, COMPACTED, Replay, batch_octets, header, live_octets, replay};

/// Minimum length of a journal that is worth compacting.
const MIN_JOURNAL: usize = 32 << 10;

/// The lock file belongs to the journal by its name, so a mark needs no identifier of the store.
const NO_ID: StoreId = [0; 16];

/// The result of a check of a memory without damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryCheck {
    /// The number of the last commit.
    pub last_commit: u64,
    /// The number of cells.
    pub cells: usize,
}

/// A [`Memory`] in a file. While this value exists, no other process can open the same file.
#[derive(Debug)]
pub struct FileMemory {
    path: PathBuf,
    /// Lock on a separate file, because compaction replaces the journal itself.
    claim: Claim,
    /// Length of the committed part of the file.
    length: usize,
    /// The number of the next batch.
    next: u64,
    /// Length at which the outdated octets are counted.
    count_at: usize,
    /// True if the name of the file has been synced to disk.
    is_named: bool,
}

impl FileMemory {
    /// Opens the memory at `path`, and creates its folder if needed. A missing file is an empty
    /// memory.
    ///
    /// # Errors
    /// Another process uses the file, or the file is unreadable, damaged or lacks commits.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Fault> {
        let path = path.into();
        crate::os::create_private_folder(folder_of(&path)).map_err(|error| unusable(&path, error))?;
        let claim = claim(&path)?;
        let mark = CommitMark::read(claim.lock_file()).map_err(|error| unusable(&path, error))?;
        let replay = read(&path)?;
        expect_complete(&path, mark, &replay)?;
        let Replay { cells, length, last, dropped } = replay;
        if dropped > 0 {
            tracing::warn!(path = %path.display(), octets = dropped, "dropped the remainder of an interrupted commit");
        }
        let count_at = count_at(live_octets(&cells));
        Ok(Self { path, claim, length, next: last.saturating_add(1), count_at, is_named: false })
    }

    /// True if the file begins like a memory.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_memory(path: &Path) -> io::Result<bool> {
        let mut start = Vec::new();
        File::open(path)?.take(journal::MAGIC.len() as u64).read_to_end(&mut start)?;
        Ok(start == journal::MAGIC.as_bytes())
    }

    /// Returns the path of the lock file of a memory, which contains the mark of its last commit.
    pub fn lock_file(path: &Path) -> PathBuf {
        Claim::lock_path(path)
    }

    /// True if the lock file has the mark of a commit. The memory itself may be missing or damaged.
    pub fn has_mark(path: &Path) -> bool {
        let mark = File::open(Claim::lock_path(path)).and_then(|file| CommitMark::read(&file));
        mark.is_ok_and(|mark| matches!(mark, FoundMark::Mark(_)))
    }

    /// Checks an existing file without changing it. A process can use the file at the same time.
    ///
    /// # Errors
    /// The file is unreadable, damaged or lacks commits.
    pub fn check(path: &Path) -> Result<MemoryCheck, Fault> {
        // A commit writes its batch before the mark. The mark must therefore be read first.
        let mark = match File::open(Claim::lock_path(path)) {
            Ok(file) => CommitMark::read(&file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(FoundMark::Nothing),
            Err(error) => Err(error),
        };
        let mark = mark.map_err(|error| unusable(path, error))?;
        let replay = read(path)?;
        expect_complete(path, mark, &replay)?;
        Ok(MemoryCheck { last_commit: replay.last, cells: replay.cells.len() })
    }

    /// Accepts the last commit in the file as the last one that was made, although later commits
    /// are missing or the lock file is damaged. Returns its number.
    ///
    /// # Errors
    /// Another process uses the file, or the file is unreadable or damaged in another way.
    pub fn accept(path: &Path) -> Result<u64, Fault> {
        let claim = claim(path)?;
        let number = read(path)?.last;
        let lock = claim.lock_file();
        let written = lock
            .set_len(0)
            .and_then(|()| CommitMark { store: NO_ID, number }.write(lock))
            .and_then(|()| lock.sync_all());
        written.map_err(|error| unusable(path, error))?;
        Ok(number)
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends octets to the committed part and syncs them.
    fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        // A file that is missing although something was committed has been removed. A new file
        // would hide the loss.
        let mut file = owner_only().create(self.length == 0).open(&self.path)?;
        self.truncate_to_committed(&file)?;
        file.seek(SeekFrom::Start(self.length as u64))?;
        file.write_all(octets)?;
        file.sync_data()?;
        if !self.is_named {
            sync_folder_of(&self.path)?;
            self.is_named = true;
        }
        Ok(())
    }

    /// Cuts the file to its committed part. A file that is too short has lost data and is left
    /// unchanged.
    fn truncate_to_committed(&self, file: &File) -> io::Result<()> {
        let length = self.length as u64;
        let found = file.metadata()?.len();
        if found < length {
            let why = format!("it has {found} octets instead of {length}");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        file.set_len(length)
    }

    /// Removes the remainder of a failed commit. If that fails too, the next commit does it.
    fn remove_remainder(&self) {
        let file = OpenOptions::new().write(true).open(&self.path);
        let removed = file.and_then(|file| {
            self.truncate_to_committed(&file)?;
            file.sync_all()
        });
        if let Err(error) = removed {
            tracing::warn!(path = %self.path.display(), %error, "could not remove the remainder of a failed commit");
        }
    }

    /// Replaces a file of which the greater part is outdated.
    fn compact(&mut self) -> Result<(), Fault> {
        let cells = read(&self.path)?.cells;
        let live = live_octets(&cells);
        self.count_at = count_at(live);
        if self.length.saturating_sub(live) <= live {
            return Ok(());
        }
        let mut batch = Batch::default();
        cells.into_iter().for_each(|(cell, content)| batch.put(cell, content));
        let unwritable = |error| unwritable(&self.path, error);
        let octets = [header(COMPACTED), batch_octets(self.next, &batch).map_err(unwritable)?].concat();
        self.replace(&octets).map_err(unwritable)?;
        self.length = octets.len();
        self.next = self.next.saturating_add(1);
        // The next commit syncs the name before it returns. Until then the old file has the same
        // content.
        self.is_named = false;
        Ok(())
    }

    fn replace(&self, octets: &[u8]) -> io::Result<()> {
        let new = beside(&self.path, ".new");
        let mut file = owner_only().truncate(true).open(&new)?;
        file.write_all(octets)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)
    }
}

impl Memory for FileMemory {
    fn load(&self) -> Result<Cells, Fault> {
        Ok(read(&self.path)?.cells)
    }

    fn commit(&mut self, batch: Batch) -> Result<(), Fault> {
        let start = if self.length == 0 { header(BEGUN) } else { Vec::new() };
        let octets = batch_octets(self.next, &batch).map(|octets| [start, octets].concat());
        let written = octets.and_then(|octets| self.append(&octets).map(|()| octets.len()));
        let written = written.map_err(|error| {
            self.remove_remainder();
            unwritable(&self.path, error)
        })?;
        self.length = self.length.saturating_add(written);
        if let Err(error) = (CommitMark { store: NO_ID, number: self.next }).write(self.claim.lock_file()) {
            let path = self.path.display();
            tracing::warn!(%path, %error, "cannot store the number of the last commit in the lock file; the commit is durable");
        }
        self.next = self.next.saturating_add(1);
        if self.length >= self.count_at
            && let Err(fault) = self.compact()
        {
            tracing::warn!(%fault, "a memory could not be compacted; all commits are intact");
        }
        Ok(())
    }
}

/// Claims the file.
fn claim(path: &Path) -> Result<Claim, Fault> {
    let claim = Claim::of(path).map_err(|error| unusable(path, error))?;
    claim.ok_or_else(|| {
        Fault::usage(
            format!("cannot use {}", path.display()),
            "another process is using it",
            "stop that process, or use the card through it: `landfall up` and `landfall euicc serve` print the address for --card",
        )
    })
}

/// Checks that the journal has every batch that was committed.
fn expect_complete(path: &Path, mark: FoundMark, replay: &Replay) -> Result<(), Fault> {
    let why = match mark {
        FoundMark::Mark(mark) if mark.number > replay.last => {
            let (last, made) = (replay.last, mark.number);
            let extent = if replay.length == 0 {
                "it has no commit".to_owned()
            } else {
                format!("it ends with commit {last}")
            };
            format!(
                "{extent}, although commit {made} was made: it was removed, truncated or damaged, or it is an older copy"
            )
        }
        FoundMark::Mark(_) | FoundMark::Nothing => return Ok(()),
        FoundMark::Damaged => {
            format!("{} is damaged, so missing commits cannot be noticed", Claim::lock_path(path).display())
        }
    };
    Err(Fault::new(
        format!("cannot use {}", path.display()),
        why,
        "restore a copy of the file; to continue without the missing commits, run `landfall records accept FILE`; \
         to start with an empty memory, move the file and its .lock file away",
    ))
}

/// At twice the live octets, the outdated ones can outweigh them.
fn count_at(live: usize) -> usize {
    live.saturating_mul(2).max(MIN_JOURNAL)
}

fn read(path: &Path) -> Result<Replay, Fault> {
    match fs::read(path) {
        Ok(octets) => replay(&octets).map_err(|why| damaged(path, &why)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Replay::default()),
        Err(error) => Err(unusable(path, error)),
    }
}

fn damaged(path: &Path, why: &str) -> Fault {
    Fault::new(
        format!("cannot use {}", path.display()),
        why,
        "restore a copy of the file, or move the file and its .lock file away to start with an empty memory",
    )
}

fn unusable(path: &Path, error: io::Error) -> Fault {
    Fault::caused_by(
        error,
        format!("cannot use {}", path.display()),
        "check the path and its permissions, or choose another folder",
    )
}

fn unwritable(path: &Path, error: io::Error) -> Fault {
    let next = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof => {
            "another program removed or truncated the file while it was in use: restore a copy of it and restart"
        }
        _ => "check that the folder is writable and the disk is not full; the old content is intact",
    };
    Fault::caused_by(error, format!("cannot write {}", path.display()), next)
}

/// The content is secret, because it contains the keys of a card.
fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
