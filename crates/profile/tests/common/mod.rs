//! The published TS.48 packages, which are not part of the repository.
#![allow(clippy::unwrap_used, reason = "this is test code, though clippy sees no test here")]

use std::path::{Path, PathBuf};

fn directory() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/ts48");
    if path.is_dir() {
        return Some(path);
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "the TS.48 packages are not at {}: the CI job must provide them",
        path.display()
    );
    println!("skipped: no TS.48 packages at {}", path.display());
    None
}

/// Name and contents of every file with this ending; none (and a word about it) where the data is not provided.
pub(crate) fn files(ending: &str) -> Vec<(String, Vec<u8>)> {
    let Some(directory) = directory() else { return Vec::new() };
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no file ends in .{ending}");
    files
}
