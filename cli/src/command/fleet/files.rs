//! `landfall fleet import` and `export`.

use std::path::{Path, PathBuf};

use clap::Args;
use fleet::files::{Imported, Rows, export, read_devices, read_stays};
use world::{Clock, Fault};

use super::asked::{self, Which, open};
use crate::{
    command::sm_dp::read,
    output::{remark, say, say_json},
    settings::Settings,
};

/// More are counted and not shown.
const SHOWN_BAD_ROWS: usize = 20;

/// CSV files to bring in
#[derive(Args, Debug)]
pub struct Import {
    /// A row a device
    devices: PathBuf,
    /// A row a stay: where devices were, with which subscription, from when until when
    #[arg(long, value_name = "FILE")]
    stays: Option<PathBuf>,
    /// Take the good rows although others are bad
    #[arg(long)]
    skip_bad_rows: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// What the owner brings along: networks of a laboratory and their countries (docs/fleet.md)
    #[arg(long, value_name = "FILE")]
    owner: Option<PathBuf>,
}

impl Import {
    /// Brings the rows into the records.
    ///
    /// # Errors
    /// A file cannot be read, a row is bad, or the records cannot be written.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let asked = asked::Asked { at: None, rules: None, strategy: None, owner: self.owner }.read()?;
        let mut rows = Rows::default();
        read_devices(&mut rows, &name(&self.devices), &read(&self.devices)?, &asked.book)?;
        if let Some(stays) = &self.stays {
            read_stays(&mut rows, &name(stays), &read(stays)?, &asked.book)?;
        }
        let (records, now) = (open(settings)?, net::OsClock.now());
        let done = match self.dry_run {
            true => fleet::dry_run(&records, &rows, now, self.skip_bad_rows).await,
            false => fleet::import(&records, &rows, now, self.skip_bad_rows).await,
        };
        let imported = done.map_err(|error| {
            let bad = match error {
                fleet::ImportError::BadRows(bad) => bad,
                fleet::ImportError::Fault(fault) => return fault,
            };
            bad.iter().take(SHOWN_BAD_ROWS).for_each(|row| remark(&row.to_string()));
            if bad.len() > SHOWN_BAD_ROWS {
                remark(&format!("... and {} more", bad.len() - SHOWN_BAD_ROWS));
            }
            Fault::new(
                format!("nothing was imported from {}", self.devices.display()),
                format!("{} rows are bad", bad.len()),
                "correct them, or take the others with --skip-bad-rows",
            )
        })?;
        if json {
            return say_json(&imported);
        }
        let Imported { added, changed, unchanged, bad } = &imported;
        bad.iter().take(SHOWN_BAD_ROWS).for_each(|row| remark(&row.to_string()));
        say(&format!(
            "{added} added, {changed} changed, {unchanged} unchanged, {} rows left out\n",
            bad.len()
        ))
    }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

/// CSV files to write
#[derive(Args, Debug)]
pub struct Export {
    /// For the devices
    #[arg(default_value = "devices.csv")]
    devices: PathBuf,
    /// For their stays
    #[arg(long, value_name = "FILE", default_value = "stays.csv")]
    stays: PathBuf,
    /// For what was done with them and found out about them; it is not read again
    #[arg(long, value_name = "FILE")]
    trails: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
}

impl Export {
    /// Writes the files.
    ///
    /// # Errors
    /// The records cannot be read, or a file cannot be written.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let fleet = asked::load(settings).await?;
        let now = net::OsClock.now();
        let selection = self.which.selection(&fleet, &crate::command::localize::book(None)?, now)?;
        let devices: Vec<_> = fleet.devices().iter().filter(|device| selection.has(device, now)).collect();
        let exported = export(devices.iter().copied())?;
        write(&self.devices, &exported.devices)?;
        write(&self.stays, &exported.stays)?;
        if let Some(file) = &self.trails {
            write(file, &exported.trails)?;
        }
        match json {
            true => say_json(&serde_json::json!({ "devices": devices.len() })),
            false => say(&format!(
                "{} devices in {}, their stays in {}\n",
                devices.len(),
                self.devices.display(),
                self.stays.display()
            )),
        }
    }
}

fn write(file: &Path, octets: &[u8]) -> Result<(), Fault> {
    std::fs::write(file, octets).map_err(|error| {
        Fault::caused_by(
            error,
            format!("cannot write {}", file.display()),
            "choose a place that can be written to",
        )
    })
}
