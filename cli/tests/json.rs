//! `--json`: every case prints one JSON document on standard output, and ends with the exit status of
//! its kind. The table in docs/json.md lists the cases.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Output,
};

use cli::exit_status::ExitStatus;
use common::{Running, landfall, succeed};
use serde_json::Value;

use Expected::{Document, Error, ErrorWithStatus, Lines, MissedExpectation};

/// The expected output of a command.
#[derive(Clone, Copy)]
enum Expected {
    /// The result.
    Document,
    /// The result, as one JSON object on each line.
    Lines,
    /// A result that differs from the expected one, with the exit status of `expectation`.
    MissedExpectation,
    /// An error of this kind.
    Error(&'static str),
    /// A refusal with the status code of the server.
    ErrorWithStatus,
}

/// A command, its further arguments, and its expected output. Words in braces are values of the
/// test, such as addresses.
type Case = (&'static str, &'static [&'static str], Expected);

/// The cases, in the order in which they run: later ones use the results of earlier ones.
const CASES: &[Case] = &[
    ("certs show", &[], Document),
    ("certs show", &["--pki", "{folder}/missing"], Error("not_found")),
    ("certs init", &[], Error("usage")),
    ("certs init", &["--pki", "{folder}/another-pki"], Document),
    ("certs issue", &["operator", "--name", "Another Operator"], Document),
    ("certs issue", &["euicc", "1"], Error("usage")),
    ("profile new", &["{folder}/another.der", "--number", "9"], Document),
    ("profile new", &["{folder}/none/x.der"], Error("not_found")),
    ("profile show", &["{package}"], Document),
    ("profile show", &["{folder}/missing.der"], Error("not_found")),
    ("profile show", &["{text}"], Error("usage")),
    ("profile check", &["{package}"], Document),
    ("profile check", &["{damaged}"], MissedExpectation),
    ("profile diff", &["{package}", "{folder}/another.der"], Document),
    ("profile decompile", &["{package}", "{folder}/package.toml"], Document),
    ("profile build", &["{folder}/package.toml", "{folder}/again.der"], Document),
    ("profile build", &["{text}", "{folder}/again.der"], Error("usage")),
    ("sm-dp add", &["{folder}/another.der"], Document),
    ("sm-dp add", &["{folder}/another.der"], Error("usage")),
    ("sm-dp add", &["{folder}/missing.der"], Error("not_found")),
    ("sm-dp list", &[], Document),
    ("sm-dp serve", &["--listen", "{sm_ds}", "--data-dir", "{folder}/other"], Error("usage")),
    ("sm-ds list", &[], Document),
    ("sm-sr list", &[], Error("not_found")),
    ("operator order", &[], Error("usage")),
    ("operator order", &["{unknown}", "--sm-dp", "{sm_dp}"], ErrorWithStatus),
    ("operator order", &["{iccid}", "--sm-dp", "{closed}"], Error("unreachable")),
    ("operator order", &["{iccid}", "--matching-id", "FIRST", "--hold", "--sm-dp", "{sm_dp}"], Document),
    ("operator release", &["{iccid}", "--sm-dp", "{sm_dp}"], Document),
    ("operator cancel", &["{iccid}", "--sm-dp", "{sm_dp}"], Document),
    ("operator cancel", &["{unknown}", "--sm-dp", "{sm_dp}"], ErrorWithStatus),
    ("operator order", &["{iccid}", "--matching-id", "SECOND", "--sm-dp", "{sm_dp}"], Document),
    ("device info", &[], Document),
    ("device info", &["--card", "{closed}"], Error("unreachable")),
    ("device list", &[], Document),
    ("device discover", &["{servers}"], Document),
    ("device discover", &["--sm-ds", "{closed}", "{closed}"], Error("unreachable")),
    ("device download", &["no code"], Error("usage")),
    ("device download", &["{servers}"], Error("usage")),
    ("device download", &["LPA:1${sm_dp}$WRONG", "{servers}"], ErrorWithStatus),
    ("device download", &["LPA:1${closed}$SECOND"], Error("unreachable")),
    ("device download", &["LPA:1${sm_dp}$SECOND", "{servers}"], Document),
    ("device enable", &["{iccid}"], Document),
    ("device enable", &["{unknown}"], Error("not_found")),
    ("device register", &["--visible", "724-99", "{servers}"], Document),
    ("device register", &["--visible", "724-99", "--network", "{closed}"], Error("unreachable")),
    ("device notifications", &["{servers}"], Document),
    ("device disable", &["{iccid}"], Document),
    ("device delete", &["{iccid}"], Document),
    ("device delete", &["{iccid}"], Error("not_found")),
    ("device default-sm-dp", &["{sm_dp}"], Document),
    ("run", &["--list"], Document),
    ("run", &["{scenario}", "--report", "{folder}/reports"], Document),
    ("run", &["{missed}"], MissedExpectation),
    ("run", &["{text}"], Error("usage")),
    ("run", &["no-such-scenario"], Error("not_found")),
    ("replay", &["{folder}/reports/met.json", "{scenario}"], Document),
    ("replay", &["{folder}/reports/met.json", "{missed}"], MissedExpectation),
    ("replay", &["{folder}/missing.json"], Error("not_found")),
    ("fleet list", &[], Error("not_found")),
    ("fleet import", &["{folder}/missing.csv"], Error("not_found")),
    ("fleet import", &["{text}"], Error("usage")),
    ("fleet import", &["{devices}"], Document),
    ("fleet list", &[], Document),
    ("fleet list", &["--at", "yesterday"], Error("usage")),
    ("fleet show", &["{eid}"], Document),
    ("fleet show", &["{unknown_eid}"], Error("not_found")),
    ("fleet token", &["{unknown_eid}"], Error("not_found")),
    ("fleet token", &["{eid}"], Document),
    ("localize rules", &[], Document),
    ("localize rules", &["--rules", "{text}"], Error("usage")),
    ("localize decide", &["{device}"], Document),
    ("localize decide", &["{text}"], Error("usage")),
    ("localize decide", &["{folder}/missing.json"], Error("not_found")),
    ("faults", &[], Document),
    ("faults", &["--family", "weather"], Error("usage")),
    ("trace", &["{trace}"], Lines),
    ("trace", &["{text}"], Error("usage")),
    ("trace", &["{folder}/missing.jsonl"], Error("not_found")),
    ("explain", &["8.2.6/3.8"], Document),
    ("explain", &["no-such-code"], Error("usage")),
    ("check sm-dp", &["--list"], Document),
    ("check sm-dp", &["--own", "--case", "InitiateAuthentication"], Document),
    ("check sm-dp", &["--own", "--case", "no such case"], MissedExpectation),
    ("check sm-dp", &["--sm-dp", "{closed}", "--admin", "none"], Error("unreachable")),
    ("network", &["--networks", "{folder}/missing.toml", "--data-dir", "{folder}/other"], Error("not_found")),
    ("network add", &["{package}", "--network", "{network}"], Document),
    ("network add", &["{text}", "--network", "{network}"], Error("usage")),
    ("network add", &["{package}", "--network", "{closed}"], Error("unreachable")),
    ("network list", &["--network", "{network}"], Document),
    ("network list", &["networks", "--network", "{network}"], Document),
    ("network remove", &["{imsi}", "--network", "{network}"], Document),
    ("network remove", &["{imsi}", "--network", "{network}"], Error("refused")),
    ("up", &["--preset", "{text}", "--data-dir", "{folder}/other"], Error("usage")),
    ("up", &["--no-such-flag"], Error("usage")),
    ("euicc serve", &["--cards", "{folder}/missing.toml"], Error("not_found")),
];

/// Commands without a case.
const WITHOUT_CASE: [&str; 5] = ["completions", "demo", "eum", "load", "man"];

/// A scenario whose expectations are met.
const SCENARIO: &str = r#"
title = "A meter at home"
lasts = "1d"

[[network]]
plmn = "234-91"
name = "Albion"

[[network]]
plmn = "724-91"
name = "Brasil Um"

[[operator]]
network = "234-91"

[[devices]]
name = "meters"
count = 1
bootstrap = "234-91"
journey = [{ at = "0d", in = "GB" }]

[[expect]]
that = "the meter has service"
on = "234-91"
"#;

/// An expectation that the scenario does not meet.
const MISSED: &str = r#"
[[expect]]
that = "the meter is in Brazil"
on = "724-91"
"#;

#[test]
fn every_command_prints_one_document_and_ends_with_the_status_of_its_kind() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let values = Values::new(folder);
    let mut kinds: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut failures = Vec::new();
    for (command, arguments, expected) in CASES {
        let arguments: Vec<String> = arguments.iter().flat_map(|one| values.fill(one)).collect();
        let output =
            landfall(folder).arg("--json").args(command.split(' ')).args(&arguments).output().unwrap();
        let kind = expected.kind();
        if let Err(why) = check(&output, *expected) {
            let printed =
                [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
            failures.push(format!("{command} {}: {why}\n{}", arguments.join(" "), printed.concat()));
        }
        kinds.entry(command).or_default().insert(kind.to_owned());
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
    compare_with_page(&kinds);
}

impl Expected {
    /// The kind of the error, or `result`.
    fn kind(self) -> &'static str {
        match self {
            Document | Lines => "result",
            MissedExpectation => "expectation",
            Error(kind) => kind,
            ErrorWithStatus => "refused",
        }
    }
}

/// Compares the output of a command with the expected one. Returns the difference.
fn check(output: &Output, expected: Expected) -> Result<(), String> {
    let is = |condition: bool, what: &str| if condition { Ok(()) } else { Err(what.to_owned()) };
    let documents: Vec<Value> = serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter::<Value>()
        .collect::<Result<_, _>>()
        .map_err(|e| e.to_string())?;
    match expected {
        Lines => is(documents.len() > 1, "there is no line for each record")?,
        _ => is(documents.len() == 1, "there is not exactly one document")?,
    }
    let error = &documents[0]["error"];
    match expected {
        Document | Lines | MissedExpectation => is(error.is_null(), "the result is an error")?,
        Error(_) | ErrorWithStatus => {
            is(error["kind"] == expected.kind(), "the error has another kind")?;
            for member in ["what", "why", "next"] {
                is(error[member].as_str().is_some_and(|text| !text.is_empty()), member)?;
            }
            let status = &error["status"];
            let has_codes = status["subject"].is_string() && status["reason"].is_string();
            is(has_codes == matches!(expected, ErrorWithStatus), "the status of the server")?;
        }
    }
    is(!String::from_utf8_lossy(&output.stderr).contains("landfall:"), "the error is also text")?;
    let status = i32::from(status(expected.kind()).code());
    is(output.status.code() == Some(status), &format!("the exit status is {}", output.status))
}

/// Returns the exit status of a kind of error, or of a result.
fn status(kind: &str) -> ExitStatus {
    let of_kind =
        |status: &ExitStatus| status.kind().is_some_and(|each| serde_json::to_value(each).unwrap() == kind);
    ExitStatus::ALL.into_iter().find(of_kind).unwrap_or(ExitStatus::Success)
}

#[test]
fn every_command_has_a_case_or_is_named_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let help = succeed(landfall(folder.path()).arg("--help"));
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.take_while(|line| !line.is_empty());
    let commands: Vec<&str> =
        commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(commands.len() > 15, "{help}");
    for command in commands {
        let has_case = CASES.iter().any(|(name, ..)| name.split(' ').next() == Some(command));
        assert_eq!(has_case, !WITHOUT_CASE.contains(&command), "{command}");
    }
}

/// Compares the table in docs/json.md with the cases.
fn compare_with_page(kinds: &BTreeMap<&str, BTreeSet<String>>) {
    const BEGIN: &str = "<!-- cases: begin -->\n";
    const END: &str = "<!-- cases: end -->";
    let mut table = "\n| Command | Tested results and errors |\n|---|---|\n".to_owned();
    for (command, kinds) in kinds {
        let kinds: Vec<String> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
        table.push_str(&format!("| `{command}` | {} |\n", kinds.join(", ")));
    }
    let without = WITHOUT_CASE.map(|command| format!("`{command}`")).join(", ");
    table.push_str(&format!("\nWithout a test: {without}.\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/json.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (current, after) = rest.split_once(END).unwrap();
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}\n{END}{after}")).unwrap();
    } else {
        assert_eq!(current.trim(), table.trim(), "LANDFALL_REGENERATE=1 writes the table");
    }
}

/// Values of the placeholders, and the servers behind the addresses.
struct Values {
    values: BTreeMap<&'static str, String>,
    _servers: [Running; 3],
}

impl Values {
    fn new(folder: &Path) -> Self {
        let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let mut values = BTreeMap::from([("folder", folder.to_str().unwrap().to_owned())]);
        let mut file = |key: &'static str, name: &str, contents: &[u8]| {
            std::fs::write(folder.join(name), contents).unwrap();
            values.insert(key, path(name));
        };
        file("text", "text.txt", b"this is not what the command expects\n");
        file("trace", "trace.txt", b"00A40004023F00 > 9000\n00A40004022FE2 > 9000\n");
        file("device", "device.json", DEVICE.as_bytes());
        file("scenario", "met.toml", SCENARIO.as_bytes());
        file("missed", "missed.toml", format!("{SCENARIO}{MISSED}").as_bytes());
        let eid = |n: u32| rsp::ids::Eid::with_check_digits(&format!("89049032{n:022}")).unwrap().to_string();
        let rows = format!("eid,network,home,since\n{},724-05,234-15,2026-01-01T00:00:00Z\n", eid(1));
        file("devices", "devices.csv", rows.as_bytes());
        values.insert("eid", eid(1));
        values.insert("unknown_eid", eid(2));
        values.insert("unknown", rsp::ids::Iccid::with_luhn("894999000000000001").unwrap().to_string());

        values.insert("imsi", "724990000000001".to_owned());
        let package = path("package.der");
        succeed(landfall(folder).args(["certs", "init"]));
        succeed(landfall(folder).args(["profile", "new", &package]));
        let octets = std::fs::read(&package).unwrap();
        std::fs::write(folder.join("damaged.der"), &octets[..octets.len() - 40]).unwrap();
        values.insert("damaged", path("damaged.der"));
        let (sm_dp, address) = start(folder, &["sm-dp", "serve", "--listen", "127.0.0.1:0"], "sm_dp");
        // The profile contains the address of the SM-DP+, where the device sends its notifications.
        let iccid = succeed(landfall(folder).args(["sm-dp", "add", &package, "--sm-dp", &address]));
        values.insert("iccid", iccid.trim().to_owned());
        values.insert("sm_dp", address);
        values.insert("package", package.clone());
        let (sm_ds, address) = start(folder, &["sm-ds", "serve", "--listen", "127.0.0.1:0"], "sm_ds");
        values.insert("sm_ds", address);
        let network = ["network", "--listen", "127.0.0.1:0", "--subscriber", &package];
        let (network, address) = start(folder, &network, "network");
        values.insert("network", address);
        // Nothing listens on this port after the listener is dropped.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        values.insert("closed", free.local_addr().unwrap().to_string());
        Self { values, _servers: [sm_dp, sm_ds, network] }
    }

    /// Replaces the placeholders of an argument. `{servers}` is replaced by the options of all
    /// servers.
    fn fill(&self, argument: &str) -> Vec<String> {
        if argument == "{servers}" {
            let options = ["--sm-dp", "{sm_dp}", "--sm-ds", "{sm_ds}", "--network", "{network}"];
            return options.iter().flat_map(|option| self.fill(option)).collect();
        }
        let filled = self
            .values
            .iter()
            .fold(argument.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value));
        vec![filled]
    }
}

/// Starts a server. Returns the address of one of its interfaces.
fn start(folder: &Path, arguments: &[&str], interface: &str) -> (Running, String) {
    let running = Running::start(landfall(folder).arg("--json").args(arguments));
    let address = running.out.json()["addresses"][interface].as_str().unwrap().to_owned();
    (running, address)
}

/// A device with a British subscription, in Brazil since January 1st.
const DEVICE: &str = r#"{"device": {"history": {"stays": [
    {"country": "BR", "plmn": "724-05", "home": "GB", "from": "2026-01-01T00:00:00Z", "until": null}
]}, "held": []}}"#;
