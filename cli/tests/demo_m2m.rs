//! `landfall demo --m2m`, as a user runs it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says no by panicking"
)]

mod common;

use common::{landfall, succeed};
use serde_json::Value;

#[test]
fn profiles_are_pushed_one_comes_back_a_card_changes_hands_a_network_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let out = succeed(landfall(folder.path()).args(["demo", "--m2m", "--json"]));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["success"], true, "{}", report["summary"]);
    let [pushed, refused, handed_over, lost] = report["summary"].as_array().unwrap().as_slice() else {
        panic!("{}", report["summary"])
    };
    let registered = |story: &Value| story["registered"].as_str().unwrap().to_owned();
    assert!(registered(pushed).contains("Local Brasil"), "{pushed}");
    assert!(registered(refused).contains("Visited Brasil"), "{refused}");
    assert_eq!(handed_over["sm_sr"], "SM-SR 2");
    assert!(registered(handed_over).contains("Local Brasil"), "{handed_over}");
    assert!(registered(lost).contains("Visited Brasil"), "{lost}");
    let told: Vec<&str> =
        lost["notifications"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(told.iter().any(|told| told.contains("HandleProfileEnabledNotification")), "{told:?}");

    let timeline = report["timeline"].as_array().unwrap();
    let has = |interface: &str, function: &str| {
        timeline.iter().any(|event| event["interface"] == interface && event["function"] == function)
    };
    for (interface, function) in [
        ("ES1", "RegisterEIS"),
        ("ES2", "DownloadProfile"),
        ("ES3", "CreateISDPRequest"),
        ("ES3", "SendDataRequest"),
        ("ES3", "ProfileDownloadCompletedRequest"),
        ("ES4", "SMSRChange"),
        ("ES7", "HandoverEUICCRequest"),
        ("ES5", "HandleNotificationConfirmation"),
        ("CAT", "OPEN CHANNEL"),
        ("CAT", "SEND SHORT MESSAGE"),
    ] {
        assert!(has(interface, function), "{interface}.{function}");
    }
}

#[test]
fn a_profile_of_ones_own_is_for_consumer_devices_only() {
    let folder = tempfile::tempdir().unwrap();
    let errors = common::fail(landfall(folder.path()).args(["demo", "--m2m", "--profile", "x.der"]));
    assert!(errors.contains("--profile"), "{errors}");
}
