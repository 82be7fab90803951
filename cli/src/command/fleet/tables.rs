//! Tables and texts of the query results.

use std::fmt::Write as _;

use fleet::{
    Device, EvaluatedFleet, Selection,
    answers::{Basis, Breach, Change, Effort, Market, Recovery, Resident, WhatIf},
};
use localize::{Country, Day, Decision, NamedCountry, Status, Unit};
use rsp::{
    ids::{Eid, Plmn},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::output::Table;

/// Row of the device list.
#[derive(JsonSchema, Serialize)]
pub(super) struct Listed {
    eid: Eid,
    label: String,
    group: String,
    account: String,
    country: Option<Country>,
    network: Option<Plmn>,
    home: Option<Country>,
    since: Option<Timestamp>,
    state: String,
    decision: &'static str,
    deadline: Option<Timestamp>,
}

impl Listed {
    /// True if the device has to leave and no target is available.
    pub(super) fn is_stuck(&self) -> bool {
        self.decision == "stuck"
    }
}

/// Returns the selected devices, each with its decision.
pub(super) fn list(counted: &EvaluatedFleet<'_>, selection: &Selection) -> Vec<Listed> {
    let now = counted.conditions.now;
    let devices = counted.fleet.devices().iter().filter(|device| selection.has(device, now));
    let listed = |device: &Device| {
        let stay = device.connection.history.present(now);
        let decision = device.is_in_service().then(|| counted.decide(device));
        let deadline = match &decision {
            Some(Decision::Move { deadline, .. }) => *deadline,
            Some(Decision::Stuck { deadline, .. }) => Some(*deadline),
            Some(Decision::Stay { .. }) | None => None,
        };
        Listed {
            eid: device.eid,
            label: device.label.to_string(),
            group: device.group.to_string(),
            account: device.account.to_string(),
            country: stay.map(|stay| stay.country),
            network: stay.map(|stay| stay.plmn),
            home: stay.map(|stay| stay.home),
            since: stay.map(|stay| stay.from),
            state: device.state.word().to_owned(),
            decision: decision.as_ref().map_or("", verdict),
            deadline,
        }
    };
    devices.map(listed).collect()
}

fn verdict(decision: &Decision) -> &'static str {
    match decision {
        Decision::Stay { .. } => "stay",
        Decision::Move { .. } => "move",
        Decision::Stuck { .. } => "stuck",
    }
}

fn shown(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn day(at: Option<Timestamp>) -> String {
    shown(at.map(Day::of))
}

fn country(country: &NamedCountry) -> String {
    format!("{} {}", country.code, country.name)
}

/// Table of the device list.
pub(super) fn of_list(rows: &[Listed]) -> String {
    let mut table = Table::new(&[
        "EID", "label", "group", "account", "in", "network", "home", "since", "state", "decision", "by",
    ]);
    for row in rows {
        table.row([
            row.eid.to_string(),
            row.label.clone(),
            row.group.clone(),
            row.account.clone(),
            shown(row.country),
            shown(row.network),
            shown(row.home),
            day(row.since),
            row.state.clone(),
            row.decision.to_owned(),
            day(row.deadline),
        ]);
    }
    format!("{}\n{} devices\n", table.render(), rows.len())
}

/// A device with its decision.
#[derive(JsonSchema, Serialize)]
pub(super) struct Shown<'a> {
    /// Record of the device.
    pub device: &'a Device,
    /// Decision about the device.
    pub decision: Decision,
}

