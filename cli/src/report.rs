//! Reports of scenarios on a terminal.

use std::collections::BTreeMap;

use scenario::report::{Campaign, Report, Times, Verdict};
use world::Fault;

use crate::output::{Table, print};

/// Maximum devices and reasons listed per campaign.
const MAX_LISTED: usize = 8;

/// Prints the expectations and results, and the campaigns, faults and costs, if there are any.
///
/// # Errors
/// The output cannot be written.
pub fn print_report(report: &Report) -> Result<(), Fault> {
    print(&text(report))
}

/// Returns the report as text.
pub fn text(report: &Report) -> String {
    let blocks = [
        heading(report),
        expectations(report),
        campaigns(report),
        canaries_and_failures(report),
        times("fault", "occurred", &report.faults),
        report
            .never_struck
            .iter()
            .map(|fault| format!("did not occur: {}\n", without_control_characters(fault)))
            .collect(),
        times("refused by an SM-DP+", "times", &report.refused),
        costs(report),
    ];
    let blocks: Vec<String> = blocks.into_iter().filter(|block| !block.is_empty()).collect();
    blocks.join("\n")
}

fn heading(report: &Report) -> String {
    let verdict = match report.verdict() {
        Verdict::Passed => "passed",
        Verdict::Failed => "FAILED",
    };
    let met = report.expectations().iter().filter(|expectation| expectation.passed).count();
    let (title, all) = (without_control_characters(&report.scenario.title), report.expectations().len());
    let (begins, ended, seed) = (report.begins, report.ended, without_control_characters(&report.seed));
    let live = report
        .live
        .as_ref()
        .map_or_else(String::new, |live| format!(", {}", without_control_characters(&live.words())));
    format!(
        "{verdict}  {title}: {met} of {all} expectations met\n        {begins} to {ended}, seed {seed}{live}\n"
    )
}

/// Replaces control characters in text from a file, which could be terminal escape sequences.
fn without_control_characters(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

fn expectations(report: &Report) -> String {
    if report.expectations().is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["", "day", "date", "expected", "seen"]);
    for expectation in report.expectations() {
        let met = if expectation.passed { "met" } else { "NOT MET" };
        let day = report.day(expectation.at).to_string();
        table.row([
            met.to_owned(),
            day,
            expectation.at.to_string().chars().take_while(|character| *character != 'T').collect(),
            without_control_characters(&expectation.text),
            without_control_characters(&expectation.saw),
        ]);
    }
    table.render()
}

fn campaigns(report: &Report) -> String {
    if report.campaigns.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["campaign", "target", "state", "devices", "results"]);
    for Campaign { name, target, state, why, devices, results, .. } in &report.campaigns {
        let state = why.as_ref().map_or(state.clone(), |why| format!("{state}: {why}"));
        let results: Vec<String> =
            results.iter().map(|(result, count)| format!("{count} {result}")).collect();
        table.row(
            [name, target, &state, &devices.to_string(), &results.join(", ")]
                .map(|cell| without_control_characters(cell)),
        );
    }
    table.render()
}

/// Lists the canary devices of campaigns, and the reasons why devices did not move.
fn canaries_and_failures(report: &Report) -> String {
    let mut lines = String::new();
    for Campaign { name, canaries, failures, .. } in &report.campaigns {
        let name = without_control_characters(name);
        if canaries.count() > 0 {
            let first: Vec<String> = canaries
                .shown()
                .iter()
                .take(MAX_LISTED)
                .map(|device| without_control_characters(device))
                .collect();
            let left_out = canaries.count().saturating_sub(u64::try_from(first.len()).unwrap_or(u64::MAX));
            let more = if left_out > 0 { format!(" and {left_out} more") } else { String::new() };
            lines.push_str(&format!("canaries of {name}: {}{more}\n", first.join(", ")));
        }
        let mut reasons = BTreeMap::<&str, u64>::new();
        failures.shown().iter().for_each(|failure| *reasons.entry(&failure.why).or_default() += 1);
        for (why, count) in reasons.into_iter().take(MAX_LISTED) {
            lines.push_str(&format!("{count} of {name} not moved: {}\n", without_control_characters(why)));
        }
    }
    lines
}

