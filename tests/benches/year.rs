//! A fleet for a year: rules, swaps and faults, with real cards, servers and a platform, in virtual time.
//!
//! `cargo bench -p tests --bench year`; `LANDFALL_DEVICES` says how many (100000). A third of the devices roam in Brazil and are
//! moved to a local profile before the ninety-first day, one in fifty of them against a fault; the others stay where they may.
//! Each registers with its own card and keys, checks in once a month, and is told what to do by the platform.
//!
//! The bound is the same year of a thousand devices, run before: that many times as long is what a run takes in which nothing
//! grows faster than the fleet. The thousand are run twice, and their reports are compared octet for octet. Both are
//! seconds of the processor, so that whoever else uses the machine changes neither; those and resident memory are asked of the
//! system (Linux).

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
    println!("devices  seconds  of processor  ms a device  MiB at most  check-ins  moved  verdict");
    let (first, report) = year(FEW);
    let (_, again) = year(FEW);
    assert_eq!(report.json().unwrap(), again.json().unwrap(), "the same seed gives the same report");
    println!("the same seed gave the same report, {} octets", report.json().unwrap().len());
    let (seconds, report) = year(count);
    let bound = first * count as f64 / FEW as f64;
    println!(
        "{seconds:.1} s of the processor where {bound:.1} s are {count} times what a device of {FEW} takes: ratio {:.2}",
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

/// A third roams; there are a few more local profiles than that.
fn text(count: usize) -> String {
    let roam = count / 3;
    let numbers =
        [("count", count), ("roam", roam), ("stay", count - roam), ("stock", roam + roam / 20 + 10)];
    numbers.iter().fold(include_str!("year.toml").to_owned(), |text, (name, number)| {
        text.replace(&format!("{{{name}}}"), &number.to_string())
    })
}

/// Seconds of the processor that this process has had.
fn processor() -> f64 {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let nanoseconds = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}

/// Resident memory at most, MiB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
}
