//! The mutants that cargo-mutants finds.

use std::process::Command;

use serde::{Deserialize, Serialize};

/// One mutant, as `cargo mutants --list --json` prints it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Mutant {
    /// The name of the crate.
    pub(crate) package: String,
    /// The path of the source file, relative to the repository.
    pub(crate) file: String,
    pub(crate) genre: Genre,
    /// The Rust code that replaces the original.
    pub(crate) replacement: String,
    /// Place and change, for a person.
    pub(crate) name: String,
    span: Span,
}

/// The kind of code that a mutant changes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) enum Genre {
    /// The value of a function.
    FnValue,
    BinaryOperator,
    UnaryOperator,
    /// An arm of a `match` is removed.
    MatchArm,
    /// The guard of an arm becomes a constant.
    MatchArmGuard,
    /// A field of a structure is removed, and has the value in the structure after `..`.
    StructField,
    /// A kind that [`crate::switch`] does not know.
    #[serde(other)]
    Other,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Span {
    start: Position,
}

/// A place in a file. Lines and columns start at 1; columns count characters.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq, Hash)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Mutant {
    /// The place where the changed code starts.
    pub(crate) fn start(&self) -> Position {
        self.span.start
    }
}

/// Lists the mutants of `packages`.
pub(crate) fn list(packages: &[String]) -> Result<Vec<Mutant>, String> {
    let mut command = Command::new("cargo");
    command.args(["mutants", "--list", "--json"]);
    for package in packages {
        command.args(["-p", package]);
    }
    let output = command.output().map_err(|error| format!("cargo was not started: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "`cargo mutants --list` failed; install it with `cargo install --locked cargo-mutants`\n{}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("the list of cargo-mutants cannot be read: {error}"))
}
