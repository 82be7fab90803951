//! What every question about a fleet is asked with: a time, rules, strategy, what the owner brings along, some of the devices.

use std::{collections::BTreeSet, path::PathBuf};

use clap::Args;
use fleet::{Fleet, Name, Owner, Question, Selection, State, listed};
use localize::{Country, DataError, RuleBook, Strategy};
use net::SqliteRecords;
use rsp::time::Timestamp;
use world::{Clock, Fault};

use crate::{command::sm_dp::read_text, output::remark, settings::Settings};

/// Under what the fleet is looked at
#[derive(Args, Clone, Debug, Default)]
pub struct Asked {
    /// At this time, such as 2026-11-21T08:00:00Z [default: now]
    #[arg(long)]
    pub at: Option<Timestamp>,
    /// Rules of your own, in the form of crates/localize/data/countries.toml
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// A strategy of your own, in the form of crates/localize/data/strategy.toml
    #[arg(long, value_name = "FILE")]
    pub strategy: Option<PathBuf>,
    /// What the owner brings along: offers, lead time, registrations, networks of a laboratory (docs/fleet.md)
    #[arg(long, value_name = "FILE")]
    pub owner: Option<PathBuf>,
}

/// Some of the devices
#[derive(Args, Debug)]
pub struct Which {
    /// Those that are in this country
    #[arg(long)]
    country: Option<Country>,
    /// Those of this group
    #[arg(long)]
    group: Option<String>,
    /// Those of this model
    #[arg(long)]
    model: Option<String>,
    /// Those of this account
    #[arg(long)]
    account: Option<String>,
    /// Those in this state
    #[arg(long, value_parser = State::WORDS)]
    state: Option<String>,
}

impl Which {
    /// The devices that are meant. An answer of none would be good news, so a name that no device has is not taken; that no
    /// device is in a country is said.
    ///
    /// # Errors
    /// No device is of that group, model or account, or there is no such country.
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
        selection.means_something(fleet, book)?;
        if let Some(country) = self.country {
            let known: BTreeSet<Country> =
                fleet.devices().iter().filter_map(|device| device.country(now)).collect();
            if !known.contains(&country) {
                let known = listed(known).map(|known| format!("; they are in {known}"));
                remark(&format!("no device is in {country}{}", known.unwrap_or_default()));
            }
        }
        Ok(selection)
    }
}

/// All that a question needs, read from its files.
#[derive(Clone)]
pub(super) struct Read {
    /// When.
    pub(super) now: Timestamp,
    /// The rules.
    pub(super) book: RuleBook,
    /// What the owner brings along.
    pub(super) owner: Owner,
    owner_file: Option<PathBuf>,
}

impl Asked {
    /// Reads the files.
    ///
    /// # Errors
    /// One cannot be read, or something in it cannot be meant.
    pub(super) fn read(self) -> Result<Read, Fault> {
        let mut book = crate::command::localize::book(self.rules)?;
        let mut owner = match &self.owner {
            Some(file) => {
                Owner::parse(&read_text(file)?, &mut book).map_err(|error| refused(error, &file.display()))?
            }
            None => Owner::default(),
        };
        owner.policy.strategy = match &self.strategy {
            Some(file) => {
                Strategy::parse(&read_text(file)?, &book).map_err(|error| refused(error, &file.display()))?
            }
            None => Strategy::built_in(&book).map_err(|error| refused(error, &"the built-in strategy"))?,
        };
        Ok(Read { now: self.at.unwrap_or_else(|| net::OsClock.now()), book, owner, owner_file: self.owner })
    }
}

impl Read {
    /// The question, of any fleet.
    pub(super) fn question(&self) -> Question<'_> {
        self.question_under(&self.book)
    }

    /// To somebody whose devices have nowhere to go: it may be that only this command knows of no offers.
    pub(super) fn remark_offers(&self, any_stuck: bool) {
        if any_stuck && self.owner_file.is_none() {
            remark(
                "no --owner was given, so no offers are known, and devices are stuck for which there may be one",
            );
        }
    }

    /// Another book with the laboratory's networks in it.
    ///
    /// # Errors
    /// The owner's file cannot be read any more.
    pub(super) fn placed(&self, mut book: RuleBook) -> Result<RuleBook, Fault> {
        if let Some(file) = &self.owner_file {
            Owner::parse(&read_text(file)?, &mut book).map_err(|error| refused(error, &file.display()))?;
        }
        Ok(book)
    }

    /// The same under another rule book.
    pub(super) fn question_under<'a>(&'a self, book: &'a RuleBook) -> Question<'a> {
        Question { now: self.now, book, policy: &self.owner.policy, offers: &self.owner.offers }
    }
}

/// A data file that cannot be taken.
pub(super) fn refused(error: DataError, file: &dyn std::fmt::Display) -> Fault {
    Fault::new(format!("cannot use {file}"), error.why(), error.next)
}

/// The records of the fleet, made if there are none.
///
/// # Errors
/// They cannot be opened.
pub(super) fn open(settings: &Settings) -> Result<SqliteRecords, Fault> {
    SqliteRecords::open(settings.data_dir.join("fleet.sqlite"))
}

/// The records of a fleet that is there.
///
/// # Errors
/// There are none, or they cannot be opened.
pub(super) fn existing(settings: &Settings) -> Result<SqliteRecords, Fault> {
    let file = settings.data_dir.join("fleet.sqlite");
    match file.exists() {
        true => SqliteRecords::open(file),
        false => Err(no_fleet(format!("there is no {}", file.display()))),
    }
}

/// The fleet as it is in the records.
///
/// # Errors
/// There is none, or it cannot be read.
pub(super) async fn load(settings: &Settings) -> Result<Fleet, Fault> {
    let fleet = fleet::load(&existing(settings)?).await?;
    match fleet.devices().is_empty() {
        true => Err(no_fleet(format!("that in {} has no device", settings.data_dir.display()))),
        false => Ok(fleet),
    }
}

fn no_fleet(why: String) -> Fault {
    let next =
        "bring devices in with `landfall fleet import devices.csv`, or say with --data-dir where they are";
    Fault::new("there is no fleet to look at", why, next)
}
