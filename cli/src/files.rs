//! Reading and writing of files named on the command line.

use std::{
    fs::{OpenOptions, Permissions},
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use world::Fault;

/// Reads a file.
///
/// # Errors
/// The file cannot be read.
pub fn read(file: &Path) -> Result<Vec<u8>, Fault> {
    std::fs::read(file)
        .map_err(|e| Fault::usage_caused_by(e, format!("cannot read {}", file.display()), "correct the path"))
}

/// Reads a text file.
///
/// # Errors
/// The file cannot be read or is not UTF-8.
pub fn read_text(file: &Path) -> Result<String, Fault> {
    String::from_utf8(read(file)?).map_err(|e| {
        Fault::usage(
            format!("cannot read {}", file.display()),
            format!("it is not UTF-8 text (at octet {})", e.utf8_error().valid_up_to()),
            "save it as UTF-8",
        )
    })
}

/// Writes a file, and creates its folder if that is missing.
///
/// # Errors
/// The folder cannot be created, or the file cannot be written.
pub fn write(file: &Path, octets: impl AsRef<[u8]>) -> Result<(), Fault> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(file, octets))
        .map_err(|e| unwritable(file, e))
}

/// Writes a file that only its owner can read, because it contains keys or codes.
///
/// # Errors
/// The file cannot be written.
pub fn write_private(file: &Path, octets: impl AsRef<[u8]>) -> Result<(), Fault> {
    let write = || {
        let mut options = OpenOptions::new();
        let mut open = options.write(true).create(true).truncate(true).mode(OWNER_ONLY).open(file)?;
        // The mode above applies to new files only. Terminals and pipes keep their permissions.
        if open.metadata()?.is_file() {
            open.set_permissions(Permissions::from_mode(OWNER_ONLY))?;
        }
        open.write_all(octets.as_ref())
    };
    write().map_err(|e| unwritable(file, e))
}

const OWNER_ONLY: u32 = 0o600;

/// Fault of a file or folder that cannot be written.
pub fn unwritable(place: &Path, cause: std::io::Error) -> Fault {
    Fault::usage_caused_by(cause, format!("cannot write {}", place.display()), "choose a writable path")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_of_an_output_file_is_created() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reports/today/junit.xml");
        write(&file, "<testsuites/>").unwrap();
        assert_eq!(read(&file).unwrap(), b"<testsuites/>");
        assert!(write(&file.join("below-a-file.xml"), "").is_err());
    }
}
