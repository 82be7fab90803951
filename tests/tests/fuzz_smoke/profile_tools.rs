//! The operations of `landfall profile` with mutated packages and descriptions: decode, check,
//! show, compare, describe, build, personalise. Each succeeds or returns an error, with memory in
//! proportion to its input.
//!
//! These tests do not use libFuzzer, because cargo-fuzz needs a nightly compiler, and because the
//! structure of the input (data objects, PEs, lines of TOML) is known and need not be discovered by
//! coverage.

use std::collections::BTreeMap;

use allocation_counter::measure;
use profile::check::{Severity, check_octets};
use profile::description::{FilesBy, Format, decompile, store_metadata};
use profile::element::Service;
use profile::personalise::{SecretSource, Series, personalise};
use profile::show::{self, ShowOptions};
use profile::{Capabilities, Decoder, Description, InstalledProfile, Package, diff};

use crate::nodes::{SamplePackage, encode, mutate};
use crate::random::Random;
use crate::run::{Round, Run};
use crate::testbed::packages;

/// Maximum memory of a step: this number of octets per octet of input, plus a constant.
const MEMORY_PER_OCTET: u64 = 1 << 9;
const CONSTANT_MEMORY: u64 = 16 << 20;

#[test]
fn packages_and_descriptions_are_handled_with_bounded_memory() {
    let sample = Stock::new();
    let mut run = Run::of("packages_and_descriptions_are_handled_with_bounded_memory", 60, 50);
    let mut counts = Counts::default();
    while let Some(round) = run.round() {
        match round.random.chance(70) {
            true => Testbed { round, counts: &mut counts }.package(&sample),
            false => Testbed { round, counts: &mut counts }.description(&sample),
        }
        if counts.rounds.is_multiple_of(5000) {
            println!("{counts}");
        }
    }
    println!("{counts}");
    run.end();
}

/// Initial packages and descriptions of rounds.
struct Stock {
    sample: Vec<SamplePackage>,
    whole: Vec<Package>,
    texts: Vec<String>,
}

impl Stock {
    /// Collects the published packages, if available, a generated one, and those of the
    /// descriptions in the documentation.
    fn new() -> Self {
        let page = include_str!("../../../docs/profiles.md");
        let blocks = page.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap());
        // Templates for many packages are incomplete, so they are left out.
        let mut texts: Vec<String> =
            blocks.filter(|block| block.contains("iccid =")).map(str::to_owned).collect();
        let mut octets = packages();
        for text in &texts {
            for (format, files) in [
                (Format::V2_3, FilesBy::Templates),
                (Format::V3_3, FilesBy::Paths),
                (Format::V3_3, FilesBy::Templates),
            ] {
                let description = Description { format, files, ..Description::parse(text).unwrap() };
                octets.push(description.build().unwrap().encode());
            }
        }
        let whole: Vec<Package> = octets.iter().map(|octets| Package::decode(octets).unwrap()).collect();
        texts.extend(whole.iter().map(|package| decompile(package).unwrap().description.to_toml()));
        Self { sample: octets.iter().map(|octets| SamplePackage::of(octets)).collect(), whole, texts }
    }
}

/// Statistics of the outcomes.
#[derive(Default)]
struct Counts {
    rounds: usize,
    outcomes: BTreeMap<&'static str, usize>,
    /// Maximum memory and the input length for it, by kind of step.
    most: BTreeMap<&'static str, (u64, usize)>,
}

impl Counts {
    fn add(&mut self, outcome: &'static str) {
        *self.outcomes.entry(outcome).or_default() += 1;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} rounds: {:?}; peak memory in octets (and octets of input): {:?}",
            self.rounds, self.outcomes, self.most
        )
    }
}

struct Testbed<'a> {
    round: Round,
    counts: &'a mut Counts,
}

