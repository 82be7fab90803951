//! `landfall localize`: the rules, and what they say of a device.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says no by panicking"
)]

mod common;

use common::{fail, landfall, succeed};
use serde_json::Value;

/// In Brazil since New Year on a British subscription.
const DEVICE: &str = r#"{"device": {"history": {"stays": [
    {"country": "BR", "plmn": "724-05", "home": "GB", "from": "2026-01-01T00:00:00Z", "until": null}
]}, "held": []}}"#;

#[test]
fn a_device_stays_until_its_days_are_used_up() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("device.json");
    std::fs::write(&file, DEVICE).unwrap();
    let decide = |at: &str| -> Value {
        let out =
            succeed(landfall(folder.path()).args(["--json", "localize", "decide", "--at", at]).arg(&file));
        serde_json::from_str(&out).unwrap()
    };
    assert_eq!(decide("2026-02-01T00:00:00Z")["decision"], "stay");
    // The 91st day is April 1st, and no local profile is known.
    let stuck = decide("2026-03-31T00:00:00Z");
    assert_eq!((&stuck["decision"], &stuck["deadline"]), (&"stuck".into(), &"2026-04-01T00:00:00Z".into()));
}

#[test]
fn rules_of_ones_own_replace_the_built_in_ones_and_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    std::fs::write(&file, "[[rule]]\nid = 'x'\n").unwrap();
    let errors = fail(landfall(folder.path()).args(["localize", "rules", "--rules"]).arg(&file));
    assert!(errors.contains("rules.toml") && errors.contains("why:"), "{errors}");
    let rules = succeed(landfall(folder.path()).args(["localize", "rules", "--country", "BR", "--json"]));
    assert!(serde_json::from_str::<Value>(&rules).unwrap().as_array().unwrap().len() >= 2);
}

#[test]
fn rules_that_are_not_utf_8_are_refused_and_the_place_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    std::fs::write(&file, b"# Ma\xF1ana\n").unwrap();
    let errors = fail(landfall(folder.path()).args(["localize", "rules", "--rules"]).arg(&file));
    assert!(errors.contains("rules.toml") && errors.contains("UTF-8"), "{errors}");
    assert!(errors.contains("octet 4") && errors.contains("next:"), "{errors}");
}
