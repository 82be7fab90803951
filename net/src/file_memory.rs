//! A card's or a device's non-volatile memory in one file.
//!
//! The file is one header line and the content:
//!
//! ```text
//! landfall-memory 1 <SHA-256 of the content, hex> <length of the content>\n<content>
//! ```
//!
//! A store writes a new file beside the old one, brings it to the disk, and renames it over the old one; after a power
//! cut at any moment there is the old content or the new. The hash tells a file that was damaged by anything else.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use world::{Fault, Memory};

const MAGIC: &str = "landfall-memory";
const VERSION: u32 = 1;

/// [`Memory`] in a file. While it lives, no other process can open the same one.
#[derive(Debug)]
pub struct FileMemory {
    path: PathBuf,
    /// Locked as long as it is open. The state file itself cannot carry the lock: each store replaces it.
    _lock: File,
}

impl FileMemory {
    /// Opens the memory at `path`, creating its folder where needed. A file that is not there is a memory that is new.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Fault> {
        let path = path.into();
        fs::create_dir_all(folder(&path)).map_err(|error| unusable(&path, error))?;
        let lock_path = beside(&path, ".lock");
        let lock = owner_only().open(&lock_path).map_err(|error| unusable(&path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Fault::new(
                format!("cannot use {}", path.display()),
                "another process holds it",
                "stop that process, or reach the card through it: `landfall up` and `landfall euicc serve` say where, for --card",
            )),
            Err(TryLockError::Error(error)) => Err(unusable(&path, error)),
        }
    }

    /// Where the memory lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn replace(&self, content: &[u8]) -> io::Result<()> {
        let new = beside(&self.path, ".new");
        let mut file = owner_only().truncate(true).open(&new)?;
        file.write_all(header(content).as_bytes())?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        // The rename itself must reach the disk too.
        File::open(folder(&self.path))?.sync_all()
    }
}

impl Memory for FileMemory {
    fn load(&self) -> Result<Option<Vec<u8>>, Fault> {
        let mut bytes = Vec::new();
        match File::open(&self.path).and_then(|mut file| file.read_to_end(&mut bytes)) {
            Ok(_) => content_of(&bytes)
                .map(|content| Some(content.to_vec()))
                .map_err(|why| damaged(&self.path, &why)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable(&self.path, error)),
        }
    }

    fn store(&mut self, content: &[u8]) -> Result<(), Fault> {
        self.replace(content).map_err(|error| {
            Fault::caused_by(
                error,
                format!("cannot write {}", self.path.display()),
                "check that the folder is writable and the disk is not full; the old content still stands",
            )
        })
    }
}

fn header(content: &[u8]) -> String {
    format!("{MAGIC} {VERSION} {} {}\n", hex::encode(Sha256::digest(content)), content.len())
}

fn content_of(file: &[u8]) -> Result<&[u8], String> {
    let line_end = file.iter().position(|byte| *byte == b'\n').ok_or("it has no header line")?;
    let (line, rest) = file.split_at(line_end);
    let content = rest.get(1..).unwrap_or_default();
    let line = str::from_utf8(line).map_err(|_| "its header is not text")?;
    let [magic, version, hash, length] = line.split(' ').collect::<Vec<_>>()[..] else {
        return Err("its header does not have four parts".into());
    };
    if magic != MAGIC {
        return Err("it is not a memory file".into());
    }
    if version != VERSION.to_string() {
        return Err(format!("it has version {version}, and this program knows version {VERSION}"));
    }
    if length != content.len().to_string() {
        return Err(format!("it should hold {length} bytes and holds {}", content.len()));
    }
    if hash != hex::encode(Sha256::digest(content)) {
        return Err("its content does not match its hash".into());
    }
    Ok(content)
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

/// The content is secret: keys of a card.
fn owner_only() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
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
mod tests {
    use super::*;

    fn stored(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/card.state");
        FileMemory::open(&path).unwrap().store(content).unwrap();
        (folder, path)
    }

    fn load(path: &Path) -> Result<Option<Vec<u8>>, Fault> {
        FileMemory::open(path).unwrap().load()
    }

    #[test]
    fn what_was_stored_last_is_loaded() {
        let (_folder, path) = stored(b"one");
        let mut memory = FileMemory::open(&path).unwrap();
        memory.store(b"two\nlines \xff").unwrap();
        drop(memory);
        assert_eq!(load(&path).unwrap().unwrap(), b"two\nlines \xff");
        assert_eq!(load(&path.with_extension("other")).unwrap(), None);
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let (_folder, path) = stored(b"some content");
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(load(&path).unwrap_err().next.contains("restore"), "cut to {length} bytes");
        }
    }

    #[test]
    fn a_file_with_any_bit_wrong_is_refused() {
        let (_folder, path) = stored(b"some content");
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut wrong = whole.clone();
            wrong[at] ^= 0x10;
            fs::write(&path, &wrong).unwrap();
            assert!(load(&path).is_err(), "bit flipped in byte {at}");
        }
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused_by_its_version() {
        let (_folder, path) = stored(b"x");
        let text = fs::read_to_string(&path).unwrap().replacen("memory 1", "memory 2", 1);
        fs::write(&path, text).unwrap();
        assert!(load(&path).unwrap_err().why.contains("version 2"));
    }

    #[test]
    fn a_store_that_was_cut_off_leaves_the_old_content() {
        let (_folder, path) = stored(b"old");
        fs::write(beside(&path, ".new"), "landfall-memory 1 torn").unwrap();
        assert_eq!(load(&path).unwrap().unwrap(), b"old");
        FileMemory::open(&path).unwrap().store(b"new").unwrap();
        assert_eq!(load(&path).unwrap().unwrap(), b"new");
    }

    #[test]
    fn a_store_that_fails_is_a_fault_and_the_old_content_stands() {
        let (_folder, path) = stored(b"old");
        let mut memory = FileMemory::open(&path).unwrap();
        // In the way of the new file.
        fs::create_dir(beside(&path, ".new")).unwrap();
        let fault = memory.store(b"new").unwrap_err();
        assert!(fault.next.contains("the old content still stands"), "{fault}");
        assert_eq!(memory.load().unwrap().unwrap(), b"old");
    }

    #[test]
    fn two_at_once_are_refused_and_one_after_the_other_are_not() {
        let (_folder, path) = stored(b"x");
        let first = FileMemory::open(&path).unwrap();
        assert!(FileMemory::open(&path).unwrap_err().why.contains("another process"));
        drop(first);
        FileMemory::open(&path).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_a_fault() {
        let (_folder, path) = stored(b"x");
        let fault = FileMemory::open(path.join("below a file/card")).unwrap_err();
        assert!(fault.what.starts_with("cannot use"), "{fault}");
    }
}
