//! `--fault`: injected faults as the peers of a party see them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod common;

use std::path::Path;

use common::{Running, fail, landfall, succeed};
use serde_json::Value;
use tempfile::TempDir;

const FREE: &str = "127.0.0.1:0";

/// A data folder with the packages of two subscribers of 724-99.
struct Testbed {
    folder: TempDir,
}

impl Testbed {
    fn new() -> Self {
        let testbed = Self { folder: tempfile::tempdir().unwrap() };
        for number in ["1", "2"] {
            succeed(landfall(testbed.path()).args([
                "profile",
                "new",
                &testbed.package(number),
                "--number",
                number,
            ]));
        }
        testbed
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn package(&self, number: &str) -> String {
        self.path().join(format!("{number}.der")).display().to_string()
    }

    /// Starts an SM-DP+ with both packages in stock and these faults. Returns it with its
    /// address.
    fn sm_dp(&self, at: &str, faults: &[&str]) -> (Running, String) {
        let mut command = landfall(self.path());
        command.args(["sm-dp", "serve", "--listen", at, "--allow-address", "any"]);
        command.args(["--profile", &self.package("1"), "--profile", &self.package("2")]);
        let running = Running::start(with(&mut command, faults));
        let address = running.err.word_after("SM-DP+ at ");
        (running, address)
    }

    fn profiles(&self) -> Vec<(String, String)> {
        let listed = succeed(landfall(self.path()).args(["--json", "sm-dp", "list"]));
        let listed: Vec<Value> = serde_json::from_str(&listed).unwrap();
        let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
        listed.iter().map(|row| (text(row, "iccid"), text(row, "state"))).collect()
    }

    fn ordering(&self, sm_dp: &str, which: usize) -> std::process::Command {
        let mut command = landfall(self.path());
        let (iccid, _) = &self.profiles()[which];
        command.args(["operator", "order", iccid, "--sm-dp", sm_dp]);
        command
    }

    fn order(&self, sm_dp: &str, which: usize) -> String {
        succeed(&mut self.ordering(sm_dp, which)).trim().to_owned()
    }

    fn device(&self, sm_dp: &str, arguments: &[&str]) -> std::process::Command {
        let mut command = landfall(self.path());
        command.args(["device", "--sm-dp", sm_dp]).args(arguments);
        command
    }
}

fn with<'c>(command: &'c mut std::process::Command, faults: &[&str]) -> &'c mut std::process::Command {
    command.args(faults.iter().flat_map(|fault| ["--fault", fault]))
}

#[test]
fn a_link_fault_of_the_sm_dp_occurs_once_and_is_reported() {
    let testbed = Testbed::new();
    let fault = "link/http-503@ES9+.GetBoundProfilePackage#1";
    let (server, address) = testbed.sm_dp(FREE, &[fault]);
    let code = testbed.order(&address, 0);
    let errors = fail(&mut testbed.device(&address, &["download", &code]));
    assert!(errors.contains("503"), "{errors}");
    assert_eq!(server.err.after("fault "), fault);
    succeed(&mut testbed.device(&address, &["download", &code]));
    assert!(testbed.profiles().iter().any(|(_, state)| state == "Installed"));
}

#[test]
fn a_crash_ends_the_process_with_status_137_and_a_message() {
    let testbed = Testbed::new();
    // ES2+.ConfirmOrder writes a MatchingID.
    for (which, fault, state) in [
        (0, "records/crash-before-commit@sm-dp:matching-ids#1", "Allocated"),
        (1, "records/crash-after-commit@sm-dp:matching-ids#1", "Released"),
    ] {
        let (mut server, address) = testbed.sm_dp(FREE, &[fault]);
        fail(&mut testbed.ordering(&address, which));
        let printed = server.err.lines().collect::<Vec<_>>().join("\n");
        assert!(
            printed.contains(&format!("the fault {fault} occurred")) && printed.contains("start it again"),
            "{printed}"
        );
        assert_eq!(server.status(), Some(137));
        assert_eq!(testbed.profiles()[which].1, state, "{fault}");
    }
}

#[test]
fn a_crash_with_a_duration_is_followed_by_a_restart_at_the_same_address() {
    let testbed = Testbed::new();
    let (server, address) = testbed.sm_dp(FREE, &["records/crash-before-commit=200ms@sm-dp:matching-ids#1"]);
    fail(&mut testbed.ordering(&address, 0));
    let printed = server.err.after("the fault ");
    assert!(printed.ends_with("ended the process; it restarts after 200ms"), "{printed}");
    assert_eq!(server.err.word_after("SM-DP+ at "), address);
    let code = testbed.order(&address, 1);
    succeed(&mut testbed.device(&address, &["download", &code]));
}

