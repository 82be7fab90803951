//! SGP.02 between separate processes: networks with a service centre, SM-SR, SM-DP, a device with its card, EUM, operator.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says no by panicking"
)]

mod common;

use std::{net::TcpListener, path::Path, process::Command};

use certs::{Pki, m2m::Owner};
use common::{Running, landfall, succeed};
use serde_json::Value;

/// A port that is free now. Parties name each other before they run, so each must know its own beforehand.
fn free() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn pki(folder: &Path) -> Pki {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path.strip_prefix(folder).unwrap().display().to_string()),
            }
        }
    }
    Pki::from_files(&files, |name| std::fs::read(folder.join(name)).ok()).unwrap()
}

#[test]
fn a_profile_goes_from_an_operator_to_a_device_through_five_processes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let run = |arguments: &[&str]| -> Command {
        let mut command = landfall(data);
        command.args(arguments);
        command
    };
    succeed(&mut run(&["certs", "init"]));
    let pki = pki(&data.join("pki"));
    let first = data.join("first.der");
    let local = data.join("local.der");
    let write = |path: &Path, home: &str, number: u64| {
        std::fs::write(path, cli::demo::own_package(home, number, home).unwrap()).unwrap();
        cli::subscription::Subscription::of(&std::fs::read(path).unwrap()).unwrap()
    };
    let first_subscription = write(&first, "234-99", 7);
    let local_subscription = write(&local, "724-99", 7);
    let eid = cli::parties::eid_of_serial(&pki, 700).unwrap().to_string();
    let (networks, smpp, cards) = (free(), free(), free());
    let (sm_sr, sm_dp, operator) = (free(), free(), free());
    let sm_sr_oid = pki.m2m_oid(Owner::SmSr, "Landfall SM-SR").unwrap();
    let operator_name = "Landfall Test Operator";
    let operator_oid = pki.operator(operator_name).unwrap().certificate.registered_ids()[0].clone();
    let at = |file: &Path| file.display().to_string();

    let network = Running::start(&mut run(&[
        "network",
        "--network",
        &networks,
        "--smpp",
        &smpp,
        "--account",
        "smsr:secret:+447700900001",
        "--subscriber",
        &at(&first),
        "--subscriber",
        &at(&local),
        "--msisdn",
        &format!("{}=+447700910007", first_subscription.imsi),
        "--msisdn",
        &format!("{}=+5511900000007", local_subscription.imsi),
    ]));
    network.err.up_to(&["networks at"]);
    let sm_sr_process = Running::start(&mut run(&[
        "sm-sr",
        "serve",
        "--listen",
        &sm_sr,
        "--cards",
        &cards,
        "--number",
        "+447700900001",
        "--smsc",
        &format!("smsr:secret@{smpp}"),
        "--peer",
        "eum:EUM",
        "--peer",
        &format!("sm-dp:{}@{sm_dp}", cli::m2m::sm_dp::NAME),
        "--peer",
        &format!("operator:{operator_name}@{operator}"),
    ]));
    sm_sr_process.err.up_to(&["SM-SR "]);
    let sm_dp_process = Running::start(&mut run(&[
        "--sm-dp",
        &sm_dp,
        "sm-dp",
        "serve",
        "--profile",
        &at(&local),
        "--sm-sr",
        &format!("{sm_sr_oid}@{sm_sr}"),
        "--m2m-operator",
        &format!("{operator_oid}@{operator}"),
        "--msisdn",
        &format!("{}=+5511900000007", local_subscription.iccid),
    ]));
    sm_dp_process.err.up_to(&["SM-DP+ at"]);
    succeed(&mut run(&[
        "eum",
        "register",
        "--eid",
        &eid,
        "--profile",
        &at(&first),
        "--msisdn",
        "+447700910007",
        "--at",
        &sm_sr,
    ]));
    let device = Running::start(&mut run(&[
        "device",
        "--network",
        &networks,
        "--eid",
        &eid,
        "--visible",
        "234-99",
        "--visible",
        "724-99",
        "run",
        "--search-pause",
        "1",
        "--first-profile",
        &at(&first),
        "--sm-sr-number",
        "+447700900001",
        "--sm-sr-cards",
        &cards,
    ]));
    // The card has told the SM-SR of itself, which has confirmed it.
    sm_sr_process.err.lines().find(|line| line.contains("HandleDefaultNotification")).unwrap();

    let partner = format!("{sm_sr_oid}@{sm_sr}");
    let ask = |function: &str, more: &[&str]| -> Value {
        let mut command = run(&["--json", "--sm-dp", &sm_dp, "operator", "m2m", "--listen", &operator]);
        command.args([function, "--eid", &eid, "--sm-sr", &partner]).args(more);
        serde_json::from_str(&succeed(&mut command)).unwrap()
    };
    let iccid = local_subscription.iccid.to_string();
    let downloaded = ask("download", &["--iccid", &iccid, "--enable"]);
    assert_eq!(downloaded["status"], "EXECUTED_SUCCESS");
    device.err.lines().find(|line| line.contains("registered") && line.contains("724-99")).unwrap();
    let eis = ask("audit", &["--es4"]);
    let profiles = eis["eis"]["profile_info"].as_array().unwrap();
    let state = |iccid: &str| {
        let profile = profiles.iter().find(|profile| profile["iccid"] == iccid).unwrap();
        profile["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(&iccid), "Enabled");
    assert_eq!(state(&first_subscription.iccid.to_string()), "Disabled");

    // Nobody may ask who is not known, and nothing is done that is not there to be done.
    let refused = |arguments: &[&str]| {
        let mut command = run(&["--sm-dp", &sm_dp, "operator"]);
        common::fail(command.args(arguments).args(["--eid", &eid, "--sm-sr", &partner, "--iccid", &iccid]))
    };
    let stranger = refused(&["--name", "A Stranger", "m2m", "--listen", &free(), "disable", "--es4"]);
    assert!(stranger.contains("not known"), "{stranger}");
    let again = refused(&["m2m", "--listen", &operator, "enable"]);
    assert!(again.contains("8.2.1/3.5"), "{again}");
    ask("disable", &["--iccid", &iccid]);
    ask("delete", &["--iccid", &iccid]);
    let eis = ask("get-eis", &["--es4"]);
    assert_eq!(eis["eis"]["profile_info"].as_array().unwrap().len(), 1, "{eis}");
}
