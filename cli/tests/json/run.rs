//! Running a case, and checking its output.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Output,
};

use cli::exit_status::ExitStatus;
use serde_json::Value;

use super::{
    Case, Expected,
    Expected::{Document, Error, ErrorWithStatus, Lines, MissedExpectation, Server, Text},
    common::{Running, landfall},
    schemas::Schemas,
    setup::Setup,
};

/// Interfaces without TLS.
const PLAIN: [&str; 3] = ["admin", "api", "network"];

/// Runs a case. Returns the difference from its expected output.
pub(super) fn run(case: &Case, setup: &Setup, schemas: &Schemas) -> Result<(), String> {
    let (command, arguments, expected) = case;
    let any_ports = arguments.contains(&"{any_ports}");
    let mut arguments: Vec<String> = arguments.iter().flat_map(|one| setup.fill(one)).collect();
    let data_dir = match arguments.iter().position(|argument| argument == "--data-dir") {
        Some(position) => arguments.drain(position..position + 2).next_back().unwrap().into(),
        None => setup.folder.clone(),
    };
    let mut process = landfall(&data_dir);
    process.env("LANDFALL_PKI", setup.folder.join("pki"));
    if any_ports {
        let settings = ["LANDFALL_SM_DP", "LANDFALL_SM_DS", "LANDFALL_NETWORK", "LANDFALL_CARD"];
        process.envs(settings.map(|setting| (setting, "127.0.0.1:0")));
    }
    process.arg("--json").args(command.split(' ')).args(&arguments);
    let (checked, printed) = match expected {
        Server => (check_server(&Running::start(&mut process), command, schemas), String::new()),
        _ => {
            let output = process.output().unwrap();
            let printed =
                [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
            (check(&output, command, *expected, schemas), printed.concat())
        }
    };
    checked.map_err(|why| format!("{command} {}: {why}\n{printed}", arguments.join(" ")))
}

fn is(condition: bool, what: &str) -> Result<(), String> {
    if condition { Ok(()) } else { Err(what.to_owned()) }
}

/// Checks the announcement of a server, and its ports without TLS.
fn check_server(server: &Running, command: &str, schemas: &Schemas) -> Result<(), String> {
    let Some(line) = server.out.lines().next() else {
        return Err(format!("no announcement: {}", server.err.lines().collect::<Vec<_>>().join("\n")));
    };
    let ready: Value = serde_json::from_str(&line).map_err(|e| format!("{e}: {line}"))?;
    schemas.check_result(command, &ready)?;
    is(ready["ready"] == command, "the announcement names another command")?;
    for address in PLAIN.iter().filter_map(|interface| ready["addresses"][interface].as_str()) {
        for path in ["/healthz", "/readyz"] {
            is(get(address, path).starts_with("HTTP/1.1 200"), path)?;
        }
    }
    Ok(())
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

/// Compares the output of a command with the expected one.
fn check(output: &Output, command: &str, expected: Expected, schemas: &Schemas) -> Result<(), String> {
    let status = i32::from(status(expected.kind()).code());
    is(output.status.code() == Some(status), &format!("the exit status is {}", output.status))?;
    if matches!(expected, Text) {
        return Ok(());
    }
    let documents: Vec<Value> = serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter::<Value>()
        .collect::<Result<_, _>>()
        .map_err(|e| e.to_string())?;
    match expected {
        Lines => is(!documents.is_empty(), "there is no line")?,
        _ => is(documents.len() == 1, "there is not exactly one document")?,
    }
    match expected {
        Document | Lines | MissedExpectation | Server | Text => {
            documents.iter().try_for_each(|document| schemas.check_result(command, document))?;
        }
        Error(_) | ErrorWithStatus => {
            schemas.check_error(&documents[0])?;
            let error = &documents[0]["error"];
            is(error["kind"] == expected.kind(), "the error has another kind")?;
            for member in ["what", "why", "next"] {
                is(error[member] != "", member)?;
            }
            let has_status = error["status"].is_object();
            is(has_status == matches!(expected, ErrorWithStatus), "the status of the server")?;
        }
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    is(!errors.contains("landfall:"), "the error is also text")?;
    let events = errors.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event.get("party").is_some()).try_for_each(|event| schemas.check_event(&event))
}

/// Returns the exit status of a kind of error, or of a result.
fn status(kind: &str) -> ExitStatus {
    let of_kind =
        |status: &ExitStatus| status.kind().is_some_and(|each| serde_json::to_value(each).unwrap() == kind);
    ExitStatus::ALL.into_iter().find(of_kind).unwrap_or(ExitStatus::Success)
}
