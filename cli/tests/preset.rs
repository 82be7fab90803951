//! The preset of docs/preset.md, applied twice by the binary.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::path::Path;

use common::{Running, fail, landfall, succeed};
use serde_json::Value;

/// Returns the example in the document.
fn example() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/preset.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Starts a server and returns its start-up messages. The server is then killed.
fn serve(folder: &Path, arguments: &[&str]) -> Vec<String> {
    let serve = ["sm-dp", "serve", "--listen", "127.0.0.1:0"];
    let running = Running::start(landfall(folder).args(serve).args(arguments));
    running.err.up_to(&["SM-DP+ at "])
}

fn stock(folder: &Path) -> Vec<(String, String, String)> {
    let listed: Value =
        serde_json::from_str(&succeed(landfall(folder).args(["--json", "sm-dp", "list"]))).unwrap();
    let row = |profile: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&profile["iccid"]), text(&profile["state"]), text(&profile["order"]["matching_id"]))
    };
    listed.as_array().unwrap().iter().map(row).collect()
}

#[test]
fn a_preset_applied_again_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let preset = folder.join("preset.toml");
    std::fs::write(&preset, example()).unwrap();
    succeed(landfall(folder).args(["profile", "new", "--home", "234-99"]).arg(folder.join("own.der")));
    let arguments = ["--preset", preset.to_str().unwrap()];
    let printed = serve(folder, &arguments);
    let entries = |printed: &[String]| printed.iter().filter(|line| line.contains(" entry ")).count();
    assert_eq!(entries(&printed), 9, "{printed:?}");
    assert!(printed.iter().all(|line| !line.contains("(unchanged)")), "{printed:?}");
    assert!(printed.iter().any(|line| line.starts_with("admin API at http://127.0.0.1:")), "{printed:?}");
    let made = stock(folder);
    for (iccid, state, matching_id) in [
        ("89724990000000000019", "Released", "ALWAYS"),
        ("89724990000000000027", "Released", "TOO-LATE"),
        ("89234990000000000019", "Confirmed", "NOT-YET"),
        ("89724990000001000000", "Released", "PERSONALISED"),
    ] {
        let found = made.iter().any(|(i, s, m)| i == iccid && s == state && m == matching_id);
        assert!(found, "{iccid} {state} {matching_id} in {made:?}");
    }
    assert_eq!(made.len(), 4);

    let again = serve(folder, &arguments);
    let kept = again.iter().filter(|line| line.ends_with("(unchanged)")).count();
    assert_eq!(kept, 9, "{again:?}");
    assert_eq!(stock(folder), made);
}

#[test]
fn a_profile_given_at_every_start_is_added_once() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("own.der");
    succeed(landfall(folder.path()).args(["profile", "new"]).arg(&package));
    let arguments = ["--profile", package.to_str().unwrap()];
    let first = serve(folder.path(), &arguments);
    assert!(first[0].ends_with("is Available"), "{first:?}");
    let second = serve(folder.path(), &arguments);
    assert!(second[0].ends_with("is Available (unchanged)"), "{second:?}");
    let added = landfall(folder.path()).args(["--json", "sm-dp", "add"]).arg(&package).output().unwrap();
    assert!(String::from_utf8_lossy(&added.stdout).contains("this ICCID is already in stock"), "{added:?}");
}

#[test]
fn adding_a_package_prints_its_iccid_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("own.der");
    succeed(landfall(folder.path()).args(["profile", "new"]).arg(&package));
    let added = succeed(landfall(folder.path()).args(["--json", "sm-dp", "add"]).arg(&package));
    let added: Value = serde_json::from_str(&added).unwrap();
    assert_eq!(added["iccid"], stock(folder.path())[0].0);
}

#[test]
fn the_stock_is_listed_with_decoded_metadata() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("own.der");
    succeed(landfall(folder.path()).args(["profile", "new"]).arg(&package));
    succeed(landfall(folder.path()).args(["sm-dp", "add"]).arg(&package));
    let stock = succeed(landfall(folder.path()).args(["--json", "sm-dp", "list"]));
    let stock: Value = serde_json::from_str(&stock).unwrap();
    let metadata = &stock[0]["metadata"];
    assert_eq!(metadata["iccid"], stock[0]["iccid"]);
    assert_eq!(metadata["profile_class"], "operational");
    let events = &metadata["notification_configuration_info"][0]["profile_management_operation"];
    assert_eq!(*events, serde_json::json!(["install", "enable", "disable", "delete"]));
}

