//! `landfall euicc`: cards behind the interfaces for third-party programs. In these tests, the
//! other side is a fake reader, or the test itself, which opens the serial port as a file.
//! docs/interop.md describes tests with real programs.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
};

use common::{Running, fail, landfall, succeed};
use profile::{
    Octets, ProfileElement,
    element::{Application, PeHeader, Service},
    generic::Subscription,
};
use rsp::ids::Iccid;
use serde_json::Value;

const ISD_R: &str = "A0000005591010FFFFFFFF8900000100";
/// STORE DATA with ES10c.GetEUICCData for the EID.
const GET_EID: &str = "80E2910006BF3E035C015A";

fn serve(folder: &Path, arguments: &[&str]) -> (Running, Value) {
    let serve = ["--json", "euicc", "serve", "--ram"];
    let running = Running::start(landfall(folder).args(serve).args(arguments));
    let cards = running.out.json()["cards"].take();
    (running, cards)
}

fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap()
}

#[test]
fn each_of_many_cards_has_its_own_eid_and_port() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (_running, table) = serve(folder, &["--count", "3", "--listen", "127.0.0.1:0"]);
    let rows = table.as_array().unwrap();
    assert_eq!(rows.len(), 3, "{table}");
    let mut eids: Vec<String> = Vec::new();
    for row in rows {
        let info =
            succeed(landfall(folder).args(["--json", "device", "--card", text(row, "address"), "info"]));
        let info: Value = serde_json::from_str(&info).unwrap();
        assert_eq!(text(&info, "eid"), text(row, "eid"));
        assert!(!eids.contains(&text(row, "eid").to_owned()), "{table}");
        eids.push(text(row, "eid").to_owned());
    }
}

/// The keys and certificates of a card are made when its memory is opened, which locks it. The first
/// card is made at the start, because it shows errors that all cards have in common.
#[test]
fn a_card_among_many_is_made_when_it_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let made = || {
        let files = std::fs::read_dir(folder.join("cards")).unwrap();
        let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".card.lock")).collect::<BTreeSet<_>>()
    };
    let arguments = ["--json", "euicc", "serve", "--count", "50", "--listen", "127.0.0.1:0"];
    let running = Running::start(landfall(folder).args(arguments));
    let cards = running.out.json()["cards"].take();
    assert_eq!(cards.as_array().unwrap().len(), 50);
    let file = |number: usize| format!("{}.card.lock", text(&cards[number], "eid"));
    assert_eq!(made(), BTreeSet::from([file(0)]));
    let (used, eid) = (text(&cards[37], "address"), text(&cards[37], "eid"));
    let info = succeed(landfall(folder).args(["--json", "device", "--card", used, "info"]));
    assert_eq!(serde_json::from_str::<Value>(&info).unwrap()["eid"], eid);
    assert_eq!(made(), BTreeSet::from([file(0), file(37)]));
}

/// A serial port opened by a program.
struct Port(BufReader<File>);

impl Port {
    fn open(path: &str) -> Self {
        Self(BufReader::new(File::options().read(true).write(true).open(path).unwrap()))
    }

    /// Sends a command. Returns the lines of the response, up to its final result code.
    fn ask(&mut self, command: &str) -> Vec<String> {
        self.0.get_mut().write_all(format!("{command}\r").as_bytes()).unwrap();
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            let line = line.trim();
            if line.is_empty() || line == command {
                continue;
            }
            lines.push(line.to_owned());
            if line == "OK" || line.contains("ERROR") {
                return lines;
            }
        }
    }
}

#[test]
fn a_card_can_be_used_with_at_commands_on_a_serial_port() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("modem");
    let link = link.to_str().unwrap();
    let (mut running, table) = serve(folder.path(), &["--modem", link, "--modem-quirk", "unquoted-hex"]);
    assert_eq!((text(&table[0], "interface"), text(&table[0], "address")), ("at", link));
    let mut port = Port::open(link);
    assert_eq!(port.ask("AT+CMEE=1;+CPIN?"), ["+CME ERROR: 10"]);
    assert_eq!(port.ask(&format!("AT+CCHO=\"{ISD_R}\"")), ["+CCHO: 1", "OK"]);
    let answer = port.ask(&format!("AT+CGLA=1,22,\"{GET_EID}\""));
    assert_eq!(answer, ["+CGLA: 4,6115", "OK"]);
    let answer = port.ask("AT+CGLA=1,10,80C0000015");
    assert_eq!(answer[0], format!("+CGLA: 46,BF3E125A10{}9000", text(&table[0], "eid")));
    // A later program at the port finds the modem in the state in which the first one left it.
    drop(port);
    assert_eq!(Port::open(link).ask("AT+CCHC=1"), ["+CCHC", "OK"]);

    // A link in use cannot be taken over; a stale link can.
    let errors = fail(landfall(folder.path()).args(["euicc", "serve", "--ram", "--modem", link]));
    assert!(errors.contains("another process"), "{errors}");
    running.kill();
    let (_running, _) = serve(folder.path(), &["--modem", link]);
    assert_eq!(Port::open(link).ask("AT"), ["OK"]);
}