/// Text of `landfall fleet show`.
pub(super) fn of_device(shown_device: &Shown<'_>) -> String {
    let Shown { device, decision } = shown_device;
    let mut text = format!("{}  {}\n", device.eid, device.label);
    let needs = serde_json::to_value(device.connection.needs).unwrap_or_default();
    let need =
        |name: &str| needs.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "group {}, model {}, account {}", device.group, device.model, device.account);
    let _ = writeln!(
        text,
        "criticality {}, bandwidth {}, latency {}",
        need("criticality"),
        need("bandwidth"),
        need("latency")
    );
    let _ = writeln!(text, "state {}", device.state);
    if let Some(imsi) = device.imsi {
        let _ = writeln!(text, "registered as IMSI {imsi}");
    }
    let tally = device.tally;
    let _ = writeln!(
        text,
        "moves: {} moved, {} came back, {} not installed, {} lost",
        tally.moved, tally.came_back, tally.not_installed, tally.lost
    );
    let mut table = Table::new(&["profile", "home", "role", "state"]);
    for held in &device.connection.held {
        let words = serde_json::to_value(held).unwrap_or_default();
        let word =
            |name: &str| words.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        table.row([held.iccid.to_string(), held.home.plmn.to_string(), word("role"), word("state")]);
    }
    let _ = write!(text, "\n{}", table.render());
    let mut table = Table::new(&["in", "network", "home", "from", "until"]);
    for stay in device.connection.history.stays() {
        table.row([
            stay.country.to_string(),
            stay.plmn.to_string(),
            stay.home_network.map_or_else(|| stay.home.to_string(), |network| network.to_string()),
            stay.from.to_string(),
            shown(stay.until),
        ]);
    }
    let _ = write!(text, "\n{}\n{decision}\n\n", table.render());
    if device.trail.forgotten() > 0 {
        let _ = writeln!(text, "... {} older entries are forgotten", device.trail.forgotten());
    }
    for entry in device.trail.entries() {
        let _ = writeln!(text, "{}  {}", entry.at, entry.event);
    }
    text
}

/// Table of the countries in which foreign subscriptions are resident.
pub(super) fn of_residents(rows: &[Resident]) -> String {
    let mut table =
        Table::new(&["in", "home", "devices", "resident", "median days", "longest stay", "same network %"]);
    for row in rows {
        table.row([
            country(&row.country),
            country(&row.home),
            row.devices.to_string(),
            row.resident.to_string(),
            row.median_days.to_string(),
            row.longest_stay_days.to_string(),
            row.same_network_percent.to_string(),
        ]);
    }
    let sum = |of: fn(&Resident) -> u32| rows.iter().map(|row| u64::from(of(row))).sum::<u64>();
    let (resident, devices) = (sum(|row| row.resident), sum(|row| row.devices));
    format!("{}\n{resident} resident of {devices} that roamed\n", table.render())
}

/// Table of the breaches.
pub(super) fn of_breaches(rows: &[Breach]) -> String {
    let mut table = Table::new(&[
        "day",
        "status",
        "consequence",
        "from",
        "EID",
        "label",
        "in",
        "network",
        "home",
        "rule",
        "counted",
        "allowed",
    ]);
    for row in rows {
        let unit = match row.limit.unit {
            Unit::Days => "days",
            Unit::Months => "months",
            Unit::Percent => "%",
            Unit::Devices => "devices",
        };
        table.row([
            row.day.to_string(),
            match row.status {
                Status::Broken => "broken",
                Status::Near => "near",
                Status::Clear => "clear",
            }
            .to_owned(),
            row.consequence.to_string(),
            row.blocked_from.to_string(),
            row.eid.to_string(),
            row.label.to_string(),
            row.country.to_string(),
            row.network.to_string(),
            row.home.to_string(),
            row.rule.to_string(),
            row.measured.to_string(),
            format!("{} {unit}", row.limit.limit),
        ]);
    }
    let broken = rows.iter().filter(|row| row.status == Status::Broken).count();
    format!("{}\n{} breaches, {broken} of them already\n", table.render(), rows.len())
}

/// Table of the countries that devices have to leave.
pub(super) fn of_markets(rows: &[Market]) -> String {
    let mut table = Table::new(&[
        "in",
        "devices",
        "roaming",
        "must move",
        "broken",
        "first",
        "last",
        "strategy moves",
        "ready",
        "stuck",
        "strategy rows",
        "offers",
    ]);
    for row in rows {
        let rows: Vec<String> = row.rows.iter().map(|(row, devices)| format!("{row}: {devices}")).collect();
        let offers: Vec<String> = row.offers.iter().map(ToString::to_string).collect();
        table.row([
            country(&row.country),
            row.devices.to_string(),
            row.roaming.to_string(),
            row.must_move.to_string(),
            row.broken.to_string(),
            shown(row.first),
            shown(row.last),
            row.by_strategy.to_string(),
            row.ready.to_string(),
            row.stuck.to_string(),
            rows.join(", "),
            if offers.is_empty() { "none".to_owned() } else { offers.join(" ") },
        ]);
    }
    table.render()
}

