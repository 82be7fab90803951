//! `landfall fleet import` and `landfall fleet export`.

use std::path::{Path, PathBuf};

use clap::Args;
use fleet::files::{Imported, Observer, Rows, Stage, export, read_devices, read_stays};
use localize::RuleBook;
use schemars::JsonSchema;
use serde::Serialize;
use world::{Clock, Fault};

use super::query::{self, DeviceFilter, open};
use crate::{
    files::{read, write},
    output::{print, print_json, remark},
    progress::Progress,
    settings::Settings,
};

/// Maximum number of invalid rows that are printed.
const SHOWN_BAD_ROWS: usize = 20;

/// CSV files to import
#[derive(Args, Debug)]
pub struct Import {
    /// CSV file of devices
    devices: PathBuf,
    /// CSV file of stays: on which network a device was, with which subscription, from when to when
    #[arg(long, value_name = "FILE")]
    stays: Option<PathBuf>,
    /// Import the valid rows even if others are invalid
    #[arg(long)]
    skip_bad_rows: bool,
    /// Print the number of changes without importing
    #[arg(long)]
    dry_run: bool,
    /// File of the fleet's owner; its test networks and their countries are used (docs/fleet.md)
    #[arg(long, value_name = "FILE")]
    owner: Option<PathBuf>,
}

impl Import {
    /// Imports the rows into the records.
    ///
    /// # Errors
    /// A file cannot be read, a row is invalid, or the records cannot be written.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let query = query::QueryArguments { at: None, rules: None, strategy: None, owner: self.owner }
            .read(settings)?;
        let mut rows = Rows::default();
        let read_file = |rows: &mut Rows, file: &Path, read_rows: ReadRows| {
            let text = read(file)?;
            let lines = text.iter().filter(|octet| **octet == b'\n').count();
            rows.observer = Some(shown(&[(Stage::Reading, "rows read", lines)], json));
            read_rows(rows, &name(file), &text, &query.book)
        };
        read_file(&mut rows, &self.devices, read_devices)?;
        if let Some(stays) = &self.stays {
            read_file(&mut rows, stays, read_stays)?;
        }
        let devices = rows.devices();
        let stages =
            [(Stage::Comparing, "devices compared", devices), (Stage::Writing, "devices written", devices)];
        rows.observer = Some(shown(&stages, json));
        let (records, now) = (open(settings)?, net::OsClock.now());
        let done = match self.dry_run {
            true => fleet::dry_run(&records, &rows, now, self.skip_bad_rows).await,
            false => fleet::import(&records, &rows, now, self.skip_bad_rows).await,
        };
        rows.observer = None;
        let imported = done.map_err(|error| {
            let bad = match error {
                fleet::ImportError::BadRows(bad) => bad,
                fleet::ImportError::Fault(fault) => return fault,
            };
            bad.iter().take(SHOWN_BAD_ROWS).for_each(|row| remark(&row.to_string()));
            if bad.len() > SHOWN_BAD_ROWS {
                remark(&format!("... and {} more", bad.len() - SHOWN_BAD_ROWS));
            }
            Fault::usage(
                format!("nothing was imported from {}", self.devices.display()),
                format!("{} rows are invalid", bad.len()),
                "correct them, or import the others with --skip-bad-rows",
            )
        })?;
        if json {
            return print_json(&imported);
        }
        let Imported { added, changed, unchanged, bad } = &imported;
        bad.iter().take(SHOWN_BAD_ROWS).for_each(|row| remark(&row.to_string()));
        print(&format!(
            "{added} added, {changed} changed, {unchanged} unchanged, {} rows skipped\n",
            bad.len()
        ))
    }
}

/// A function that reads a CSV file.
type ReadRows = fn(&mut Rows, &str, &[u8], &RuleBook) -> Result<(), Fault>;

/// Returns an observer that shows the progress of these stages, each with the number of its rows or
/// devices.
fn shown(stages: &[(Stage, &'static str, usize)], json: bool) -> Observer {
    let counters: Vec<(Stage, Progress)> =
        stages.iter().map(|(stage, what, total)| (*stage, Progress::transient(what, *total, json))).collect();
    Observer::new(move |stage, done| {
        if let Some((_, progress)) = counters.iter().find(|(own, _)| *own == stage) {
            progress.set(done);
        }
    })
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

/// CSV files to write
#[derive(Args, Debug)]
pub struct Export {
    /// Output file of the devices
    #[arg(default_value = "devices.csv")]
    devices: PathBuf,
    /// Output file of their stays
    #[arg(long, value_name = "FILE", default_value = "stays.csv")]
    stays: PathBuf,
    /// Output file of the device histories (cannot be imported)
    #[arg(long, value_name = "FILE")]
    trails: Option<PathBuf>,
    #[command(flatten)]
    filter: DeviceFilter,
}

/// Number of exported devices.
#[derive(JsonSchema, Serialize)]
pub(super) struct Exported {
    devices: usize,
}

impl Export {
    /// Writes the files.
    ///
    /// # Errors
    /// The records cannot be read, or a file cannot be written.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let fleet = query::load(settings).await?;
        let now = net::OsClock.now();
        let selection =
            self.filter.selection(&fleet, &crate::command::localize::book(None, settings)?, now)?;
        let devices: Vec<_> = fleet.devices().iter().filter(|device| selection.has(device, now)).collect();
        let exported = export(devices.iter().copied())?;
        write(&self.devices, &exported.devices)?;
        write(&self.stays, &exported.stays)?;
        if let Some(file) = &self.trails {
            write(file, &exported.trails)?;
        }
        match json {
            true => print_json(&Exported { devices: devices.len() }),
            false => print(&format!(
                "{} devices in {}, their stays in {}\n",
                devices.len(),
                self.devices.display(),
                self.stays.display()
            )),
        }
    }
}
