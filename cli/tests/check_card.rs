//! `landfall check card` with our own card over TCP and in a PC/SC reader, and with a card that keeps
//! its notifications.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
};

use common::{Running, fail, landfall, succeed};
use serde_json::Value;

/// Faults with the outcome of a card without errors.
const EXPECTED: [(&str, &str); 6] = [
    ("apdu/lose-response@ES10b.LoadBoundProfilePackage#4", "refused"),
    ("apdu/reset-before@ES10b.LoadBoundProfilePackage#6", "recovered-after-retry"),
    ("apdu/reset-after@ES10b.RemoveNotificationFromList#1", "recovered-directly"),
    ("tamper/dpauth-expired@ES9+.InitiateAuthentication#1", "recovered-after-retry"),
    ("tamper/metadata-owner@ES9+", "refused"),
    ("tamper/bpp-mac@ES9+.GetBoundProfilePackage#1", "refused"),
];

/// Serves a card. Returns its address.
fn serve(folder: &Path, arguments: &[&str]) -> (Running, String) {
    let card = Running::start(landfall(folder).args(["--json", "euicc", "serve", "--ram"]).args(arguments));
    let address = card.out.json()["cards"][0]["address"].as_str().unwrap().to_owned();
    (card, address)
}

fn check(folder: &Path, card: &str, faults: impl IntoIterator<Item = &'static str>) -> Value {
    let mut command = landfall(folder);
    command.args(["--json", "check", "card", "--card", card]);
    command.args(faults.into_iter().flat_map(|fault| ["--fault", fault]));
    serde_json::from_str(&succeed(&mut command)).unwrap()
}

fn outcomes(report: &Value) -> Vec<(&str, &str)> {
    let cases = report["cases"].as_array().unwrap();
    cases.iter().map(|case| (case["fault"].as_str().unwrap(), case["outcome"].as_str().unwrap())).collect()
}

fn unmet(report: &Value) -> Vec<&Value> {
    let all = report["behaviours"].as_array().unwrap();
    assert_eq!(all.len(), 7);
    all.iter().filter(|behaviour| behaviour["met"] == false).collect()
}

#[test]
fn our_card_passes_over_tcp_and_is_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (_card, address) = serve(folder.path(), &["--listen", "127.0.0.1:0"]);
    let report = check(folder.path(), &address, EXPECTED.map(|(fault, _)| fault));
    let mut found = outcomes(&report);
    found.sort_unstable();
    let mut expected = EXPECTED;
    expected.sort_unstable();
    assert_eq!(found, expected);
    assert!(unmet(&report).is_empty(), "{report}");
    assert!(!report.to_string().contains("card_findings"), "{report}");
    let list = succeed(landfall(folder.path()).args(["--json", "device", "--card", &address, "list"]));
    assert_eq!(serde_json::from_str::<Value>(&list).unwrap(), serde_json::json!([]));
}

#[test]
fn our_card_passes_in_a_pcsc_reader() {
    let folder = tempfile::tempdir().unwrap();
    succeed(landfall(folder.path()).args(["certs", "init"]));
    // The check is the reader; the port is free again when the listener is dropped.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let arguments = ["euicc", "serve", "--ram", "--vpcd", &address];
    let _card = Running::start(landfall(folder.path()).args(arguments));
    let report = check(folder.path(), &format!("vpcd:{address}"), [EXPECTED[0].0]);
    assert_eq!(outcomes(&report), [EXPECTED[0]]);
}

/// The tag of a function, and the data of its response.
type Changed = ([u8; 2], &'static [u8]);

/// Serves a card whose responses are those of `card`, except that the responses to commands with this
/// tag have these data. Returns its address.
fn changed(card: String, (tag, data): Changed) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut lpa, mut card) = (listener.accept().unwrap().0, TcpStream::connect(card).unwrap());
        while let Some(command) = receive(&mut lpa) {
            let response = match command.get(5..7) == Some(&tag) {
                true => [data, &[0x90, 0x00]].concat(),
                false => {
                    send(&mut card, &command);
                    receive(&mut card).unwrap()
                }
            };
            send(&mut lpa, &response);
        }
    });
    address
}

#[test]
fn deviations_of_a_card_are_findings_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (_card, address) = serve(folder, &["--listen", "127.0.0.1:0"]);
    // The length of the empty list of notifications is not in the form of DER.
    let deviating = changed(address, ([0xBF, 0x28], &[0xBF, 0x28, 0x81, 0x02, 0xA0, 0x00]));
    let junit = folder.join("junit.xml");
    let check = ["--json", "check", "card", "--card", &deviating, "--fault", EXPECTED[5].0, "--junit"];
    let report = succeed(landfall(folder).args(check).arg(&junit));
    let report: Value = serde_json::from_str(&report).unwrap();
    let found = &report["cases"][0]["card_findings"][0];
    assert_eq!(found["function"], "ES10b.ListNotification", "{report}");
    assert_eq!(found["finding"]["kind"], "not-der");
    let junit = std::fs::read_to_string(junit).unwrap();
    assert!(junit.contains("finding: ES10b.ListNotification: not-der (SGP.22 2.4.5"), "{junit}");
}

#[test]
fn a_card_that_keeps_its_notifications_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (_card, address) = serve(folder.path(), &["--listen", "127.0.0.1:0"]);
    // RemoveNotificationFromList is acknowledged and not executed.
    let forgetful = changed(address, ([0xBF, 0x30], &[0xBF, 0x30, 3, 0x80, 1, 0]));
    let report = check(folder.path(), &forgetful, [EXPECTED[5].0]);
    let unmet = unmet(&report);
    assert_eq!(unmet.len(), 1, "{report}");
    assert_eq!(unmet[0]["requirement"], "Each notification is delivered and removed from the card.");
}

fn receive(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

fn send(stream: &mut TcpStream, message: &[u8]) {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, message].concat()).unwrap();
}

#[test]
fn a_card_of_another_pki_and_a_missing_card_cannot_be_checked() {
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let (mut card, address) = serve(other.path(), &["--seed", "other", "--listen", "127.0.0.1:0"]);
    let check = || {
        let mut command = landfall(folder.path());
        command.args(["check", "card", "--fault", EXPECTED[0].0, "--card", &address]);
        fail(&mut command)
    };
    let error = check();
    assert!(error.contains("does not install a profile without a fault"), "{error}");
    card.kill();
    let error = check();
    assert!(error.contains("cannot use the card at"), "{error}");
}