impl Testbed<'_> {
    /// Runs a step, and checks its memory against the length of its input.
    fn step<T>(&mut self, name: &'static str, given: &[u8], step: impl FnOnce() -> T) -> T {
        let mut result = None;
        let what = format!("{name}: {} octets", given.len());
        let taken = self.round.step(what, || measure(|| result = Some(step()))).bytes_max;
        let length = given.len();
        let most = self.counts.most.entry(name).or_default();
        *most = (*most).max((taken, length));
        assert!(
            taken <= MEMORY_PER_OCTET * length as u64 + CONSTANT_MEMORY,
            "{name} needs {taken} octets of memory for {length} octets of input"
        );
        result.unwrap()
    }

    /// Tests a mutated package.
    fn package(mut self, stock: &Stock) {
        self.counts.rounds += 1;
        let random = &self.round.random;
        let number = random.number(stock.sample.len());
        let sample = &stock.sample[number];
        let mut nodes = sample.nodes.clone();
        for _ in 0..*random.pick(&[1, 1, 1, 2, 2, 4, 16]) {
            mutate(random, &mut nodes, &stock.sample, &sample.paths);
        }
        let mut octets = encode(&nodes);
        if random.chance(20) {
            octets = random.mutate_octets(&octets);
        }
        let piece = 1 + random.number(9000);
        let (contents, whole_way) = (random.chance(50), random.chance(50));
        let (read, deviations) =
            rsp::finding::collect(|| self.step("decode", &octets, || Package::decode(&octets)));
        let deviates = !deviations.is_empty();
        let in_pieces = self.step("decode in pieces", &octets, || streamed(&octets, piece));
        assert_eq!(in_pieces.ok(), read.as_ref().ok().cloned(), "in pieces of {piece}");
        let findings = self.step("check", &octets, || check_octets(&octets));
        for finding in &findings {
            assert!(!finding.what.is_empty() && !finding.to_string().is_empty(), "{finding:?}");
        }
        let Ok(package) = read else {
            assert!(findings.iter().any(|finding| finding.rule == "unreadable"), "{findings:?}");
            return self.counts.add("unreadable");
        };
        let encoded = package.encode();
        if !deviates {
            assert_eq!(encoded, octets, "a decoded package is encoded to the same octets");
        }
        assert_eq!(Package::decode(&encoded).as_ref(), Ok(&package), "what is encoded can be decoded");
        let everything =
            Capabilities { services: (0..=u8::MAX).map(Service).collect(), ..Capabilities::default() };
        let installed = self.step("install", &octets, || InstalledProfile::of(&package, &everything));
        let is_wrong = findings.iter().any(|finding| finding.severity == Severity::Error);
        if let Err(refused) = &installed {
            assert!(is_wrong, "refused ({refused}) although there is no error: {findings:#?}");
        }
        self.counts.add(match (is_wrong, installed.is_ok()) {
            (true, false) => "wrong and refused",
            (true, true) => "wrong and installed",
            (false, _) => "right",
        });
        self.check_files(&package, &octets, contents);
        let other = &stock.whole[number];
        let there = self.step("compare", &octets, || diff::diff(other, &package, &ShowOptions::default()));
        let back = self.step("compare", &octets, || diff::diff(&package, other, &ShowOptions::default()));
        assert_eq!(there.len(), back.len(), "the comparison is symmetric");
        assert!(
            diff::diff(&package, &package, &ShowOptions::default()).is_empty(),
            "a package does not differ from itself"
        );
        assert!(!diff::text(&there).is_empty());
        if let Ok(installed) = &installed {
            self.step("tell the metadata", &octets, || {
                store_metadata(installed, &Default::default(), "smdp.example.com")
            });
        }
        if whole_way {
            self.describe(&package, &octets);
        }
    }

    fn check_files(&mut self, package: &Package, octets: &[u8], contents: bool) {
        let options = ShowOptions { secrets: contents, contents };
        let text = self.step("show", octets, || show::text(package, &options));
        let files = self.step("show files", octets, || show::files_text(package, &options));
        let json = self.step("show as JSON", octets, || show::json(package, &options).to_string());
        assert!(!text.is_empty() && !json.is_empty());
        drop(files);
    }

    /// Converts a package into a description, and builds it again.
    fn describe(&mut self, package: &Package, octets: &[u8]) {
        let made = self.step("decompile", octets, || decompile(package));
        let Ok(made) = made else { return self.counts.add("not described") };
        let text = self.step("write the description", octets, || made.description.to_toml());
        let again = self.step("read the description", text.as_bytes(), || Description::parse(&text));
        let again = again.unwrap_or_else(|mistakes| {
            panic!("the written description cannot be parsed: {mistakes}\n{text}")
        });
        assert_eq!(again.to_toml(), text, "the description is parsed without loss");
        let rebuilt = self.step("rebuild", octets, || again.build());
        match rebuilt {
            Ok(rebuilt) => {
                assert!(rebuilt.encode() == package.encode(), "the rebuilt package differs");
                self.counts.add("described and rebuilt");
            }
            // A description of a package that no card accepts is not built.
            Err(mistakes) => {
                assert!(
                    InstalledProfile::of(package, &Capabilities::default()).is_err(),
                    "not rebuilt although it can be installed: {mistakes}"
                );
                self.counts.add("described");
            }
        }
    }

    /// Tests a mutated description.
    fn description(mut self, stock: &Stock) {
        self.counts.rounds += 1;
        let random = &self.round.random;
        let mut text = random.pick(&stock.texts).clone();
        for _ in 0..*random.pick(&[1, 1, 1, 2, 4, 8]) {
            text = mutate_text(random, &text, &stock.texts);
        }
        let number = random.number(1000) as u64;
        let given = text.as_bytes();
        let read = self.step("read a description", given, || Description::parse(&text));
        let description = match read {
            Ok(description) => description,
            Err(mistakes) => {
                assert!(
                    mistakes.0.iter().all(|mistake| !mistake.what.is_empty() && !mistake.next.is_empty())
                );
                return self.counts.add("no description");
            }
        };
        let written = self.step("write a description", given, || description.to_toml());
        let again = Description::parse(&written).unwrap_or_else(|mistakes| panic!("{mistakes}\n{written}"));
        assert_eq!(again.to_toml(), written, "the description is parsed without loss");
        assert_eq!(without_elements(again), without_elements(description.clone()), "{written}");
        match self.step("build", given, || description.build()) {
            Err(mistakes) => {
                let mistakes = self.step("name the lines", given, || mistakes.in_text(&text));
                assert!(!mistakes.0.is_empty() && !mistakes.to_string().is_empty());
                self.counts.add("not built");
            }
            Ok(package) => {
                let octets = package.encode();
                assert_eq!(Package::decode(&octets).as_ref(), Ok(&package), "a built package can be decoded");
                let findings = self.step("check", &octets, || check_octets(&octets));
                let is_wrong = findings.iter().any(|finding| finding.severity == Severity::Error);
                self.counts.add(if is_wrong { "built, wrong" } else { "built" });
                self.describe(&package, &octets);
            }
        }
        let series =
            Series { iccid: "8972499000000000100".into(), imsi: "724990000000998".into(), msisdn: None };
        let row = series.row(number).unwrap_or_default();
        let made = self
            .step("personalise", given, || personalise(&description, &row, &SecretSource::from_text("fuzz")));
        if let Ok(made) = made {
            assert_eq!(made.description.iccid, row.iccid);
            assert!(made.output(None).iter().any(|column| !column.is_empty()));
        }
    }
}

