//! Faults of TLS certificates (`tls/...`), and certificates of a PKI that are not valid now.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Running, fail, landfall, succeed};
use faults::{Family, catalogue};
use serde_json::Value;

/// Starts a server on a free port. Returns it with its address.
fn serve(folder: &Path, arguments: &[&str], heading: &str) -> (Running, String) {
    let running = Running::start(landfall(folder).args(arguments));
    let address = running.err.word_after(heading);
    (running, address)
}

fn sm_dp(folder: &Path, arguments: &[&str]) -> (Running, String) {
    let serve_sm_dp = ["sm-dp", "serve", "--listen", "127.0.0.1:0", "--allow-address", "any"];
    serve(folder, &[&serve_sm_dp, arguments].concat(), "SM-DP+ at ")
}

fn download(folder: &Path, address: &str) -> Command {
    let mut command = landfall(folder);
    command.args(["device", "--sm-dp", address, "download", &format!("LPA:1${address}$UNKNOWN")]);
    command
}

#[test]
fn lpa_operator_and_sm_dp_refuse_every_faulty_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(landfall(folder).args(["certs", "init"]));
    for entry in catalogue::all().filter(|entry| entry.id.family() == Family::Tls) {
        let (_sm_dp, address) = sm_dp(folder, &["--fault", &entry.name]);
        let error = fail(&mut download(folder, &address));
        assert!(error.contains(&entry.answer), "{}: {error}", entry.name);
        let order = ["operator", "order", "--type", "X", "--sm-dp", &address];
        let error = fail(landfall(folder).args(order));
        assert!(error.contains(&entry.answer), "{}: {error}", entry.name);
        let serve_sm_ds = ["sm-ds", "serve", "--listen", "127.0.0.1:0", "--fault", &entry.name];
        let (_sm_ds, address) = serve(folder, &serve_sm_ds, "SM-DS at ");
        let error = fail(landfall(folder).args(["device", "--sm-ds", &address, "discover"]));
        assert!(error.contains(&entry.answer), "{}: {error}", entry.name);
    }
}

#[test]
fn a_faulty_certificate_lasts_for_the_given_number_of_connections() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (server, address) = sm_dp(folder, &["--fault", "tls/expired@sm-dp#1-3"]);
    // The LPA connects three times.
    assert!(fail(&mut download(folder, &address)).contains("certificate expired"));
    assert_eq!(server.err.after("fault "), "tls/expired@sm-dp#1-3");
    let error = fail(&mut download(folder, &address));
    assert!(error.contains("8.2.6"), "{error}");
}

#[test]
fn the_sm_dp_refuses_an_sm_ds_with_a_faulty_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let package = folder.join("profile.der").display().to_string();
    succeed(landfall(folder).args(["profile", "new", &package]));
    let serve_sm_ds = ["sm-ds", "serve", "--listen", "127.0.0.1:0", "--fault", "tls/wrong-role"];
    let (sm_ds, sm_ds_address) = serve(folder, &serve_sm_ds, "SM-DS at ");
    let (_sm_dp, address) = sm_dp(folder, &["--profile", &package]);
    let info = succeed(landfall(folder).args(["--json", "device", "info"]));
    let eid = serde_json::from_str::<Value>(&info).unwrap()["eid"].as_str().unwrap().to_owned();
    let listed = succeed(landfall(folder).args(["--json", "sm-dp", "list"]));
    let iccid = serde_json::from_str::<Value>(&listed).unwrap()[0]["iccid"].as_str().unwrap().to_owned();
    let order = ["operator", "order", &iccid, "--eid", &eid, "--sm-ds", &sm_ds_address];
    let error = fail(landfall(folder).args(order).args(["--sm-dp", &address]));
    assert!(error.contains("8.9"), "a refusal that names the SM-DS: {error}");
    assert_eq!(sm_ds.err.after("fault "), "tls/wrong-role");
    let events = succeed(landfall(folder).args(["--json", "sm-ds", "list"]));
    assert_eq!(events.trim(), "[]");
}

#[test]
fn an_expired_certificate_of_the_pki_is_presented_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(landfall(folder).args(["certs", "init"]));
    for (kind, arguments, heading) in [
        ("dp-tls", ["sm-dp", "serve", "--listen", "127.0.0.1:0"], "SM-DP+ at "),
        ("ds-tls", ["sm-ds", "serve", "--listen", "127.0.0.1:0"], "SM-DS at "),
    ] {
        let issue = ["certs", "issue", kind, "--name", "127.0.0.1"];
        succeed(landfall(folder).args(issue).args(["--from", "2024-01-01T00:00:00Z", "--days", "30"]));
        let server = Running::start(landfall(folder).args(arguments));
        let printed = server.err.up_to(&[heading]);
        let remarks = printed.iter().filter(|line| line.contains("presents an expired TLS certificate"));
        assert_eq!(remarks.count(), 1, "{printed:?}");
        let address = printed.last().unwrap()[heading.len()..].split(' ').next().unwrap().to_owned();
        let error = match kind {
            "dp-tls" => fail(&mut download(folder, &address)),
            _ => fail(landfall(folder).args(["device", "--sm-ds", &address, "discover"])),
        };
        // 31 January 2024.
        assert!(error.contains("certificate expired") && error.contains("1706659200"), "{error}");
    }
}

/// Runs `landfall check device` with certificates of a wrong role and on a revocation list. Returns the
/// outcomes.
fn check_device(folder: &Path, command: &[&str]) -> Vec<String> {
    let mut check = landfall(folder);
    check.args(["--json", "check", "device", "--fault", "tls/wrong-role@*", "--fault", "tls/revoked@*"]);
    let output = check.arg("--").args(command).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let cases = report["cases"].as_array().unwrap().iter();
    cases.map(|case| case["outcome"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn our_lpa_calls_no_server_with_a_faulty_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().display().to_string();
    let program = env!("CARGO_BIN_EXE_landfall");
    let lpa = [program, "--data-dir", &data, "device", "download", "{activation_code}"];
    assert_eq!(check_device(folder.path(), &lpa), ["recovered-after-retry"; 2]);
}

#[test]
#[cfg_attr(not(has_openssl), ignore = "needs openssl")]
fn a_device_that_calls_a_server_with_a_faulty_certificate_fails_the_case() {
    let folder = tempfile::tempdir().unwrap();
    let (data, program) = (folder.path().display(), env!("CARGO_BIN_EXE_landfall"));
    // openssl verifies no certificate here.
    let request = "POST /gsma/rsp2/es9plus/initiateAuthentication HTTP/1.1\\r\\nHost: x\\r\\n\
                   Content-Length: 2\\r\\nConnection: close\\r\\n\\r\\n{}";
    let script = format!(
        "printf '{request}' | openssl s_client -quiet -connect $SM_DP; \
         {program} --data-dir {data} device download $ACTIVATION_CODE"
    );
    assert_eq!(check_device(folder.path(), &["sh", "-c", &script]), ["wrongly-accepted"; 2]);
}
