//! `landfall replay`: repeats the run of a report and compares the results.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use scenario::play::play;
use scenario::report::Report;
use schemars::JsonSchema;
use serde::Serialize;
use world::{Fault, FaultKind};

use crate::exit_status::ExitStatus;
use crate::json_schema::{CommandOutput, document};
use crate::output::{print, print_json};
use crate::scenario_file::{name, read};

/// Repeat the run of a report and compare both reports octet for octet
///
/// Exit status: 0 if they are equal, 6 if they differ.
#[derive(Debug, Args)]
pub struct Command {
    /// JSON report, written by `landfall run --report FOLDER`
    report: PathBuf,
    /// Scenario file or built-in scenario [default: found by its name beside the report, in the
    /// current folder, or among the built-in scenarios]
    scenario: Option<PathBuf>,
}

/// Result of the comparison.
#[derive(JsonSchema, Serialize)]
struct Replayed<'a> {
    scenario: &'a Path,
    seed: &'a str,
    same: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<Difference<'a>>,
}

/// The first line, counted from 1, in which the reports differ.
#[derive(JsonSchema, Serialize)]
struct Difference<'a> {
    line: usize,
    was: &'a str,
    is: &'a str,
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[document::<Replayed<'static>>("replay")];

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// The report or the scenario cannot be read.
    pub fn run(self, json: bool) -> Result<ExitCode, Fault> {
        let text = crate::files::read_text(&self.report)?;
        let before: Report = serde_json::from_str(&text).map_err(|why| {
            Fault::usage_caused_by(
                why,
                format!("{} is not a report", self.report.display()),
                "choose a .json file written by `landfall run --report FOLDER`",
            )
        })?;
        if before.live.as_ref().is_some_and(|live| !live.strangers.is_empty()) {
            let why = "external servers or cards took part, whose behaviour is not repeatable";
            let next = "run the scenario again with them: `landfall run --live --with PLACES.toml`";
            return Err(Fault::usage("cannot replay the report", why, next));
        }
        let file = match self.scenario {
            Some(file) => file,
            None => find_scenario(&self.report, &before.scenario.name)?,
        };
        let mut again = play(&name(&file), &read(&file)?, &before.seed)?;
        // A run over sockets has the same result as one without them.
        again.live.clone_from(&before.live);
        let again = again.json()?;
        let same = again == text;
        let difference = (!same).then(|| difference(&text, &again));
        let (shown, seed) = (file.display(), &before.seed);
        match &difference {
            _ if json => print_json(&Replayed { scenario: &file, seed, same, difference })?,
            None => print(&format!("{shown} with seed {seed}: the same, octet for octet\n"))?,
            Some(Difference { line, was, is }) => print(&format!(
                "{shown} with seed {seed}: the result differs from line {line} on\n  was {was}\n  is  {is}\n"
            ))?,
        }
        Ok(ExitStatus::expected(same))
    }
}

/// Finds the scenario with this name: beside the report, in the current folder, or among the
/// built-in scenarios.
fn find_scenario(report: &Path, name: &str) -> Result<PathBuf, Fault> {
    let file = format!("{name}.toml");
    let places = [report.with_file_name(&file), PathBuf::from(&file)];
    let built_in = || scenario::library::named(name).map(|_| PathBuf::from(name));
    places.into_iter().find(|place| place.exists()).or_else(built_in).ok_or_else(|| {
        let why =
                        format!("there is no {file} beside the report or in the current folder, and no built-in scenario of this name");
                    Fault::new("cannot find the scenario", why, "give its path after that of the report").of_kind(FaultKind::NotFound)
    })
}

/// Returns the first differing line in both versions.
fn difference<'t>(was: &'t str, is: &'t str) -> Difference<'t> {
    let mut pairs = was.lines().zip(is.lines()).enumerate();
    let first = pairs.find(|(_, (was, is))| was != is);
    let ended = || Difference { line: was.lines().count().min(is.lines().count()) + 1, was: "", is: "" };
    first.map_or_else(ended, |(line, (was, is))| Difference {
        line: line + 1,
        was: was.trim(),
        is: is.trim(),
    })
}
