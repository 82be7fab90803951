//! `landfall run`: plays a scenario.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use scenario::file::Scenario;
use scenario::play::play;
use scenario::report::{Report, Verdict};
use world::Fault;

use crate::output::{remark, say_json};
use crate::report::say_report;

/// Plays a scenario in virtual time, every party really running, and says whether all was as expected
///
/// Ends with 0 only if it was. docs/scenarios.md describes the files.
#[derive(Debug, Args)]
pub struct Command {
    /// The scenario
    file: PathBuf,
    /// Another seed than the file's: the same file and seed give the same run
    #[arg(long)]
    seed: Option<String>,
    /// Writes the report as a page, as JSON and as JUnit XML into this folder
    #[arg(long, value_name = "FOLDER")]
    report: Option<PathBuf>,
    /// Writes the report as a page that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Writes the expectations as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// The file is no scenario, or a report cannot be written.
    pub fn run(self, json: bool) -> Result<ExitCode, Fault> {
        let scenario = read(&self.file)?;
        let seed = self.seed.unwrap_or_else(|| scenario.seed.clone());
        let name = name(&self.file);
        let report = play(&name, &scenario, &seed)?;
        let mut files = Vec::new();
        if let Some(folder) = &self.report {
            std::fs::create_dir_all(folder).map_err(|why| cannot_write(folder, why))?;
            files.push((folder.join(format!("{name}.html")), report.page()));
            files.push((folder.join(format!("{name}.json")), report.json()?));
            files.push((folder.join(format!("{name}.xml")), report.junit()));
        }
        files.extend(self.html.map(|file| (file, report.page())));
        files.extend(self.junit.map(|file| (file, report.junit())));
        for (file, text) in files {
            std::fs::write(&file, text).map_err(|why| cannot_write(&file, why))?;
        }
        if json {
            say_json(&report)?;
        } else {
            say_report(&report)?;
            remark(&format!("again: landfall run {} --seed {seed}", self.file.display()));
        }
        Ok(code(&report))
    }
}

/// A scenario from its file.
///
/// # Errors
/// It cannot be read, or is none.
pub fn read(file: &Path) -> Result<Scenario, Fault> {
    let text = super::sm_dp::read_text(file)?;
    Scenario::parse(&file.display().to_string(), &text).map_err(|why| {
        let what = format!("{}:{}: {}", why.file, why.line, why.what);
        Fault::new("cannot run the scenario", what, why.next)
    })
}

/// What a scenario is called in reports: the name of its file.
pub fn name(file: &Path) -> String {
    file.file_stem().map_or_else(|| "scenario".to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn code(report: &Report) -> ExitCode {
    match report.verdict() {
        Verdict::Passed => ExitCode::SUCCESS,
        Verdict::Failed => ExitCode::FAILURE,
    }
}

fn cannot_write(place: &Path, why: std::io::Error) -> Fault {
    Fault::caused_by(why, format!("cannot write {}", place.display()), "give a place that can be written")
}
