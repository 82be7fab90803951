//! `landfall fleet`: the devices of an owner, and the answers that the owner needs.

mod asked;
mod campaign;
mod costs;
mod devices;
mod files;
mod platform;
mod tables;
mod what_if;

use clap::Subcommand;
use fleet::{Counted, answers};
use localize::Decision;
use rsp::ids::Eid;
use world::Fault;

use crate::{
    output::{say, say_json},
    settings::Settings,
};

use asked::{Asked, Which};

/// A fleet: its devices, and the answers that its owner needs
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring devices from CSV files into the records (docs/fleet.md has the columns)
    Import(files::Import),
    /// Write devices into CSV files that import to the same
    Export(files::Export),
    /// List devices: where they are, what they wait for, what is decided about them
    List {
        /// Some of the devices
        #[command(flatten)]
        which: Which,
        /// Under what they are looked at
        #[command(flatten)]
        asked: Asked,
    },
    /// Show a device: all that is known of it, and what is decided about it
    Show {
        /// Its EID
        eid: Eid,
        /// Under what they are looked at
        #[command(flatten)]
        asked: Asked,
    },
    /// Where foreign subscriptions are in fact resident
    Residents {
        /// Under what they are looked at
        #[command(flatten)]
        asked: Asked,
        /// Days that are looked at, up to today
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3660))]
        days: u32,
        /// From so many days of them on a device is resident
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3660))]
        threshold: u32,
    },
    /// Which devices break which rule, and when, first things first
    Breaches {
        /// Some of the devices
        #[command(flatten)]
        which: Which,
        /// Under what they are looked at
        #[command(flatten)]
        asked: Asked,
        /// Only what is broken, or will be in so many days
        #[arg(long, value_name = "DAYS")]
        within: Option<u32>,
    },
    /// Which countries must move, by when, and whether there is an offer
    Markets {
        /// Under what they are looked at
        #[command(flatten)]
        asked: Asked,
        /// By rules that are broken, or will be in so many days [default: ever]
        #[arg(long, value_name = "DAYS")]
        within: Option<u32>,
    },
    /// How long it takes to move the devices that must, and what it costs
    Effort(costs::Effort),
    /// What it costs when moves fail and devices cannot be repaired from afar
    Recovery(costs::Recovery),
    /// Whom other rules affect, such as a carrier that ends permanent roaming
    WhatIf(what_if::WhatIf),
    /// What is decided about each device, and why; nothing is done
    Decide(devices::Decide),
    /// Which devices move where, and how many at a time
    Campaign(campaign::Command),
    /// Say something anew about a device; what is left out stays
    Edit(devices::Change),
    /// Take a device out of service: it is moved no more, and what is ordered for it is cancelled
    Retire {
        /// Its EID
        eid: Eid,
    },
    /// Run the platform: devices check in, campaigns move them, profiles are ordered
    Serve(platform::Serve),
    /// Print the token with which a device checks in
    Token {
        /// Its EID
        eid: Eid,
    },
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// A file or the records cannot be read or are not what they should be.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        match self {
            Self::Import(import) => import.run(settings, json).await,
            Self::Export(export) => export.run(settings, json).await,
            Self::List { which, asked } => {
                let asked = asked.read()?;
                let fleet = asked::load(settings).await?;
                let counted = Counted::new(&fleet, asked.question());
                let rows = tables::list(&counted, &which.selection(&fleet, &asked.book, asked.now)?);
                asked.remark_offers(rows.iter().any(tables::Listed::is_stuck));
                answer(json, &rows, |rows| tables::of_list(rows))
            }
            Self::Show { eid, asked } => {
                let asked = asked.read()?;
                let fleet = asked::load(settings).await?;
                let counted = Counted::new(&fleet, asked.question());
                let Some(device) = fleet.device(eid) else {
                    return Err(Fault::new(
                        format!("cannot show device {eid}"),
                        "it is not in the records",
                        "`landfall fleet list` shows those that are",
                    ));
                };
                let shown = tables::Shown { device, decision: counted.decide(device) };
                asked.remark_offers(matches!(shown.decision, Decision::Stuck { .. }));
                answer(json, &shown, tables::of_device)
            }
            Self::Residents { asked, days, threshold } => {
                let asked = asked.read()?;
                let fleet = asked::load(settings).await?;
                let counted = Counted::new(&fleet, asked.question());
                let residence = answers::Residence { window_days: days, threshold_days: threshold };
                answer(json, &answers::residents(&counted, residence), |rows| tables::of_residents(rows))
            }
            Self::Breaches { which, asked, within } => {
                let asked = asked.read()?;
                let fleet = asked::load(settings).await?;
                let counted = Counted::new(&fleet, asked.question());
                let selection = which.selection(&fleet, &asked.book, asked.now)?;
                let rows = answers::breaches(&counted, &selection, within);
                answer(json, &rows, |rows| tables::of_breaches(rows))
            }
            Self::Markets { asked, within } => {
                let asked = asked.read()?;
                let fleet = asked::load(settings).await?;
                let counted = Counted::new(&fleet, asked.question());
                let rows = answers::markets(&counted, within);
                asked.remark_offers(rows.iter().any(|market| market.stuck > 0));
                answer(json, &rows, |rows| tables::of_markets(rows))
            }
            Self::Effort(effort) => effort.run(settings, json).await,
            Self::Recovery(recovery) => recovery.run(settings, json).await,
            Self::WhatIf(what_if) => what_if.run(settings, json).await,
            Self::Decide(decide) => decide.run(settings, json).await,
            Self::Campaign(command) => command.run(settings, json).await,
            Self::Edit(change) => change.run(settings, json).await,
            Self::Retire { eid } => devices::retire(settings, json, eid).await,
            Self::Serve(serve) => serve.run(settings, json).await,
            Self::Token { eid } => {
                let token = platform::token(settings, eid).await?;
                let shown = serde_json::json!({ "token": token });
                answer(json, &shown, |_| format!("{token}\n"))
            }
        }
    }
}

/// Prints an answer, as JSON or as a person reads it.
fn answer<T: serde::Serialize>(json: bool, answer: &T, table: impl Fn(&T) -> String) -> Result<(), Fault> {
    if json { say_json(answer) } else { say(&table(answer)) }
}
