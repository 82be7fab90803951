//! `landfall fleet decide`, `edit` and `retire`.

use std::fmt::Write as _;

use clap::Args;
use fleet::{Counted, Decided, Device, Edit, decisions};
use localize::{Bandwidth, Criticality, Decision, Latency};
use rsp::ids::Eid;
use world::Fault;

use super::{
    answer,
    asked::{self, Asked, Which},
    platform,
};
use crate::settings::Settings;

/// What is decided about each device, and why; nothing is done
#[derive(Args, Debug)]
pub struct Decide {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    asked: Asked,
}

impl Decide {
    /// Answers.
    ///
    /// # Errors
    /// A file or the records cannot be read.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let asked = self.asked.read()?;
        let fleet = asked::load(settings).await?;
        let counted = Counted::new(&fleet, asked.question());
        let decided = decisions(&counted, &self.which.selection(&fleet, &asked.book, asked.now)?);
        asked.remark_offers(decided.iter().any(|one| matches!(one.decision, Decision::Stuck { .. })));
        answer(json, &decided, |decided| of_decided(decided))
    }
}

fn of_decided(decided: &[Decided]) -> String {
    let (mut text, mut moves, mut stuck) = (String::new(), 0, 0);
    for Decided { eid, label, decision } in decided {
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

/// Say something anew about a device; what is left out stays
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
pub struct Change {
    /// Its EID
    eid: Eid,
    /// What it is called
    #[arg(long)]
    label: Option<String>,
    /// What it belongs to
    #[arg(long)]
    group: Option<String>,
    /// What it is
    #[arg(long)]
    model: Option<String>,
    /// By which account its subscriptions are paid
    #[arg(long)]
    account: Option<String>,
    /// What it means when it is out of reach
    #[arg(long, value_parser = ["low", "normal", "high"])]
    criticality: Option<String>,
    /// How much it sends
    #[arg(long, value_parser = ["low", "medium", "high"])]
    bandwidth: Option<String>,
    /// How long it can wait for an answer
    #[arg(long, value_parser = ["relaxed", "interactive", "tight"])]
    latency: Option<String>,
}

impl Change {
    /// Runs the command.
    ///
    /// # Errors
    /// There is no such device, or the records cannot be written.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let platform = platform::beside(settings, &Asked::default().read()?)?;
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
/// There is no such device, or it is out of service already.
pub(super) async fn retire(settings: &Settings, json: bool, eid: Eid) -> Result<(), Fault> {
    let platform = platform::beside(settings, &Asked::default().read()?)?;
    answer(json, &platform.retire(eid).await?, line)
}

fn line(device: &Device) -> String {
    format!("{} {}: {}\n", device.eid, device.label, device.state.word())
}
