//! One server at a time on a folder.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use world::Fault;

/// A claim on a file or on the records of a party. As long as it lives no other process gets the same one; with the
/// process it ends, however that ends.
#[derive(Debug)]
pub struct Claim {
    lock: File,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // A child that is just being started has the file open as well: closing it here alone would leave the claim to that
        // one. An error would leave it to the end of the process.
        let _ = self.lock.unlock();
    }
}

impl Claim {
    /// Claims what `party` ("sm-dp") has in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// Another process has it, or the folder cannot be written.
    pub fn take(folder: &Path, party: &str) -> Result<Self, Fault> {
        let path = folder.join(party);
        let what = || format!("cannot use {}", path.display());
        let claim = fs::create_dir_all(folder).and_then(|()| Self::of(&path)).map_err(|error| {
            Fault::caused_by(error, what(), "choose a folder that can be written (--data-dir)")
        })?;
        claim.ok_or_else(|| {
            let next = "stop that process, or give this one a folder of its own (--data-dir)";
            Fault::new(what(), "another process does already", next)
        })
    }

    /// Claims what is at `path`, by a file beside it whose name ends in `.lock`; none if another process has it. The file
    /// stays: who removed it would take it from one that has just opened it.
    ///
    /// # Errors
    /// The lock file cannot be written.
    pub fn of(path: &Path) -> io::Result<Option<Self>> {
        let mut lock = OsString::from(path);
        lock.push(".lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let lock = options.open(lock)?;
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
    fn a_claim_holds_against_others_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("deep");
        let first = Claim::take(&folder, "sm-dp").unwrap();
        assert!(Claim::take(&folder, "sm-dp").unwrap_err().why.contains("another process"));
        let _other = Claim::take(&folder, "sm-ds").unwrap();
        drop(first);
        let _again = Claim::take(&folder, "sm-dp").unwrap();
        assert!(Claim::take(&folder.join("sm-dp.lock"), "sm-dp").is_err());
    }
}
