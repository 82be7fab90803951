//! The README's transcript is what the program says. Numbers that differ from run to run (seconds, ports, octets of
//! signatures, dates) count as equal; words, order and everything else do not. A line `...` stands for lines left out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says no by panicking")]

mod common;

use std::path::Path;

use common::{landfall, succeed};

#[test]
fn the_transcript_is_what_the_demo_says() {
    holds("demo");
}

#[test]
fn the_transcript_is_what_a_scenario_comes_to() {
    holds("run ninety-days-in-brazil --report out");
}

fn holds(command: &str) {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let (_, rest) = readme.split_once(&format!("```console\n$ landfall {command}\n")).unwrap();
    let (transcript, _) = rest.split_once("\n```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let said = succeed(landfall(folder.path()).current_dir(folder.path()).args(command.split(' ')));
    let mut said = said.trim_end().lines().map(plain);
    let mut skipping = false;
    for (number, written) in transcript.trim_end().lines().enumerate() {
        if written == "..." {
            skipping = true;
            continue;
        }
        let written = plain(written);
        let found = if skipping { said.find(|line| *line == written) } else { said.next() };
        assert_eq!(found.as_ref(), Some(&written), "line {} of the transcript", number + 1);
        skipping = false;
    }
    assert_eq!(said.next(), None, "it says more than the transcript");
}

/// Every run of digits, with the points and colons in it, as one #; every run of blanks or dashes as one.
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