/// Removes the elements, which are JSON, where a value can have two forms.
fn without_elements(description: Description) -> Description {
    Description { element: Vec::new(), ..description }
}

fn streamed(octets: &[u8], piece: usize) -> Result<Package, rsp::der::DecodeError> {
    let mut decoder = Decoder::new();
    let mut elements = Vec::new();
    for piece in octets.chunks(piece) {
        decoder.feed(piece)?;
        while let Some(element) = decoder.next_element()? {
            elements.push(element);
        }
    }
    decoder.finish()?;
    Ok(Package { elements })
}

/// Unusual values in a description.
const VALUES: [&str; 22] = [
    "\"\"",
    "\"0\"",
    "-1",
    "0",
    "255",
    "256",
    "65536",
    "99999999999999999999",
    "nan",
    "true",
    "[]",
    "[[]]",
    "{}",
    "\"\\u0000\"",
    "\"\u{20AC}\u{4E2D}\u{10FFFF}\"",
    "\"+\"",
    "[\"724-99 eutran FFFF\", \"000-00\"]",
    "2026-11-21",
    "\"{ef-imsi}\"",
    "\"{ef-ust:65535}\"",
    "\"{ef-spn:17}{ef-spn:17}\"",
    "[1, 1, 255]",
];

/// Mutates a text once: an octet, a line or a value.
fn mutate_text(random: &Random, text: &str, others: &[String]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return "iccid = 1".to_owned();
    }
    let (at, to) = (random.number(lines.len()), random.number(lines.len()));
    match random.number(10) {
        0 => return String::from_utf8_lossy(&random.mutate_octets(text.as_bytes())).into_owned(),
        1 => drop(lines.remove(at)),
        2 => {
            let line = lines[at].clone();
            lines.splice(to..to, vec![line; *random.pick(&[1, 1, 300])]);
        }
        3 => lines.swap(at, to),
        4 => {
            let other: Vec<&str> = random.pick(others).lines().collect();
            let from = random.number(other.len());
            let some = other.iter().skip(from).take(1 + random.number(6)).map(|line| (*line).to_owned());
            lines.splice(to..to, some.collect::<Vec<_>>());
        }
        5 => {
            // Tables that may be repeated.
            let table = *random.pick(&[
                "[[identity]]\ncountries = [\"BR\"]\nimsi = \"724050000000001\"\nki = \"000102030405060708090A0B0C0D0E0F\"\nopc = \"000102030405060708090A0B0C0D0E0F\"",
                "[[file]]\ndirectory = \"7FD0\"\nid = \"6FF0\"\ncontent = \"01\"",
                "[[file]]\nid = \"6FF1\"\nsize = 65535\nrecord-length = 255",
                "[[rfm]]\naid = \"A00000055910100001\"\ntar = [\"B00140\"]",
                "[[element]]\n[element.nonStandard]\nissuerID = \"2B06\"\ncontent = \"00\"",
            ]);
            for _ in 0..*random.pick(&[1, 2, 300]) {
                lines.push(table.to_owned());
            }
        }
        6 => {
            let deep = *random.pick(&[10, 200, 20_000]);
            lines[at] = format!("deep = {}{}", "[".repeat(deep), "]".repeat(deep));
        }
        _ => {
            let value = match random.number(4) {
                0 => format!("\"{}\"", "F".repeat(random.number(70_000))),
                1 => format!("\"{}\"", random.number(usize::MAX)),
                _ => (*random.pick(&VALUES)).to_owned(),
            };
            if let Some((name, _)) = lines[at].split_once('=') {
                lines[at] = format!("{name}= {value}");
            }
        }
    }
    lines.join("\n")
}