fn say(card: &mut TcpStream, message: &[u8]) {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    card.write_all(&[&length, message].concat()).unwrap();
}

fn ask(card: &mut TcpStream, message: &[u8]) -> Vec<u8> {
    say(card, message);
    let mut length = [0; 2];
    card.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    card.read_exact(&mut answer).unwrap();
    answer
}

#[test]
fn a_card_is_inserted_into_a_reader_again_after_a_disconnection() {
    let folder = tempfile::tempdir().unwrap();
    let reader = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = reader.local_addr().unwrap().to_string();
    let (running, table) = serve(folder.path(), &["--vpcd", &address]);
    assert_eq!((text(&table[0], "interface"), text(&table[0], "address")), ("vpcd", &*address));
    for _ in 0..2 {
        let (mut card, _) = reader.accept().unwrap();
        // Power on, request the ATR, SELECT, ES10c.GetEUICCData.
        say(&mut card, &[1]);
        assert_eq!(ask(&mut card, &[4])[..2], [0x3B, 0x9F]);
        let select = hex(&format!("00A4040010{ISD_R}"));
        assert_eq!(ask(&mut card, &select)[0], 0x61);
        assert_eq!(ask(&mut card, &hex(GET_EID)), [0x61, 0x15]);
        let eid = ask(&mut card, &hex("80C0000015"));
        assert_eq!(eid, hex(&format!("BF3E125A10{}9000", text(&table[0], "eid"))));
        drop(card);
        running.err.up_to(&[&format!("the reader at {address} disappeared")]);
    }
}

/// ES10c.GetEUICCData with a length that is not in the form of DER.
const GET_EID_NOT_DER: &str = "80E2910007BF3E81035C015A";

