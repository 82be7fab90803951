//! The scenario language: `keys.toml` describes every key. docs/scenarios.md and the JSON schema
//! are generated from this file, and a test compares it with the parser.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod library;
mod page;
mod parser;
mod places;
mod schema;

use std::path::PathBuf;

use serde::Deserialize;

/// The contents of `keys.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    table: Vec<Table>,
    step: Vec<Step>,
    count: Vec<Count>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: String,
    written: String,
    what: String,
    keys: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    key: String,
    form: String,
    default: Option<String>,
    otherwise: Option<String>,
    example: Option<String>,
    /// The kind of devices to which the key is limited.
    kind: Option<String>,
    what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(rename = "do")]
    name: String,
    keys: String,
    what: String,
    /// The kind of devices to which the step is limited.
    kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    name: String,
    what: String,
}

impl Key {
    fn must_be_there(&self) -> bool {
        self.default.is_none() && self.otherwise.is_none()
    }
}

impl Step {
    /// The keys, each with a flag that is true for required keys. If two keys are joined by `or`,
    /// one of them is required.
    fn keys(&self) -> impl Iterator<Item = (&str, bool)> {
        self.keys.split(", ").flat_map(|part| {
            let or = part.contains(" or ");
            part.split(" or ").map(move |key| (key.trim_matches(['[', ']']), !or && !key.starts_with('[')))
        })
    }
}

fn keys() -> Keys {
    toml::from_str(include_str!("keys.toml")).unwrap_or_else(|error| panic!("keys.toml: {error}"))
}

fn docs(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file)
}

/// Checks that a generated file is up to date.
fn hold(file: &str, fresh: &str) {
    let path = docs(file);
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        std::fs::write(&path, fresh).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == fresh,
        "docs/{file} is stale; LANDFALL_REGENERATE=1 cargo test -p scenario --test form"
    );
}
