//! `landfall fleet effort` and `recovery`.

use std::path::PathBuf;

use clap::Args;
use fleet::{
    Counted,
    answers::{Chances, Pace, effort, recovery, who_must_move},
    bearers::{Bearer, Bearers},
    costs::{Costs, Move},
};
use world::Fault;

use super::{
    answer,
    asked::{self, Asked, Which, refused},
    tables,
};
use crate::{command::sm_dp::read_text, settings::Settings};

/// By what devices are moved
#[derive(Args, Debug)]
pub(super) struct Means {
    /// Over this bearer
    #[arg(long, default_value = "lte-m")]
    bearer: String,
    /// By this move
    #[arg(long = "move", default_value = "consumer-ts48")]
    one: String,
    /// Bearers of your own, in the form of fleet/data/bearers.toml
    #[arg(long, value_name = "FILE")]
    bearers: Option<PathBuf>,
    /// Prices and moves of your own, in the form of fleet/data/costs.toml
    #[arg(long, value_name = "FILE")]
    costs: Option<PathBuf>,
    /// Devices that move by rules that are broken, or will be in so many days [default: ever]
    #[arg(long, value_name = "DAYS")]
    within: Option<u32>,
}

impl Means {
    fn costs(&self) -> Result<Costs, Fault> {
        match &self.costs {
            Some(file) => Costs::parse(&read_text(file)?).map_err(|error| refused(error, &file.display())),
            None => Costs::built_in().map_err(|error| refused(error, &"the built-in figures")),
        }
    }

    fn bearer(&self) -> Result<Bearer, Fault> {
        let bearers = match &self.bearers {
            Some(file) => Bearers::parse(&read_text(file)?).map_err(|error| refused(error, &file.display())),
            None => Bearers::built_in().map_err(|error| refused(error, &"the built-in figures")),
        };
        bearers?.named(&self.bearer).cloned()
    }

    fn one<'a>(&self, costs: &'a Costs) -> Result<&'a Move, Fault> {
        costs.r#move(&self.one).ok_or_else(|| {
            let next = format!("take one of {}, or add it to a file for --costs", costs.moves().join(", "));
            Fault::new(format!("there is no move {:?}", self.one), "it is not in the figures", next)
        })
    }
}

/// What moving takes
#[derive(Args, Debug)]
pub struct Effort {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    means: Means,
    /// For so many devices, whatever the fleet
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["within", "country", "group", "model", "account", "state"])]
    devices: Option<u32>,
    /// Moves that begin in a minute at most
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    per_minute: u32,
    /// Moves that are under way at a time at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    parallel: u32,
}

impl Effort {
    /// Answers.
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
                let asked = self.asked.read()?;
                let fleet = asked::load(settings).await?;
                let counted = Counted::new(&fleet, asked.question());
                let selection = self.which.selection(&fleet, &asked.book, asked.now)?;
                let moving = who_must_move(&counted, &selection, self.means.within);
                fleet::answers::Effort::of(&moving, &costs, &bearer, one, pace)?
            }
        };
        answer(json, &effort, tables::of_effort)
    }
}

/// What recovery costs
#[derive(Args, Debug)]
pub struct Recovery {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    means: Means,
    /// Of a hundred moves, those that end on the profile before [default: from the fleet's own record, else 2]
    #[arg(long, value_name = "PERCENT", requires = "lost", value_parser = percent)]
    came_back: Option<u32>,
    /// Of a hundred moves, those that end with a device out of reach [default: from the fleet's own record, else 0.1]
    #[arg(long, value_name = "PERCENT", requires = "came_back", value_parser = percent)]
    lost: Option<u32>,
}

/// Percent as parts of a million.
fn percent(text: &str) -> Result<u32, String> {
    match text.parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok((percent * 10_000.0).round() as u32),
        _ => Err("a number from 0 to 100".into()),
    }
}

impl Recovery {
    /// Answers.
    ///
    /// # Errors
    /// A file or the records cannot be read, or more moves fail than there are.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let costs = self.means.costs()?;
        let (bearer, one) = (self.means.bearer()?, self.means.one(&costs)?);
        let asked = self.asked.read()?;
        let fleet = asked::load(settings).await?;
        let counted = Counted::new(&fleet, asked.question());
        let chances = match (self.came_back, self.lost) {
            (Some(came_back_ppm), Some(lost_ppm)) if came_back_ppm + lost_ppm > 1_000_000 => {
                return Err(Fault::new(
                    "cannot reckon what recovery costs",
                    "more than 100 percent of the moves fail",
                    "lower --came-back or --lost",
                ));
            }
            (Some(came_back_ppm), Some(lost_ppm)) => {
                Chances { came_back_ppm, lost_ppm, ..Chances::default() }
            }
            _ => Chances::of_record(&fleet).unwrap_or_default(),
        };
        let each = effort(1, &costs, &bearer, one, Pace::default())?.money_each;
        let selection = self.which.selection(&fleet, &asked.book, asked.now)?;
        let found = recovery(&counted, &selection, self.means.within, &costs, chances, each);
        answer(json, &found, tables::of_recovery)
    }
}
