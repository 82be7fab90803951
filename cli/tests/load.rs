//! `landfall load es9plus` with an SM-DP+ that is killed during the load.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Lines},
    path::Path,
    process::{ChildStderr, Stdio},
};

use cli::admin::Admin;
use common::{Running, fail, landfall, succeed};
use serde_json::Value;

/// Number of devices. It is large enough that at each kill some devices are done, some are in
/// progress, and some have not started.
const DEVICES: usize = 30;

/// An SM-DP+ process, killed when this is dropped.
struct Server {
    process: Running,
    sm_dp: String,
    admin: String,
}

impl Server {
    /// Starts the server at these addresses. Port 0 stands for a free one.
    fn start(folder: &Path, sm_dp: &str, admin: &str) -> Self {
        let arguments = ["sm-dp", "serve", "--listen", sm_dp, "--listen-admin", admin];
        let process = Running::start(landfall(folder).args(arguments));
        let admin = process.err.word_after("admin API at http://");
        Self { sm_dp: process.err.word_after("SM-DP+ at "), process, admin }
    }

    fn kill_9(&mut self) {
        self.process.kill();
    }
}

fn load<'a>(server: &'a Server, devices: &'a str) -> [&'a str; 9] {
    ["load", "es9plus", "--json", "--devices", devices, "--sm-dp", &server.sm_dp, "--admin", &server.admin]
}

fn until(lines: &mut Lines<BufReader<ChildStderr>>, start: &str) {
    assert!(lines.any(|line| line.unwrap().starts_with(start)), "{start} is printed");
}

fn row<'a>(summary: &'a Value, function: &str) -> &'a Value {
    let rows = summary["functions"].as_array().unwrap();
    rows.iter().find(|row| row["function"] == function).unwrap_or_else(|| panic!("{function}: {summary}"))
}

#[test]
fn a_server_killed_twice_under_load_loses_no_order_and_installs_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut server = Server::start(folder, "127.0.0.1:0", "127.0.0.1:0");
    let devices = DEVICES.to_string();
    let mut load = landfall(folder)
        .args(load(&server, &devices))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut messages = BufReader::new(load.stderr.take().unwrap()).lines();
    // Ten lines are printed per phase. The server is killed once while orders are placed and
    // once during the downloads.
    for moment in ["orders", "downloads"] {
        until(&mut messages, &format!("{{\"progress\":\"{moment}\",\"done\":3,"));
        server.kill_9();
        server = Server::start(folder, &server.sm_dp.clone(), &server.admin.clone());
    }
    let rest = std::thread::spawn(move || messages.map(Result::unwrap).collect::<Vec<_>>().join("\n"));
    let output = load.wait_with_output().unwrap();
    let rest = rest.join().unwrap();
    assert!(output.status.success(), "{rest}\n{}", String::from_utf8_lossy(&output.stdout));

    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["installed"], DEVICES, "{summary}");
    assert_eq!(summary["orders"]["right"], DEVICES, "{summary}");
    assert_ne!(summary["repeated"], 0, "no request was repeated during the outage: {summary}");
    assert!(row(&summary, "ES9+.HandleNotification")["count"].as_u64().unwrap() >= DEVICES as u64);

    // In the stored records, every installed profile has one EID, and no EID occurs twice.
    server.kill_9();
    let server = Server::start(folder, "127.0.0.1:0", "127.0.0.1:0");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stock = runtime.block_on(async { Admin::at(&server.admin).unwrap().stock().await }).unwrap();
    let installed: Vec<_> = stock.iter().filter(|profile| profile.state == "Installed").collect();
    assert_eq!(installed.len(), DEVICES);
    assert!(installed.iter().all(|profile| profile.installed_on.len() == 1), "{installed:?}");
    let eids: BTreeSet<_> = installed.iter().flat_map(|profile| &profile.installed_on).collect();
    assert_eq!(eids.len(), DEVICES);
}

#[test]
fn the_summary_is_a_table_and_codes_can_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::start(folder, "127.0.0.1:0", "127.0.0.1:0");
    let at = ["--sm-dp", &server.sm_dp, "--admin", &server.admin];
    let messages = succeed(landfall(folder).args(["load", "es9plus", "--devices", "2"]).args(at));
    for wanted in ["function", "p99 ms", "ES2+.ConfirmOrder", "ES9+.GetBoundProfilePackage", "2 of 2 orders"]
    {
        assert!(messages.contains(wanted), "{wanted}: {messages}");
    }
    // These MatchingIDs do not exist.
    let codes = folder.join("codes");
    let code = format!("LPA:1${}$UNKNOWN\n", server.sm_dp);
    std::fs::write(&codes, code.repeat(2)).unwrap();
    let codes = codes.to_str().unwrap();
    let refused = landfall(folder)
        .args(["load", "es9plus", "--devices", "2", "--concurrency", "1", "--codes", codes])
        .args(at)
        .output()
        .unwrap();
    assert!(!refused.status.success(), "a load with failures fails");
    let messages = String::from_utf8_lossy(&refused.stdout);
    assert!(messages.contains("0 of 2 devices") && messages.contains("8.2.6"), "{messages}");
    let short = fail(landfall(folder).args(["load", "es9plus", "--devices", "3", "--codes", codes]).args(at));
    assert!(short.contains("2 codes for 3 devices"), "{short}");
}

#[test]
fn too_many_devices_for_the_open_file_limit_are_refused_at_start() {
    let folder = tempfile::tempdir().unwrap();
    // The shell sets the limit for itself and for the program that it executes.
    let load = r#"ulimit -n 100 && exec "$0" --data-dir "$1" load es9plus --devices 100"#;
    let program = env!("CARGO_BIN_EXE_landfall");
    let errors = fail(std::process::Command::new("sh").args(["-c", load, program]).arg(folder.path()));
    assert!(errors.contains("100 files") && errors.contains("--concurrency 36"), "{errors}");
}
