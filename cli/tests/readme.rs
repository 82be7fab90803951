//! Comparison of the transcripts in the README and in the pages of docs with the output of the
//! program.
//!
//! A code block with a name after its language is a file. A code block `console` contains commands,
//! each with its output. The blocks of a page are used in order, in one folder. A command that ends
//! with `&` keeps running until the end of the page.
//!
//! A line `...` stands for omitted lines. All other lines are compared. In the output of commands
//! that run in real time, numbers that vary between runs (seconds, ports, signature lengths, dates)
//! count as equal.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Running, succeed};

#[test]
fn the_transcripts_in_the_readme_are_correct() {
    page_is_correct("README.md");
}

#[test]
fn the_transcript_of_the_demo_is_correct() {
    page_is_correct("docs/demo.md");
}

#[test]
fn the_tutorial_on_ci_is_correct() {
    page_is_correct("docs/start/ci.md");
}

#[test]
fn the_tutorial_on_localization_is_correct() {
    page_is_correct("docs/start/localization.md");
}

#[test]
fn the_tutorial_on_recovery_is_correct() {
    page_is_correct("docs/start/recovery.md");
}

#[test]
fn the_transcripts_of_subscriber_exports_are_correct() {
    page_is_correct("docs/how-to/open5gs-srsran.md");
}

#[test]
fn the_transcripts_about_the_pki_are_correct() {
    page_is_correct("docs/how-to/pki.md");
}

#[test]
fn the_transcripts_about_the_test_bench_are_correct() {
    page_is_correct("docs/how-to/bench.md");
}

#[test]
fn the_transcripts_about_codes_and_traces_are_correct() {
    page_is_correct("docs/how-to/explain.md");
}

#[test]
fn the_transcript_of_the_iot_walkthrough_is_correct() {
    page_is_correct("docs/eim.md");
}

#[test]
fn the_transcript_of_the_m2m_demo_is_correct() {
    page_is_correct("docs/how-to/m2m.md");
}

/// Commands that run in real time or print measurements.
const REAL_TIME: [&str; 8] =
    ["demo", "up", "device", "eim", "sm-dp", "network", "operator", "profile personalise"];

/// Default address of the card, which is an option of `landfall device` and not a setting.
const CARD: &str = "127.0.0.1:8431";

fn page_is_correct(page: &str) {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page)).unwrap();
    let mut terminal = Terminal::new();
    let mut compared = 0;
    for block in text.split("\n```").skip(1).step_by(2) {
        let (heading, content) = block.split_once('\n').unwrap();
        match heading.split_once(' ') {
            Some((_, name)) => {
                std::fs::write(terminal.folder.path().join(name), format!("{content}\n")).unwrap();
            }
            None if heading == "console" => {
                for entry in format!("\n{content}").split("\n$ ").skip(1) {
                    terminal.compare(entry);
                    compared += 1;
                }
            }
            None => {}
        }
    }
    assert!(compared > 0, "{page} has no transcript");
}

/// The folder and the running processes of a page.
struct Terminal {
    folder: tempfile::TempDir,
    running: Vec<Running>,
    /// Setting, default address, and actual address of each party.
    addresses: [(&'static str, &'static str, String); 4],
    /// Actual addresses of the card and of the API of the eIM.
    card: String,
    eim_api: String,
}

impl Terminal {
    fn new() -> Self {
        let free = || "127.0.0.1:0".to_owned();
        Self {
            folder: tempfile::tempdir().unwrap(),
            running: Vec::new(),
            addresses: [
                ("LANDFALL_SM_DP", "127.0.0.1:8443", free()),
                ("LANDFALL_SM_DS", "127.0.0.1:8444", free()),
                ("LANDFALL_NETWORK", "127.0.0.1:8480", free()),
                ("LANDFALL_ADMIN", "127.0.0.1:8490", free()),
            ],
            card: free(),
            eim_api: free(),
        }
    }

