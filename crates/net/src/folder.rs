//! The folder of a file.

use std::fs::File;
use std::io;
use std::path::Path;

/// Returns the folder of a file. A file name without a folder is in the current one.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Syncs the names in the folder of a file to disk.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_folder_is_in_the_current_folder() {
        assert_eq!(folder_of(Path::new("card")), Path::new("."));
        assert_eq!(folder_of(Path::new("a/card")), Path::new("a"));
        sync_folder_of(Path::new("card")).unwrap();
        assert!(sync_folder_of(Path::new("/missing/card")).is_err());
    }
}