/// Returns the kinds of the findings in the events of a card.
fn found<'a>(events: impl Iterator<Item = &'a str>) -> Vec<String> {
    let events = events.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_card = events.filter(|event| event["party"] == "card");
    of_card.map(|event| event["findings"][0]["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_served_card_reports_each_kind_of_deviation_once() {
    let folder = tempfile::tempdir().unwrap();
    let (mut running, table) = serve(folder.path(), &["--listen", "127.0.0.1:0"]);
    let mut card = TcpStream::connect(text(&table[0], "address")).unwrap();
    assert_eq!(ask(&mut card, &hex(&format!("00A4040010{ISD_R}")))[0], 0x61);
    for command in [GET_EID_NOT_DER, GET_EID_NOT_DER, "80E2910007BF3E035C015A00"] {
        assert_eq!(ask(&mut card, &hex(command)), [0x61, 0x15], "{command}");
    }
    running.kill();
    let lines: Vec<_> = running.err.lines().collect();
    assert_eq!(found(lines.iter().map(String::as_str)), ["not-der", "trailing-octets"], "{lines:?}");
}

#[cfg(unix)]
#[test]
fn the_findings_of_a_card_are_shown_beside_the_output_of_lpac() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("lpac.sh");
    let requests = [
        ("connect", String::new()),
        ("logic_channel_open", ISD_R.to_owned()),
        ("transmit", format!("81{}", &GET_EID_NOT_DER[2..])),
    ];
    let requests = requests.map(|(func, param)| {
        let payload = serde_json::json!({ "func": func, "param": param });
        format!("echo '{}'; read _\n", serde_json::json!({ "type": "apdu", "payload": payload }))
    });
    std::fs::write(&program, format!("#!/bin/sh\n{}", requests.concat())).unwrap();
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let lpac = |arguments: &[&str]| {
        let mut command = landfall(folder.path());
        command.args(arguments).arg("lpac").arg("--lpac").arg(&program).args(["chip", "info"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let shown = lpac(&["euicc"]);
    let line = shown.lines().position(|line| line.contains("card") && line.contains("accepted a deviation"));
    let finding = shown.lines().nth(line.unwrap() + 1).unwrap();
    assert!(finding.contains("finding: not-der (SGP.22 2.4.5"), "{shown}");
    assert_eq!(found(lpac(&["--json", "euicc"]).lines()), ["not-der"]);
    // A strict card refuses the command, and reports why.
    assert_eq!(found(lpac(&["--json", "euicc", "--strict"]).lines()), ["not-der"]);
}

/// A package with an application.
fn package_with_application() -> Vec<u8> {
    let iccid = "89000123456789012341".parse::<Iccid>().unwrap().to_profile_header();
    let mut package = profile::generic(&Subscription { iccid, ..Subscription::default() });
    let Some(ProfileElement::Header(header)) = package.elements.first_mut() else { panic!() };
    header.mandatory_services.services.push(Service::JAVACARD);
    let aid = Octets::from_hex("A000000559AA01").unwrap();
    let application = Application::loading(PeHeader::mandated(200), aid, [1, 2].into());
    let end = package.elements.len() - 1;
    package.elements.insert(end, ProfileElement::Application(Box::new(application)));
    package.encode()
}

#[test]
fn a_device_shows_that_its_card_does_not_run_an_application() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let package = folder.join("application.der");
    std::fs::write(&package, package_with_application()).unwrap();
    let serve = ["sm-dp", "serve", "--listen", "127.0.0.1:0"];
    let sm_dp = Running::start(landfall(folder).args(serve));
    let address = sm_dp.err.word_after("SM-DP+ at ");
    let to_sm_dp = ["--sm-dp", &*address];
    let iccid = succeed(landfall(folder).args(["sm-dp", "add"]).arg(&package).args(to_sm_dp));
    let code = succeed(landfall(folder).args(["operator", "order", iccid.trim()]).args(to_sm_dp));
    let mut download = landfall(folder);
    download.args(["--json", "device"]).args(to_sm_dp).args(["download", code.trim()]);
    let output = download.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let shown = String::from_utf8(output.stderr).unwrap();
    assert_eq!(found(shown.lines()), ["application-not-run"], "{shown}");
}

#[test]
fn an_m2m_card_cannot_be_strict() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("first.der");
    std::fs::write(&package, profile::generic(&Subscription::default()).encode()).unwrap();
    let mut device = landfall(folder.path());
    device.args(["device", "--strict", "run", "--sm-sr-number", "+447700910007", "--first-profile"]);
    let errors = fail(device.arg(&package));
    assert!(errors.contains("an M2M card cannot be strict"), "{errors}");
    assert!(errors.contains("omit --strict"), "{errors}");
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn the_error_names_a_missing_lpac() {
    let folder = tempfile::tempdir().unwrap();
    let lpac = ["euicc", "lpac", "--lpac", "no-such-lpac", "--", "profile", "list"];
    let errors = fail(landfall(folder.path()).args(lpac));
    assert!(
        errors.contains("cannot start no-such-lpac") && errors.contains("install no-such-lpac"),
        "{errors}"
    );
}

#[test]
fn a_second_server_on_the_same_data_folder_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let serve = |party: &str| {
        let mut command = landfall(folder);
        command.args([party, "serve", "--listen", "127.0.0.1:0"]);
        command
    };
    for (party, heading) in [("sm-dp", "SM-DP+ at "), ("sm-ds", "SM-DS at ")] {
        let mut first = Running::start(&mut serve(party));
        first.err.word_after(heading);
        let errors = fail(&mut serve(party));
        assert!(errors.contains("another process") && errors.contains("--data-dir"), "{errors}");
        first.kill();
        Running::start(&mut serve(party)).err.word_after(heading);
    }
}

/// Runs lpac, from the PATH or the variable LPAC, with the card at the serial port.
#[test]
#[cfg_attr(not(has_lpac), ignore = "needs lpac")]
fn lpac_reads_the_card_through_the_modem() {
    let lpac = std::env::var_os("LPAC").unwrap_or_else(|| "lpac".into());
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("modem");
    let (_running, table) = serve(folder.path(), &["--modem", link.to_str().unwrap()]);
    for driver in ["at", "at_csim"] {
        let mut lpac = Command::new(&lpac);
        lpac.env("LPAC_APDU", driver).env("LPAC_APDU_AT_DEVICE", &link);
        let printed = succeed(lpac.args(["chip", "info"]));
        assert!(printed.contains(text(&table[0], "eid")), "{driver}: {printed}");
    }
}
