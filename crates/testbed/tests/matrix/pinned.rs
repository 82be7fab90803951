//! The pinned outcomes of a matrix, in a table that people can read. `LANDFALL_REGENERATE=1` writes the
//! outcomes of the cases that run into the table, and keeps those of the other cases. Together with
//! `LANDFALL_MATRIX=all` it writes the whole table. Every case must be in the table.
//!
//! Each line has a fault, an outcome, and the cases of the fault at this step that have the outcome:
//! `#2` or `=13` is one case, and `#2..#9` are all cases from the first to the second in the
//! sequence of the cases.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use super::Case;

/// The cases of one fault at one step, in their sequence.
struct Group<'a> {
    step: &'a str,
    fault: &'a str,
    cases: Vec<&'a Case>,
}

/// Compares these outcomes with the table, or writes the table. Fails if an outcome is not the
/// pinned one, or if the table does not have exactly the cases of the matrix.
pub(super) fn check(file: &str, all: &[Case], outcomes: Vec<(&Case, &String)>) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/matrix").join(file);
    let groups = grouped(all);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        let mut pinned = parsed(&groups, &text).0;
        pinned.extend(outcomes.into_iter().map(|(case, outcome)| (key(case), outcome.clone())));
        std::fs::write(&path, table(&groups, &pinned)).unwrap();
        return;
    }
    let (pinned, mut wrong) = parsed(&groups, &text);
    for case in all.iter().filter(|case| !pinned.contains_key(&key(case))) {
        let _ = writeln!(wrong, "{}: the table does not have {:?}", case.step, case.faults);
    }
    for (case, outcome) in outcomes {
        if let Some(expected) = pinned.get(&key(case)).filter(|expected| *expected != outcome) {
            let (step, faults) = (&case.step, &case.faults);
            let _ = writeln!(wrong, "{step}: {faults:?}: {outcome}, but {expected} is pinned");
        }
    }
    assert!(
        wrong.is_empty(),
        "{file} differs; run the test with LANDFALL_REGENERATE=1 if this is intended\n{wrong}"
    );
}

/// What identifies a case: step, fault, occasion.
type Key = (String, &'static str, String);

fn key(case: &Case) -> Key {
    (case.step.clone(), &case.fault.name, case.occasion())
}

/// The groups by step, in the sequence in which the matrix mentions steps and faults first.
fn grouped(all: &[Case]) -> Vec<Group<'_>> {
    let mut steps: Vec<&str> = Vec::new();
    let mut groups: Vec<Group<'_>> = Vec::new();
    for case in all {
        if !steps.contains(&case.step.as_str()) {
            steps.push(&case.step);
        }
        match groups
            .iter_mut()
            .find(|group| (group.step, group.fault) == (case.step.as_str(), case.fault.name.as_str()))
        {
            Some(group) => group.cases.push(case),
            None => groups.push(Group { step: &case.step, fault: &case.fault.name, cases: vec![case] }),
        }
    }
    groups.sort_by_key(|group| steps.iter().position(|step| *step == group.step));
    for group in &groups {
        let occasions: BTreeSet<_> = group.cases.iter().map(|case| case.occasion()).collect();
        assert_eq!(occasions.len(), group.cases.len(), "{} {}: {occasions:?}", group.step, group.fault);
    }
    groups
}

fn table(groups: &[Group<'_>], outcomes: &BTreeMap<Key, String>) -> String {
    let mut text =
        String::from("The outcome of each case. Generated; matrix/pinned.rs describes the notation.\n");
    let width = groups.iter().map(|group| group.fault.len()).max().unwrap_or_default();
    let mut step = "";
    for group in groups {
        if group.step != step {
            step = group.step;
            let _ = writeln!(text, "\n{step}");
        }
        let of = |case: &Case| outcomes.get(&key(case));
        let mut seen = Vec::new();
        for outcome in group.cases.iter().filter_map(|case| of(case)) {
            if seen.contains(&outcome) {
                continue;
            }
            seen.push(outcome);
            let mut cases = String::new();
            for run in group
                .cases
                .chunk_by(|one, next| of(one) == of(next))
                .filter(|run| of(run[0]) == Some(outcome))
            {
                cases.push(' ');
                cases.push_str(&run[0].occasion());
                if let [_, .., last] = run {
                    let _ = write!(cases, "..{}", last.occasion());
                }
            }
            let _ = writeln!(text, "  {:width$} | {outcome} |{cases}", group.fault);
        }
    }
    text
}

/// Parses a table. The text is a line for each part of the table that the matrix does not have.
fn parsed(groups: &[Group<'_>], text: &str) -> (BTreeMap<Key, String>, String) {
    let (mut pinned, mut stale) = (BTreeMap::new(), String::new());
    let mut step = "";
    for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
        let Some(line) = line.strip_prefix("  ") else {
            step = line;
            continue;
        };
        let columns: Vec<_> = line.split(" | ").map(str::trim).collect();
        let [fault, outcome, runs] = columns[..] else { panic!("{line}") };
        let group = groups.iter().find(|group| (group.step, group.fault) == (step, fault));
        let cases = group.map_or(&[][..], |group| &group.cases);
        for run in runs.split(' ') {
            let place = |occasion: &str| cases.iter().position(|case| case.occasion() == occasion);
            // An occasion can contain two dots itself.
            let one = place(run).map(|place| (place, place));
            let mut splits = run.match_indices("..").map(|(at, _)| (&run[..at], &run[at + 2..]));
            let found = one.or_else(|| splits.find_map(|(first, last)| place(first).zip(place(last))));
            let Some((first, last)) = found else {
                let _ = writeln!(stale, "{step}: the matrix does not have {fault} {run}");
                continue;
            };
            pinned.extend(cases[first..=last].iter().map(|case| (key(case), outcome.to_owned())));
        }
    }
    (pinned, stale)
}
