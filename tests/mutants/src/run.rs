//! Runs the tests against one mutant after the other.

use std::collections::{BTreeMap, HashMap};
use std::fs::OpenOptions;
use std::io::Write;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::folder::{Folder, Mutants};
use crate::list::Mutant;
use crate::parallel::in_parallel;
use crate::suite::{End, Suite, TESTS, Test};

/// The result of a mutant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// No test reaches it.
    Unreached,
    /// The named test failed.
    Killed(String),
    /// The named test did not end in its time.
    TimedOut(String),
    /// All tests passed: how many of how many that reach it, within the time for one mutant.
    Survived { tests: usize, of: usize },
}

impl Outcome {
    pub(crate) fn is_killed(&self) -> bool {
        matches!(self, Self::Killed(_) | Self::TimedOut(_))
    }
}

/// One line of the file with the results.
#[derive(Serialize, Deserialize)]
struct Line {
    /// The mutant's name, which `prepare` does not change as long as the code does not move.
    mutant: String,
    outcome: Outcome,
}

/// Which mutants to run, and how.
pub(crate) struct Selection {
    /// The packages; all if empty.
    pub(crate) packages: Vec<String>,
    /// Parts of names, of which a mutant has one; all mutants if empty.
    pub(crate) named: Vec<String>,
    /// Run mutants again that no test has killed.
    pub(crate) again: bool,
    /// A number of mutants that are drawn at random; all if absent.
    pub(crate) sample: Option<usize>,
    pub(crate) seed: u64,
    /// Seconds of tests for one mutant.
    pub(crate) seconds: f64,
    pub(crate) jobs: usize,
}

/// Runs the selected mutants that have no result yet, or none that killed them, and appends their results.
pub(crate) fn run(folder: &Folder, selection: &Selection) -> Result<(), String> {
    let mutants: Mutants = folder.read("mutants.json")?;
    let suite: Suite = folder.read(TESTS)?;
    let mut by_mutant: HashMap<u32, Vec<&Test>> = HashMap::new();
    for test in &suite.tests {
        for number in &test.reached {
            by_mutant.entry(*number).or_default().push(test);
        }
    }
    let results = results(folder)?;
    let pending = |number: &u32| {
        let result = mutants.list.get(number).and_then(|mutant| results.get(&mutant.name));
        result.is_none_or(|outcome| selection.again && !outcome.is_killed())
    };
    let mut numbers = drawn(&mutants, selection);
    numbers.retain(pending);
    let (count, mut killed) = (numbers.len(), 0);
    let path = folder.0.join(RESULTS);
    let file = OpenOptions::new().append(true).create(true).open(&path);
    let mut file = file.map_err(|error| format!("{}: {error}", path.display()))?;
    let mut written = Ok(());
    in_parallel(
        selection.jobs,
        numbers,
        |number| {
            let tests = by_mutant.get(&number).map(Vec::as_slice).unwrap_or_default();
            let mutant = mutants.list.get(&number).ok_or("a mutant without a number")?;
            let outcome = outcome(number, &mutant.package, tests, selection.seconds)?;
            Ok(Line { mutant: mutant.name.clone(), outcome })
        },
        |done, line: Line| {
            killed += usize::from(line.outcome.is_killed());
            let text = serde_json::to_string(&line).unwrap_or_default();
            if let Err(error) = writeln!(file, "{text}") {
                written = Err(format!("{}: {error}", path.display()));
            }
            if done % 25 == 0 || done == count {
                eprintln!("{done} of {count} mutants, {killed} killed");
            }
        },
    )?;
    written
}

const RESULTS: &str = "results.jsonl";

/// Reads the results of all runs, by the mutant's name. The last one counts.
pub(crate) fn results(folder: &Folder) -> Result<BTreeMap<String, Outcome>, String> {
    let Ok(text) = std::fs::read_to_string(folder.0.join(RESULTS)) else { return Ok(BTreeMap::new()) };
    // A run that was interrupted may have left a part of a line.
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
    Ok(lines.map(|line| (line.mutant, line.outcome)).collect())
}

/// Draws the mutants of a selection, in an order that depends on the seed alone.
fn drawn(mutants: &Mutants, selection: &Selection) -> Vec<u32> {
    let wanted = |number: &u32| {
        mutants.list.get(number).is_some_and(|Mutant { package, name, .. }| {
            (selection.packages.is_empty() || selection.packages.contains(package))
                && (selection.named.is_empty() || selection.named.iter().any(|part| name.contains(part)))
        })
    };
    let mut numbers: Vec<u32> = mutants.active.iter().copied().filter(wanted).collect();
    numbers
        .sort_by_key(|number| mixed(selection.seed ^ u64::from(*number).wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    numbers.truncate(selection.sample.unwrap_or(usize::MAX));
    numbers
}

/// Mixes the bits of a number (the output function of SplitMix64).
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// Runs tests against a mutant until one fails, or `limit` seconds are spent.
fn outcome(number: u32, package: &str, tests: &[&Test], limit: f64) -> Result<Outcome, String> {
    if tests.is_empty() {
        return Ok(Outcome::Unreached);
    }
    // A test of the same crate that reaches few mutants is the likeliest to be about this one.
    let mut ordered = tests.to_vec();
    let rank = |test: &Test| (test.package != package, test.reached.len() as f64 * 0.001 + test.seconds);
    ordered.sort_by(|one, other| {
        let (one, other) = (rank(one), rank(other));
        one.0.cmp(&other.0).then(one.1.total_cmp(&other.1))
    });
    let mut spent = 0.0;
    for (count, test) in ordered.iter().enumerate() {
        if spent > limit {
            return Ok(Outcome::Survived { tests: count, of: tests.len() });
        }
        let time = Duration::from_secs_f64((test.seconds * 6.0).max(15.0));
        let (end, seconds) = test.run("MUTANT", number.to_string(), time)?;
        spent += seconds;
        match end {
            End::Passed => {}
            End::Failed => return Ok(Outcome::Killed(test.name.clone())),
            End::TimedOut => return Ok(Outcome::TimedOut(test.name.clone())),
        }
    }
    Ok(Outcome::Survived { tests: tests.len(), of: tests.len() })
}
