//! `landfall device` with `landfall up`: JSON output, and exit status of failed commands.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::path::Path;

use common::{Running, fail, landfall, succeed};
use serde_json::Value;

/// A server process that is killed when this is dropped.
struct Server {
    _running: Running,
    address: String,
}

impl Server {
    /// Starts the server on a free port, which it prints after `heading`.
    fn start(folder: &Path, arguments: &[&str], heading: &str) -> Self {
        let running = Running::start(landfall(folder).args(arguments));
        Self { address: running.err.word_after(heading), _running: running }
    }

    fn sm_dp(folder: &Path) -> Self {
        let serve = ["sm-dp", "serve", "--listen", "127.0.0.1:0", "--allow-address", "any"];
        Self::start(folder, &serve, "SM-DP+ at ")
    }
}

/// Creates the package of a subscriber and adds it to the SM-DP+'s stock. Returns the file and the
/// ICCID.
fn package(folder: &Path, number: &str, sm_dp: &str) -> (String, String) {
    let file = folder.join(format!("{number}.der"));
    let file = file.to_str().unwrap();
    succeed(landfall(folder).args(["profile", "new", file, "--number", number]));
    let iccid = succeed(landfall(folder).args(["sm-dp", "add", file, "--sm-dp", sm_dp]));
    (file.to_owned(), iccid.trim().to_owned())
}

fn order(folder: &Path, iccid: &str, sm_dp: &str) -> String {
    let code = succeed(landfall(folder).args(["operator", "order", iccid, "--sm-dp", sm_dp]));
    code.trim().to_owned()
}

fn json(out: &str) -> Value {
    serde_json::from_str(out).unwrap_or_else(|e| panic!("{e}: {out}"))
}

#[test]
fn every_procedure_prints_its_result_as_json() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let sm_dp = Server::sm_dp(folder);
    let (first_file, first) = package(folder, "1", &sm_dp.address);
    let (second_file, second) = package(folder, "2", &sm_dp.address);
    let networks = Server::start(
        folder,
        &["network", "--listen", "127.0.0.1:0", "--subscriber", &first_file, "--subscriber", &second_file],
        "networks at ",
    );
    let run = |arguments: &[&str]| {
        let addresses = ["--json", "device", "--sm-dp", &sm_dp.address, "--network", &networks.address];
        json(&succeed(landfall(folder).args(addresses).args(["--visible", "724-99"]).args(arguments)))
    };

    let installed = run(&["download", &order(folder, &first, &sm_dp.address)]);
    assert_eq!(installed["iccid"], first.as_str());
    assert_eq!(installed["notification"]["handled"]["result"], "delivered");
    let listed = run(&["list"]);
    assert_eq!(
        (&listed[0]["profile_state"], &listed[0]["profile_class"]),
        (&"disabled".into(), &"operational".into())
    );
    assert_eq!(listed[0]["profile_owner"]["mcc_mnc"], "724-99");
    let capabilities = &run(&["info"])["euiccInfo2"]["uicc_capability"];
    assert!(capabilities.as_array().unwrap().contains(&"usimSupport".into()), "{capabilities}");
    succeed(landfall(folder).args(["device", "enable", &first]));

    let registered = run(&["register"]);
    assert_eq!((&registered["iccid"], &registered["plmn"]), (&first.as_str().into(), &"724-99".into()));

    let moved = run(&["move", &order(folder, &second, &sm_dp.address)]);
    assert_eq!(moved["registered"]["iccid"], second.as_str());
    assert_eq!((&moved["bootstrap"], &moved["installed"]["iccid"]), (&first.into(), &second.into()));
    assert!(!moved["notifications"].as_array().unwrap().is_empty());

    assert_eq!(run(&["notifications"]), Value::Array(vec![]));
}

#[test]
fn profiles_are_downloaded_without_an_activation_code() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let sm_dp = Server::sm_dp(folder);
    let sm_ds = Server::start(folder, &["sm-ds", "serve", "--listen", "127.0.0.1:0"], "SM-DS at ");
    let addresses = ["--sm-dp", &sm_dp.address, "--sm-ds", &sm_ds.address];
    let device = |arguments: &[&str]| succeed(landfall(folder).arg("device").args(addresses).args(arguments));
    assert_eq!(device(&["discover"]), "no pending events\n");
    assert_eq!(json(&device(&["discover", &sm_ds.address, "--json"])), Value::Array(vec![]));
    let errors = fail(landfall(folder).arg("device").args(addresses).arg("download"));
    assert!(errors.contains("default SM-DP+") && errors.contains("set one"), "{errors}");

    let (_, iccid) = package(folder, "1", &sm_dp.address);
    let eid = json(&device(&["info", "--json"]))["eid"].as_str().unwrap().to_owned();
    let order = ["operator", "order", &iccid, "--eid", &eid, "--matching-id", ""];
    succeed(landfall(folder).args(order).args(["--sm-dp", &sm_dp.address]));
    device(&["default-sm-dp", &sm_dp.address]);
    assert_eq!(device(&["download"]), format!("installed {iccid}\n"));

    let (_, iccid) = package(folder, "2", &sm_dp.address);
    let order = ["operator", "order", &iccid, "--eid", &eid, "--sm-ds", &sm_ds.address];
    succeed(landfall(folder).args(order).args(["--sm-dp", &sm_dp.address]));
    let found = json(&device(&["discover", "--json"]));
    assert_eq!((found[0]["installed"]["iccid"].as_str(), &found[0]["why"]), (Some(&*iccid), &Value::Null));
}

