//! Tests of the messages of a restarted `landfall up` about the profile that already exists.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use common::{Running, fail, landfall, succeed};

/// `landfall up` without a card, on free ports.
struct Up {
    running: Running,
    /// Lines up to the one about the profile.
    lines: Vec<String>,
}

impl Up {
    fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    fn start_with(folder: &Path, more: &[&str]) -> Self {
        let free = "127.0.0.1:0";
        let up = ["up", "--no-card", "--sm-dp", free, "--network", free, "--sm-ds", free];
        let running = Running::start(landfall(folder).args(up).args(more));
        Self { lines: running.out.up_to(&["profile ", "  landfall device "]), running }
    }

    /// Returns the printed address of a party.
    fn address(&self, name: &str) -> String {
        let line = self.lines.iter().find(|line| line.starts_with(name)).unwrap();
        let (_, address) = line.split_once("://").unwrap();
        address.split_whitespace().next().unwrap().to_owned()
    }

    fn code(&self) -> String {
        self.lines.iter().find(|line| line.starts_with("LPA:1$")).unwrap().clone()
    }

    fn stop(mut self) {
        self.running.kill();
    }
}

/// Sends bind_transceiver (SMPP 3.4 section 4.1.5) with this password. Returns the command_status
/// of the response.
fn bind(address: &str, password: &str) -> [u8; 4] {
    let body = format!("sm-sr\0{password}\0\0\x34\0\0\0");
    let length = u32::try_from(16 + body.len()).unwrap().to_be_bytes();
    let header = [length, [0, 0, 0, 9], [0; 4], [0, 0, 0, 1]].concat();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&[header.as_slice(), body.as_bytes()].concat()).unwrap();
    let mut answer = [0; 16];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer[4..8], [0x80, 0, 0, 9]);
    answer[8..12].try_into().unwrap()
}

#[test]
fn smpp_clients_can_bind_if_smpp_is_enabled() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start_with(
        folder.path(),
        &[
            "--listen-smpp",
            "127.0.0.1:0",
            "--account",
            "sm-sr:1000",
            "--msisdn",
            "724990000000001=+5511900000001",
        ],
    );
    let lines: Vec<_> = up.lines.iter().filter(|line| line.starts_with("messages ")).collect();
    assert!(lines[0].ends_with("subscriber 724990000000001 has the number +5511900000001"), "{lines:?}");
    let (_, address) = lines[1].split_once(" at ").unwrap();
    let address = address.split_whitespace().next().unwrap();
    // ESME_ROK, ESME_RINVPASWD.
    assert_eq!(bind(address, "secret"), [0; 4]);
    assert_eq!(bind(address, "wrong"), [0, 0, 0, 0x0E]);
    up.stop();
    // Without --listen-smpp there is no SMPP listener.
    let up = Up::start(folder.path());
    assert!(!up.lines.iter().any(|line| line.starts_with("messages ")), "{:?}", up.lines);
    up.stop();
}

#[test]
fn an_existing_profile_is_offered_until_it_is_installed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let up = Up::start(folder);
    let first = up.code();
    assert!(up.lines.iter().any(|line| line.starts_with("admin     http://127.0.0.1:")), "{:?}", up.lines);
    up.stop();

    let up = Up::start(folder);
    let matching_id = |code: &str| code.rsplit('$').next().unwrap().to_owned();
    assert_eq!(matching_id(&up.code()), matching_id(&first));
    let address = up.address("SM-DP+");
    succeed(landfall(folder).args(["device", "download", &up.code(), "--sm-dp", &address]));
    up.stop();

    let up = Up::start(folder);
    let standing = up.lines.last().unwrap();
    assert!(standing.contains("is installed on eUICC"), "{standing}");
    assert!(standing.contains(&up.address("admin")), "{standing}");
    up.stop();
}

#[test]
fn any_number_of_profiles_can_be_ordered_and_their_devices_can_register() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let up = Up::start(folder);
    let (sm_dp, admin, network) = (up.address("SM-DP+"), up.address("admin"), up.address("networks"));
    let order = || {
        let printed = succeed(landfall(folder).args(["sm-dp", "order", "--admin", &admin]));
        serde_json::from_str::<serde_json::Value>(&printed).unwrap()
    };
    let orders: Vec<_> = (0..3).map(|_| order()).collect();
    let iccids: BTreeSet<_> = orders.iter().map(|order| order["iccid"].as_str().unwrap()).collect();
    assert_eq!(iccids.len(), orders.len(), "{orders:?}");
    let last = &orders[2];
    let subscriber: network::Subscriber = serde_json::from_value(last["subscriber"].clone()).unwrap();
    assert!(matches!(subscriber.keys, network::Keys::Milenage { .. }));
    let servers = ["--sm-dp", &sm_dp, "--network", &network];
    let device = |arguments: &[&str]| succeed(landfall(folder).arg("device").args(arguments).args(servers));
    device(&["download", last["activationCode"].as_str().unwrap()]);
    device(&["enable", last["iccid"].as_str().unwrap()]);
    let registered = device(&["register", "--visible", "724-99"]);
    assert!(registered.contains(last["subscriber"]["imsi"].as_str().unwrap()), "{registered}");
    up.stop();
}

#[test]
fn an_eim_and_its_faults_need_iot_and_a_restart_keeps_the_device() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let free = "127.0.0.1:0";
    let ports = ["--sm-dp", "--network", "--sm-ds", "--card", "--admin"].map(|port| [port, free]).concat();
    let fault = ["--fault", "link/duplicate@ESipa.GetEimPackage#1"];
    let refused = fail(landfall(folder).arg("up").args(&ports).args(fault));
    assert!(refused.contains("`landfall up` has no ESipa"), "{refused}");
    fail(landfall(folder).arg("up").args(&ports).args(["--listen-eim", free]));

    let iot = ["--json", "up", "--iot", "--listen-eim", free, "--listen-eim-api", free];
    let mut eids = BTreeSet::new();
    for _ in 0..2 {
        let mut running = Running::start(landfall(folder).args(iot).args(&ports).args(fault));
        let ready = running.out.json();
        let address = |name: &str| ready["addresses"][name].as_str().unwrap();
        eids.insert(ready["cards"][0]["eid"].as_str().unwrap().to_owned());
        // The card keeps the address of the first run.
        let device = ["--card", address("euicc"), "run", "--iot", "--once", "--eim", address("eim")];
        succeed(landfall(folder).arg("device").args(device));
        let devices = succeed(landfall(folder).args(["eim", "list", "devices", "--api", address("eim_api")]));
        let devices: serde_json::Value = serde_json::from_str(&devices).unwrap();
        assert_eq!(devices.as_array().unwrap().len(), 1, "{devices}");
        assert!(eids.contains(devices[0]["eid"].as_str().unwrap()), "{devices}");
        running.kill();
    }
    assert_eq!(eids.len(), 1);
}
