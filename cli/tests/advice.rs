//! The advice of errors names the command or the option that helps.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod common;

use std::path::Path;

use common::{Running, fail, landfall, succeed};

/// Runs a command that must fail. Returns the line with the advice.
fn advice(folder: &Path, arguments: &[&str]) -> String {
    let errors = fail(landfall(folder).args(arguments));
    let line = errors.lines().find_map(|line| line.trim_start().strip_prefix("next: "));
    line.unwrap_or_else(|| panic!("{arguments:?} gives no advice: {errors}")).to_owned()
}

/// An address at which nothing listens.
fn closed() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_server_that_is_not_started_is_named_with_its_option() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(landfall(folder).args(["certs", "init"]));
    let closed = closed();
    let code = format!("LPA:1${closed}$X");
    for (command, words) in [
        (
            &["operator", "order", "8949990000000000014", "--sm-dp", &closed][..],
            ["landfall sm-dp serve", "--sm-dp"],
        ),
        (&["device", "download", &code], ["landfall sm-dp serve", "activation code"]),
        (&["device", "discover", "--sm-ds", &closed, &closed], ["landfall sm-ds serve", "--sm-ds"]),
        (&["device", "info", "--card", &closed], ["landfall euicc serve", "--card"]),
        (&["network", "list", "--network", &closed], ["landfall network", "--network"]),
        (&["sm-dp", "list", "orders", "--admin", &closed], ["landfall sm-dp serve", "--admin"]),
    ] {
        let advice = advice(folder, command);
        assert!(words.iter().all(|word| advice.contains(word)), "{command:?}: {advice}");
    }
}

#[test]
fn a_device_without_service_is_told_which_option_or_command_helps() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let sm_dp = Running::start(landfall(folder).args(["sm-dp", "serve", "--listen", "127.0.0.1:0"]));
    let sm_dp_at = sm_dp.err.word_after("SM-DP+ at ");
    let package = folder.join("package.der").to_str().unwrap().to_owned();
    succeed(landfall(folder).args(["profile", "new", &package]));
    let iccid = succeed(landfall(folder).args(["sm-dp", "add", &package, "--sm-dp", &sm_dp_at]));
    let iccid = iccid.trim();
    let order = ["operator", "order", iccid, "--sm-dp", &sm_dp_at];
    let code = succeed(landfall(folder).args(order));
    let networks = Running::start(landfall(folder).args(["network", "--listen", "127.0.0.1:0"]));
    let at = networks.err.word_after("networks at ");
    let register = ["device", "register", "--network", &at];
    let visible = ["device", "register", "--network", &at, "--visible", "724-99"];

    assert!(advice(folder, &visible).contains("landfall device enable"));
    assert!(advice(folder, &["device", "enable", iccid]).contains("landfall device list"));
    succeed(landfall(folder).args(["device", "download", code.trim(), "--sm-dp", &sm_dp_at]));
    succeed(landfall(folder).args(["device", "enable", iccid]));
    assert!(advice(folder, &register).contains("--visible 724-99"));
    assert!(advice(folder, &visible).contains("landfall network list networks"));
    let other = ["network", "add", "--imsi", "724990000000002", "--home", "724-99", "--network", &at];
    let keys = folder.join("keys.toml");
    let key = "00112233445566778899aabbccddeeff";
    std::fs::write(&keys, format!("k = \"{key}\"\nopc = \"{key}\"\n")).unwrap();
    succeed(landfall(folder).args(other).arg("--keys").arg(&keys));
    assert!(advice(folder, &visible).contains("landfall network add PACKAGE"));
    let closed = closed();
    let away = ["device", "register", "--visible", "724-99", "--network", &closed];
    assert!(advice(folder, &away).contains("start it with `landfall network`"));
}

#[test]
fn a_download_that_is_refused_is_answered_with_the_command_that_helps() {
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let sm_dp = Running::start(landfall(folder.path()).args(["sm-dp", "serve", "--listen", "127.0.0.1:0"]));
    let at = sm_dp.err.word_after("SM-DP+ at ");
    let code = format!("LPA:1${at}$UNKNOWN");
    let download = ["device", "download", &code, "--sm-dp", &at];
    assert!(advice(folder.path(), &download).contains("landfall operator order"));
    let unknown = ["operator", "order", "8949990000000000014", "--sm-dp", &at];
    assert!(advice(folder.path(), &unknown).contains("landfall sm-dp list"));

    // A PKI of another seed: neither side trusts the other.
    let seed = ["--seed", "another"];
    succeed(landfall(other.path()).args(["certs", "init"]).args(seed));
    assert!(advice(other.path(), &download).contains("--pki"));
    assert!(advice(other.path(), &unknown).contains("--pki"));
    // The port of another server.
    let networks = Running::start(landfall(folder.path()).args(["network", "--listen", "127.0.0.1:0"]));
    let networks_at = networks.err.word_after("networks at ");
    let wrong = ["network", "list", "--network", &at];
    assert!(advice(folder.path(), &wrong).contains("--network"));
    let wrong = ["operator", "order", "8949990000000000014", "--sm-dp", &networks_at];
    assert!(advice(folder.path(), &wrong).contains("--sm-dp"));
    // There is no PKI.
    let empty = tempfile::tempdir().unwrap();
    assert!(advice(empty.path(), &unknown).contains("landfall certs init"));
}
