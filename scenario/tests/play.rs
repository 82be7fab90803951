//! Scenarios are played, and the same seed gives the same report.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use scenario::file::Scenario;
use scenario::play::play;
use scenario::report::{Report, Verdict};

const EXAMPLE: &str = include_str!("../library/ninety-days-in-brazil.toml");

fn played(text: &str, seed: &str) -> Report {
    let scenario = Scenario::parse("test.toml", text).unwrap_or_else(|why| panic!("{why}"));
    play("test", &scenario, seed).unwrap_or_else(|why| panic!("{why}"))
}

/// Fails with all that there is to see.
fn passes(report: &Report) {
    if report.verdict() == Verdict::Failed {
        for entry in report.timeline.entries() {
            println!("{} {} {}: {}", entry.at, entry.kind, entry.who, entry.what);
        }
        for expectation in report.expectations() {
            println!("{} {}: {}", expectation.passed, expectation.text, expectation.saw);
        }
        panic!("not as expected");
    }
}

#[test]
fn ninety_days_in_brazil_end_with_every_meter_at_home_and_the_same_seed_gives_the_same_report() {
    let report = played(EXAMPLE, "7");
    passes(&report);
    assert_eq!(report.json().unwrap(), played(EXAMPLE, "7").json().unwrap());
    assert_ne!(report.json().unwrap(), played(EXAMPLE, "8").json().unwrap());
}
