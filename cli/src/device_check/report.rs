//! The report of a device check: a table, JSON, JUnit XML and a page.

use std::collections::BTreeSet;

use askama::Template;
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    behaviour::Behaviour,
    calls::{Call, CardFinding},
    command::Run,
    outcome::Outcome,
};
use crate::output::Table;

/// The results of all cases.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub struct Report {
    /// The command with its placeholders; empty for a card.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) command: Vec<String>,
    /// The address of the card that was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) card: Option<String>,
    /// True if the device uses a card of this program.
    pub(crate) own_card: bool,
    /// True if the package of each order can be bound only once.
    pub(crate) bind_once: bool,
    /// Maximum number of retries.
    pub(crate) retries: u32,
    /// The cases.
    pub(crate) cases: Vec<CaseResult>,
    /// The observed requirements.
    pub(crate) behaviours: Vec<Behaviour>,
}

/// The result of a case.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct CaseResult {
    /// The fault with its place.
    pub(crate) fault: String,
    /// The function in which the fault occurs.
    pub(crate) function: &'static str,
    /// What happens.
    pub(crate) what: String,
    /// The required behaviour.
    pub(crate) requirement: String,
    /// The clause of the requirement.
    pub(crate) clause: String,
    pub(crate) outcome: Outcome,
    /// Details of the outcome.
    pub(crate) detail: String,
    /// Number of retries that were made.
    pub(crate) retries: usize,
    /// The state of the ordered profile at the SM-DP+ at the end.
    pub(crate) state: String,
    /// True if the profile is on the card at the end; absent if the card cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on_card: Option<bool>,
    /// The runs of the command.
    pub(crate) runs: Vec<Run>,
    /// The calls of each run.
    pub(crate) calls: Vec<Vec<Call>>,
    /// Deviations of the card that the LPA accepted. Absent if a device is checked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) card_findings: Vec<CardFinding>,
}

impl CaseResult {
    /// The accepted deviations of the device or the card, each with the function in which it occurred.
    pub(crate) fn findings(&self) -> BTreeSet<String> {
        let calls = self.calls.iter().flatten();
        let of = |call: &Call| {
            call.findings.iter().map(|finding| format!("{}: {finding}", call.function)).collect::<Vec<_>>()
        };
        let of_card = self.card_findings.iter();
        let of_card = of_card.map(|CardFinding { function, finding }| format!("{function}: {finding}"));
        calls.flat_map(of).chain(of_card).collect()
    }

    /// The last line that the command printed; `None` if it printed nothing.
    fn last_output_line(&self) -> Option<&str> {
        self.runs.last()?.output.lines().map(str::trim).rfind(|line| !line.is_empty())
    }

    /// Formats the result as one line.
    pub(crate) fn line(&self) -> String {
        let Self { outcome, fault, detail, .. } = self;
        let outcome = outcome.to_string();
        match detail.as_str() {
            "" => format!("{outcome:<21}  {fault}"),
            detail => format!("{outcome:<21}  {fault}: {detail}"),
        }
    }
}

impl Report {
    /// True if the device failed no case.
    pub fn is_good(&self) -> bool {
        self.failures() == 0
    }

    /// The name of the check.
    fn title(&self) -> &'static str {
        if self.card.is_some() { "Card check" } else { "Device check" }
    }

    fn failures(&self) -> usize {
        self.cases.iter().filter(|case| case.outcome.is_failure()).count()
    }

    /// Number of cases by outcome, for each outcome that occurred.
    fn counts(&self) -> Vec<(Outcome, usize)> {
        let count = |outcome| self.cases.iter().filter(|case| case.outcome == outcome).count();
        Outcome::ALL.into_iter().map(|outcome| (outcome, count(outcome))).filter(|(_, n)| *n > 0).collect()
    }

    /// The report for a terminal.
    pub fn text(&self) -> String {
        let mut cases = Table::new(&["fault", "outcome", "details"]);
        for CaseResult { fault, outcome, detail, .. } in &self.cases {
            cases.row([fault.clone(), outcome.to_string(), detail.clone()]);
        }
        let mut counts = Table::new(&["outcome", "cases"]);
        for (outcome, count) in self.counts() {
            counts.row([outcome.to_string(), count.to_string()]);
        }
        let mut behaviours = Table::new(&["", "requirement", "clause", "observed"]);
        for Behaviour { requirement, clause, met, observed } in &self.behaviours {
            let met = if *met { "met" } else { "NOT MET" };
            behaviours.row([met, requirement, clause, observed]);
        }
        let mut text = format!("{}\n{}\n{}", cases.render(), behaviours.render(), counts.render());
        let findings: BTreeSet<String> = self.cases.iter().flat_map(CaseResult::findings).collect();
        for finding in findings {
            text.push_str(&format!("\nfinding: {finding}"));
        }
        for case in self.cases.iter().filter(|case| case.outcome.is_failure()) {
            if let Some(line) = case.last_output_line() {
                text.push_str(&format!("\nlast output in {}: {}", case.fault, printable(line)));
            }
        }
        text
    }

    /// The report as JUnit XML for CI systems.
    pub fn junit(&self) -> String {
        printable(&(Junit { report: self }.to_string() + "\n"))
    }

    /// The report as an HTML page.
    pub fn page(&self) -> String {
        printable(&Page { report: self }.to_string())
    }
}