fn times(what: &str, how_often: &str, all: &BTreeMap<String, Times>) -> String {
    if all.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[what, how_often, "first", "last"]);
    for (what, Times { times, first, last }) in all {
        table.row([without_control_characters(what), times.to_string(), first.to_string(), last.to_string()]);
    }
    table.render()
}

fn costs(report: &Report) -> String {
    let costs = &report.costs;
    if costs.by_bearer.is_empty() && costs.visits == 0 {
        return String::new();
    }
    let mut table = Table::new(&["bearer", "octets", "short messages", &costs.currency]);
    for (bearer, spent) in &costs.by_bearer {
        table.row([
            without_control_characters(bearer),
            spent.octets.to_string(),
            spent.messages.to_string(),
            spent.money.to_string(),
        ]);
    }
    let visits = format!("visits: {}", costs.visits);
    table.row([visits, String::new(), String::new(), costs.visits_money.to_string()]);
    table.row(["total".to_owned(), String::new(), String::new(), costs.total().to_string()]);
    table.render()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rsp::time::Timestamp;
    use scenario::report::{Bounded, Expectation, Failure, Spent};

    use super::*;

    fn bounded<T>(values: impl IntoIterator<Item = T>) -> Bounded<T, 100> {
        let mut all = Bounded::default();
        values.into_iter().for_each(|value| all.push(value));
        all
    }

    #[test]
    fn the_terminal_report_shows_expectations_and_results() {
        let begins: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
        let at: Timestamp = "2027-04-01T00:00:00Z".parse().unwrap();
        let mut report = Report::new("ninety-days", "Ninety\u{1B}[31m days", "", "7", begins);
        report.ended = at;
        let judged = |passed, text: &str, saw: &str| Expectation {
            text: text.into(),
            line: None,
            at,
            passed,
            saw: saw.into(),
        };
        report.judge(judged(true, "all meters are on 724-99", "50 of 50"));
        report.judge(judged(false, "no rule is broken", "2 were"));
        report.campaigns.push(Campaign {
            name: "first".into(),
            target: "as decided".into(),
            terms: BTreeMap::new(),
            state: "stopped".into(),
            why: Some("3 of 5 failed".into()),
            began: Some(begins),
            ended: Some(at),
            devices: 50,
            results: BTreeMap::from([("moved".into(), 2), ("came_back".into(), 3)]),
            canaries: bounded(["meters-7".to_owned()]),
            failures: bounded(["meters-8", "meters-9"].map(|device| Failure {
                device: device.into(),
                result: "came back".into(),
                why: "no network".into(),
            })),
        });
        report.record_fault(begins, "link/lose-answer@ES9+");
        report.record_fault(at, "link/lose-answer@ES9+");
        report.refused(at, "DownloadOrder: none is left");
        report.costs.currency = "EUR".into();
        let spent = Spent { octets: 1_000_000, messages: 4, money: 12.5.into() };
        report.costs.by_bearer.insert("nb-iot".into(), spent);
        let expected = "\
FAILED  Ninety [31m days: 1 of 2 expectations met
        2027-01-01T00:00:00Z to 2027-04-01T00:00:00Z, seed 7

         day  date        expected                  seen
-------  ---  ----------  ------------------------  --------
met       90  2027-04-01  all meters are on 724-99  50 of 50
NOT MET   90  2027-04-01  no rule is broken         2 were

campaign  target      state                   devices  results
--------  ----------  ----------------------  -------  --------------------
first     as decided  stopped: 3 of 5 failed       50  3 came_back, 2 moved

canaries of first: meters-7
2 of first not moved: no network

fault                  occurred  first                 last
---------------------  --------  --------------------  --------------------
link/lose-answer@ES9+         2  2027-01-01T00:00:00Z  2027-04-01T00:00:00Z

refused by an SM-DP+         times  first                 last
---------------------------  -----  --------------------  --------------------
DownloadOrder: none is left      1  2027-04-01T00:00:00Z  2027-04-01T00:00:00Z

bearer      octets  short messages    EUR
---------  -------  --------------  -----
nb-iot     1000000               4  12.50
visits: 0                            0.00
total                               12.50
";
        let text = text(&report);
        assert!(text == expected, "{text}");
    }
}
