//! `landfall check eim` and `landfall check ipa`, with the eIM and the IPA of this project and with
//! others that fail in known ways.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::path::Path;

use common::{Running, landfall, succeed};
use serde_json::Value;

/// The result of each case in a report.
fn results(report: &str) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(report).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let entries = report["entries"].as_array().unwrap().iter();
    entries.map(|entry| (text(&entry["title"]), text(&entry["result"]))).collect()
}

fn eim(folder: &Path) -> (Running, String) {
    let mut serve = landfall(folder);
    serve.args(["--json", "eim", "serve", "--listen", "127.0.0.1:0", "--listen-api", "127.0.0.1:0"]);
    let process = Running::start(&mut serve);
    let ready = process.out.json();
    let api = ready["addresses"]["api"].as_str().unwrap().to_owned();
    (process, api)
}

#[test]
fn our_eim_passes_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let mut check = landfall(folder.path());
    let report = succeed(check.args(["--json", "check", "eim", "--own", "--curve", "nist", "--strict"]));
    let results = results(&report);
    assert!(results.len() > 140, "{}", results.len());
    assert!(results.iter().all(|(_, result)| result == "passed"), "{results:?}");
}

#[test]
fn orders_are_placed_with_a_command_at_an_eim_without_a_known_api() {
    let folder = tempfile::tempdir().unwrap();
    let (_process, api) = eim(folder.path());
    let program = env!("CARGO_BIN_EXE_landfall");
    let mut configuration = landfall(folder.path());
    let printed = succeed(configuration.args(["--json", "eim", "configuration", "--api", &api]));
    let file = folder.path().join("eim.json");
    std::fs::write(&file, printed).unwrap();
    let operator = format!(
        "case $ACTION in register) {program} eim register $EID --api {api};; order) {program} eim order $EID \
         $OPERATIONS --api {api};; esac"
    );
    let mut check = landfall(folder.path());
    check.args(["--json", "check", "eim", "--binding", "asn1", "--curve", "nist"]);
    check.args(["--case", "ESep", "--operator", &operator, "--eim-configuration"]).arg(&file);
    let results = results(&succeed(&mut check));
    assert!(results.len() >= 10 && results.iter().all(|(_, result)| result == "passed"), "{results:?}");
}

#[test]
fn an_eim_with_an_operator_that_orders_nothing_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (_process, api) = eim(folder.path());
    let mut configuration = landfall(folder.path());
    let printed = succeed(configuration.args(["--json", "eim", "configuration", "--api", &api]));
    let file = folder.path().join("eim.json");
    std::fs::write(&file, printed).unwrap();
    for (operator, expected) in [("true", "failed"), ("false", "notRun")] {
        let mut check = landfall(folder.path());
        check.args(["--json", "check", "eim", "--binding", "asn1", "--curve", "nist"]);
        check.args(["--case", "the profiles are listed", "--operator", operator, "--eim-configuration"]);
        let output = check.arg(&file).output().unwrap();
        assert_eq!(output.status.code(), Some(6));
        let results = results(&String::from_utf8(output.stdout).unwrap());
        assert!(results.iter().all(|(_, result)| result == expected), "{results:?}");
    }
}

/// The command of the IPA of this project. Its card is kept in the folder between the runs.
fn ipa(folder: &Path) -> Vec<String> {
    let words = ["{program}", "--data-dir", "{folder}", "device", "run", "--iot", "--once"];
    let words = words.into_iter().chain(["--eim-configuration", "{eim_configuration}"]);
    let program = env!("CARGO_BIN_EXE_landfall");
    let folder = folder.display().to_string();
    words.map(|word| word.replace("{program}", program).replace("{folder}", &folder)).collect()
}

// req: SGP.32-6.1-Key, SGP.32-6.1-UserAgent
#[test]
fn our_ipa_passes_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let mut check = landfall(folder.path());
    check.args(["--json", "check", "ipa", "--"]).args(ipa(folder.path()));
    let results = results(&succeed(&mut check));
    assert!(results.len() > 24, "{}", results.len());
    // The cases of CoAP, and those in which the device loses its service.
    let (not_run, run): (Vec<_>, Vec<_>) = results.iter().partition(|(_, result)| result == "notRun");
    assert_eq!(not_run.len(), 5, "{not_run:?}");
    assert!(run.iter().all(|(_, result)| result == "passed"), "{run:?}");
}

#[test]
fn our_ipa_passes_over_dtls() {
    let folder = tempfile::tempdir().unwrap();
    let mut check = landfall(folder.path());
    check.args(["--json", "check", "ipa", "--case", "CoAP", "--listen", "127.0.0.1:0"]);
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let coap = format!("127.0.0.1:{port}");
    check.args(["--listen-coap", &coap, "--"]).args(ipa(folder.path()));
    check.args(["--binding", "coap", "--eim", &coap]);
    let results = results(&succeed(&mut check));
    assert!(results.len() >= 3, "{}", results.len());
    assert!(results.iter().all(|(_, result)| result == "passed"), "{results:?}");
}

#[test]
fn an_ipa_that_stops_after_the_first_poll_fails() {
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("polled");
    let words = ipa(folder.path()).into_iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let script = format!("test -e {0} || {{ touch {0}; {words}; }}", marker.display());
    let mut check = landfall(folder.path());
    check.args(["--json", "check", "ipa", "--case", "the result arrives", "--", "sh", "-c", &script]);
    let output = check.output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    let results = results(&String::from_utf8(output.stdout).unwrap());
    assert!(results.iter().all(|(_, result)| result == "failed"), "{results:?}");
}
