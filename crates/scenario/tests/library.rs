//! Tests that every built-in scenario meets its expectations.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use scenario::file::Scenario;
use scenario::play::play;
use scenario::report::Verdict;

/// Describes the unmet expectations of a file. `None` if all are met.
fn wrong(file: &Path) -> Option<String> {
    let name = file.file_stem().unwrap().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(file).unwrap();
    let scenario = match Scenario::parse(&file.display().to_string(), &text) {
        Ok(scenario) => scenario,
        Err(why) => return Some(why.to_string()),
    };
    let report = match play(&name, &scenario, &scenario.seed) {
        Ok(report) => report,
        Err(fault) => return Some(format!("{name}: {fault:#}")),
    };
    if let Ok(folder) = std::env::var("LANDFALL_REPORTS") {
        std::fs::write(Path::new(&folder).join(format!("{name}.json")), report.json().unwrap()).unwrap();
    }
    let failed = report.expectations().iter().filter(|expectation| !expectation.passed);
    let failed = failed.map(|failed| {
        let line = failed.line.unwrap_or_default();
        format!("{name}.toml:{line}: {}: {}", failed.text, failed.saw)
    });
    (report.verdict() == Verdict::Failed).then(|| failed.collect::<Vec<_>>().join("\n"))
}

/// `LANDFALL_SCENARIO` selects scenarios by a part of their names. `LANDFALL_REPORTS` names a
/// folder for the reports.
#[test]
fn every_built_in_scenario_meets_its_expectations() {
    let wanted = std::env::var("LANDFALL_SCENARIO").unwrap_or_default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("library");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|file| file.extension().is_some_and(|end| end == "toml"))
        .filter(|file| file.to_string_lossy().contains(&wanted))
        .collect();
    files.sort();
    files.reverse();
    let (count, files) = (files.len(), Mutex::new(files));
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(file) = { files.lock().unwrap().pop() } {
                    let wrong = wrong(&file);
                    println!("{}: {}", file.display(), wrong.as_deref().unwrap_or("as expected"));
                    found.lock().unwrap().extend(wrong);
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    assert!(found.is_empty(), "{} of {count}:\n{}", found.len(), found.join("\n"));
}
