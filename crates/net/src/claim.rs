//! Exclusive use of a folder or file by one process.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use world::Fault;

use crate::os::create_private_folder;

/// A claim on a file or on the records of a party. While it exists, no other process can take the
/// same claim. The claim ends when it is dropped or when the process ends, even after a crash.
#[derive(Debug)]
pub struct Claim {
    lock: File,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // A child process that is just starting has inherited the open file, so closing the file is
        // not enough to release the lock. If unlocking fails, the lock ends with the process.
        let _ = self.lock.unlock();
    }
}

impl Claim {
    /// Claims the records of `party` (such as "sm-dp") in `folder`, and creates the folder if it is
    /// missing.
    ///
    /// # Errors
    /// Another process has the claim, or the folder is not writable.
    pub fn take(folder: &Path, party: &str) -> Result<Self, Fault> {
        let path = folder.join(party);
        let what = || format!("cannot use {}", path.display());
        let claim = create_private_folder(folder).and_then(|()| Self::of(&path)).map_err(|error| {
            Fault::usage_caused_by(error, what(), "choose a writable folder with --data-dir")
        })?;
        claim.ok_or_else(|| {
            let next = "stop that process, or choose another folder with --data-dir";
            Fault::usage(what(), "another process is using it", next)
        })
    }

    /// Returns the lock file. Its content belongs to the process that has the claim.
    pub(crate) fn lock_file(&self) -> &File {
        &self.lock
    }

    /// Returns the path of the lock file of `path`.
    pub(crate) fn lock_path(path: &Path) -> PathBuf {
        let mut lock = OsString::from(path);
        lock.push(".lock");
        PathBuf::from(lock)
    }

    /// Claims `path` with a lock file beside it whose name ends in `.lock`, or returns `None` if
    /// another process has the claim. The lock file is never removed: another process may have just
    /// opened it.
    ///
    /// # Errors
    /// The lock file is not writable.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let lock = options.open(Self::lock_path(path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_exclusive_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("deep");
        let first = Claim::take(&folder, "sm-dp").unwrap();
        assert!(Claim::take(&folder, "sm-dp").unwrap_err().why.contains("another process"));
        let _other = Claim::take(&folder, "sm-ds").unwrap();
        drop(first);
        let _again = Claim::take(&folder, "sm-dp").unwrap();
        assert!(Claim::take(&folder.join("sm-dp.lock"), "sm-dp").is_err());
    }

    #[test]
    fn a_claim_ends_although_a_child_process_has_inherited_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("card");
        let claim = Claim::of(&path).unwrap().unwrap();
        // An inherited file and a cloned one have the same lock.
        let _inherited = claim.lock_file().try_clone().unwrap();
        drop(claim);
        assert!(Claim::of(&path).unwrap().is_some());
    }
}