#[test]
fn the_command_discover_fails_and_names_an_event_whose_profile_cannot_be_downloaded() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let sm_dp = Server::sm_dp(folder);
    let sm_ds = Server::start(folder, &["sm-ds", "serve", "--listen", "127.0.0.1:0"], "SM-DS at ");
    let address = sm_dp.address.clone();
    let addresses = ["--sm-dp", &address, "--sm-ds", &sm_ds.address];
    let info = succeed(landfall(folder).args(["--json", "device", "info"]));
    let eid = json(&info)["eid"].as_str().unwrap().to_owned();
    let (_, iccid) = package(folder, "1", &address);
    let order = ["operator", "order", &iccid, "--eid", &eid, "--sm-ds", &sm_ds.address];
    succeed(landfall(folder).args(order).args(["--sm-dp", &sm_dp.address]));
    assert!(succeed(landfall(folder).args(["sm-ds", "list"])).contains(&eid));
    drop(sm_dp);
    let errors = fail(landfall(folder).arg("device").args(addresses).arg("discover"));
    assert!(errors.contains("1 of 1 profiles were not downloaded") && errors.contains(&address), "{errors}");
}

#[test]
fn the_command_notifications_fails_and_names_an_undelivered_notification() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let sm_dp = Server::sm_dp(folder);
    let address = sm_dp.address.clone();
    let (_, iccid) = package(folder, "1", &address);
    succeed(landfall(folder).args([
        "device",
        "download",
        &order(folder, &iccid, &address),
        "--sm-dp",
        &address,
    ]));
    drop(sm_dp);
    succeed(landfall(folder).args(["device", "enable", &iccid]));

    let errors = fail(landfall(folder).args(["device", "notifications", "--sm-dp", &address]));
    assert!(errors.contains("(enable) did not reach") && errors.contains(&address), "{errors}");
    let output = landfall(folder).args(["--json", "device", "notifications", "--sm-dp", &address]).output();
    let output = output.unwrap();
    assert!(!output.status.success());
    let deliveries = json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(
        (&deliveries[0]["event"], &deliveries[0]["handled"]["result"]),
        (&"enable".into(), &"kept".into())
    );
}

#[test]
fn devices_with_serial_numbers_run_in_parallel_in_one_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // They start at the same time in an empty folder, and the first one creates the PKI.
    let devices: Vec<_> = (1..=4)
        .map(|serial| {
            Running::start(landfall(folder).args([
                "--json",
                "device",
                "info",
                "--serial",
                &serial.to_string(),
            ]))
        })
        .collect();
    let mut eids: Vec<String> = devices
        .into_iter()
        .map(|mut device| {
            let printed: String = device.out.lines().collect();
            assert_eq!(device.status(), Some(0), "{printed}");
            json(&printed)["eid"].as_str().unwrap().to_owned()
        })
        .collect();
    eids.dedup();
    assert_eq!(eids.len(), 4, "{eids:?}");

    let sm_dp = Server::sm_dp(folder);
    let at = ["--sm-dp", &sm_dp.address];
    let codes = ["1", "2", "3", "4"]
        .map(|number| order(folder, &package(folder, number, &sm_dp.address).1, &sm_dp.address));
    let downloads: Vec<_> = (1..)
        .zip(&codes)
        .map(|(serial, code): (u32, _)| {
            let serial = serial.to_string();
            Running::start(landfall(folder).args(["device", "--serial", &serial, "download", code]).args(at))
        })
        .collect();
    for mut device in downloads {
        let printed: Vec<String> = device.out.lines().collect();
        assert_eq!(device.status(), Some(0), "{printed:?}");
    }
    let listed = |serial: &str| {
        json(&succeed(landfall(folder).args(["--json", "device", "--serial", serial, "list"])))
    };
    assert_eq!(listed("4").as_array().unwrap().len(), 1);
    assert_eq!(listed("5"), Value::Array(vec![]));
    let both = ["device", "--serial", "1", "--eid", &eids[0], "info"];
    assert!(fail(landfall(folder).args(both)).contains("one of the three options"));
}
