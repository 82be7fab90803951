//! `landfall run`: runs a scenario.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use rsp::time::Timestamp;
use scenario::file::{InvalidScenario, Scenario};
use scenario::library;
use scenario::play::{Environment, play_in};
use scenario::report::{Report, Verdict};
use world::Fault;

use crate::exit_status::ExitStatus;
use crate::files;
use crate::json_schema::{CommandOutput, OneOf, document};
use crate::live;
use crate::output::{Table, print, print_json, remark};
use crate::progress::Progress;
use crate::report::print_report;
use crate::scenario_file::{name, not_a_scenario, text};

/// Run a scenario in virtual time with real parties, and check its expectations
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Command {
    /// Scenario file, or the name of a built-in scenario
    #[arg(required_unless_present = "list")]
    file: Option<PathBuf>,
    /// List the built-in scenarios
    #[arg(long)]
    list: bool,
    /// Seed to use instead of the file's; the same file and seed give the same run
    #[arg(long)]
    seed: Option<String>,
    /// Run over sockets: servers listen on the loopback, and all calls to them use TLS
    #[arg(long)]
    live: bool,
    /// File with the addresses of external servers and cards that take part; see
    /// docs/scenarios.md
    #[arg(long, value_name = "PLACES.toml", requires = "live")]
    with: Option<PathBuf>,
    /// Output folder for the report as HTML, JSON and JUnit XML
    #[arg(long, value_name = "FOLDER")]
    report: Option<PathBuf>,
    /// Output file for the report as one self-contained HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Output file for the expectations as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

const AFTER_HELP: &str = "Exit status: 0 if all expectations were met, 6 if one was not. docs/scenarios.md \
describes the format.";

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[document::<OneOf<Report, BTreeMap<String, String>>>("run")];

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// The scenario cannot be read or is invalid, or a report cannot be written.
    pub fn run(self, json: bool) -> Result<ExitCode, Fault> {
        let Some(file) = self.file.as_ref().filter(|_| !self.list) else { return list(json) };
        let report = self.played(file, json)?;
        let name = name(file);
        let mut pages = Vec::new();
        if let Some(folder) = &self.report {
            std::fs::create_dir_all(folder).map_err(|why| files::unwritable(folder, why))?;
            pages.push((folder.join(format!("{name}.html")), report.page()));
            pages.push((folder.join(format!("{name}.json")), report.json()?));
            pages.push((folder.join(format!("{name}.xml")), report.junit()));
        }
        pages.extend(self.html.map(|file| (file, report.page())));
        pages.extend(self.junit.map(|file| (file, report.junit())));
        for (file, text) in pages {
            files::write(&file, text)?;
        }
        if json {
            print_json(&report)?;
        } else {
            print_report(&report)?;
            let live = if self.live { " --live" } else { "" };
            let with = self.with.map_or_else(String::new, |places| format!(" --with {}", places.display()));
            remark(&format!("again: landfall run {}{live}{with} --seed {}", file.display(), report.seed));
        }
        Ok(ExitStatus::expected(report.verdict() == Verdict::Passed))
    }

    fn played(&self, file: &Path, json: bool) -> Result<Report, Fault> {
        let (shown, text) = (file.display().to_string(), text(file)?);
        let scenario = Scenario::parse(&shown, &text).map_err(not_a_scenario)?;
        let seed = self.seed.as_ref().unwrap_or(&scenario.seed);
        let name = name(file);
        match &self.with {
            Some(places) => {
                live::play_with(places, &name, (&shown, &text), seed, |scenario| days(scenario, json))
            }
            None if self.live => live::play(&name, &scenario, seed, days(&scenario, json)),
            None => {
                let environment = Environment { progress: days(&scenario, json), ..Environment::none()? };
                play_in(environment, &name, &scenario, seed)
            }
        }
    }
}

/// Displays the days of a run that are over.
pub(super) fn days(scenario: &Scenario, json: bool) -> scenario::play::Progress {
    let begins = scenario.begins;
    let days =
        move |until: Timestamp| usize::try_from(until.since(begins).as_secs() / 86_400).unwrap_or_default();
    let progress = Progress::transient("days", days(scenario.ends()), json);
    Arc::new(move |now| progress.set(days(now)))
}

/// Prints the built-in scenarios.
fn list(json: bool) -> Result<ExitCode, Fault> {
    let read = library::all().map(|(name, text)| Ok((name, Scenario::parse(name, text)?.title)));
    let read: Result<Vec<(&str, String)>, InvalidScenario> = read.collect();
    let all = read.map_err(|why| Fault::caused_by(why, "a built-in scenario is invalid", "report this"))?;
    if json {
        print_json(&all.into_iter().collect::<BTreeMap<_, _>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new(&["scenario", "title"]);
    all.into_iter().for_each(|(name, title)| table.row([name.to_owned(), title]));
    print(&table.render())?;
    Ok(ExitCode::SUCCESS)
}
