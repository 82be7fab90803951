//! What-if report: the devices for which another rule book gives a different result.

use std::{borrow::Cow, collections::BTreeMap};

use localize::{Country, Day, Decision, RuleId};
use rsp::{
    ids::{Eid, Plmn},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    device::{Device, Selection},
    evaluated_fleet::EvaluatedFleet,
};

/// Change of a device's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The device gets a deadline.
    Comes,
    /// The deadline is earlier.
    Nearer,
    /// The deadline is later.
    Later,
    /// The device no longer has a deadline.
    Goes,
    /// The deadline stays, but the decision or the rule behind it differs.
    OtherDecision,
}

/// Result under one of the two rule books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The decision: stay, move or stuck.
    pub decision: Cow<'static, str>,
    /// Time of the first breach if the device stays, however distant.
    pub deadline: Option<Timestamp>,
    /// The rule of that breach.
    pub rule: Option<RuleId>,
}

/// A device for which the two rule books differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Affected {
    /// The device.
    pub eid: Eid,
    /// The owner's name for the device.
    pub label: Box<str>,
    /// The present country of the device.
    pub country: Country,
    /// Change of its deadline.
    pub change: Change,
    /// Result under the current rule book.
    pub before: Verdict,
    /// Result under the other rule book.
    pub after: Verdict,
}

/// Result of a comparison of two rule books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhatIf {
    /// Number of devices that were compared.
    pub devices: u32,
    /// Number of affected devices by change of deadline.
    pub changes: BTreeMap<Change, u32>,
    /// Number of changed decisions, by a key such as "stay > move".
    pub decisions: BTreeMap<String, u32>,
    /// The affected devices, ordered by their new deadline; those without one come last.
    pub affected: Vec<Affected>,
}

/// Returns a rule in the format of `countries.toml` for a network that ends permanent roaming on a
/// day.
pub fn carrier_ends(network: Plmn, day: Day) -> String {
    format!(
        "\n[[rule]]\nid = \"what-if-{network}-{day}\"\nnetworks = [\"{network}\"]\nkind = \"banned\"\n\
         effective = \"{day}\"\nsource = \"what-if\"\nreviewed = \"{day}\"\nconfidence = \"high\"\n"
    )
}

/// Compares the selected devices under two rule books. Both must be evaluations of the same fleet
/// at the same time.
pub fn what_if(before: &EvaluatedFleet<'_>, after: &EvaluatedFleet<'_>, selection: &Selection) -> WhatIf {
    let now = before.conditions.now;
    let mut answer =
        WhatIf { devices: 0, changes: BTreeMap::new(), decisions: BTreeMap::new(), affected: Vec::new() };
    for device in before.fleet.in_service().filter(|device| selection.has(device, now)) {
        answer.devices += 1;
        let Some(country) = device.country(now) else { continue };
        let (then, now) = (verdict(before, device), verdict(after, device));
        let Some(change) = change(&then, &now) else { continue };
        *answer.changes.entry(change).or_default() += 1;
        if then.decision != now.decision {
            *answer.decisions.entry(format!("{} > {}", then.decision, now.decision)).or_default() += 1;
        }
        let (eid, label) = (device.eid, device.label.clone());
        answer.affected.push(Affected { eid, label, country, change, before: then, after: now });
    }
    answer.affected.sort_by_key(|one| (one.after.deadline.is_none(), one.after.deadline));
    answer
}

fn verdict(counted: &EvaluatedFleet<'_>, device: &Device) -> Verdict {
    let decision = match counted.decide(device) {
        Decision::Stay { .. } => "stay",
        Decision::Move { .. } => "move",
        Decision::Stuck { .. } => "stuck",
    };
    let first = counted.findings(device).into_iter().next();
    let deadline = first.as_ref().map(|finding| finding.deadline);
    Verdict { decision: decision.into(), deadline, rule: first.map(|finding| finding.citation.rule) }
}

fn change(before: &Verdict, after: &Verdict) -> Option<Change> {
    match (before.deadline, after.deadline) {
        (None, Some(_)) => Some(Change::Comes),
        (Some(_), None) => Some(Change::Goes),
        (Some(then), Some(now)) if now < then => Some(Change::Nearer),
        (Some(then), Some(now)) if now > then => Some(Change::Later),
        _ => (before != after).then_some(Change::OtherDecision),
    }
}