/// Table of duration and cost of the moves.
pub(super) fn of_effort(effort: &Effort) -> String {
    let mut table = Table::new(&["", "each", "all"]);
    let currency = &effort.currency;
    for (what, each, all) in [
        ("devices".to_owned(), String::new(), effort.devices.to_string()),
        ("time".to_owned(), format!("{:.1} s", effort.seconds_each), duration(effort.seconds)),
        ("octets".to_owned(), effort.octets_each.to_string(), effort.octets.to_string()),
        ("short messages".to_owned(), format!("{:.1}", effort.messages_each), effort.messages.to_string()),
        ("APDUs".to_owned(), String::new(), effort.apdus.to_string()),
        (
            format!("cost in {currency}"),
            format!("{:.4}", effort.money_each.0 as f64 / 1e6),
            effort.money.to_string(),
        ),
    ] {
        table.row([what, each, all]);
    }
    let besides = match effort.by_identity {
        0 => String::new(),
        1 => "\n1 more device changes its identity: its card does so, without a download\n".to_owned(),
        many => {
            format!("\n{many} more devices change their identity: their cards do so, without a download\n")
        }
    };
    format!("over {}, by {}\n\n{}{besides}", effort.bearer, effort.one, table.render())
}

fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..120 => format!("{seconds:.0} s"),
        120..7200 => format!("{} min", whole.div_ceil(60)),
        7200..172_800 => format!("{:.1} h", seconds / 3600.0),
        _ => format!("{:.1} days", seconds / 86_400.0),
    }
}

fn milli(number: u64) -> String {
    format!("{}.{:03}", number / 1000, number % 1000)
}

/// Table of the cost of recovery.
pub(super) fn of_recovery(recovery: &Recovery) -> String {
    let mut table = Table::new(&[
        "criticality",
        "in",
        "moving",
        "no fallback",
        "silent",
        "retries",
        "visits",
        "days to a visit",
        "cost",
        "all visited",
    ]);
    for row in &recovery.rows {
        let criticality = serde_json::to_value(row.criticality).unwrap_or_default();
        table.row([
            criticality.as_str().unwrap_or_default().to_owned(),
            shown(row.country),
            row.moving.to_string(),
            row.without_way_back.to_string(),
            row.silent.to_string(),
            milli(row.retries_milli),
            milli(row.visits_milli),
            row.days.to_string(),
            row.money.to_string(),
            row.worst.to_string(),
        ]);
    }
    let chances = recovery.chances;
    let basis = match chances.basis {
        Basis::Assumed => "assumed".to_owned(),
        Basis::Record { ended } => format!("from the {ended} moves on record"),
    };
    format!(
        "{}% of moves fall back, {}% are lost: {basis}\n\n{}\nexpected: {} {currency}; if each has to be visited: {} {currency}\n",
        f64::from(chances.came_back_ppm) / 10_000.0,
        f64::from(chances.lost_ppm) / 10_000.0,
        table.render(),
        recovery.money,
        recovery.worst,
        currency = recovery.currency,
    )
}

/// Table of the devices affected by other rules.
pub(crate) fn of_what_if(answer: &WhatIf) -> String {
    let mut table = Table::new(&[
        "EID",
        "label",
        "in",
        "deadline",
        "decision",
        "by",
        "rule",
        "decision then",
        "by then",
        "rule then",
    ]);
    for row in &answer.affected {
        table.row([
            row.eid.to_string(),
            row.label.to_string(),
            row.country.to_string(),
            change(row.change).to_owned(),
            row.before.decision.to_string(),
            day(row.before.deadline),
            shown(row.before.rule.as_ref()),
            row.after.decision.to_string(),
            day(row.after.deadline),
            shown(row.after.rule.as_ref()),
        ]);
    }
    let mut text =
        format!("{}\n{} of {} devices affected", table.render(), answer.affected.len(), answer.devices);
    // Writing to a String cannot fail.
    for (kind, devices) in &answer.changes {
        let _ = write!(text, "; deadline {}: {devices}", change(*kind));
    }
    for (decision, devices) in &answer.decisions {
        let _ = write!(text, "; {decision}: {devices}");
    }
    text.push('\n');
    text
}

fn change(change: Change) -> &'static str {
    match change {
        Change::Comes => "comes",
        Change::Nearer => "nearer",
        Change::Later => "later",
        Change::Goes => "goes",
        Change::OtherDecision => "the same",
    }
}
