//! `landfall localize`: rules and decisions.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use common::{fail, landfall, succeed};
use serde_json::Value;

/// A device with a British subscription, in Brazil since January 1st.
const DEVICE: &str = r#"{"device": {"history": {"stays": [
    {"country": "BR", "plmn": "724-05", "home": "GB", "from": "2026-01-01T00:00:00Z", "until": null}
]}, "held": []}}"#;

#[test]
fn the_decision_is_to_stay_until_the_days_are_used_up() {
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
fn a_rules_file_replaces_the_built_in_rules_and_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    std::fs::write(&file, "[[rule]]\nid = 'x'\n").unwrap();
    let errors = fail(landfall(folder.path()).args(["localize", "rules", "--rules"]).arg(&file));
    assert!(errors.contains("rules.toml") && errors.contains("why:"), "{errors}");
    let rules = succeed(landfall(folder.path()).args(["localize", "rules", "--country", "BR", "--json"]));
    assert!(serde_json::from_str::<Value>(&rules).unwrap().as_array().unwrap().len() >= 2);
}

#[test]
fn a_rules_file_that_is_not_utf_8_is_refused_with_the_position() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    std::fs::write(&file, b"# Ma\xF1ana\n").unwrap();
    let errors = fail(landfall(folder.path()).args(["localize", "rules", "--rules"]).arg(&file));
    assert!(errors.contains("rules.toml") && errors.contains("UTF-8"), "{errors}");
    assert!(errors.contains("octet 4") && errors.contains("next:"), "{errors}");
}
