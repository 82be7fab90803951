//! A card's or a device's non-volatile memory in one file: a journal of batches.
//!
//! ```text
//! journal    = "landfall-memory 2 begun\n" batch*
//! batch      = "LFb\n", number (8), length of the changes (4), checksum (16), change*
//! change     = length of the name (2), name, and 0: the cell is gone; or 1, length (4), content: the cell is this
//! ```
//!
//! Integers are big endian; batches are numbered one by one; the checksum is the first half of SHA-256 over number,
//! length and changes. A commit appends one batch and brings it to the disk before it returns. What a power cut left of
//! a batch at the end was promised to nobody and is dropped; anything else that does not check is damage, and said so.
//!
//! When what is outdated outweighs what is not, a new file with one batch is written beside the old one, brought to the
//! disk, and renamed over it. Its first line ends in `compacted`: its first batch was whole before the file had its
//! name, so that it cannot be one that was cut off.

mod journal;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use world::{Batch, Cells, Fault, Memory};

use crate::Claim;
use journal::{BEGUN, COMPACTED, Replay, batch_octets, header, live_octets, replay};

/// A journal shorter than this is not worth compacting.
const MIN_JOURNAL: usize = 32 << 10;

/// [`Memory`] in a file. While it lives, no other process can open the same one.
#[derive(Debug)]
pub struct FileMemory {
    path: PathBuf,
    /// The journal itself cannot carry the lock: a compacted one replaces it.
    _claim: Claim,
    /// How much of the file counts; what is behind it was never committed.
    length: usize,
    /// The number of the next batch.
    next: u64,
    /// At which length the outdated octets are counted.
    count_at: usize,
    /// Whether the file's name has been brought to the disk.
    is_named: bool,
}

impl FileMemory {
    /// Opens the memory at `path`, creating its folder where needed. A file that is not there is a memory that is new.
    ///
    /// # Errors
    /// Another process holds it, it cannot be read, or it is damaged.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Fault> {
        let path = path.into();
        fs::create_dir_all(folder(&path)).map_err(|error| unusable(&path, error))?;
        let claim = Claim::of(&path).map_err(|error| unusable(&path, error))?;
        let claim = claim.ok_or_else(|| {
            Fault::new(
                format!("cannot use {}", path.display()),
                "another process holds it",
                "stop that process, or reach the card through it: `landfall up` and `landfall euicc serve` say where, for --card",
            )
        })?;
        let Replay { cells, length, next, dropped } = read(&path)?;
        if dropped > 0 {
            tracing::warn!(path = %path.display(), octets = dropped, "dropped what a power cut left of a commit");
        }
        let count_at = count_at(live_octets(&cells));
        Ok(Self { path, _claim: claim, length, next, count_at, is_named: false })
    }

    /// Where the memory lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends octets to what counts, durably.
    fn append(&mut self, octets: &[u8]) -> io::Result<()> {
        // One that is not there although something was committed has been removed: a new one would have lost it.
        let mut file = owner_only().create(self.length == 0).open(&self.path)?;
        self.cut_off_the_rest(&file)?;
        file.seek(SeekFrom::Start(self.length as u64))?;
        file.write_all(octets)?;
        file.sync_data()?;
        if !self.is_named {
            sync_folder(&self.path)?;
            self.is_named = true;
        }
        Ok(())
    }

    /// Leaves what counts. A file that is shorter has lost some of it, and is left as it is.
    fn cut_off_the_rest(&self, file: &File) -> io::Result<()> {
        let length = self.length as u64;
        match file.metadata()?.len() {
            found if found < length => {
                let why = format!("it has {found} octets, and had {length}");
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, why))
            }
            found if found > length => file.set_len(length),
            _ => Ok(()),
        }
    }

    /// Takes away what a commit that failed has left. If that fails too, the next commit does it.
    fn take_back(&self) {
        let file = OpenOptions::new().write(true).open(&self.path);
        let taken_back = file.and_then(|file| {
            self.cut_off_the_rest(&file)?;
            file.sync_all()
        });
        if let Err(error) = taken_back {
            tracing::warn!(path = %self.path.display(), %error, "could not take back a commit that failed");
        }
    }

    /// Puts a new file in the place of one that is outdated for the greater part.
    fn compact(&mut self) -> Result<(), Fault> {
        let cells = read(&self.path)?.cells;
        let live = live_octets(&cells);
        self.count_at = count_at(live.max(self.length / 2));
        if self.length.saturating_sub(live) <= live {
            return Ok(());
        }
        let mut batch = Batch::default();
        cells.into_iter().for_each(|(cell, content)| batch.put(cell, content));
        let unwritable = |error| unwritable(&self.path, error);
        let octets = [header(COMPACTED), batch_octets(self.next, &batch).map_err(unwritable)?].concat();
        self.replace(&octets).map_err(unwritable)?;
        (self.length, self.count_at) = (octets.len(), count_at(live));
        self.next = self.next.saturating_add(1);
        // The next commit brings the name to the disk before it returns; until then the old file says the same.
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
            self.take_back();
            unwritable(&self.path, error)
        })?;
        self.length = self.length.saturating_add(written);
        self.next = self.next.saturating_add(1);
        if self.length >= self.count_at
            && let Err(fault) = self.compact()
        {
            tracing::warn!(%fault, "a memory could not be compacted; what was committed stands");
        }
        Ok(())
    }
}

/// Twice what is live: then the outdated octets may outweigh it.
fn count_at(live: usize) -> usize {
    live.saturating_mul(2).max(MIN_JOURNAL)
}

fn read(path: &Path) -> Result<Replay, Fault> {
    match fs::read(path) {
        Ok(octets) => replay(&octets).map_err(|why| damaged(path, &why)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Replay { next: 1, ..Replay::default() }),
        Err(error) => Err(unusable(path, error)),
    }
}

fn damaged(path: &Path, why: &str) -> Fault {
    Fault::new(
        format!("cannot use {}", path.display()),
        why,
        "restore a copy of it, or move it away to begin with an empty memory",
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
            "somebody else has removed or shortened it while it was in use: restore a copy of it, and start again"
        }
        _ => "check that the folder is writable and the disk is not full; the old content still stands",
    };
    Fault::caused_by(error, format!("cannot write {}", path.display()), next)
}

/// The content is secret: keys of a card.
fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
