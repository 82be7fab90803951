//! `landfall fleet decide`, `landfall fleet edit` and `landfall fleet retire`.

use std::fmt::Write as _;

use clap::Args;
use fleet::{Device, DeviceDecision, Edit, EvaluatedFleet, decisions};
use localize::{Bandwidth, Criticality, Decision, Latency};
use rsp::ids::Eid;
use world::Fault;

use super::{
    answer, platform,
    query::{self, DeviceFilter, QueryArguments},
};
use crate::settings::Settings;

/// Decision and reasons for each device, without executing anything
#[derive(Args, Debug)]
pub struct Decide {
    #[command(flatten)]
    filter: DeviceFilter,
    #[command(flatten)]
    query: QueryArguments,
}

impl Decide {
    /// Runs the query.
    ///
    /// # Errors
    /// A file or the records cannot be read.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let query = self.query.read(settings)?;
        let fleet = query::load(settings).await?;
        let counted = EvaluatedFleet::new(&fleet, query.conditions());
        let decided = decisions(&counted, &self.filter.selection(&fleet, &query.book, query.now)?);
        query.warn_without_offers(decided.iter().any(|one| matches!(one.decision, Decision::Stuck { .. })));
        answer(json, &decided, |decided| of_decided(decided))
    }
}

fn of_decided(decided: &[DeviceDecision]) -> String {
    let (mut text, mut moves, mut stuck) = (String::new(), 0, 0);
    for DeviceDecision { eid, label, decision } in decided {
        match decision {
            Decision::Move { .. } => moves += 1,
            Decision::Stuck { .. } => stuck += 1,
            Decision::Stay { .. } => {}
        }
        let _ = writeln!(text, "{eid} {label}\n{decision}\n");
    }
    let stay = decided.len() - moves - stuck;
    let _ = writeln!(text, "{} devices: {moves} move, {stuck} stuck, {stay} stay", decided.len());
    text
}

/// Edit the record of a device; omitted options leave their value unchanged
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub struct Change {
    /// EID of the device
    eid: Eid,
    /// Label of the device
    #[arg(long)]
    label: Option<String>,
    /// Group of the device
    #[arg(long)]
    group: Option<String>,
    /// Model of the device
    #[arg(long)]
    model: Option<String>,
    /// Account that pays for its subscriptions
    #[arg(long)]
    account: Option<String>,
    /// Impact of an unreachable device
    #[arg(long, value_parser = ["low", "normal", "high"])]
    criticality: Option<String>,
    /// Bandwidth that the device needs
    #[arg(long, value_parser = ["low", "medium", "high"])]
    bandwidth: Option<String>,
    /// Latency that the device tolerates
    #[arg(long, value_parser = ["relaxed", "interactive", "tight"])]
    latency: Option<String>,
}

impl Change {
    /// Runs the command.
    ///
    /// # Errors
    /// The device is unknown, or the records cannot be written.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let platform = platform::open_platform(settings, &QueryArguments::default().read(settings)?)?;
        let mut needs = platform.device(self.eid).await?.connection.needs;
        let before = needs;
        match self.criticality.as_deref() {
            Some("low") => needs.criticality = Criticality::Low,
            Some("normal") => needs.criticality = Criticality::Normal,
            Some(_) => needs.criticality = Criticality::High,
            None => {}
        }
        match self.bandwidth.as_deref() {
            Some("low") => needs.bandwidth = Bandwidth::Low,
            Some("medium") => needs.bandwidth = Bandwidth::Medium,
            Some(_) => needs.bandwidth = Bandwidth::High,
            None => {}
        }
        match self.latency.as_deref() {
            Some("relaxed") => needs.latency = Latency::Relaxed,
            Some("interactive") => needs.latency = Latency::Interactive,
            Some(_) => needs.latency = Latency::Tight,
            None => {}
        }
        let named = |name: Option<String>| name.as_deref().map(Into::into);
        let edit = Edit {
            label: self.label.map(Into::into),
            group: named(self.group),
            model: named(self.model),
            account: named(self.account),
            needs: (needs != before).then_some(needs),
        };
        answer(json, &platform.edit(self.eid, &edit).await?, line)
    }
}

/// Takes a device out of service.
///
/// # Errors
/// The device is unknown, or is already out of service.
pub(super) async fn retire(settings: &Settings, json: bool, eid: Eid) -> Result<(), Fault> {
    let platform = platform::open_platform(settings, &QueryArguments::default().read(settings)?)?;
    answer(json, &platform.retire(eid).await?, line)
}

fn line(device: &Device) -> String {
    format!("{} {}: {}\n", device.eid, device.label, device.state.word())
}
