//! A fleet for one year in virtual time: rules, moves and faults, with real cards, servers and a
//! platform.
//!
//! `cargo bench -p tests --bench year`; `LANDFALL_DEVICES` sets the number of devices (100000). One
//! third of the devices roam in Brazil and move to a local profile before their ninety-first day,
//! one in fifty of them with an injected fault. The others stay where they are allowed to. Each
//! device registers with its own card and keys, checks in once a month, and executes the platform's
//! instructions.
//!
//! The bound for the run is the time of the same year with a thousand devices, scaled to the number
//! of devices. If the run stays within the bound, no part of its cost grows faster than the fleet.
//! The run with a thousand devices is done twice, and both reports are compared octet for octet.
//! Times are CPU seconds, so that other users of the machine do not change them. CPU time and
//! resident memory are those reported by Linux.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_precision_loss,
    reason = "a benchmark fails by panicking"
)]
#![allow(clippy::disallowed_methods, reason = "a benchmark needs the real clock")]

use std::time::Instant;

use scenario::file::Scenario;
use scenario::play::play;
use scenario::report::{Report, Verdict};

const FEW: usize = 1000;

fn main() {
    let count = std::env::var("LANDFALL_DEVICES").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    println!("devices  seconds   CPU seconds  ms per dev.     peak MiB  check-ins  moved  verdict");
    let (first, report) = year(FEW);
    let (_, again) = year(FEW);
    assert_eq!(report.json().unwrap(), again.json().unwrap(), "the same seed gives the same report");
    println!("the same seed gave the same report, {} octets", report.json().unwrap().len());
    let (seconds, report) = year(count);
    let bound = first * count as f64 / FEW as f64;
    println!(
        "{seconds:.1} CPU seconds; bound {bound:.1} s ({count} times the time per device of {FEW}): ratio {:.2}",
        seconds / bound
    );
    assert_eq!(report.verdict(), Verdict::Passed);
}

fn year(count: usize) -> (f64, Report) {
    let text = text(count);
    let scenario = Scenario::parse("year.toml", &text).unwrap_or_else(|why| panic!("{why}"));
    let (began, before) = (Instant::now(), processor());
    let report = play("year", &scenario, "7").unwrap_or_else(|why| panic!("{why}"));
    let (elapsed, seconds) = (began.elapsed().as_secs_f64(), processor() - before);
    let saw = |text: &str| {
        let found = report.expectations().iter().find(|expectation| expectation.text == text);
        found.map_or_else(String::new, |expectation| expectation.saw.clone())
    };
    println!(
        "{count:7}  {elapsed:7.1}  {seconds:12.1}  {:11.2}  {:11.0}  {:>9}  {:>5}  {:?}",
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

/// Returns the scenario for this number of devices. One third of the devices roams. The scenario
/// has some more local profiles than these devices need.
fn text(count: usize) -> String {
    let roam = count / 3;
    let numbers =
        [("count", count), ("roam", roam), ("stay", count - roam), ("stock", roam + roam / 20 + 10)];
    numbers.iter().fold(include_str!("year.toml").to_owned(), |text, (name, number)| {
        text.replace(&format!("{{{name}}}"), &number.to_string())
    })
}

/// CPU seconds of this process.
fn processor() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let nanoseconds = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}

/// Peak resident memory in MiB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
}
