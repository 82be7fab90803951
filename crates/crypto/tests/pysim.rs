//! Comparison of SCP80 and SCP03 with a running pySim over pseudo-random inputs.
//!
//! These tests are optional. They need `LANDFALL_PYSIM`, the folder of a pySim checkout, and
//! `LANDFALL_PYTHON`, a Python interpreter with the packages that pySim requires (default:
//! `python3`). Without `LANDFALL_PYSIM` they are ignored. The vectors that pySim publishes are in
//! the unit tests.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a failing test panics")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crypto::AesKey;
use crypto::scp03::{Channel, SecurityLevel, SessionKeys, StaticKeys};
use crypto::scp80::{Head, Keys, Opened, Protection, open, seal};
use sha2::{Digest, Sha256};

/// A pySim process that answers requests, one per line.
struct PySim {
    process: Child,
    requests: ChildStdin,
    responses: BufReader<ChildStdout>,
}

impl PySim {
    fn start() -> Self {
        let folder = std::env::var_os("LANDFALL_PYSIM").unwrap();
        let python = std::env::var("LANDFALL_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let mut process = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pysim/responder.py"))
            .env("PYTHONPATH", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let requests = process.stdin.take().unwrap();
        let responses = BufReader::new(process.stdout.take().unwrap());
        Self { process, requests, responses }
    }

    fn request(&mut self, request: &str) -> String {
        writeln!(self.requests, "{request}").unwrap();
        let mut response = String::new();
        self.responses.read_line(&mut response).unwrap();
        assert!(!response.is_empty(), "pySim exited at the request: {request}");
        response.trim_end().to_owned()
    }
}

impl Drop for PySim {
    fn drop(&mut self) {
        // The process would exit by itself at the end of its input, but a failing test does not
        // wait for the exit.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Pseudo-random octets, the same in every run.
fn octets(label: &str, case: usize, count: usize) -> Vec<u8> {
    (0_u32..)
        .flat_map(|block| {
            Sha256::new()
                .chain_update(label)
                .chain_update(case.to_be_bytes())
                .chain_update(block.to_be_bytes())
                .finalize()
        })
        .take(count)
        .collect()
}

fn key(label: &str, case: usize) -> [u8; 16] {
    octets(label, case, 16).try_into().unwrap()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[test]
#[cfg_attr(not(has_pysim), ignore = "needs LANDFALL_PYSIM, a checkout of pySim")]
fn packets_equal_those_of_pysim() {
    let mut pysim = PySim::start();
    for case in 0..200 {
        let (kic, kid) = (key("KIc", case), key("KID", case));
        let keys = Keys { kic: kic.into(), kid: kid.into() };
        let counter: [u8; 5] = octets("counter", case, 5).try_into().unwrap();
        let tar: [u8; 3] = octets("TAR", case, 3).try_into().unwrap();
        // pySim does not segment packets, so the whole packet has to fit one message.
        let data = octets("data", case, case % 100 + 1);
        let (checksum, first, name) = match case % 4 {
            0 => (false, 0x14, "no_rc_cc_ds"),
            _ => (true, 0x16, "cc"),
        };
        let protection = Protection { checksum, ciphered: true };
        let [t1, t2, t3] = tar;
        let head = [first, 0x39, 0x22, 0x22, t1, t2, t3];
        let plain = Opened { counter, status: 0, data: data.clone() };
        let sealed = seal(Head::Command(&head), &plain, protection, &keys);
        let request = format!(
            "command {} {} {} {} {name} {}",
            hex(&kic),
            hex(&kid),
            hex(&counter),
            hex(&tar),
            hex(&data)
        );
        assert_eq!(pysim.request(&request), hex(&sealed), "case {case}");
        assert_eq!(open(Head::Command(&head), &sealed, protection, &keys), Ok(plain), "case {case}");

        // pySim requires a response to have at least the number of commands and a status word.
        let data = octets("response", case, case % 90 + 3);
        let response = Opened { counter, status: 0, data: data.clone() };
        let sealed = seal(Head::Response(&tar, &[0x02, 0x71, 0x00]), &response, Protection::FULL, &keys);
        let response = pysim.request(&format!("response {} {} {}", hex(&kic), hex(&kid), hex(&sealed)));
        assert_eq!(response, format!("{} 00 {}", hex(&counter), hex(&data)), "case {case}");
    }
}

#[test]
#[cfg_attr(not(has_pysim), ignore = "needs LANDFALL_PYSIM, a checkout of pySim")]
fn sessions_equal_those_of_pysim() {
    let mut pysim = PySim::start();
    for case in 0..60 {
        let length = [16, 24, 32][case % 3];
        let level = [0x01, 0x03, 0x11, 0x33][case % 4];
        let static_key = |label| octets(label, case, length);
        let of = |label| AesKey::from_slice(&static_key(label)).unwrap();
        let keys = StaticKeys { enc: of("ENC"), mac: of("MAC"), dek: of("DEK") };
        let host: [u8; 8] = octets("host", case, 8).try_into().unwrap();
        let card: [u8; 8] = octets("card", case, 8).try_into().unwrap();
        let session = SessionKeys::derive(&keys, host, card);
        let card_response =
            [&[0; 10][..], &[0x30, 0x03, 0x70], &card, &session.card_cryptogram(), &[0, 0, 1]].concat();
        let security = SecurityLevel::of(level).unwrap();
        let (mut host_channel, mut card_channel) =
            (Channel::new(session.clone(), security), Channel::new(session, security));
        let request = format!(
            "session {} {} {} {} {} {level:02x}",
            hex(&static_key("ENC")),
            hex(&static_key("MAC")),
            hex(&static_key("DEK")),
            hex(&host),
            hex(&card_response)
        );
        let authenticate = host_channel.external_authenticate();
        assert_eq!(pysim.request(&request), hex(&authenticate), "case {case}");
        card_channel
            .check_external_authenticate(authenticate[..4].try_into().unwrap(), &authenticate[5..])
            .unwrap();
        for command in 0..6 {
            let data = octets("APDU", case * 8 + command, (case * 7 + command * 39) % 224);
            let header = [0x80, 0xE2, 0x88, u8::try_from(command).unwrap()];
            let lc = if data.is_empty() { vec![] } else { vec![u8::try_from(data.len()).unwrap()] };
            let plain = [header.as_slice(), &lc, &data].concat();
            let (sent, protected) = host_channel.protect(header, &data);
            let apdu = [sent.as_slice(), &[u8::try_from(protected.len()).unwrap()], &protected].concat();
            assert_eq!(pysim.request(&format!("wrap {}", hex(&plain))), hex(&apdu), "case {case}, {command}");
            assert_eq!(card_channel.unprotect(sent, &protected), Ok(data.clone()));
            if level & 0x10 == 0 || data.is_empty() {
                continue;
            }
            let response = card_channel.protect_response(0x9000, &data);
            assert_eq!(
                pysim.request(&format!("unwrap 9000 {}", hex(&response))),
                hex(&data),
                "case {case}, {command}"
            );
            assert_eq!(host_channel.unprotect_response(0x9000, &response), Ok(data));
        }
    }
}
