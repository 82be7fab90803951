//! Comparison of the README's transcripts with the output of the program. Numbers that vary between
//! runs (seconds, ports, signature lengths, dates) count as equal; all words and their order are
//! compared. A line `...` stands for omitted lines.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod common;

use std::path::Path;

use common::{landfall, succeed};

#[test]
fn the_transcript_of_the_demo_is_correct() {
    holds("demo");
}

#[test]
fn the_transcript_of_a_scenario_is_correct() {
    holds("run ninety-days-in-brazil --report out");
}

fn holds(command: &str) {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let (_, rest) = readme.split_once(&format!("```console\n$ landfall {command}\n")).unwrap();
    let (transcript, _) = rest.split_once("\n```").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let printed = succeed(landfall(folder.path()).current_dir(folder.path()).args(command.split(' ')));
    let mut printed = printed.trim_end().lines().map(plain);
    let mut skipping = false;
    for (number, written) in transcript.trim_end().lines().enumerate() {
        if written == "..." {
            skipping = true;
            continue;
        }
        let written = plain(written);
        let found = if skipping { printed.find(|line| *line == written) } else { printed.next() };
        assert_eq!(found.as_ref(), Some(&written), "line {} of the transcript", number + 1);
        skipping = false;
    }
    assert_eq!(printed.next(), None, "the program prints more than the transcript");
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
