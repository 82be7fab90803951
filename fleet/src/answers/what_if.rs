//! Whom another rule book affects.

use std::collections::BTreeMap;

use localize::{Country, Day, Decision, RuleId};
use rsp::{
    ids::{Eid, Plmn},
    time::Timestamp,
};
use serde::Serialize;

use crate::{
    counted::Counted,
    device::{Device, Selection},
};

/// What becomes of a device's deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It has one where it had none.
    Comes,
    /// It is earlier.
    Nearer,
    /// It is later.
    Later,
    /// It has none any more.
    Goes,
    /// It stays, and the decision is another one, or another rule is behind it.
    OtherDecision,
}

/// What is decided under one of the books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// stay, move or stuck.
    pub decision: &'static str,
    /// When the first rule is broken if the device stays, be it far away.
    pub deadline: Option<Timestamp>,
    /// Which rule that is.
    pub rule: Option<RuleId>,
}

/// A device for which the other book makes a difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Affected {
    /// The device.
    pub eid: Eid,
    /// What its owner calls it.
    pub label: Box<str>,
    /// Where it is.
    pub country: Country,
    /// What becomes of its deadline.
    pub change: Change,
    /// Under the book that holds.
    pub before: Verdict,
    /// Under the other.
    pub after: Verdict,
}

/// Whom another rule book affects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhatIf {
    /// How many devices were held against both.
    pub devices: u32,
    /// How many are affected, by what becomes of their deadlines.
    pub changes: BTreeMap<Change, u32>,
    /// How many decisions change, as "stay > move".
    pub decisions: BTreeMap<String, u32>,
    /// Who they are: the earliest deadline after the change first, those without one last.
    pub affected: Vec<Affected>,
}

/// The rule of a carrier that ends permanent roaming on its network on a day, in the form of `countries.toml`.
pub fn carrier_ends(network: Plmn, day: Day) -> String {
    format!(
        "\n[[rule]]\nid = \"what-if-{network}-{day}\"\nnetworks = [\"{network}\"]\nkind = \"banned\"\n\
         effective = \"{day}\"\nsource = \"what-if\"\nreviewed = \"{day}\"\nconfidence = \"high\"\n"
    )
}

/// Holds the selected devices against two books. Both must have counted the same fleet at the same time.
pub fn what_if(before: &Counted<'_>, after: &Counted<'_>, selection: &Selection) -> WhatIf {
    let now = before.question.now;
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

fn verdict(counted: &Counted<'_>, device: &Device) -> Verdict {
    let decision = match counted.decide(device) {
        Decision::Stay { .. } => "stay",
        Decision::Move { .. } => "move",
        Decision::Stuck { .. } => "stuck",
    };
    let first = counted.findings(device).into_iter().next();
    let deadline = first.as_ref().map(|finding| finding.deadline);
    Verdict { decision, deadline, rule: first.map(|finding| finding.citation.rule) }
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
