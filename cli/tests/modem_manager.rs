//! ModemManager as the host of a modem: it finds the modem, registers, connects a bearer, sends and
//! receives short messages, and sees another profile. docs/how-to/modem.md describes the same steps.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]
#![allow(clippy::disallowed_methods, reason = "ModemManager runs in real time")]
#![cfg_attr(not(has_modem_manager), allow(dead_code, reason = "the test is ignored"))]

mod common;

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use common::{Running, landfall, succeed};
use serde_json::Value;

/// Maximum wait for a state of the modem. ModemManager itself waits up to a few seconds in places.
const PATIENCE: Duration = Duration::from_secs(60);

/// Puts the profiles of two operators on a card and enables the first. Returns the packages and the
/// ICCIDs.
fn card_with_two_profiles(folder: &Path) -> [(String, String); 2] {
    let sm_dp = Running::start(landfall(folder).args(["sm-dp", "serve", "--listen", "127.0.0.1:0"]));
    let address = sm_dp.err.word_after("SM-DP+ at ");
    let at = ["--sm-dp", &address];
    let profiles = [("724-99", "1"), ("001-01", "2")].map(|(home, number)| {
        let package = folder.join(format!("{number}.der")).to_str().unwrap().to_owned();
        succeed(landfall(folder).args(["profile", "new", &package, "--number", number, "--home", home]));
        let iccid = succeed(landfall(folder).args(["sm-dp", "add", &package]).args(at));
        let code = succeed(landfall(folder).args(["operator", "order", iccid.trim()]).args(at));
        succeed(landfall(folder).args(["device", "download", code.trim()]).args(at));
        (package, iccid.trim().to_owned())
    });
    succeed(landfall(folder).args(["device", "enable", &profiles[0].1]).args(at));
    profiles
}

/// A running ModemManager with its own bus.
struct ModemManager {
    running: Running,
    bus: String,
}

impl ModemManager {
    fn start(socket: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/modem-manager");
        let mut running = Running::start(Command::new(script).arg(socket).stdin(Stdio::piped()));
        let bus = running.out.after("export DBUS_SYSTEM_BUS_ADDRESS=");
        assert!(!bus.is_empty(), "ModemManager did not start; status {:?}", running.status());
        Self { running, bus }
    }

    fn mmcli(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("mmcli");
        command.env("DBUS_SYSTEM_BUS_ADDRESS", &self.bus).args(arguments);
        command
    }

    /// Executes an operation on the modem.
    fn modem(&self, operation: &str) -> String {
        succeed(&mut self.mmcli(&["-m", "any", operation]))
    }

    /// Returns a document of mmcli, or null if the object does not exist.
    fn document(&self, arguments: &[&str]) -> Value {
        let output = self.mmcli(arguments).arg("-J").output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Waits until the document has this value at this place. Returns the document.
    fn wait_for(&self, arguments: &[&str], pointer: &str, expected: &str) -> Value {
        let start = Instant::now();
        loop {
            let document = self.document(arguments);
            if document.pointer(pointer).and_then(Value::as_str) == Some(expected) {
                return document;
            }
            assert!(start.elapsed() < PATIENCE, "{pointer} is not {expected}: {document:#}");
        }
    }

    fn wait_for_state(&self, expected: &str) -> Value {
        self.wait_for(&["-m", "any"], "/modem/generic/state", expected)
    }

    /// Returns the paths of the messages in this state.
    fn messages(&self, state: &str) -> Vec<Value> {
        let list = self.document(&["-m", "any", "--messaging-list-sms"]);
        let paths =
            list.pointer("/modem.messaging.sms").and_then(Value::as_array).cloned().unwrap_or_default();
        let all = paths.iter().map(|path| self.document(&["-s", path.as_str().unwrap()]));
        all.filter(|sms| sms.pointer("/sms/properties/state") == Some(&state.into())).collect()
    }

    fn send(&self, number: &str, text: &str) {
        let created = self.modem(&format!("--messaging-create-sms=number='{number}',text='{text}'"));
        let path = created.trim().rsplit(' ').next().unwrap().to_owned();
        succeed(&mut self.mmcli(&["-s", &path, "--send"]));
    }
}

impl Drop for ModemManager {
    fn drop(&mut self) {
        // The script ends ModemManager and its bus when its standard input ends.
        drop(self.running.input());
        self.running.status();
    }
}

#[test]
#[cfg_attr(not(has_modem_manager), ignore = "needs modem-manager")]
fn modem_manager_registers_connects_and_sends_and_sees_another_profile() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [(first, _), (second, second_iccid)] = card_with_two_profiles(folder);
    let numbers = ["--msisdn", "724990000000001=+5511900000001", "--msisdn", "001010000000002=+491700000002"];
    let networks = Running::start(
        landfall(folder)
            .args(["--json", "network", "--listen", "127.0.0.1:0", "--account", "host:1000"])
            .args(["--subscriber", &first, "--subscriber", &second])
            .args(numbers),
    );
    let networks_at = networks.out.json()["addresses"]["network"].as_str().unwrap().to_owned();
    let socket = folder.join("modem").to_str().unwrap().to_owned();
    let visible = ["--visible", "724-99", "--visible", "001-01", "--network", &networks_at];
    let modem = format!("unix:{socket}");
    let card =
        Running::start(landfall(folder).args(["--json", "euicc", "serve", "--modem", &modem]).args(visible));
    assert_eq!(card.out.json()["cards"][0]["address"], modem);

    let manager = ModemManager::start(&socket);
    manager.wait_for_state("disabled");
    manager.modem("--enable");
    let modem = manager.wait_for_state("registered");
    assert_eq!(modem.pointer("/modem/3gpp/operator-code").unwrap(), "72499", "{modem:#}");
    assert_eq!(modem.pointer("/modem/3gpp/registration-state").unwrap(), "home");

    manager.modem("--simple-connect=apn=internet");
    let modem = manager.wait_for_state("connected");
    let bearer = modem.pointer("/modem/generic/bearers/0").and_then(Value::as_str).unwrap();
    let bearer = manager.document(&["-b", bearer]);
    assert_eq!(bearer.pointer("/bearer/ipv4-config/method").unwrap(), "ppp", "{bearer:#}");
    manager.modem("--simple-disconnect");
    manager.wait_for_state("registered");

    manager.send("1000", "to a client of the SMSC");
    manager.send("+5511900000001", "to myself: Grüße");
    let start = Instant::now();
    let received = loop {
        if let Some(received) = manager.messages("received").pop() {
            break received;
        }
        assert!(start.elapsed() < PATIENCE, "no message has arrived");
    };
    assert_eq!(received.pointer("/sms/content/text").unwrap(), "to myself: Grüße", "{received:#}");
    assert_eq!(received.pointer("/sms/content/number").unwrap(), "+5511900000001");
    assert_eq!(manager.messages("sent").len(), 2);

    // The operator changes with the profile. ModemManager reads the SIM again when it enables the modem
    // after a power transition, and then creates the modem object again.
    manager.modem(&format!("--command=+CEUICCPM=1,\"{second_iccid}\""));
    manager.wait_for(&["-m", "any"], "/modem/3gpp/operator-code", "00101");
    manager.modem("--disable");
    manager.modem("--set-power-state-on");
    manager.modem("--enable");
    manager.wait_for(&["-i", "any"], "/sim/properties/iccid", &second_iccid);
    manager.wait_for_state("disabled");
    manager.modem("--enable");
    let modem = manager.wait_for_state("registered");
    assert_eq!(modem.pointer("/modem/3gpp/operator-code").unwrap(), "00101", "{modem:#}");
}
