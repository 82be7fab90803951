//! Each kind of finding (`docs/findings.md`) is asserted by a test.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failing test panics")]

use std::fs;
use std::path::Path;

use rsp::finding::FindingKind;

/// Files whose tests name kinds only as examples.
const EXAMPLES: [&str; 4] = [
    "crates/rsp/src/finding.rs",
    "crates/rsp/src/finding/collect.rs",
    "crates/rsp/tests/findings.rs",
    "cli/src/device_check/report.rs",
];

#[test]
fn each_kind_of_finding_occurs_in_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut tests = String::new();
    collect(&root, &root, &mut tests);
    let names = |kind: &FindingKind| [format!("{kind:?}"), kind.name().to_owned()];
    let is_missing = |kind: &&FindingKind| !names(kind).iter().any(|name| occurs(&tests, name));
    let missing: Vec<_> = FindingKind::ALL.iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "no test asserts {missing:?}");
}

#[test]
fn a_name_occurs_only_as_a_whole_word() {
    for (text, expected) in [
        ("[FindingKind::NotDer]", true),
        ("NotDerSignature", false),
        ("xNotDer", false),
        ("\"not-der\"", false),
        ("NotDerSignature NotDer", true),
    ] {
        assert_eq!(occurs(text, "NotDer"), expected, "{text}");
    }
}

/// True if the text contains the name, and no letter, digit, `-` or `_` beside it.
fn occurs(text: &str, name: &str) -> bool {
    let is_of_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        !before.ends_with(is_of_word) && !after.starts_with(is_of_word)
    })
}

/// Adds the tests in the Rust files of a folder: files of tests, and test modules at the end of other
/// files.
fn collect(root: &Path, folder: &Path, tests: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                collect(root, &path, tests);
            }
            continue;
        }
        let relative = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
        if !name.ends_with(".rs") || EXAMPLES.contains(&&*relative) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        // The crate `tests` has tests in its own folder `tests` only.
        let in_crate = relative.strip_prefix("tests/").unwrap_or(&relative);
        let is_test = in_crate.split('/').any(|part| matches!(part, "tests" | "tests.rs"));
        match text.find("#[cfg(test)]\nmod ") {
            _ if is_test => tests.push_str(&text),
            Some(at) => tests.push_str(&text[at..]),
            None => {}
        }
    }
}
