//! `landfall records` on the files of real servers and cards.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{fail, landfall, succeed};
use serde_json::Value;

/// A data folder with records of an SM-DP+ that has a profile, and with a card.
fn data_folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    succeed(landfall(&data).args(["profile", "new"]).arg(folder.path().join("profile.der")));
    succeed(landfall(&data).args(["sm-dp", "add"]).arg(folder.path().join("profile.der")));
    for address in ["first.example.com", "smdp.example.com"] {
        succeed(landfall(&data).args(["device", "default-sm-dp", address]));
    }
    (folder, data)
}

/// Runs a check. Returns its document and its exit status.
fn check(data: &Path) -> (Value, i32) {
    let output = landfall(data).args(["--json", "records", "check"]).output().unwrap();
    (serde_json::from_slice(&output.stdout).unwrap(), output.status.code().unwrap())
}

fn damaged(data: &Path) -> Vec<(String, String)> {
    let (report, status) = check(data);
    let damaged = report.as_array().unwrap().iter().filter(|file| file["damage"] != Value::Array(vec![]));
    let found: Vec<_> = damaged
        .map(|file| {
            let name = Path::new(file["file"].as_str().unwrap()).file_name().unwrap().to_str().unwrap();
            (name.to_owned(), file["damage"][0]["why"].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(status, if found.is_empty() { 0 } else { 6 }, "{report}");
    found
}

/// Path of the memory of the only card.
fn card(data: &Path) -> PathBuf {
    let cards = fs::read_dir(data.join("cards")).unwrap().map(|entry| entry.unwrap().path());
    let cards: Vec<_> = cards.filter(|path| path.extension().is_none_or(|ending| ending != "lock")).collect();
    assert_eq!(cards.len(), 1, "{cards:?}");
    cards[0].clone()
}

#[test]
fn a_check_finds_records_and_memories_and_their_damage() {
    let (_folder, data) = data_folder();
    let (report, _) = check(&data);
    let kinds: Vec<_> =
        report.as_array().unwrap().iter().map(|file| file["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"records") && kinds.contains(&"memory"), "{report}");
    assert_eq!(damaged(&data), []);

    let card = card(&data);
    let mut octets = fs::read(&card).unwrap();
    let last = octets.len() - 1;
    octets[last] ^= 1;
    fs::write(&card, &octets).unwrap();
    let database = data.join("sm-dp.sqlite");
    fs::remove_file(data.join("sm-dp.sqlite-commits")).unwrap();
    let found = damaged(&data);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().any(|(file, why)| file == "sm-dp.sqlite" && why.contains("-commits is missing")));
    assert!(found.iter().any(|(_, why)| why.contains("was made")), "{found:?}");

    // The commands that use the files refuse them, and tell how to continue.
    for arguments in [&["device", "list"][..], &["sm-dp", "list"]] {
        let error = fail(landfall(&data).args(arguments));
        assert!(error.contains("landfall records accept"), "{error}");
    }
    for file in [&card, &database] {
        succeed(landfall(&data).args(["records", "accept"]).arg(file));
    }
    assert_eq!(damaged(&data), []);
    succeed(landfall(&data).args(["sm-dp", "list"]));

    fs::remove_file(&card).unwrap();
    fs::remove_file(&database).unwrap();
    assert_eq!(damaged(&data).len(), 2, "files that are missing");
}

#[test]
fn records_are_encrypted_with_the_key_of_the_settings() {
    let (folder, data) = data_folder();
    let database = data.join("sm-dp.sqlite");
    let contains_iccid = || {
        let octets = fs::read(&database).unwrap();
        octets.windows(6).any(|window| window == b"894990" || window == b"897249")
    };
    assert!(contains_iccid());
    let key = folder.path().join("key");
    fs::write(&key, "0123456789abcdef".repeat(4)).unwrap();
    let with_key = || {
        let mut command = landfall(&data);
        command.env("LANDFALL_RECORDS_KEY_FILE", &key);
        command
    };
    let error = fail(with_key().args(["sm-dp", "list"]));
    assert!(error.contains("landfall records encrypt"), "{error}");
    let before = succeed(landfall(&data).args(["--json", "sm-dp", "list"]));
    succeed(with_key().args(["records", "encrypt"]).arg(&database));
    assert!(!contains_iccid());
    assert_eq!(succeed(with_key().args(["--json", "sm-dp", "list"])), before);
    succeed(with_key().args(["records", "check"]));
    let error = fail(landfall(&data).args(["sm-dp", "list"]));
    assert!(error.contains("records-key-file"), "{error}");
    let error = fail(landfall(&data).env("LANDFALL_RECORDS_KEY", "00".repeat(32)).args(["sm-dp", "list"]));
    assert!(error.contains("the key is not the key of this file"), "{error}");
}
