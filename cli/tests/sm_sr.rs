//! `landfall sm-sr`: announced addresses, refusals, and display of the records.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::{path::Path, process::Command};

use common::{Running, fail, landfall, succeed};

const EID: &str = "89049032000000000000000000007007";

fn sm_sr(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = landfall(folder);
    command.arg("sm-sr").args(arguments);
    command
}

#[test]
fn the_sm_sr_never_announces_a_wildcard_address() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |more: &[&str]| {
        let mut command = sm_sr(folder.path(), &["serve"]);
        command.args(more);
        command
    };
    let refused = fail(&mut serve(&["--listen", "0.0.0.0:0", "--listen-cards", "none"]));
    assert!(refused.contains("--announce HOST:PORT"), "{refused}");
    let refused = fail(&mut serve(&["--listen", "127.0.0.1:0", "--listen-cards", "[::]:0"]));
    assert!(refused.contains("--announce-cards IP:PORT"), "{refused}");

    let mut running = Running::start(&mut serve(&[
        "--listen",
        "0.0.0.0:0",
        "--announce",
        "sm-sr.example:8445",
        "--listen-cards",
        "0.0.0.0:0",
        "--announce-cards",
        "192.0.2.1:8446",
    ]));
    let printed = running.err.up_to(&["SM-SR "]).join("\n");
    assert!(
        printed.contains("cards at 192.0.2.1:8446") && printed.contains(" at sm-sr.example:8445 "),
        "{printed}"
    );
    running.kill();
    let running = Running::start(&mut serve(&["--listen", "localhost:0", "--listen-cards", "none"]));
    let printed = running.err.up_to(&["SM-SR "]).join("\n");
    assert!(printed.contains(" at localhost:") && !printed.contains("localhost:0 "), "{printed}");
}

#[test]
fn the_sm_sr_does_not_start_without_its_https_listener_for_cards() {
    let folder = tempfile::tempdir().unwrap();
    let configuration = folder.path().join("openssl.cnf");
    let no_ciphers = "openssl_conf = init\n[init]\nalg_section = evp\n[evp]\ndefault_properties = fips=yes\n";
    std::fs::write(&configuration, no_ciphers).unwrap();
    let mut command =
        sm_sr(folder.path(), &["serve", "--listen", "127.0.0.1:0", "--listen-cards", "127.0.0.1:0"]);
    let refused = fail(command.env("OPENSSL_CONF", &configuration));
    assert!(refused.contains("cannot serve TLS with pre-shared keys"), "{refused}");
    assert!(!refused.contains("cards at"), "{refused}");
}

#[test]
fn an_account_that_is_too_long_for_smpp_is_refused_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    for (account, secret, why) in
        [("smsr", "landfall9", "a password"), ("an-sm-sr-far-away", "x", "an account")]
    {
        std::fs::write(&password, format!("{secret}\n")).unwrap();
        let file = ["--smsc-password-file", password.to_str().unwrap()];
        let any = ["--listen", "127.0.0.1:0", "--listen-cards", "127.0.0.1:0"];
        let mut serve = sm_sr(folder.path(), &["serve", "--smsc", &format!("{account}@127.0.0.1:1")]);
        let refused = fail(serve.args(file).args(any));
        assert!(refused.contains(why), "{refused}");
        let mut network = landfall(folder.path());
        network.args(["network", "--listen", "127.0.0.1:0", "--account", &format!("{account}:1000")]);
        let refused = fail(network.args(file));
        assert!(refused.contains(why), "{refused}");
    }
}

#[test]
fn a_secret_among_the_arguments_is_refused_without_repeating_it() {
    let folder = tempfile::tempdir().unwrap();
    let network = ["network", "--listen", "127.0.0.1:0", "--account", "sm-sr:hush:1000"];
    for refused in [
        fail(&mut sm_sr(folder.path(), &["serve", "--smsc", "sm-sr:hush@127.0.0.1:1"])),
        fail(landfall(folder.path()).args(network)),
    ] {
        assert!(refused.contains("--smsc-password-file") && !refused.contains("hush"), "{refused}");
    }
}

#[test]
fn a_wrong_password_for_the_smsc_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let mut network = landfall(folder.path());
    network.args(["network", "--listen", "127.0.0.1:0", "--listen-smpp", "127.0.0.1:0"]);
    let network = Running::start(network.args(["--account", "sm-sr:+447700900001"]));
    let centre = network.err.after("SMSC ");
    let at = centre.split(' ').nth(2).unwrap();
    let smsc = format!("sm-sr@{at}");
    let mut serve = sm_sr(folder.path(), &["serve", "--listen", "127.0.0.1:0", "--listen-cards", "none"]);
    let running = Running::start(serve.env("LANDFALL_SMSC_PASSWORD", "wrong").args(["--smsc", &smsc]));
    let printed = running.err.lines().find(|line| line.contains("it refused with")).unwrap();
    assert!(
        printed.contains("ERROR") && printed.contains("correct the account or the password"),
        "{printed}"
    );
}

#[test]
fn records_can_be_listed_at_any_time_and_listing_creates_none() {
    let folder = tempfile::tempdir().unwrap();
    let refused = fail(&mut sm_sr(folder.path(), &["list"]));
    assert!(refused.contains("sm-sr serve"), "{refused}");

    let mut serve = sm_sr(folder.path(), &["serve", "--listen", "127.0.0.1:0", "--listen-cards", "none"]);
    let running = Running::start(serve.args(["--peer", "operator:2.999.20.1@bss.example:8447"]));
    let printed = running.err.up_to(&["SM-SR "]).join("\n");
    assert!(
        printed.contains("peer operator \"2.999.20.1\": 2.999.20.1, at https://bss.example:8447/sgp02"),
        "{printed}"
    );
    let shown = |what: &[&str]| {
        let mut command = landfall(folder.path());
        succeed(command.args(["--json", "sm-sr"]).args(what))
    };
    let peers: serde_json::Value = serde_json::from_str(&shown(&["peers"])).unwrap();
    assert_eq!(peers[0]["id"], "2.999.20.1");
    assert_eq!(
        (&peers[0]["role"], &peers[0]["endpoint"]),
        (&"operator".into(), &"https://bss.example:8447/sgp02".into())
    );
    assert!(succeed(&mut sm_sr(folder.path(), &["peers"])).contains("2.999.20.1"));
    assert_eq!(shown(&["list"]).trim(), "[]");
    let unknown = fail(&mut sm_sr(folder.path(), &["eis", EID]));
    assert!(unknown.contains("landfall eum register"), "{unknown}");

    // Each of these names, also a similar one, belongs to another SM-SR, which was never started.
    for other in ["Landfall SM SR", "landfall sm-sr", "sm-dp"] {
        let refused = fail(&mut sm_sr(folder.path(), &["--name", other, "list"]));
        assert!(refused.contains("sm-sr serve"), "{other}: {refused}");
    }
    drop(running);
    let mut files: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".sqlite"))
        .collect();
    files.sort();
    assert_eq!(files, ["sm-sr-Landfall%20SM-SR.sqlite"]);
}
