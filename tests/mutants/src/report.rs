//! The numbers by crate, and the mutants that no test killed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::folder::{Folder, Mutants};
use crate::run::{Outcome, results};

#[derive(Serialize)]
struct Report {
    crates: BTreeMap<String, Numbers>,
    /// Place and change of each mutant that was not killed, with the reason.
    alive: Vec<Alive>,
}

#[derive(Default, Serialize)]
struct Numbers {
    /// Mutants in the list of cargo-mutants.
    listed: usize,
    /// Those that compile behind a switch.
    compile: usize,
    /// Those that were run.
    run: usize,
    killed: usize,
    unreached: usize,
}

#[derive(Serialize)]
struct Alive {
    mutant: String,
    outcome: Outcome,
}

impl Numbers {
    /// The share of the mutants that were run, in percent.
    fn share(&self) -> f64 {
        100.0 * self.killed as f64 / (self.run.max(1)) as f64
    }
}

/// Prints the report of all runs: a table and a list, or JSON.
pub(crate) fn report(folder: &Folder, json: bool) -> Result<(), String> {
    let mutants: Mutants = folder.read("mutants.json")?;
    let results = results(folder)?;
    let mut report = Report { crates: BTreeMap::new(), alive: Vec::new() };
    for (number, mutant) in &mutants.list {
        let numbers = report.crates.entry(mutant.package.clone()).or_default();
        numbers.listed += 1;
        numbers.compile += usize::from(mutants.active.contains(number));
        let Some(outcome) = results.get(&mutant.name) else { continue };
        numbers.run += 1;
        numbers.killed += usize::from(outcome.is_killed());
        numbers.unreached += usize::from(matches!(outcome, Outcome::Unreached));
        if !outcome.is_killed() {
            report.alive.push(Alive { mutant: mutant.name.clone(), outcome: outcome.clone() });
        }
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?);
        return Ok(());
    }
    println!(
        "| Crate | Listed | Compile | Run | Killed | Unreached | Share killed |\n|---|---|---|---|---|---|---|"
    );
    for (name, numbers) in &report.crates {
        let Numbers { listed, compile, run, killed, unreached } = numbers;
        println!(
            "| `{name}` | {listed} | {compile} | {run} | {killed} | {unreached} | {:.1} % |",
            numbers.share()
        );
    }
    for Alive { mutant, outcome } in &report.alive {
        match outcome {
            Outcome::Survived { tests, of } => println!("survived {tests} of {of} tests: {mutant}"),
            _ => println!("unreached: {mutant}"),
        }
    }
    Ok(())
}
