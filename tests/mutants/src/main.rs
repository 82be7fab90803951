//! Runs the mutants of cargo-mutants from one build.
//!
//! cargo-mutants builds the tests again for each mutant, which takes days for the whole repository on
//! two cores. This program puts all mutants into one copy of the repository, each behind a switch
//! that an environment variable operates, and builds the copy once. It then runs only the tests that
//! reach a mutant. docs/mutation.md explains the use.

#![expect(clippy::indexing_slicing, reason = "a missing member of a JSON value is null")]

mod folder;
mod list;
mod parallel;
mod prepare;
mod report;
mod run;
mod suite;
mod switch;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::folder::Folder;
use crate::run::Selection;

#[derive(Parser)]
#[command(about = "Runs the mutants of cargo-mutants from one build")]
struct Cli {
    /// Folder of the copy and of the results.
    #[arg(long, global = true, default_value = "target/mutants")]
    folder: PathBuf,
    /// Processes at the same time.
    #[arg(long, global = true, default_value_t = std::thread::available_parallelism().map_or(2, usize::from))]
    jobs: usize,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build a copy with all mutants, and measure its tests.
    Prepare {
        /// Crate with mutants; repeatable.
        #[arg(short, long = "package", value_name = "CRATE", required = true)]
        packages: Vec<String>,
        /// Crate whose tests are not built; repeatable.
        #[arg(long = "exclude", value_name = "CRATE")]
        excluded: Vec<String>,
    },
    /// Run mutants that have no result yet.
    Run(Run),
    /// Print the numbers by crate and the mutants that are alive.
    Report {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
struct Run {
    /// Only the mutants of this crate; repeatable.
    #[arg(short, long = "package", value_name = "CRATE")]
    packages: Vec<String>,
    /// Only the mutants whose names contain this text, such as "with ()"; repeatable.
    #[arg(long, value_name = "TEXT")]
    named: Vec<String>,
    /// Also the mutants that no test has killed so far.
    #[arg(long)]
    again: bool,
    /// Only so many mutants, drawn at random.
    #[arg(long, value_name = "COUNT")]
    sample: Option<usize>,
    /// Seed of the draw.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds of tests for one mutant.
    #[arg(long, default_value_t = 90.0)]
    seconds: f64,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = std::path::absolute(&cli.folder)
        .map_err(|error| format!("{}: {error}", cli.folder.display()))
        .and_then(|folder| execute(&Folder(folder), cli.jobs, cli.command));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn execute(folder: &Folder, jobs: usize, command: Command) -> Result<(), String> {
    match command {
        Command::Prepare { packages, excluded } => prepare::prepare(folder, &packages, &excluded, jobs),
        Command::Run(Run { packages, named, again, sample, seed, seconds }) => {
            run::run(folder, &Selection { packages, named, again, sample, seed, seconds, jobs })?;
            report::report(folder, false)
        }
        Command::Report { json } => report::report(folder, json),
    }
}
