//! `landfall fleet effort` and `landfall fleet recovery`.

use std::path::PathBuf;

use clap::Args;
use fleet::{
    EvaluatedFleet,
    answers::{Chances, Pace, effort, recovery, who_must_move},
    bearers::{Bearer, Bearers},
    costs::{Costs, Move},
};
use world::{Fault, FaultKind};

use super::{
    answer,
    query::{self, DeviceFilter, QueryArguments, invalid_file},
    tables,
};
use crate::{files::read_text, settings::Settings};

/// Bearer, procedure and prices of the moves
#[derive(Args, Debug)]
pub(super) struct Means {
    /// Name of the bearer
    #[arg(long, default_value = "lte-m")]
    bearer: String,
    /// Name of the move procedure
    #[arg(long = "move", default_value = "consumer-ts48")]
    one: String,
    /// File of your own bearers, in the format of fleet/data/bearers.toml
    #[arg(long, value_name = "FILE")]
    bearers: Option<PathBuf>,
    /// File of your own prices and moves, in the format of fleet/data/costs.toml
    #[arg(long, value_name = "FILE")]
    costs: Option<PathBuf>,
    /// Maximum days until the breach of a rule that requires the move [default: no limit]
    #[arg(long, value_name = "DAYS")]
    within: Option<u32>,
}

impl Means {
    fn costs(&self) -> Result<Costs, Fault> {
        match &self.costs {
            Some(file) => {
                Costs::parse(&read_text(file)?).map_err(|error| invalid_file(error, &file.display()))
            }
            None => Costs::built_in().map_err(|error| invalid_file(error, &"the built-in figures")),
        }
    }

    fn bearer(&self) -> Result<Bearer, Fault> {
        let bearers = match &self.bearers {
            Some(file) => {
                Bearers::parse(&read_text(file)?).map_err(|error| invalid_file(error, &file.display()))
            }
            None => Bearers::built_in().map_err(|error| invalid_file(error, &"the built-in figures")),
        };
        bearers?.named(&self.bearer).cloned()
    }

    fn one<'a>(&self, costs: &'a Costs) -> Result<&'a Move, Fault> {
        costs.r#move(&self.one).ok_or_else(|| {
            let next = format!("choose one of {}, or add it to a file for --costs", costs.moves().join(", "));
            Fault::new(format!("there is no move {:?}", self.one), "the figures do not contain it", next)
                .of_kind(FaultKind::NotFound)
        })
    }
}

/// Duration and cost of the required moves
#[derive(Args, Debug)]
pub struct Effort {
    #[command(flatten)]
    filter: DeviceFilter,
    #[command(flatten)]
    query: QueryArguments,
    #[command(flatten)]
    means: Means,
    /// Number of devices that move, instead of the devices of the fleet that have to move
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["within", "country", "group", "model", "account", "state"])]
    devices: Option<u32>,
    /// Maximum moves started per minute
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    per_minute: u32,
    /// Maximum concurrent moves
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    parallel: u32,
}

impl Effort {
    /// Runs the query.
    ///
    /// # Errors
    /// A file or the records cannot be read.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let costs = self.means.costs()?;
        let (bearer, one) = (self.means.bearer()?, self.means.one(&costs)?);
        let pace = Pace { per_minute: self.per_minute, parallel: self.parallel };
        let effort = match self.devices {
            Some(devices) => effort(devices, &costs, &bearer, one, pace)?,
            None => {
                let query = self.query.read(settings)?;
                let fleet = query::load(settings).await?;
                let counted = EvaluatedFleet::new(&fleet, query.conditions());
                let selection = self.filter.selection(&fleet, &query.book, query.now)?;
                let moving = who_must_move(&counted, &selection, self.means.within);
                fleet::answers::Effort::of(&moving, &costs, &bearer, one, pace)?
            }
        };
        answer(json, &effort, tables::of_effort)
    }
}

/// Cost of failed moves
#[derive(Args, Debug)]
pub struct Recovery {
    #[command(flatten)]
    filter: DeviceFilter,
    #[command(flatten)]
    query: QueryArguments,
    #[command(flatten)]
    means: Means,
    /// Percentage of moves that fall back to the previous profile [default: the fleet's own
    /// rate, else 2]
    #[arg(long, value_name = "PERCENT", requires = "lost", value_parser = percent)]
    came_back: Option<u32>,
    /// Percentage of moves that leave the device unreachable [default: the fleet's own rate,
    /// else 0.1]
    #[arg(long, value_name = "PERCENT", requires = "came_back", value_parser = percent)]
    lost: Option<u32>,
}

/// Parses a percentage; returns parts per million.
fn percent(text: &str) -> Result<u32, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok((percent * 10_000.0).round() as u32),
        _ => Err("expected a number from 0 to 100".into()),
    }
}

impl Recovery {
    /// Runs the query.
    ///
    /// # Errors
    /// A file or the records cannot be read, or the percentages add up to more than 100.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let costs = self.means.costs()?;
        let (bearer, one) = (self.means.bearer()?, self.means.one(&costs)?);
        let query = self.query.read(settings)?;
        let fleet = query::load(settings).await?;
        let counted = EvaluatedFleet::new(&fleet, query.conditions());
        let chances = match (self.came_back, self.lost) {
            (Some(came_back_ppm), Some(lost_ppm)) if came_back_ppm + lost_ppm > 1_000_000 => {
                return Err(Fault::usage(
                    "cannot calculate the cost of recovery",
                    "--came-back and --lost add up to more than 100 percent",
                    "lower one of them",
                ));
            }
            (Some(came_back_ppm), Some(lost_ppm)) => {
                Chances { came_back_ppm, lost_ppm, ..Chances::default() }
            }
            _ => Chances::of_record(&fleet).unwrap_or_default(),
        };
        let each = effort(1, &costs, &bearer, one, Pace::default())?.money_each;
        let selection = self.filter.selection(&fleet, &query.book, query.now)?;
        let found = recovery(&counted, &selection, self.means.within, &costs, chances, each);
        answer(json, &found, tables::of_recovery)
    }
}
