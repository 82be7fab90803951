//! `landfall fleet what-if`.

use std::path::PathBuf;

use clap::Args;
use fleet::{
    Device, EvaluatedFleet,
    answers::{carrier_ends, what_if},
};
use localize::{Day, RuleBook};
use rsp::ids::Plmn;
use world::Fault;

use super::{
    answer,
    query::{self, DeviceFilter, QueryArguments, invalid_file},
    tables,
};
use crate::{command::localize::rules_text, output::remark, settings::Settings};

/// Rules to compare with
#[derive(Args, Debug)]
#[group(id = "other", required = true, multiple = true)]
pub(super) struct Other {
    /// File of rules that replace the current ones
    #[arg(long, value_name = "FILE", group = "other")]
    with: Option<PathBuf>,
    /// Carrier that ends permanent roaming on its network on a day, such as 724-05=2027-01-31
    /// (repeatable)
    #[arg(long, value_name = "NETWORK=DAY", group = "other", value_parser = ends)]
    carrier_ends: Vec<(Plmn, Day)>,
}

fn ends(text: &str) -> Result<(Plmn, Day), String> {
    let (network, day) =
        text.split_once('=').ok_or("expected a network, = and a day, such as 724-05=2027-01-31")?;
    let network = network.parse().map_err(|error| format!("{error}"))?;
    Ok((network, day.parse().map_err(|error| format!("{error}"))?))
}

/// Devices affected by other rules, such as a carrier that ends permanent roaming
#[derive(Args, Debug)]
pub struct WhatIf {
    #[command(flatten)]
    other: Other,
    #[command(flatten)]
    filter: DeviceFilter,
    #[command(flatten)]
    query: QueryArguments,
}

impl WhatIf {
    /// Runs the query.
    ///
    /// # Errors
    /// A file or the records cannot be read, or a rule is invalid.
    pub async fn run(self, settings: &Settings, json: bool) -> Result<(), Fault> {
        let file = self.other.with.as_ref().or(self.query.rules.as_ref());
        let mut rules = rules_text(file.map(PathBuf::as_path), settings)?;
        for (network, day) in &self.other.carrier_ends {
            rules.push_str(&carrier_ends(*network, *day));
        }
        let other = RuleBook::parse(&rules).map_err(|error| invalid_file(error, &"the other rules"))?;
        let query = self.query.read(settings)?;
        let other = query.with_test_networks(other)?;
        let fleet = query::load(settings).await?;
        let before = EvaluatedFleet::new(&fleet, query.conditions());
        let after = EvaluatedFleet::new(&fleet, query.conditions_with(&other));
        for (network, _) in &self.other.carrier_ends {
            let was_there =
                |device: &Device| device.connection.history.stays().iter().any(|stay| stay.plmn == *network);
            if !fleet.in_service().any(was_there) {
                remark(&format!("no device has ever been on {network}"));
            }
        }
        let selection = self.filter.selection(&fleet, &query.book, query.now)?;
        let found = what_if(&before, &after, &selection);
        query.warn_without_offers(found.affected.iter().any(|one| one.after.decision == "stuck"));
        answer(json, &found, tables::of_what_if)
    }
}