/// The error names file, entry, problem, cause and remedy, and nothing of the file is applied.
#[test]
fn the_error_names_the_problem_in_a_preset() {
    let folder = tempfile::tempdir().unwrap();
    let preset = folder.path().join("preset.toml");
    let good = "[[stock]]\nsubscription = '724-99'\n";
    for (bad, named) in [
        ("[[stok]]\n", "stok"),
        ("[[stock]\n", "line"),
        ("[[stock]]\n", "stock entry 2"),
        ("[[stock]]\nsubscription = '724-99'\nfile = 'x.der'\n", "more than one"),
        ("[[stock]]\nsubscription = '724-99'\npackage = 'MAA='\n", "more than one"),
        ("[[stock]]\nsubscription = 'Brazil'\n", "Brazil"),
        ("[[stock]]\nsubscription = '724-99'\nnumber = 1000000000\n", "1000000000"),
        ("[[stock]]\nsubscription = '724-99'\nnumber = '7'\n", "not a subscriber number"),
        ("[[stock]]\nfile = 'nowhere.der'\n", "nowhere.der"),
        ("[[stock]]\nfile = 7\n", "quotes"),
        ("[[stock]]\nsubscription = '724-99'\nprofileTyp = 'x'\n", "profileTyp"),
        ("[[orders]]\nicid = '1'\n", "orders entry 1"),
        ("[[operators]]\nidentifier = 'ACME'\n", "certificateOid"),
    ] {
        std::fs::write(&preset, format!("{good}{bad}")).unwrap();
        let errors = fail(
            landfall(folder.path())
                .args(["sm-dp", "serve", "--listen", "127.0.0.1:0", "--preset"])
                .arg(&preset),
        );
        let complete = ["preset.toml", "why:", "next:", named].iter().all(|part| errors.contains(part));
        assert!(complete, "{bad}: {errors}");
        assert!(stock(folder.path()).is_empty(), "{bad}");
    }
    // Valid entries that cannot be applied.
    for (bad, named) in [
        ("[[orders]]\niccid = '1'\n", "1"),
        ("[[orders]]\nprofileType = 'gold'\n", "matchingId"),
        ("[[orders]]\nprofileType = 'gold'\nmatchingId = 'X'\n", "gold"),
        ("[[orders]]\niccid = '89724990000000000019'\nstate = 'Linked'\n", "eid"),
    ] {
        std::fs::write(&preset, format!("{good}{bad}")).unwrap();
        let errors = fail(
            landfall(folder.path())
                .args(["sm-dp", "serve", "--listen", "127.0.0.1:0", "--preset"])
                .arg(&preset),
        );
        let complete = ["preset.toml", "orders entry 1", "why:", "next:", named]
            .iter()
            .all(|part| errors.contains(part));
        assert!(complete, "{bad}: {errors}");
    }
}

#[test]
fn a_description_becomes_a_template() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let description = folder.join("meter.toml");
    std::fs::write(&description, "profile-type = 'meters'\n[usim]\nspn = 'Meters'\n").unwrap();
    let add = ["sm-dp", "add", description.to_str().unwrap()];
    let numbers = ["--template", "--iccid", "8972499000000000100", "--imsi", "724990000000100"];
    assert_eq!(succeed(landfall(folder).args(add).args(numbers)), "meters\n");
    let refused = fail(landfall(folder).args(add).args(numbers));
    assert!(refused.contains("profile type \"meters\" has a template already"), "{refused}");
    let refused = fail(landfall(folder).args(add).args(["--iccid", "8972499000000000100"]));
    assert!(refused.contains("--template"), "{refused}");
    std::fs::write(&description, "[usim]\nspn = 1\n").unwrap();
    let refused = fail(landfall(folder).args(add).arg("--template"));
    assert!(refused.contains("line 2"), "{refused}");
}
