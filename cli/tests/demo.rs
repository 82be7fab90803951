//! `landfall demo`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::path::{Path, PathBuf};

use common::{fail, landfall, succeed};
use serde_json::Value;

fn demo(arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let out = succeed(landfall(folder.path()).args(["demo", "--json"]).args(arguments));
    serde_json::from_str(&out).unwrap()
}

fn both_stories_end_well(report: &Value) {
    assert_eq!(report["success"], true);
    let [first, second] = report["summary"].as_array().unwrap().as_slice() else { panic!("{report}") };
    assert_ne!(first["imsi_before"], first["imsi_after"], "the first device has a new subscription");
    assert_eq!(first["network_after"], "Local Brasil");
    assert_eq!(second["imsi_before"], second["imsi_after"], "the second device is on its old subscription");
    assert_eq!(second["network_after"], "Visited Brasil");
}

#[test]
fn one_device_moves_and_another_falls_back() {
    let report = demo(&[]);
    both_stories_end_well(&report);
    assert_eq!(report["summary"][0]["imsi_after"], "724990000000003");
    let functions: Vec<&str> = report["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| event["function"].as_str())
        .collect();
    for wanted in [
        "DownloadOrder",
        "ConfirmOrder",
        "InitiateAuthentication",
        "GetBoundProfilePackage",
        "HandleNotification",
    ] {
        assert!(functions.contains(&wanted), "{wanted}");
    }
    assert!(
        functions.iter().any(|printed| printed.starts_with("the clock is advanced")),
        "the timeline mentions the clock"
    );
}

#[test]
#[cfg_attr(not(has_ts48), ignore = "needs the TS.48 test profiles (../shared/data/ts48)")]
fn the_demo_accepts_every_ts48_package_unchanged() {
    let data = shared_data();
    let mut tried = 0;
    for entry in std::fs::read_dir(data.join("ts48")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "der") {
            both_stories_end_well(&demo(&["--profile", path.to_str().unwrap()]));
            tried += 1;
        }
    }
    assert!(tried >= 4, "{tried} packages");
}

#[test]
#[cfg_attr(not(has_sgp26), ignore = "needs the SGP.26 test certificates (../shared/data/sgp26)")]
fn the_demo_works_with_the_published_sgp26_certificates() {
    let data = shared_data();
    let pki = data.join("sgp26");
    both_stories_end_well(&demo(&[
        "--pki",
        pki.to_str().unwrap(),
        "--sm-dp-name",
        "testsmdpplus1.example.com",
    ]));
}

#[test]
fn a_truncated_package_is_refused_with_an_explanation() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.der");
    succeed(landfall(folder.path()).arg("profile").arg("new").arg(&whole));
    let octets = std::fs::read(&whole).unwrap();
    let torn = folder.path().join("torn.der");
    std::fs::write(&torn, &octets[..octets.len() / 2]).unwrap();
    for command in [["demo", "--profile"], ["profile", "show"]] {
        let errors = fail(landfall(folder.path()).args(command).arg(&torn));
        assert!(errors.contains("the bytes end too early") && errors.contains("next:"), "{errors}");
    }
}

/// Returns the folder of third-party test data next to the checkout.
fn shared_data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data")
}

#[test]
fn iot_devices_roll_back_fall_back_and_change_their_eim() {
    let folder = tempfile::tempdir().unwrap();
    let report = succeed(landfall(folder.path()).args(["demo", "--iot", "--json"]));
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["verdict"], "passed", "{}", report["expectations"]);
    let entries = report["timeline"]["entries"].as_array().unwrap();
    for happens in [
        "meter-1: rolled back to the former profile",
        "tracker-1: enabled the Fallback Profile",
        "tracker-1: returned from the Fallback Profile",
        "station-1: moved, on 724-92 with a profile of 724-92",
    ] {
        assert!(entries.iter().any(|entry| entry["what"] == happens), "{happens}");
    }
    let printed = succeed(landfall(folder.path()).args(["demo", "--iot"]));
    assert!(printed.contains("4 of 4 expectations met"), "{printed}");
    let errors = fail(landfall(folder.path()).args(["demo", "--iot", "--m2m"]));
    assert!(errors.contains("cannot be used with"), "{errors}");
}
