//! Personalisation of thousands of packages, each with its own ICCID, IMSI, keys and codes:
//! throughput and memory.
//!
//! `cargo bench -p profile --bench personalise`; `LANDFALL_PACKAGES` sets the number of packages
//! (10000). The benchmark creates the same packages and the same rows of the operator's file as
//! `landfall profile personalise`, but does not write them to the disk. For comparison it measures
//! two parts alone: encoding an existing package, and building and installing one. Memory and
//! processor time are queried from the system (Linux), so that other processes do not count.

#![allow(clippy::unwrap_used, reason = "a benchmark that fails panics")]

use std::hint::black_box;

use profile::Description;
use profile::personalise::{SecretSource, Series, TransportKey, personalise};

/// Permitted ratio of the peak memory of the large run to that of the small one. It is more than 1,
/// because the allocator keeps freed memory.
const FLAT: f64 = 1.25;

fn main() {
    let many = std::env::var("LANDFALL_PACKAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let few = many / 10;
    let page = include_str!("../../../docs/profiles.md");
    let described = page.split("```toml\n").skip(1).filter_map(|block| block.split("```").next());
    for (name, text) in ["ten lines", "all that there is", "several identities"].into_iter().zip(described) {
        let template = Description::parse(text).unwrap();
        let package = template.build().unwrap();
        let octets = package.encode().len();
        println!("{name}: {octets} octets, {} elements", package.elements.len());
        let (rate, small) = measured(few, || made(&template, few));
        println!("  {few} personalised: {rate:.0} a second, {small:.1} MiB at most");
        let (rate, large) = measured(many, || made(&template, many));
        println!(
            "  {many} personalised: {rate:.0} a second, {large:.1} MiB at most, {:.2} times as much",
            large / small
        );
        let (encoded, _) = measured(many, || (0..many).for_each(|_| drop(black_box(package.encode()))));
        println!(
            "  {many} packages only encoded: {encoded:.0} a second, {:.1} times as fast",
            encoded / rate
        );
        let built = || (0..many).for_each(|_| drop(black_box(template.build().unwrap().encode())));
        let (built, _) = measured(many, built);
        println!(
            "  {many} packages built, installed as a check and encoded: {built:.0} a second, {:.1} times as fast",
            built / rate
        );
        assert!(large <= small * FLAT, "memory grows with the number of packages");
    }
}

fn made(template: &Description, count: u64) {
    let series = Series {
        iccid: "8972499000000000000".into(),
        imsi: "724990000000000".into(),
        msisdn: Some("+5511900000000".into()),
    };
    let secrets = SecretSource::from_text("bench");
    let transport = TransportKey::new(&[0x5A; 16]).unwrap();
    for number in 0..count {
        let row = series.row(number).unwrap();
        let one = personalise(template, &row, &secrets).unwrap();
        black_box((one.package.encode(), one.output(Some(&transport))));
    }
}

/// Packages for each processor second, and peak memory in MiB.
fn measured(count: u64, work: impl FnOnce()) -> (f64, f64) {
    // Resets the peak memory of the process: proc(5).
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let start = processor_seconds();
    work();
    (count as f64 / (processor_seconds() - start), peak_mib())
}

fn processor_seconds() -> f64 {
    let told = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    told.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
