//! A fleet for a year: rules, swaps and faults, with real cards, servers and a platform, in virtual time.
//!
//! `cargo bench -p tests --bench year`; `LANDFALL_DEVICES` says how many (100000). A third of the devices roam in Brazil and are
//! moved to a local profile before the ninety-first day, one in fifty of them against a fault; the others stay where they may.
//! Each registers with its own card and keys, checks in once a month, and is told what to do by the platform.
//!
//! The bound is the same year of a thousand devices, run before: that many times as long is what a run takes in which nothing
//! grows faster than the fleet. The thousand are run twice, and their reports are compared octet for octet. Resident memory is
//! asked of the system (Linux).

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a benchmark that fails says so"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark asks the real clock")]

use std::time::Instant;

use scenario::file::Scenario;
use scenario::play::play;
use scenario::report::{Report, Verdict};

const FEW: usize = 1000;

fn main() {
    let count = std::env::var("LANDFALL_DEVICES").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    println!("devices  seconds  ms a device  MiB at most  check-ins  moved  verdict");
    let (first, report) = year(FEW);
    let (_, again) = year(FEW);
    assert_eq!(report.json().unwrap(), again.json().unwrap(), "the same seed gives the same report");
    println!("the same seed gave the same report, {} octets", report.json().unwrap().len());
    let (seconds, report) = year(count);
    let bound = first * count as f64 / FEW as f64;
    println!(
        "{seconds:.1} s where {bound:.1} s are {count} times what a device of {FEW} takes: ratio {:.2}",
        seconds / bound
    );
    assert_eq!(report.verdict(), Verdict::Passed);
}

fn year(count: usize) -> (f64, Report) {
    let text = text(count);
    let scenario = Scenario::parse("year.toml", &text).unwrap_or_else(|why| panic!("{why}"));
    let began = Instant::now();
    let report = play("year", &scenario, "7").unwrap_or_else(|why| panic!("{why}"));
    let seconds = began.elapsed().as_secs_f64();
    let saw = |text: &str| {
        let found = report.expectations().iter().find(|expectation| expectation.text == text);
        found.map_or_else(String::new, |expectation| expectation.saw.clone())
    };
    println!(
        "{count:7}  {seconds:7.1}  {:11.2}  {:11.0}  {:>9}  {:>5}  {:?}",
        seconds * 1000.0 / count as f64,
        peak(),
        saw("check-ins"),
        saw("moved"),
        report.verdict()
    );
    for failed in report.expectations().iter().filter(|expectation| !expectation.passed) {
        println!("  {}: {}", failed.text, failed.saw);
    }
    (seconds, report)
}

fn text(count: usize) -> String {
    let (roam, stay) = (count / 3, count - count / 3);
    format!(
        r#"
title = "A year of {count} devices"
lasts = "365d"

[[network]]
plmn = "234-91"
name = "Albion"

[[network]]
plmn = "724-91"
name = "Brasil Um"
bearer = "lte-m"
roamers = {{ days = 90, within = 365 }}

[[operator]]
network = "234-91"
name = "Albion"

[[operator]]
network = "724-91"
name = "Brasil Um"
stock = {stock}
type = "local-br"

[[devices]]
name = "meters"
count = {roam}
bootstrap = "234-91"
check_in = "30d"
journey = [{{ at = "0d", in = "GB", spread = "10d" }}, {{ at = "20d", in = "BR", spread = "180d" }}]

[[devices]]
name = "pumps"
count = {stay}
bootstrap = "234-91"
check_in = "30d"
journey = [{{ at = "0d", in = "GB", spread = "30d" }}]

[[campaign]]
name = "home"
at = "0d"
retries = {{ times = 5, after = "1d" }}

[[fault]]
what = "link/reset@ES9+.GetBoundProfilePackage#1-2"
devices = "meters 2%"

[[fault]]
what = "radio/outage@724-91"
at = "200d"
lasts = "2d"
devices = "meters 2%"

[[expect]]
that = "every meter that had to move has a Brazilian profile"
devices = "meters"
with = "724-91"
at_least = "99%"

[[expect]]
that = "moved"
count = "moved"
at_least = 1

[[expect]]
that = "check-ins"
count = "check-ins"
at_least = {count}

[[expect]]
count = "breaches"
exactly = 0
"#,
        stock = roam + roam / 20 + 10,
    )
}

/// Resident memory at most, MiB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
}
