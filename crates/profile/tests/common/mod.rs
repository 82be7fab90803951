//! The TS.48 test profiles, which are not part of the repository. Tests that need them are ignored
//! without `has_ts48`.
#![allow(clippy::unwrap_used, reason = "clippy does not recognise this module as test code")]

use std::path::Path;

/// Name and contents of every TS.48 file with this ending.
pub(crate) fn files(ending: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/ts48");
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no file ends in .{ending}");
    files
}
