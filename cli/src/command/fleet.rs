//! `landfall fleet`: device records of an owner, queries about them, campaigns, and the platform.

mod campaign;
mod costs;
mod devices;
mod files;
mod platform;
pub(crate) mod query;
pub(crate) mod tables;
mod what_if;

use clap::Subcommand;
use fleet::{
    Campaign, CampaignDetails, Device, DeviceDecision, EvaluatedFleet, PlannedMove, answers, files::Imported,
};
use localize::Decision;
use rsp::ids::Eid;
use schemars::JsonSchema;
use serde::Serialize;
use world::{Fault, FaultKind};

use crate::{
    json_schema::{CommandOutput, OneOf, document, lines},
    output::{print, print_json},
    readiness::Ready,
    settings::Settings,
};

use query::{DeviceFilter, QueryArguments};

/// Fleet of an owner: device records, localization queries, campaigns, platform
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Import devices from CSV files (columns: docs/fleet.md)
    Import(files::Import),
    /// Export devices to CSV files that can be imported again
    Export(files::Export),
    /// List devices with location, state and decision
    List {
        /// Filter of the devices
        #[command(flatten)]
        filter: DeviceFilter,
        /// Time, rules and owner file of the query
        #[command(flatten)]
        query: QueryArguments,
    },
    /// Show a device: its record, decision and history
    Show {
        /// EID of the device
        eid: Eid,
        /// Time, rules and owner file of the query
        #[command(flatten)]
        query: QueryArguments,
    },
    /// Countries in which foreign subscriptions are resident
    Residents {
        /// Time, rules and owner file of the query
        #[command(flatten)]
        query: QueryArguments,
        /// Length of the examined period in days, up to today
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3660))]
        days: u32,
        /// Minimum number of days in that period for a device to count as resident
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3660))]
        threshold: u32,
    },
    /// Breaches of rules by date, earliest first
    Breaches {
        /// Filter of the devices
        #[command(flatten)]
        filter: DeviceFilter,
        /// Time, rules and owner file of the query
        #[command(flatten)]
        query: QueryArguments,
        /// Maximum days until the breach [default: no limit]
        #[arg(long, value_name = "DAYS")]
        within: Option<u32>,
    },
    /// Countries that devices have to leave: deadlines and available offers
    Markets {
        /// Time, rules and owner file of the query
        #[command(flatten)]
        query: QueryArguments,
        /// Maximum days until the breach [default: no limit]
        #[arg(long, value_name = "DAYS")]
        within: Option<u32>,
    },
    /// Duration and cost of the required moves
    Effort(costs::Effort),
    /// Cost of failed moves and of devices that need a visit
    Recovery(costs::Recovery),
    /// Devices affected by other rules, such as a carrier that ends permanent roaming
    WhatIf(what_if::WhatIf),
    /// Decision and reasons for each device, without executing anything
    Decide(devices::Decide),
    /// Campaigns: the devices to move, the target and the pace
    Campaign(campaign::Command),
    /// Edit the record of a device; omitted options leave their value unchanged
    Edit(devices::Change),
    /// Take a device out of service: no further moves, and its open orders are cancelled
    Retire {
        /// EID of the device
        eid: Eid,
    },
    /// Run the platform: device check-ins, campaigns and profile orders
    Serve(platform::Serve),
    /// Print the check-in token of a device
    Token {
        /// EID of the device
        eid: Eid,
    },
}

/// The check-in token of a device.
#[derive(JsonSchema, Serialize)]
struct Token {
    token: String,
}

/// JSON output of the commands of this module.
pub(crate) const OUTPUTS: &[CommandOutput] = &[
    document::<Imported>("fleet import"),
    document::<files::Exported>("fleet export"),
    document::<Vec<tables::Listed>>("fleet list"),
    document::<tables::Shown<'static>>("fleet show"),
    document::<Vec<answers::Resident>>("fleet residents"),
    document::<Vec<answers::Breach>>("fleet breaches"),
    document::<Vec<answers::Market>>("fleet markets"),
    document::<answers::Effort>("fleet effort"),
    document::<answers::Recovery>("fleet recovery"),
    document::<answers::WhatIf>("fleet what-if"),
    document::<Vec<DeviceDecision>>("fleet decide"),
    document::<OneOf<Campaign, Vec<PlannedMove>>>("fleet campaign create"),
    document::<Vec<Campaign>>("fleet campaign list"),
    document::<CampaignDetails>("fleet campaign show"),
    document::<Campaign>("fleet campaign start"),
    document::<Campaign>("fleet campaign pause"),
    document::<Campaign>("fleet campaign resume"),
    document::<Campaign>("fleet campaign roll-back"),
    document::<campaign::Removed>("fleet campaign remove"),
    document::<Device>("fleet edit"),
    document::<Device>("fleet retire"),
    lines::<Ready>("fleet serve"),
    document::<Token>("fleet token"),
];

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// A file or the records cannot be read or are invalid.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        match self {
            Self::Import(import) => import.run(settings, json).await,
            Self::Export(export) => export.run(settings, json).await,
            Self::List { filter, query } => {
                let query = query.read(settings)?;
                let fleet = query::load(settings).await?;
                let counted = EvaluatedFleet::new(&fleet, query.conditions());
                let rows = tables::list(&counted, &filter.selection(&fleet, &query.book, query.now)?);
                query.warn_without_offers(rows.iter().any(tables::Listed::is_stuck));
                answer(json, &rows, |rows| tables::of_list(rows))
            }
            Self::Show { eid, query } => {
                let query = query.read(settings)?;
                let fleet = query::load(settings).await?;
                let counted = EvaluatedFleet::new(&fleet, query.conditions());
                let Some(device) = fleet.device(eid) else {
                    return Err(Fault::new(
                        format!("cannot show device {eid}"),
                        "it is not in the records of the fleet",
                        "choose one of `landfall fleet list`",
                    )
                    .of_kind(FaultKind::NotFound));
                };
                let shown = tables::Shown { device, decision: counted.decide(device) };
                query.warn_without_offers(matches!(shown.decision, Decision::Stuck { .. }));
                answer(json, &shown, tables::of_device)
            }
            Self::Residents { query, days, threshold } => {
                let query = query.read(settings)?;
                let fleet = query::load(settings).await?;
                let counted = EvaluatedFleet::new(&fleet, query.conditions());
                let residence = answers::Residence { window_days: days, threshold_days: threshold };
                answer(json, &answers::residents(&counted, residence), |rows| tables::of_residents(rows))
            }
            Self::Breaches { filter, query, within } => {
                let query = query.read(settings)?;
                let fleet = query::load(settings).await?;
                let counted = EvaluatedFleet::new(&fleet, query.conditions());
                let selection = filter.selection(&fleet, &query.book, query.now)?;
                let rows = answers::breaches(&counted, &selection, within);
                answer(json, &rows, |rows| tables::of_breaches(rows))
            }
            Self::Markets { query, within } => {
                let query = query.read(settings)?;
                let fleet = query::load(settings).await?;
                let counted = EvaluatedFleet::new(&fleet, query.conditions());
                let rows = answers::markets(&counted, within);
                query.warn_without_offers(rows.iter().any(|market| market.stuck > 0));
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
                answer(json, &Token { token }, |shown| format!("{}\n", shown.token))
            }
        }
    }
}

/// Prints a result as JSON or as text.
fn answer<T: serde::Serialize>(json: bool, answer: &T, table: impl Fn(&T) -> String) -> Result<(), Fault> {
    if json { print_json(answer) } else { print(&table(answer)) }
}
