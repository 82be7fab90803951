//! `landfall replay`: plays again what a report is of.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use scenario::play::play;
use scenario::report::Report;
use world::Fault;

use super::run::{name, read};
use crate::output::say;

/// Plays again what a report is of, and says whether the same comes of it, octet for octet
///
/// Ends with 0 if it does.
#[derive(Debug, Args)]
pub struct Command {
    /// The report, as JSON: `landfall run --report FOLDER` writes it
    report: PathBuf,
    /// The scenario; without it the one of that name: of those that come along, beside the report, or here
    scenario: Option<PathBuf>,
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// The report or the scenario cannot be read.
    pub fn run(self, _: bool) -> Result<ExitCode, Fault> {
        let text = super::sm_dp::read_text(&self.report)?;
        let before: Report = serde_json::from_str(&text).map_err(|why| {
            Fault::caused_by(
                why,
                format!("{} is no report", self.report.display()),
                "give the .json that `landfall run --report FOLDER` wrote",
            )
        })?;
        if before.live.as_ref().is_some_and(|live| !live.strangers.is_empty()) {
            let why = "others took part in it, who do what they do";
            let next = "run the scenario again, with them: `landfall run --live --with PLACES.toml`";
            return Err(Fault::new("cannot play it again", why, next));
        }
        let file = match self.scenario {
            Some(file) => file,
            None => beside(&self.report, &before.scenario.name)?,
        };
        let mut again = play(&name(&file), &read(&file)?, &before.seed)?;
        // What went over sockets comes out the same without them.
        again.live.clone_from(&before.live);
        let again = again.json()?;
        if again == text {
            say(&format!("{} with seed {}: the same, octet for octet\n", file.display(), before.seed))?;
            return Ok(ExitCode::SUCCESS);
        }
        let (line, was, is) = differ(&text, &again);
        say(&format!(
            "{} with seed {}: not the same from line {line} of the report on\n  was {was}\n  is  {is}\n",
            file.display(),
            before.seed
        ))?;
        Ok(ExitCode::FAILURE)
    }
}

/// The scenario of this name: beside the report, or here, or one that comes along; `landfall run` looks in this order too.
fn beside(report: &Path, name: &str) -> Result<PathBuf, Fault> {
    let file = format!("{name}.toml");
    let places = [report.with_file_name(&file), PathBuf::from(&file)];
    let comes_along = || scenario::library::named(name).map(|_| PathBuf::from(name));
    places.into_iter().find(|place| place.exists()).or_else(comes_along).ok_or_else(|| {
        let why =
            format!("there is no {file} beside the report, nor here, and none of this name comes along");
        Fault::new("cannot find the scenario", why, "give its file behind the report's")
    })
}

/// The first line that is another, from 1, and both.
fn differ<'t>(was: &'t str, is: &'t str) -> (usize, &'t str, &'t str) {
    let mut pairs = was.lines().zip(is.lines()).enumerate();
    let first = pairs.find(|(_, (was, is))| was != is);
    let ended = || (was.lines().count().min(is.lines().count()) + 1, "", "");
    first.map_or_else(ended, |(line, (was, is))| (line + 1, was.trim(), is.trim()))
}
