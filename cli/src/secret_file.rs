//! Secrets that a command reads from a file or an environment variable. The arguments of a process
//! are visible to every user of the machine, so no argument contains a secret.

use std::path::Path;

use world::Fault;

use crate::files;

/// Returns the secret in the file, or else that in the environment variable. Line breaks at the end
/// are ignored.
///
/// # Errors
/// The file cannot be read, or is not UTF-8.
pub(crate) fn secret(file: Option<&Path>, variable: &str) -> Result<Option<String>, Fault> {
    let text = match file {
        Some(file) => Some(files::read_text(file)?),
        None => std::env::var(variable).ok().filter(|value| !value.is_empty()),
    };
    Ok(text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_can_end_with_a_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "hush \r\n").unwrap();
        assert_eq!(secret(Some(&file), "LANDFALL_NO_SUCH_VARIABLE").unwrap().as_deref(), Some("hush "));
        assert_eq!(secret(None, "LANDFALL_NO_SUCH_VARIABLE").unwrap(), None);
        assert!(secret(Some(&folder.path().join("missing")), "LANDFALL_NO_SUCH_VARIABLE").is_err());
    }
}
