//! The folder with everything that the commands leave for each other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::list::Mutant;

/// The folder, `target/mutants` unless the command line names another one.
pub(crate) struct Folder(pub(crate) PathBuf);

/// All mutants by their number, which starts at 1, and those that compile.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Mutants {
    pub(crate) list: BTreeMap<u32, Mutant>,
    pub(crate) active: BTreeSet<u32>,
}

impl Mutants {
    /// Numbers a new list. A mutant that was listed before keeps its number, and stays inactive if it
    /// did not compile, so that only changed files are compiled again.
    pub(crate) fn renewed(self, list: Vec<Mutant>) -> Self {
        let next = self.list.last_key_value().map_or(1, |(number, _)| number + 1);
        let known: HashMap<&str, u32> =
            self.list.iter().map(|(number, mutant)| (mutant.name.as_str(), *number)).collect();
        let (old, new): (Vec<Mutant>, Vec<Mutant>) =
            list.into_iter().partition(|mutant| known.contains_key(mutant.name.as_str()));
        let old = old.into_iter().filter_map(|mutant| Some((*known.get(mutant.name.as_str())?, mutant)));
        let mut renewed = Self { list: old.collect(), active: BTreeSet::new() };
        renewed.active =
            self.active.iter().copied().filter(|number| renewed.list.contains_key(number)).collect();
        for (number, mutant) in (next..).zip(new) {
            renewed.list.insert(number, mutant);
            renewed.active.insert(number);
        }
        renewed
    }
}

impl Folder {
    /// The copy of the repository.
    pub(crate) fn tree(&self) -> PathBuf {
        self.0.join("tree")
    }

    /// The copy that the last `prepare` made.
    pub(crate) fn previous_tree(&self) -> PathBuf {
        self.0.join("previous")
    }

    /// A cargo command in the copy.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(self.tree());
        cargo.env("CARGO_TARGET_DIR", self.0.join("target"));
        // Debug information is not read.
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0");
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