#[test]
fn a_failed_write_is_a_server_error_for_the_device() {
    let testbed = Testbed::new();
    let (_server, address) = testbed.sm_dp(FREE, &["records/commit-fails@sm-dp:bindings#1"]);
    let code = testbed.order(&address, 0);
    let errors = fail(&mut testbed.device(&address, &["download", &code]));
    assert!(errors.contains("500"), "{errors}");
    succeed(&mut testbed.device(&address, &["download", &code]));
}

#[test]
fn a_server_that_cannot_write_reports_its_own_failure_to_the_client() {
    let testbed = Testbed::new();
    let faults = ["records/commit-fails@sm-dp:matching-ids#1", "records/commit-fails@sm-dp:sessions#1"];
    let (_server, address) = testbed.sm_dp(FREE, &faults);
    let error = fail(&mut testbed.ordering(&address, 0));
    assert!(error.contains("ES2+.ConfirmOrder failed"), "{error}");
    assert!(error.contains("HTTP status 500 Internal Server Error: the server failed: "), "{error}");
    assert!(!error.contains("certificate"), "{error}");
    let code = testbed.order(&address, 1);
    let error = fail(&mut testbed.device(&address, &["download", &code]));
    assert!(error.contains("initiateAuthentication: HTTP status 500"), "{error}");
    assert!(error.contains("correct the problem at the server"), "{error}");
}

#[test]
fn faults_occur_at_the_sm_ds_and_in_calls_of_the_sm_dp() {
    let testbed = Testbed::new();
    let (sm_dp, address) = testbed.sm_dp(FREE, &["link/http-500@ES12.RegisterEvent#1"]);
    let mut command = landfall(testbed.path());
    command.args(["sm-ds", "serve", "--listen", FREE]);
    let faults = ["link/empty-body@ES11.InitiateAuthentication#1", "records/commit-fails@sm-ds:events#1"];
    let sm_ds = Running::start(with(&mut command, &faults));
    let at = sm_ds.err.word_after("SM-DS at ");
    let addresses = ["--sm-ds", &at];

    let info = succeed(testbed.device(&address, &["info", "--json"]).args(addresses));
    let eid = serde_json::from_str::<Value>(&info).unwrap()["eid"].as_str().unwrap().to_owned();
    let event = ["--eid", &eid, "--sm-ds", &at];
    fail(testbed.ordering(&address, 0).args(event));
    assert_eq!(sm_dp.err.after("fault "), "link/http-500@ES12.RegisterEvent#1");
    fail(testbed.ordering(&address, 1).args(event));
    assert_eq!(sm_ds.err.after("fault "), faults[1]);

    let discover = || testbed.device(&address, &["discover", &at]);
    fail(&mut discover());
    assert_eq!(sm_ds.err.after("fault "), faults[0]);
    assert_eq!(succeed(&mut discover()), "no pending events\n");
}

#[test]
fn a_network_refuses_a_device_once_and_then_accepts_it() {
    let testbed = Testbed::new();
    let (_server, address) = testbed.sm_dp(FREE, &[]);
    let code = testbed.order(&address, 0);
    succeed(&mut testbed.device(&address, &["download", &code]));
    let iccid = testbed.profiles().into_iter().find(|(_, state)| state == "Installed").unwrap().0;
    succeed(&mut testbed.device(&address, &["enable", &iccid]));
    let mut command = landfall(testbed.path());
    command.args(["network", "--listen", FREE, "--subscriber", &testbed.package("1")]);
    command.args(["--subscriber", &testbed.package("2")]);
    let networks =
        Running::start(with(&mut command, &["radio/refuse-illegal-ue@724-99#1", "radio/sms-lose@mt"]));
    let at = networks.err.word_after("networks at ");
    let register = || {
        let mut command = testbed.device(&address, &["--visible", "724-99", "register"]);
        command.args(["--network", &at]);
        command
    };
    let errors = fail(&mut register());
    assert!(errors.contains("#3"), "{errors}");
    assert_eq!(networks.err.after("fault "), "radio/refuse-illegal-ue@724-99#1");
    assert!(succeed(&mut register()).contains("724-99"));
}

