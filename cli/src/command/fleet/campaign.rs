//! `landfall fleet campaign`: campaign commands of an owner, with or without a running platform.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use fleet::{Campaign, CampaignDetails, CampaignId, CampaignSpec, Plan, PlannedMove, Platform};
use schemars::JsonSchema;
use serde::Serialize;
use world::Fault;

use super::{
    answer, platform,
    query::{QueryArguments, invalid_file},
};
use crate::{files::read_text, output::Table, settings::Settings};

/// Campaigns: the devices to move, the target and the pace
#[derive(Args, Debug)]
pub struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Create a campaign from a TOML file (fields: docs/fleet.md)
    Create {
        /// Campaign file
        file: PathBuf,
        /// Start the campaign at once
        #[arg(long)]
        start: bool,
        /// Print the planned action for each device, without creating the campaign
        #[arg(long, conflicts_with = "start")]
        dry_run: bool,
        #[command(flatten)]
        query: QueryArguments,
    },
    /// List campaigns
    List,
    /// Show a campaign and the state of its devices
    Show {
        /// Name of the campaign
        id: CampaignId,
    },
    /// Start a campaign; only a standing campaign includes devices that are selected later
    Start {
        /// Name of the campaign
        id: CampaignId,
    },
    /// Pause a campaign: no new moves begin, current moves continue
    Pause {
        /// Name of the campaign
        id: CampaignId,
        /// Name of the person who pauses the campaign, for the record
        #[arg(long, default_value = "its owner")]
        by: String,
    },
    /// Resume a paused or stopped campaign
    Resume {
        /// Name of the campaign
        id: CampaignId,
    },
    /// Roll back a campaign: devices return to their previous profile
    RollBack {
        /// Name of the campaign
        id: CampaignId,
    },
    /// Delete a finished campaign
    Remove {
        /// Name of the campaign
        id: CampaignId,
    },
}

/// The name of a removed campaign.
#[derive(JsonSchema, Serialize)]
pub(super) struct Removed {
    removed: CampaignId,
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// The file or the records cannot be read, or the campaign is in another state than the
    /// command requires.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let platform = match &self.what {
            What::Create { query, .. } => platform::open_platform(settings, &query.clone().read(settings)?)?,
            _ => platform::open_platform(settings, &QueryArguments::default().read(settings)?)?,
        };
        let one = |campaign: Campaign| answer(json, &campaign, line);
        match self.what {
            What::Create { file, start, dry_run, .. } => {
                let spec = CampaignSpec::parse(&read_text(&file)?)
                    .map_err(|error| invalid_file(error, &file.display()))?;
                if dry_run {
                    return answer(json, &platform.dry_run(&spec).await?, |planned| of_planned(planned));
                }
                one(create(&platform, &spec, start).await?)
            }
            What::List => answer(json, &platform.campaigns().await?, |campaigns| of_campaigns(campaigns)),
            What::Show { id } => answer(json, &platform.campaign(&id).await?, of_campaign),
            What::Start { id } => one(platform.start_campaign(&id).await?),
            What::Pause { id, by } => one(platform.pause_campaign(&id, &by).await?),
            What::Resume { id } => one(platform.resume_campaign(&id).await?),
            What::RollBack { id } => one(platform.roll_back_campaign(&id).await?),
            What::Remove { id } => {
                platform.remove_campaign(&id).await?;
                answer(json, &Removed { removed: id }, |Removed { removed }| format!("{removed}: removed\n"))
            }
        }
    }
}

async fn create(platform: &Platform, spec: &CampaignSpec, start: bool) -> Result<Campaign, Fault> {
    let made = platform.create_campaign(spec).await?;
    Ok(if start { platform.start_campaign(&spec.id).await? } else { made })
}

fn line(campaign: &Campaign) -> String {
    let Campaign { spec, state, progress, goes_back, .. } = campaign;
    let back = if *goes_back { format!(", {} rolled back", progress.rolled_back) } else { String::new() };
    format!("{}: {state}, {} devices, {} moved{back}\n", spec.id, progress.devices, progress.moved)
}

fn of_campaigns(campaigns: &[Campaign]) -> String {
    let heading = ["name", "to", "state", "devices", "begun", "under way", "moved", "failed", "finished"];
    let mut table = Table::new(&heading);
    for Campaign { spec, state, progress, .. } in campaigns {
        table.row([
            spec.id.to_string(),
            spec.target.to_string(),
            state.word().to_owned(),
            progress.devices.to_string(),
            progress.begun.to_string(),
            progress.under_way.to_string(),
            progress.moved.to_string(),
            progress.failed().to_string(),
            progress.finished.to_string(),
        ]);
    }
    table.render()
}

fn of_campaign(shown: &CampaignDetails) -> String {
    let progress = shown.campaign.progress;
    let mut table = Table::new(&["EID", "tries", "state"]);
    for device in &shown.devices {
        table.row([device.eid.to_string(), device.tries.to_string(), device.state.to_string()]);
    }
    format!(
        "{}{} came back, {} not installed, {} lost, {} under way\n\n{}",
        line(&shown.campaign),
        progress.came_back,
        progress.not_installed,
        progress.lost,
        progress.under_way,
        table.render()
    )
}

fn of_planned(planned: &[PlannedMove]) -> String {
    let mut table = Table::new(&["EID", "label", "action", "deadline"]);
    let mut moves = 0;
    for PlannedMove { eid, label, plan } in planned {
        let (would, by) = match plan {
            Plan::Nothing { .. } => ("none".to_owned(), None),
            Plan::Move { to, deadline, .. } => {
                moves += 1;
                (format!("move to {to}"), *deadline)
            }
            Plan::Stuck { why, .. } => (format!("stuck: {why}"), None),
        };
        let by = by.map(|by| by.to_string()).unwrap_or_default();
        table.row([eid.to_string(), label.to_string(), would, by]);
    }
    format!("{}\n{moves} of {} would move\n", table.render(), planned.len())
}
