//! The announcement of a server that is ready: `--json`, `--ready-file`, the service manager, and the
//! health endpoints.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Command, Stdio},
};

use common::{Running, landfall, succeed};
use serde_json::Value;

/// Commands with their interfaces, and the interface without TLS.
const SERVERS: [(&[&str], &[&str], Option<&str>); 8] = [
    (&["sm-dp", "serve"], &["admin", "sm_dp"], Some("admin")),
    (&["sm-ds", "serve"], &["sm_ds"], None),
    (
        &["sm-sr", "serve", "--listen", "127.0.0.1:0", "--listen-cards", "127.0.0.1:0"],
        &["cards", "sm_sr"],
        None,
    ),
    (&["network"], &["network"], Some("network")),
    (&["euicc", "serve", "--ram"], &["euicc"], None),
    (
        &["fleet", "serve", "--listen", "127.0.0.1:0", "--listen-api", "127.0.0.1:0"],
        &["api", "platform"],
        Some("api"),
    ),
    (&["operator", "listen", "--listen", "127.0.0.1:0"], &["operator"], None),
    (&["faults", "serve", "--listen", "127.0.0.1:0", "--before", "smdp.example.com"], &["proxy"], None),
];

const ANY_PORTS: [(&str, &str); 4] = [
    ("LANDFALL_SM_DP", "127.0.0.1:0"),
    ("LANDFALL_SM_DS", "127.0.0.1:0"),
    ("LANDFALL_NETWORK", "127.0.0.1:0"),
    ("LANDFALL_CARD", "127.0.0.1:0"),
];

#[test]
fn every_server_announces_its_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeed(landfall(folder).args(["certs", "init"]));
    let (file, socket) = (folder.join("ready.json"), folder.join("notify"));
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    let up: (&[&str], &[&str], Option<&str>) =
        (&["up"], &["admin", "euicc", "network", "sm_dp", "sm_ds"], Some("network"));
    let up_iot: (&[&str], &[&str], Option<&str>) = (
        &["up", "--iot", "--listen-eim", "127.0.0.1:0", "--listen-eim-api", "127.0.0.1:0"],
        &["admin", "eim", "eim_api", "euicc", "network", "sm_dp", "sm_ds"],
        Some("eim_api"),
    );
    for (command, interfaces, plain) in SERVERS.into_iter().chain([up, up_iot]) {
        std::fs::write(&file, "of an earlier start").unwrap();
        let mut server = landfall(folder);
        server.arg("--json").envs(ANY_PORTS).args(command).arg("--ready-file").arg(&file);
        let running = Running::start(server.env("NOTIFY_SOCKET", &socket));

        let line = running.out.lines().next().unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        assert!(command.join(" ").starts_with(ready["ready"].as_str().unwrap()), "{line}");
        let found: Vec<&String> = ready["addresses"].as_object().unwrap().keys().collect();
        assert_eq!(found, interfaces, "{command:?}");
        assert_eq!(ready["data_dir"], folder.to_str().unwrap());
        let root = ready["root_certificate"].as_str().unwrap();
        assert!(std::path::Path::new(root).exists(), "{root}");
        let has_card = matches!(command[0], "up" | "euicc");
        assert_eq!(ready["cards"].as_array().map_or(0, Vec::len), usize::from(has_card), "{line}");
        assert_eq!(ready["activation_code"].is_string(), command[0] == "up", "{line}");

        let mut datagram = [0; 64];
        let length = manager.recv(&mut datagram).unwrap();
        assert_eq!(&datagram[..length], b"READY=1\n", "{command:?}");
        assert_eq!(std::fs::read_to_string(&file).unwrap().trim_end(), line, "{command:?}");
        for interface in interfaces {
            TcpStream::connect(ready["addresses"][interface].as_str().unwrap()).unwrap();
        }
        if let Some(plain) = plain {
            let address = ready["addresses"][plain].as_str().unwrap();
            assert_eq!(get(address, "/healthz"), ("200".to_owned(), "ok".to_owned()));
            assert_eq!(get(address, "/readyz"), ("200".to_owned(), "ready".to_owned()));
        }
    }
}

/// Every server, with its ports and the readiness announcement as the first line of its output.
fn started(folder: &Path, options: &[&str]) -> Vec<(String, Running)> {
    let up: &[&str] = &["up"];
    let commands = SERVERS.iter().map(|(command, ..)| *command).chain([up]);
    let start = |command: &[&str]| {
        // Each has a data folder of its own, with the PKI in common, so that all can run at once.
        let data_dir = folder.join(command.join(" ").replace([' ', '/'], "-"));
        let mut server = landfall(&data_dir);
        server.env("LANDFALL_PKI", folder.join("pki")).envs(ANY_PORTS);
        server.arg("--json").args(command).args(options).stdin(Stdio::piped());
        (command.join(" "), Running::start(&mut server))
    };
    let running: Vec<_> = commands.map(start).collect();
    for (command, server) in &running {
        assert!(server.out.json()["ready"].is_string(), "{command}");
    }
    running
}

#[test]
fn every_server_ends_with_status_0_on_sigterm_and_sigint() {
    let folder = tempfile::tempdir().unwrap();
    succeed(landfall(folder.path()).args(["certs", "init"]));
    for (number, (command, mut server)) in started(folder.path(), &[]).into_iter().enumerate() {
        // Standard input is closed, which does not matter without the option.
        drop(server.input());
        let signal = if number % 2 == 0 { "TERM" } else { "INT" };
        succeed(Command::new("kill").args(["-s", signal, &server.id().to_string()]));
        assert_eq!(server.status(), Some(0), "{command}, SIG{signal}");
    }
}

#[test]
fn a_server_ends_when_its_standard_input_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    succeed(landfall(folder.path()).args(["certs", "init"]));
    for (command, mut server) in started(folder.path(), &["--until-stdin-closes"]) {
        let mut input = server.input().unwrap();
        input.write_all(b"input is discarded\n").unwrap();
        drop(input);
        assert_eq!(server.status(), Some(0), "{command}");
    }
}

/// Gets a health endpoint. Returns the HTTP status and the member `status` of the body.
fn get(address: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    (head.split(' ').nth(1).unwrap().to_owned(), body["status"].as_str().unwrap().to_owned())
}
