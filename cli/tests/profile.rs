//! `landfall profile`: docs/profiles.md says what the program says, and the exit status what was found.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says no by panicking")]

mod common;

use std::path::Path;

use common::{fail, landfall, succeed};
use serde_json::Value;

fn profile(folder: &tempfile::TempDir, arguments: &[&str]) -> std::process::Command {
    let mut command = landfall(folder.path());
    command.arg("profile").args(arguments).current_dir(folder.path());
    command
}

/// A folder with two packages, the beginning of one, and the first description of the page.
fn packages() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    succeed(&mut profile(&folder, &["new", "first.der", "--number", "1"]));
    succeed(&mut profile(&folder, &["new", "second.der", "--number", "2"]));
    let whole = std::fs::read(folder.path().join("first.der")).unwrap();
    std::fs::write(folder.path().join("cut.der"), whole.get(..700).unwrap()).unwrap();
    let page = page();
    let description = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    std::fs::write(folder.path().join("own.toml"), description).unwrap();
    folder
}

fn page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/profiles.md");
    std::fs::read_to_string(page).unwrap()
}

/// A line `...` stands for lines left out.
#[test]
fn the_page_about_profiles_says_what_the_program_says() {
    let page = page();
    let folder = packages();
    let travel = page.split("```toml\n").find(|block| block.contains("[[identity]]")).unwrap();
    std::fs::write(folder.path().join("travel.toml"), travel.split("```").next().unwrap()).unwrap();
    let mut asked = 0;
    for block in page.split("\n```console\n").skip(1) {
        let (block, _) = block.split_once("\n```").unwrap();
        let (command, expected) = block.split_once('\n').unwrap();
        let Some(arguments) = command.strip_prefix("$ landfall profile ") else { panic!("{command}") };
        let output = profile(&folder, &[]).args(arguments.split_whitespace()).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let mut said = said.lines();
        let mut skipping = false;
        for line in expected.lines() {
            if line == "..." {
                skipping = true;
                continue;
            }
            let found = if skipping { said.find(|said| *said == line) } else { said.next() };
            assert_eq!(found, Some(line), "{command}");
            skipping = false;
        }
        assert!(skipping || said.next().is_none(), "{command} says more");
        asked += 1;
    }
    assert!(asked >= 6, "{asked}");
}

#[test]
fn errors_end_with_status_1_and_scripts_get_the_findings() {
    let folder = packages();
    succeed(&mut profile(&folder, &["check", "first.der", "second.der"]));
    fail(&mut profile(&folder, &["check", "first.der", "cut.der"]));
    let output = profile(&folder, &["check", "cut.der", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let first = found.pointer("/0/findings/0").unwrap();
    for name in ["severity", "rule", "place", "what", "why", "next"] {
        assert!(first.get(name).is_some_and(|value| !value.is_null()), "{name} in {first}");
    }
    let errors = fail(&mut profile(&folder, &["show", "cut.der"]));
    assert!(errors.contains("landfall profile check"), "{errors}");
}

#[test]
fn keys_are_shown_only_to_one_who_asks() {
    let folder = packages();
    let shown = |arguments: &[&str]| succeed(&mut profile(&folder, arguments));
    let with = shown(&["diff", "first.der", "second.der", "--secrets"]);
    let without = shown(&["diff", "first.der", "second.der"]);
    assert!(without.contains("(hidden)") && !with.contains("(hidden)"), "{without}\n{with}");
    let found: Value = serde_json::from_str(&shown(&["diff", "first.der", "second.der", "--json"])).unwrap();
    assert!(!found.as_array().unwrap().is_empty());
    let files: Value = serde_json::from_str(&shown(&["show", "first.der", "--files", "--json"])).unwrap();
    let is_imsi = |file: &&Value| file.get("path").is_some_and(|path| path == "3F00/7FD0/6F07 ef-imsi");
    let imsi = files.as_array().unwrap().iter().find(is_imsi).unwrap();
    assert_eq!(imsi.pointer("/meaning/0").unwrap(), "724990000000001");
    assert!(imsi.get("contents").is_none());
}