#[test]
fn a_device_recovers_after_a_power_cut() {
    let testbed = Testbed::new();
    let (_server, address) = testbed.sm_dp(FREE, &[]);
    let code = testbed.order(&address, 0);
    succeed(&mut testbed.device(&address, &["download", &code]));
    let iccid = testbed.profiles().into_iter().find(|(_, state)| state == "Installed").unwrap().0;
    succeed(&mut testbed.device(&address, &["enable", &iccid]));
    let mut command = landfall(testbed.path());
    command.args(["network", "--listen", FREE, "--subscriber", &testbed.package("1")]);
    let networks = Running::start(command.args(["--subscriber", &testbed.package("2")]));
    let at = networks.err.word_after("networks at ");
    let on_the_air = ["--visible", "724-99", "--network", &at];

    let other = usize::from(testbed.profiles()[0].1 == "Installed");
    let code = testbed.order(&address, other);
    // The device records its intention before it enables a profile.
    let fault = "power/cut-after-write@device:intention#2";
    let mut moving = testbed.device(&address, &["move", &code]);
    let output = with(moving.args(on_the_air), &[fault]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(137), "{errors}");
    assert!(errors.contains(&format!("the fault {fault} occurred")), "{errors}");
    let back = succeed(testbed.device(&address, &["recover"]).args(on_the_air));
    assert!(back.contains("on Network 724-99"), "{back}");
    let errors =
        fail(with(testbed.device(&address, &["info"]).args(["--card", FREE]), &["power/write-fails@card"]));
    assert!(errors.contains("places for power faults: device"), "{errors}");
}

#[test]
fn a_served_card_loses_power_until_its_next_reset() {
    let testbed = Testbed::new();
    for (fault, is_written) in
        [("power/cut-before-write@card#1", false), ("power/cut-after-write@card#1", true)]
    {
        let mut command = landfall(testbed.path());
        command.args(["euicc", "serve", "--listen", FREE, "--json"]);
        let card = Running::start(with(&mut command, &[fault]));
        let at = card.out.json()["addresses"]["euicc"].as_str().unwrap().to_owned();
        let device = |arguments: &[&str]| {
            let mut command = landfall(testbed.path());
            command.args(["device", "--card", &at]).args(arguments);
            command
        };
        let errors = fail(&mut device(&["default-sm-dp", "smdp.example.com"]));
        assert!(errors.contains("broken"), "{errors}");
        assert_eq!(card.err.after("fault "), fault);
        let errors = fail(&mut device(&["download"]));
        assert_eq!(!errors.contains("set one"), is_written, "{errors}");
    }
}

#[test]
fn faults_occur_in_all_parties_of_up() {
    let testbed = Testbed::new();
    let mut command = landfall(testbed.path());
    command.args(["up", "--sm-dp", FREE, "--sm-ds", FREE, "--network", FREE, "--card", FREE]);
    let faults = [
        "link/http-400@ES9+.InitiateAuthentication#1",
        "records/conflict@sm-ds",
        "radio/outage@724-99",
        "power/write-fails@card#1",
    ];
    let up = Running::start(with(&mut command, &faults));
    let printed = up.out.up_to(&["card "]).join("\n");
    let after = |heading: &str| {
        let (_, rest) = printed.split_once(heading).unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    };
    let (sm_dp, network) = (after("SM-DP+    https://"), after("networks  http://"));
    let (card, code) = (after("--card "), format!("LPA:1${}", after("\nLPA:1$")));
    let device = |arguments: &[&str]| {
        let mut command = testbed.device(&sm_dp, &["--card", &card]);
        command.args(["--network", &network, "--visible", "724-99"]).args(arguments);
        command
    };
    fail(&mut device(&["download", &code]));
    assert_eq!(up.err.after("fault "), faults[0]);
    fail(&mut device(&["download", &code]));
    assert_eq!(up.err.after("fault "), faults[3]);
    let installed = succeed(&mut device(&["download", &code]));
    let iccid = installed.trim().strip_prefix("installed ").unwrap();
    succeed(&mut device(&["enable", iccid]));
    fail(&mut device(&["register"]));
    assert_eq!(up.err.after("fault "), faults[2]);
}