    /// Runs a command and compares its output. A command continues after a line that ends with a
    /// backslash.
    fn compare(&mut self, entry: &str) {
        let lines: Vec<&str> = entry.lines().collect();
        let length = lines.iter().position(|line| !line.ends_with('\\')).unwrap() + 1;
        let (command, transcript) = lines.split_at(length);
        let command = command.join("\n");
        let varies = REAL_TIME.iter().any(|name| command.starts_with(&format!("landfall {name}")));
        if let Some(command) = command.strip_suffix(" &") {
            let running = Running::start(&mut self.shell(&format!("exec {command}")));
            let mut printed = Vec::new();
            {
                let mut lines = running.out.lines().inspect(|line| printed.push(line.clone()));
                compare_lines(command, transcript, &mut lines, varies);
            }
            self.remember_addresses(&printed);
            self.running.push(running);
        } else {
            let printed = succeed(&mut self.shell(&command));
            let mut lines = printed.trim_end().lines().map(str::to_owned);
            compare_lines(&command, transcript, &mut lines, varies);
        }
    }

    /// Returns a shell command that runs in the folder and finds `landfall`.
    fn shell(&self, command: &str) -> Command {
        let mut text = command.to_owned();
        let mut shell = Command::new("sh");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LANDFALL_")) {
            shell.env_remove(name);
        }
        for (setting, default, actual) in &self.addresses {
            shell.env(setting, actual);
            text = text.replace(default, actual);
        }
        text = text.replace(CARD, &self.card);
        if text.contains("landfall up --iot") {
            text.push_str(&format!(
                " --card {} --listen-eim 127.0.0.1:0 --listen-eim-api {}",
                self.card, self.eim_api
            ));
        } else if text.starts_with("landfall eim ") {
            text.push_str(&format!(" --api {}", self.eim_api));
        }
        let programs = Path::new(env!("CARGO_BIN_EXE_landfall")).parent().unwrap().display();
        shell
            .env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap()))
            .env("LANDFALL_DATA_DIR", "data")
            .current_dir(self.folder.path())
            .args(["-c", &text]);
        shell
    }

    /// Reads the addresses that `landfall up` prints, such as `SM-DP+    https://127.0.0.1:8443`.
    fn remember_addresses(&mut self, printed: &[String]) {
        for (name, (_, _, actual)) in
            ["SM-DP+ ", "SM-DS ", "networks ", "admin "].iter().zip(&mut self.addresses)
        {
            let line = printed.iter().find(|line| line.starts_with(name));
            if let Some((_, address)) = line.and_then(|line| line.split_once("://")) {
                *actual = address.split(' ').next().unwrap().to_owned();
            }
        }
        let after = |party: &str, text: &str| {
            let line = printed.iter().find(|line| line.starts_with(party))?;
            let address = line.split_once(text)?.1.split([' ', ')']).next()?;
            Some(address.to_owned())
        };
        self.card = after("card ", " at ").unwrap_or_else(|| self.card.clone());
        self.eim_api = after("eIM ", "API: http://").unwrap_or_else(|| self.eim_api.clone());
    }
}

fn compare_lines(
    command: &str,
    transcript: &[&str],
    printed: &mut impl Iterator<Item = String>,
    varies: bool,
) {
    let form = |line: &str| if varies { plain(line) } else { line.trim_end().to_owned() };
    let mut printed = printed.map(|line| form(&line));
    let mut skipping = false;
    for (number, expected) in transcript.iter().enumerate() {
        if *expected == "..." {
            skipping = true;
            continue;
        }
        let expected = form(expected);
        let found = if skipping { printed.find(|line| *line == expected) } else { printed.next() };
        assert_eq!(found.as_ref(), Some(&expected), "{command}: line {} of its output", number + 1);
        skipping = false;
    }
    assert!(skipping || printed.next().is_none(), "{command} prints more than the transcript");
}

/// Replaces each run of digits, points and colons by one `#`, and each run of blanks or dashes by
/// one.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    for c in line.trim_end().chars() {
        let class = if c.is_ascii_digit() { '#' } else { c };
        let joins = matches!(
            (plain.chars().last(), class),
            (Some('#'), '#' | '.' | ':') | (Some(' '), ' ') | (Some('-'), '-')
        );
        if !joins {
            plain.push(class);
        }
    }
    plain.replace("##", "#")
}
