//! Compares the table of built-in rules in `docs/localization-rules.md` with the data.
//! `LANDFALL_REGENERATE=1 cargo test -p localize --test page` writes it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy takes only #[test] functions for tests, not the helpers beside them"
)]

use std::{fmt::Write as _, path::Path};

use localize::{Counted, CountedBy, Rule, RuleBook, RuleKind};

const BEGIN: &str = "<!-- rules: made by a test -->\n";
const END: &str = "<!-- end of rules -->";

#[test]
fn the_page_has_the_table_of_the_built_in_rules() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/localization-rules.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let expected = format!("{before}{BEGIN}\n{}\n{END}{after}", table());
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        std::fs::write(&path, &expected).unwrap();
    } else {
        assert!(
            page == expected,
            "LANDFALL_REGENERATE=1 cargo test -p localize --test page writes the table"
        );
    }
}

fn table() -> String {
    let mut table = String::from(
        "| rule | where | limit | unless | consequence | document | in force | confidence |\n|---|---|---|---|---|---|---|---|\n",
    );
    for rule in RuleBook::built_in().unwrap().rules() {
        let document = rule.document.as_ref().unwrap();
        let dated = document.dated.map(|day| format!(", {day}")).unwrap_or_default();
        let requires: Vec<String> = rule.requires.iter().map(ToString::to_string).collect();
        let limited = rule.kind.limit().is_some();
        let grace = match rule.grace_days {
            0 => String::new(),
            days => format!(" after {days} days"),
        };
        let consequence = if limited { format!("{}{grace}", rule.consequence) } else { String::new() };
        writeln!(
            table,
            "| `{}` | {} | {} | {} | {consequence} | {}{dated} | {} | {} |",
            rule.id,
            places(rule),
            limit(rule),
            requires.join(", and "),
            document.document,
            rule.effective.map_or_else(|| "not found".into(), |day| day.to_string()),
            rule.confidence,
        )
        .unwrap();
    }
    table
}

fn places(rule: &Rule) -> String {
    let codes = |countries: &[localize::Country]| {
        let eu = RuleBook::built_in().unwrap();
        let eu =
            &eu.rules().iter().find(|rule| rule.id.to_string() == "eu-fair-use-ua-md").unwrap().countries;
        let all = eu.iter().all(|country| countries.contains(country));
        let others = countries.iter().filter(|country| !all || !eu.contains(country));
        let eu = all.then(|| "EU".to_owned());
        eu.into_iter().chain(others.map(ToString::to_string)).collect::<Vec<_>>().join(" ")
    };
    let mut text = codes(&rule.countries);
    let list = |networks: Vec<String>| networks.join(" ");
    if !rule.networks.is_empty() {
        text = format!("{text}, network {}", list(rule.networks.iter().map(ToString::to_string).collect()));
    }
    if !rule.homes.is_empty() {
        text = format!("{text}, subscriptions of {}", codes(&rule.homes));
    }
    if !rule.except_homes.is_empty() {
        text = format!("{text}, not subscriptions of {}", codes(&rule.except_homes));
    }
    match rule.min_devices {
        1 => text,
        least => format!("{text}, from {least} devices of an account on"),
    }
}

fn limit(rule: &Rule) -> String {
    let count = match rule.kind {
        RuleKind::Banned => "none".into(),
        RuleKind::ConsecutiveDays { limit_days } => format!("{limit_days} days in a row"),
        RuleKind::DaysInPeriod { limit_days, window_days } => format!("{limit_days} days in {window_days}"),
        RuleKind::DaysSince { event, limit_days: 0 } => format!("until {event}"),
        RuleKind::DaysSince { event, limit_days } => format!("{limit_days} days since {event}"),
        RuleKind::RoamingMonthsInPeriod { limit_months, window_months } => {
            format!("{limit_months} roaming months in {window_months}")
        }
        RuleKind::ShareOfRoaming { max_percent, .. } => format!("{max_percent} percent of the devices"),
        RuleKind::DeviceCount { max_devices, .. } => format!("{max_devices} devices"),
        RuleKind::CarrierTerms => "not public".into(),
        RuleKind::Permissive => "no limit".into(),
    };
    let counted = match rule.counted {
        Counted::Each => "",
        Counted::EachNetwork => ", on each network",
        Counted::Together => ", in all countries together",
    };
    let by = if rule.counted_by == CountedBy::Imei { ", by IMEI" } else { "" };
    format!("{count}{counted}{by}")
}