#[test]
fn the_fault_proxy_injects_faults_in_front_of_another_server() {
    let testbed = Testbed::new();
    let mut command = landfall(testbed.path());
    command.args(["sm-dp", "serve", "--listen", FREE, "--sm-dp-name", "smdp.elsewhere.example"]);
    let server = Running::start(command.args(["--profile", &testbed.package("1")]));
    let address = server.err.word_after("SM-DP+ at ");
    let (_, port) = address.rsplit_once(':').unwrap();
    let name = format!("smdp.elsewhere.example:{port}");
    let mut command = landfall(testbed.path());
    command.args(["faults", "serve", "--listen", FREE, "--before", &name, "--connect", &address]);
    let fault = "link/truncate-answer@ES9+.AuthenticateClient#1";
    let before = Running::start(with(&mut command, &[fault]));
    let at = before.err.word_after("fault proxy at ");
    let code = testbed.order(&address, 0);
    let code = format!("LPA:1${name}${}", code.rsplit('$').next().unwrap());
    let download = || {
        let mut command = testbed.device(&at, &["download", &code]);
        command.args(["--sm-dp-name", "smdp.elsewhere.example"]);
        command
    };
    fail(&mut download());
    assert_eq!(before.err.after("fault "), fault);
    succeed(&mut download());
    assert!(testbed.profiles().iter().any(|(_, state)| state == "Installed"));
}

#[test]
fn unknown_and_impossible_faults_are_refused_with_alternatives() {
    let folder = tempfile::tempdir().unwrap();
    for (command, fault, words) in [
        ("sm-dp serve", "link/loose-answer", "known faults of link: lose-request, lose-answer"),
        ("sm-dp serve", "lnik/lose-answer", "known families: link/..., coap/..., tls/..., records/..."),
        ("sm-dp serve", "link/reset@ES9", "Examples: ES9+, ES9+.GetBoundProfilePackage"),
        ("sm-dp serve", "records/conflict@sm-sr", "places for records faults: sm-dp"),
        ("sm-ds serve", "radio/outage@262-42", "use it with `landfall up`, `landfall network`"),
        ("network", "power/write-fails", "`landfall euicc serve`"),
    ] {
        let errors = fail(with(landfall(folder.path()).args(command.split(' ')), &[fault]));
        assert!(errors.contains(words), "{command} {fault}: {errors}");
    }
}

#[test]
fn the_card_rejects_an_altered_message_with_a_valid_signature() {
    let testbed = Testbed::new();
    let fault = "tamper/dpauth-expired@ES9+.InitiateAuthentication#1";
    let (server, address) = testbed.sm_dp(FREE, &[fault]);
    let code = testbed.order(&address, 0);
    let errors = fail(&mut testbed.device(&address, &["download", &code]));
    assert!(errors.contains("AuthenticateServer"), "{errors}");
    assert_eq!(server.err.after("fault "), fault);
    succeed(&mut testbed.device(&address, &["download", &code]));
}

#[test]
fn faults_occur_in_requests_of_a_device() {
    let testbed = Testbed::new();
    let (_server, address) = testbed.sm_dp(FREE, &[]);
    let code = testbed.order(&address, 0);
    let fault = "link/corrupt-request=40@ES9+.AuthenticateClient";
    let errors = fail(with(&mut testbed.device(&address, &["download", &code]), &[fault]));
    assert!(errors.contains(&format!("fault {fault}")), "{errors}");
    succeed(&mut testbed.device(&address, &["download", &code]));
}

#[test]
fn the_crash_transcript_in_the_guide_to_faults_is_correct() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/how-to/faults.md"))
            .unwrap();
    let (_, rest) = page.split_once("$ landfall sm-dp serve --fault ").unwrap();
    let (transcript, _) = rest.split_once("\n```").unwrap();
    let (fault, rest) = transcript.split_once("\n...\n").unwrap();
    let (happens, ends) = rest.split_once("\n...\n").unwrap();
    let testbed = Testbed::new();
    let (mut server, address) = testbed.sm_dp(FREE, &[fault]);
    let code = testbed.order(&address, 0);
    fail(&mut testbed.device(&address, &["download", &code]));
    let lines: Vec<String> = server.err.lines().collect();
    let at = lines.iter().position(|line| line == happens);
    assert!(at.is_some() && lines.join("\n").ends_with(ends), "{lines:?}");
    assert_eq!(server.status(), Some(137));
    // A new process delivers the same profile again.
    let (_server, _) = testbed.sm_dp(&address, &[]);
    succeed(&mut testbed.device(&address, &["download", &code]));
}

#[test]
fn the_page_about_faults_names_every_command_with_the_fault_option() {
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/faults.md")).unwrap();
    for fault_points in cli::faults::FaultPoints::ALL {
        assert!(page.contains(&format!("`landfall {}", fault_points.command)), "{}", fault_points.command);
    }
}
