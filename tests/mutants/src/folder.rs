//! The folder with everything that the commands leave for each other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::list::Mutant;

/// The folder, `target/mutants` unless the command line names another one.
pub(crate) struct Folder(pub(crate) PathBuf);

/// All mutants, and those that compile.
#[derive(Serialize, Deserialize)]
pub(crate) struct Mutants {
    /// A mutant's number is its index plus 1.
    pub(crate) list: Vec<Mutant>,
    pub(crate) active: BTreeSet<u32>,
}

impl Mutants {
    /// Returns a mutant by its number.
    pub(crate) fn get(&self, number: u32) -> Option<&Mutant> {
        self.list.get((number as usize).checked_sub(1)?)
    }

    /// The mutants with their numbers.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (u32, &Mutant)> {
        (1..).zip(&self.list)
    }
}

impl Folder {
    /// The copy of the repository.
    pub(crate) fn tree(&self) -> PathBuf {
        self.0.join("tree")
    }

    /// A cargo command in the copy.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(self.tree());
        cargo.env("CARGO_TARGET_DIR", self.0.join("target"));
        // Switches cause warnings, and debug information is not read.
        cargo.env("RUSTFLAGS", "--cap-lints allow").env("CARGO_PROFILE_DEV_DEBUG", "0");
        cargo
    }

    /// Reads what an earlier command has written with [`Self::write`].
    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<T, String> {
        let text = self.text(name)?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", self.0.join(name).display()))
    }

    pub(crate) fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), String> {
        let text = serde_json::to_string(value).map_err(|error| error.to_string())?;
        write(&self.0.join(name), &text)
    }

    fn text(&self, name: &str) -> Result<String, String> {
        let path = self.0.join(name);
        fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}; run `mutants prepare` first", path.display()))
    }
}

/// Writes a file and the folders in its path.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    written.map_err(|error| format!("{} cannot be written: {error}", path.display()))
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}
