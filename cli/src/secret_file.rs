//! Secrets that a command reads from a file or an environment variable. The arguments of a process
//! are visible to every user of the machine, so no argument contains a secret.

use std::{io::Read as _, path::Path};

use crypto::Secret;
use world::Fault;

use crate::files;

/// Path that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// Returns the secret in the file, or else that in the environment variable. Line breaks at the end
/// are ignored.
///
/// # Errors
/// The file cannot be read, or is not UTF-8.
pub(crate) fn secret(file: Option<&Path>, variable: &str) -> Result<Option<Secret<String>>, Fault> {
    match file {
        Some(file) => read_secret(file).map(Some),
        None => Ok(std::env::var(variable).ok().filter(|value| !value.is_empty()).map(without_line_end)),
    }
}

/// Returns the secret in the file, or in standard input if the path is `-`. Line breaks at the end
/// are ignored.
///
/// # Errors
/// The file cannot be read, or is not UTF-8.
pub(crate) fn read_secret(file: &Path) -> Result<Secret<String>, Fault> {
    if file.as_os_str() != STANDARD_INPUT {
        return files::read_text(file).map(without_line_end);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|e| {
        Fault::usage_caused_by(e, "cannot read standard input", "pipe the secret to the command as UTF-8")
    })?;
    Ok(without_line_end(text))
}

fn without_line_end(text: String) -> Secret<String> {
    let text = Secret::new(text);
    Secret::new(text.expose().trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_file_can_end_with_a_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "hush \r\n").unwrap();
        let read = secret(Some(&file), "LANDFALL_NO_SUCH_VARIABLE").unwrap();
        assert_eq!(read, Some(Secret::new("hush ".to_owned())));
        assert_eq!(secret(None, "LANDFALL_NO_SUCH_VARIABLE").unwrap(), None);
        assert!(secret(Some(&folder.path().join("missing")), "LANDFALL_NO_SUCH_VARIABLE").is_err());
    }
}
