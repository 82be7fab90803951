//! `landfall replay`: repeats the run of a report and compares the results.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use scenario::play::play;
use scenario::report::Report;
use world::Fault;

use crate::output::print;
use crate::scenario_file::{name, read};

/// Repeat the run of a report and compare both reports octet for octet
///
/// Exit status: 0 if they are equal, 1 if they differ.
#[derive(Debug, Args)]
pub struct Command {
    /// JSON report, written by `landfall run --report FOLDER`
    report: PathBuf,
    /// Scenario file or built-in scenario [default: found by its name beside the report, in the
    /// current folder, or among the built-in scenarios]
    scenario: Option<PathBuf>,
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// The report or the scenario cannot be read.
    pub fn run(self, _: bool) -> Result<ExitCode, Fault> {
        let text = crate::files::read_text(&self.report)?;
        let before: Report = serde_json::from_str(&text).map_err(|why| {
            Fault::caused_by(
                why,
                format!("{} is not a report", self.report.display()),
                "choose a .json file written by `landfall run --report FOLDER`",
            )
        })?;
        if before.live.as_ref().is_some_and(|live| !live.strangers.is_empty()) {
            let why = "external servers or cards took part, whose behaviour is not repeatable";
            let next = "run the scenario again with them: `landfall run --live --with PLACES.toml`";
            return Err(Fault::new("cannot replay the report", why, next));
        }
        let file = match self.scenario {
            Some(file) => file,
            None => find_scenario(&self.report, &before.scenario.name)?,
        };
        let mut again = play(&name(&file), &read(&file)?, &before.seed)?;
        // A run over sockets has the same result as one without them.
        again.live.clone_from(&before.live);
        let again = again.json()?;
        if again == text {
            print(&format!("{} with seed {}: the same, octet for octet\n", file.display(), before.seed))?;
            return Ok(ExitCode::SUCCESS);
        }
        let (line, was, is) = differ(&text, &again);
        print(&format!(
            "{} with seed {}: the result differs from line {line} on\n  was {was}\n  is  {is}\n",
            file.display(),
            before.seed
        ))?;
        Ok(ExitCode::FAILURE)
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
                    Fault::new("cannot find the scenario", why, "give its path after that of the report")
    })
}

/// Returns the number of the first differing line, counted from 1, and both versions of that line.
fn differ<'t>(was: &'t str, is: &'t str) -> (usize, &'t str, &'t str) {
    let mut pairs = was.lines().zip(is.lines()).enumerate();
    let first = pairs.find(|(_, (was, is))| was != is);
    let ended = || (was.lines().count().min(is.lines().count()) + 1, "", "");
    first.map_or_else(ended, |(line, (was, is))| (line + 1, was.trim(), is.trim()))
}
