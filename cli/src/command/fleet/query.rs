//! Arguments shared by all queries about a fleet: time, rules, strategy, owner file, and a filter
//! of the devices.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use clap::Args;
use fleet::{Conditions, Fleet, Name, Owner, Selection, State, format_list};
use localize::{Country, DataError, RuleBook, Strategy};
use rsp::time::Timestamp;
use world::{Clock, Fault, FaultKind, Records};

use crate::{files::read_text, output::remark, parties, settings::Settings};

/// Time, rules, strategy and owner file of a query
#[derive(Args, Clone, Debug, Default)]
pub struct QueryArguments {
    /// Time of the query, such as 2026-11-21T08:00:00Z [default: now]
    #[arg(long)]
    pub at: Option<Timestamp>,
    /// File of rules, in the format of crates/localize/data/countries.toml [default:
    /// localization-rules.toml in the data folder, or the built-in rules]
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// File of your own strategy, in the format of crates/localize/data/strategy.toml
    #[arg(long, value_name = "FILE")]
    pub strategy: Option<PathBuf>,
    /// Owner file: offers, lead time, registrations, test networks (docs/fleet.md)
    #[arg(long, value_name = "FILE")]
    pub owner: Option<PathBuf>,
}

/// Filter of the devices
#[derive(Args, Debug)]
pub struct DeviceFilter {
    /// Country where the device is
    #[arg(long)]
    country: Option<Country>,
    /// Group of the device
    #[arg(long)]
    group: Option<String>,
    /// Model of the device
    #[arg(long)]
    model: Option<String>,
    /// Account of the device
    #[arg(long)]
    account: Option<String>,
    /// State of the device
    #[arg(long, value_parser = State::WORDS)]
    state: Option<String>,
}

impl DeviceFilter {
    /// Returns the selection for these filters. A group, model or account that no device has is
    /// an error, because an empty result could be mistaken for good news. A country without
    /// devices only causes a warning.
    ///
    /// # Errors
    /// No device has that group, model or account, or the country does not exist.
    pub(super) fn selection(
        &self,
        fleet: &Fleet,
        book: &RuleBook,
        now: Timestamp,
    ) -> Result<Selection, Fault> {
        let name = |name: &Option<String>| name.as_deref().map(Name::from);
        let selection = Selection {
            country: self.country,
            group: name(&self.group),
            model: name(&self.model),
            account: name(&self.account),
            state: name(&self.state),
        };
        selection.check(fleet, book)?;
        if let Some(country) = self.country {
            let known: BTreeSet<Country> =
                fleet.devices().iter().filter_map(|device| device.country(now)).collect();
            if !known.contains(&country) {
                let known = format_list(known).map(|known| format!("; devices are in {known}"));
                remark(&format!("no device is in {country}{}", known.unwrap_or_default()));
            }
        }
        Ok(selection)
    }
}

/// The parsed arguments of a query, with its files read.
#[derive(Clone)]
pub(crate) struct LoadedQuery {
    /// Time of the query.
    pub(crate) now: Timestamp,
    /// Country and carrier rules.
    pub(crate) book: RuleBook,
    /// Policy and offers of the owner.
    pub(super) owner: Owner,
    owner_file: Option<PathBuf>,
}

impl QueryArguments {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read or is invalid.
    pub(crate) fn read(self, settings: &Settings) -> Result<LoadedQuery, Fault> {
        let mut book = crate::command::localize::book(self.rules.as_deref(), settings)?;
        let mut owner = match &self.owner {
            Some(file) => Owner::parse(&read_text(file)?, &mut book)
                .map_err(|error| invalid_file(error, &file.display()))?,
            None => Owner::default(),
        };
        owner.policy.strategy = match &self.strategy {
            Some(file) => Strategy::parse(&read_text(file)?, &book)
                .map_err(|error| invalid_file(error, &file.display()))?,
            None => {
                Strategy::built_in(&book).map_err(|error| invalid_file(error, &"the built-in strategy"))?
            }
        };
        Ok(LoadedQuery {
            now: self.at.unwrap_or_else(|| net::OsClock.now()),
            book,
            owner,
            owner_file: self.owner,
        })
    }
}

impl LoadedQuery {
    /// Returns the query for the library.
    pub(crate) fn conditions(&self) -> Conditions<'_> {
        self.conditions_with(&self.book)
    }

    /// Prints a warning if devices are stuck and no owner file was given: the owner file may
    /// contain offers for them.
    pub(super) fn warn_without_offers(&self, any_stuck: bool) {
        if any_stuck && self.owner_file.is_none() {
            remark("no --owner was given, so no offers are known; devices shown as stuck may have an offer");
        }
    }

    /// Adds the owner's test networks to another rule book.
    ///
    /// # Errors
    /// The owner file can no longer be read.
    pub(crate) fn with_test_networks(&self, mut book: RuleBook) -> Result<RuleBook, Fault> {
        if let Some(file) = &self.owner_file {
            Owner::parse(&read_text(file)?, &mut book)
                .map_err(|error| invalid_file(error, &file.display()))?;
        }
        Ok(book)
    }

    /// Returns the query with another rule book.
    pub(crate) fn conditions_with<'a>(&'a self, book: &'a RuleBook) -> Conditions<'a> {
        Conditions { now: self.now, book, policy: &self.owner.policy, offers: &self.owner.offers }
    }
}

/// Converts the error of an invalid data file into a fault.
pub(super) fn invalid_file(error: DataError, file: &dyn std::fmt::Display) -> Fault {
    Fault::usage(format!("cannot use {file}"), error.why(), error.next)
}

/// Opens the records of the fleet; creates them if they are missing.
///
/// # Errors
/// The database cannot be opened.
pub(super) fn open(settings: &Settings) -> Result<Arc<dyn Records>, Fault> {
    parties::open_records(settings, &settings.data_dir.join("fleet.sqlite"), fleet::STORED_FORM)
}

/// Opens the records of an existing fleet.
///
/// # Errors
/// There is no database, or it cannot be opened.
pub(super) fn existing(settings: &Settings) -> Result<Arc<dyn Records>, Fault> {
    let file = settings.data_dir.join("fleet.sqlite");
    parties::open_existing_records(settings, &file, fleet::STORED_FORM).map_err(|fault| match fault.kind {
        FaultKind::NotFound if settings.records.is_none() => {
            no_fleet(format!("there is no {}", file.display()))
        }
        FaultKind::NotFound => no_fleet(fault.why),
        _ => fault,
    })
}

/// Reads the fleet from its records.
///
/// # Errors
/// The fleet is missing or empty, or cannot be read.
pub(crate) async fn load(settings: &Settings) -> Result<Fleet, Fault> {
    let fleet = fleet::load(&existing(settings)?).await?;
    match fleet.devices().is_empty() {
        true => Err(no_fleet(format!("the fleet in {} has no devices", settings.data_dir.display()))),
        false => Ok(fleet),
    }
}

fn no_fleet(why: String) -> Fault {
    let next =
        "import devices with `landfall fleet import devices.csv`, or give their data folder with --data-dir";
    Fault::new("there is no fleet", why, next).of_kind(FaultKind::NotFound)
}
