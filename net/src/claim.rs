//! One server at a time on a folder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;

use world::Fault;

/// A claim on the records of a party. As long as it lives no other process gets the same one; with the process it ends,
/// however that ends.
#[derive(Debug)]
pub struct Claim {
    _lock: File,
}

impl Claim {
    /// Claims what `party` ("sm-dp") has in `folder`, which is made if it is not there. A lock file is left in it.
    ///
    /// # Errors
    /// Another process has it, or the folder cannot be written.
    pub fn take(folder: &Path, party: &str) -> Result<Self, Fault> {
        let path = folder.join(format!("{party}.lock"));
        let unusable = |error| {
            let next = "choose a folder that can be written (--data-dir, or another path)";
            Fault::caused_by(error, format!("cannot use {}", path.display()), next)
        };
        fs::create_dir_all(folder).map_err(unusable)?;
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Fault::new(
                format!("cannot use {}", folder.join(party).display()),
                "another process does already",
                "stop that process, or give this one a place of its own (--data-dir, or another path)",
            )),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
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