#[derive(Template)]
#[template(path = "device-check.xml")]
struct Junit<'a> {
    report: &'a Report,
}

#[derive(Template)]
#[template(path = "device-check.html", whitespace = "minimize")]
struct Page<'a> {
    report: &'a Report,
}

impl Junit<'_> {
    fn not_reached(&self) -> usize {
        self.report.cases.iter().filter(|case| case.outcome == Outcome::NotReached).count()
    }
}

/// Replaces control characters, which XML cannot represent. The output of a device may contain any.
fn printable(text: &str) -> String {
    text.replace(|c: char| (c.is_control() && c != '\n') || matches!(c, '\u{FFFE}' | '\u{FFFF}'), " ")
}

#[cfg(test)]
mod tests {
    use rsp::finding::{Finding, FindingKind};

    use super::*;
    use crate::device_check::calls::Reply;

    fn call(findings: Vec<Finding>) -> Call {
        Call {
            function: "ES9+.AuthenticateClient".to_owned(),
            reply: Reply::Accepted,
            faulty: false,
            user_agent: None,
            protocol: None,
            cancel_reason: None,
            findings,
        }
    }

    fn case(outcome: Outcome) -> CaseResult {
        CaseResult {
            fault: "link/reset@ES9+.GetBoundProfilePackage#1".to_owned(),
            function: "ES9+.GetBoundProfilePackage",
            what: "The connection is closed.".to_owned(),
            requirement: "Nothing is done twice.".to_owned(),
            clause: "SGP.22 3.1.3".to_owned(),
            outcome,
            detail: "a <detail>\u{1B}".to_owned(),
            retries: 0,
            state: "Downloaded".to_owned(),
            on_card: None,
            runs: Vec::new(),
            calls: Vec::new(),
            card_findings: Vec::new(),
        }
    }

    #[test]
    fn failed_and_not_reached_cases_are_marked_in_every_format() {
        let mut report = Report {
            command: vec!["lpa".to_owned(), "{activation_code}".to_owned()],
            card: None,
            own_card: false,
            bind_once: false,
            retries: 2,
            cases: vec![case(Outcome::RecoveredDirectly), case(Outcome::NotReached)],
            behaviours: Vec::new(),
        };
        assert!(report.is_good());
        report.cases.push(case(Outcome::OrderLost));
        assert!(!report.is_good());
        assert!(!report.text().contains("finding"), "{}", report.text());
        let finding = Finding::new(FindingKind::CardResourcesUnreadable, "00");
        report.cases[0].calls = vec![vec![call(vec![finding])]];
        let finding = "finding: ES9+.AuthenticateClient: card-resources-unreadable (SGP.22 5.7.8";
        assert!(report.text().contains(finding), "{}", report.text());
        let xml = report.junit();
        assert!(xml.contains(finding), "{xml}");
        let of_card = Finding::new(FindingKind::NotDer, "length 8103");
        report.cases[0].card_findings =
            vec![CardFinding { function: "ES10c.GetEID".to_owned(), finding: of_card }];
        let of_card = "finding: ES10c.GetEID: not-der (SGP.22 2.4.5";
        for format in [report.text(), report.junit(), report.page()] {
            assert!(format.contains(finding) && format.contains(of_card), "{format}");
        }
        assert!(xml.contains("tests=\"3\" failures=\"1\" skipped=\"1\""), "{xml}");
        assert!(xml.contains("order lost: a &#60;detail&#62; "), "{xml}");
        let page = report.page();
        assert!(page.contains("1 of 3 cases failed") && page.contains("a &#60;detail&#62; "), "{page}");
        assert!(report.text().contains("order lost"), "{}", report.text());
        assert!(!report.text().contains("last output"), "{}", report.text());
        report.cases[2].runs = vec![Run {
            exit_status: Some(1),
            timed_out: false,
            seconds: 0.5,
            output: "started\nno route to \u{1B}host\n\n".to_owned(),
        }];
        let line = "last output in link/reset@ES9+.GetBoundProfilePackage#1: no route to  host";
        assert!(report.text().contains(line), "{}", report.text());
    }
}
