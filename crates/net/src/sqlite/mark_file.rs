//! The file with the mark of the last commit, beside the database.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::commit_mark::{CommitMark, FoundMark};
use crate::folder::sync_folder_of;

/// The ending of its name, like those of SQLite's own files.
const ENDING: &str = "-commits";

/// Returns the path of the mark of this database.
pub(super) fn path(database: &Path) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(ENDING);
    PathBuf::from(name)
}

/// Reads the mark, or returns `None` if the file is missing.
pub(super) fn read(database: &Path) -> io::Result<Option<FoundMark>> {
    match File::open(path(database)) {
        Ok(file) => CommitMark::read(&file).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the mark to a file that may be new, and syncs both the file and its name.
pub(super) fn create(database: &Path, mark: CommitMark) -> io::Result<()> {
    let path = path(database);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path)?;
    mark.write(&file)?;
    file.sync_all()?;
    sync_folder_of(&path)
}

/// The mark of a database that is in use.
#[derive(Debug)]
pub(super) struct MarkFile(File);

impl MarkFile {
    /// Opens the existing file.
    pub(super) fn open(database: &Path) -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).open(path(database)).map(Self)
    }

    /// Raises the mark to this commit, if it is lower. Another process may have written a higher
    /// one. A damaged mark stays, so that the next start reports it.
    pub(super) fn raise(&self, to: CommitMark) -> io::Result<()> {
        match CommitMark::read(&self.0)? {
            FoundMark::Mark(now) if now.store == to.store && now.number < to.number => to.write(&self.0),
            _ => Ok(()),
        }
    }
}

impl Drop for MarkFile {
    fn drop(&mut self) {
        // Without this sync, a power cut can only leave the mark behind the database.
        let _ = self.0.sync_data();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_raised_for_its_own_store_only_and_never_lowered() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("records.db");
        let mark = |store, number| CommitMark { store: [store; 16], number };
        create(&database, mark(1, 5)).unwrap();
        let file = MarkFile::open(&database).unwrap();
        for (to, expected) in [(mark(1, 3), 5), (mark(1, 7), 7), (mark(2, 9), 7), (mark(2, 3), 7)] {
            file.raise(to).unwrap();
            assert_eq!(read(&database).unwrap(), Some(FoundMark::Mark(mark(1, expected))), "{to:?}");
        }
    }
}
