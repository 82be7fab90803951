//! `landfall euicc`: cards behind the interfaces for third-party programs. In these tests, the
//! other side is a fake reader, or the test itself, which opens the serial port as a file.
//! docs/interop.md describes tests with real programs.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
};

use common::{Running, fail, landfall, succeed};
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
