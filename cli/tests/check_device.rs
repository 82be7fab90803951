//! `landfall check device` with our own LPA, and with commands that fail in known ways.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::path::Path;

use common::{landfall, succeed};
use serde_json::Value;

/// Runs a check that cannot begin, and returns its exit status and error message.
fn error(folder: &Path, pattern: &str, command: &[&str]) -> (Option<i32>, String) {
    let mut check = landfall(folder);
    let output = check.args(["check", "device", "--fault", pattern, "--"]).args(command).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The fault, outcome and number of retries of each case in a report.
fn outcomes(report: &str) -> Vec<(String, String, u64)> {
    let report: Value = serde_json::from_str(report).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let cases = report["cases"].as_array().unwrap().iter();
    cases
        .map(|case| (text(&case["fault"]), text(&case["outcome"]), case["retries"].as_u64().unwrap()))
        .collect()
}

#[test]
fn our_lpa_recovers_from_faults_and_refuses_tampered_messages() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    let expected = [
        ("link/reset@ES9+.GetBoundProfilePackage#1", "recovered-directly", 0),
        ("link/http-503@ES9+.GetBoundProfilePackage#1", "recovered-after-retry", 1),
        ("records/crash-after-commit=1s@sm-dp:bindings#1", "recovered-after-retry", 1),
        ("tamper/dpauth-expired@ES9+.InitiateAuthentication#1", "recovered-after-retry", 1),
        ("tamper/bpp-mac@ES9+.GetBoundProfilePackage#1", "refused", 0),
    ];
    let lpa =
        [env!("CARGO_BIN_EXE_landfall"), "--data-dir", &data, "device", "download", "{activation_code}"];
    let page = folder.path().join("report.html");
    let mut command = landfall(folder.path());
    command.args(["--json", "check", "device", "--html"]).arg(&page);
    command.args(expected.iter().flat_map(|(fault, ..)| ["--fault", fault]));
    let report = succeed(command.arg("--").args(lpa));
    let found = outcomes(&report);
    assert_eq!(found, expected.map(|(fault, outcome, retries)| (fault.into(), outcome.into(), retries)));
    let report: Value = serde_json::from_str(&report).unwrap();
    for behaviour in report["behaviours"].as_array().unwrap() {
        assert_eq!(behaviour["met"], true, "{behaviour}");
    }
    assert!(std::fs::read_to_string(page).unwrap().contains("0 of 5 cases failed"));
}

#[test]
fn a_command_that_never_downloads_is_not_checked() {
    let folder = tempfile::tempdir().unwrap();
    for (pattern, command, expected, words) in [
        ("link/reset*", ["echo", "{matching_id}"], 6, "does not download a profile without a fault"),
        ("link/reset*", ["no-such-lpa", ""], 4, "cannot run no-such-lpa"),
        ("link/unknown*", ["true", ""], 2, "no case matches link/unknown*"),
    ] {
        let (status, errors) = error(folder.path(), pattern, &command);
        assert!(errors.contains(words), "{errors}");
        assert_eq!(status, Some(expected), "{errors}");
    }
}

#[test]
fn an_lpa_that_stops_after_a_failure_does_not_recover() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    // The command runs the LPA only once in each case.
    let script = format!(
        "mkdir {data}/run-$MATCHING_ID && {} --data-dir {data} device download $ACTIVATION_CODE",
        env!("CARGO_BIN_EXE_landfall")
    );
    let fault = "link/http-503@ES9+.GetBoundProfilePackage#1";
    let mut command = landfall(folder.path());
    command.args([
        "--json",
        "check",
        "device",
        "--fault",
        fault,
        "--retries",
        "1",
        "--",
        "sh",
        "-c",
        &script,
    ]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    let found = outcomes(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(found, [(fault.to_owned(), "not-recovered".to_owned(), 1)]);
}
