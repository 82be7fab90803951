//! `landfall demo --m2m`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use common::{landfall, succeed};
use serde_json::Value;

#[test]
fn the_four_m2m_cases_end_as_expected() {
    let folder = tempfile::tempdir().unwrap();
    let soap = folder.path().join("soap");
    let out = succeed(landfall(folder.path()).args(["demo", "--m2m", "--json", "--soap"]).arg(&soap));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["success"], true, "{}", report["summary"]);
    let [pushed, refused, handed_over, lost] = report["summary"].as_array().unwrap().as_slice() else {
        panic!("{}", report["summary"])
    };
    // Cases start and end without messages in transit, so that the counts are the same in
    // every run.
    let air = |case: &Value| {
        let count = |what: &str| case["over_the_air"][what].as_u64().unwrap();
        (count("messages_to_card"), count("messages_from_card"), count("channels"))
    };
    assert_eq!([pushed, refused, handed_over, lost].map(air), [(3, 3, 1), (3, 3, 1), (9, 6, 1), (1, 2, 0)]);
    let registered = |case: &Value| case["registered"].as_str().unwrap().to_owned();
    assert!(registered(pushed).contains("Local Brasil"), "{pushed}");
    assert!(registered(refused).contains("Visited Brasil"), "{refused}");
    assert_eq!(handed_over["sm_sr"], "SM-SR 2");
    assert!(registered(handed_over).contains("Local Brasil"), "{handed_over}");
    assert!(registered(lost).contains("Visited Brasil"), "{lost}");
    let expected: Vec<&str> =
        lost["notifications"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(
        expected.iter().any(|expected| expected.contains("HandleProfileEnabledNotification")),
        "{expected:?}"
    );

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
    // The messages of all parties are recorded in the order of their transmission.
    let mut files: Vec<String> = std::fs::read_dir(&soap)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files[0], "0001-ES1-RegisterEISRequest.xml");
    for element in ["ES2-DownloadProfileResponse", "ES3-SendDataRequest", "ES7-HandoverEUICCRequest"] {
        assert!(files.iter().any(|file| file.contains(element)), "{element}: {files:?}");
    }
}

#[test]
fn the_timeline_uses_names_and_omits_toolkit_events() {
    let folder = tempfile::tempdir().unwrap();
    let printed = succeed(landfall(folder.path()).args(["demo", "--m2m"]));
    for expected in [
        "operator > SM-DP      ES2.DownloadProfile",
        "SM-DP > SM-SR 1       ES3.CreateISDP",
        "SM-SR 1 > device 1    ES5.SessionTrigger",
        "card > device 1       CAT.OPEN CHANNEL",
        "device 2 > SM-SR 1    ES5.HandleDefaultNotification           55/0  ProfileChangeFailed",
        "SM-DP > operator      ES2.EnableProfile                             refused: FAILED 8.1/4.2",
        "device 3 is managed by SM-SR 2",
        "SM-SR 2 > device 3    ES5.EnableProfile",
        "SM-SR 1 > operator    ES4.HandleProfileEnabledNotification",
    ] {
        assert!(printed.contains(expected), "{expected}\n{printed}");
    }
    // Short messages to and from the card; see the counts above.
    for row in ["SM-SR 1  3/3 ", "SM-SR 2  9/6 ", "SM-SR 1  1/2 "] {
        assert!(printed.contains(row), "{row}\n{printed}");
    }
    for small in ["2.999.", "TIMER MANAGEMENT", "RECEIVE DATA", "SEND DATA", "GetEIS"] {
        assert!(!printed.contains(small), "{small}\n{printed}");
    }
}

#[test]
fn the_profile_option_is_refused_for_m2m_devices() {
    let folder = tempfile::tempdir().unwrap();
    let errors = common::fail(landfall(folder.path()).args(["demo", "--m2m", "--profile", "x.der"]));
    assert!(errors.contains("--profile"), "{errors}");
}
