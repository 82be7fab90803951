//! The report of a run: a table for people, JSON and JUnit for programs.

use std::collections::BTreeSet;

use askama::Template;
use crypto::Curve;
use rsp::finding::Finding;
use schemars::JsonSchema;
use serde::Serialize;

use crate::binding::Binding;
use crate::subject::{Case, Scope, Subject};
use crate::verdict::{Stop, Verdict};

/// The result of a case.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase", tag = "result", content = "why")]
pub enum Ended {
    /// The party met the requirement.
    Passed,
    /// The party violated the requirement.
    Failed(String),
    /// The case was not run.
    NotRun(String),
}

/// The result of a case with one binding and one curve.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Entry {
    /// The identifier in the test specification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The clause with the requirement.
    pub clause: &'static str,
    /// The name of the function.
    pub function: &'static str,
    /// The requirement in one sentence.
    pub title: String,
    /// The binding and curve, empty if there is only one variant.
    pub way: String,
    /// The result.
    #[serde(flatten)]
    pub ended: Ended,
    /// Deviations of the party that do not fail the case.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub findings: BTreeSet<Finding>,
}

/// A row of the documentation.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Row {
    /// The identifier in the test specification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The clause with the requirement.
    pub clause: &'static str,
    /// The name of the function.
    pub function: &'static str,
    /// The requirement in one sentence.
    pub title: String,
    /// The order and the other needs.
    pub needs: String,
}

impl Row {
    /// Returns the row of a case.
    pub fn of<S: Subject>(case: &Case<S>) -> Self {
        let order = case.order.iter().map(ToString::to_string);
        let needs: Vec<_> = order.chain(case.needs.iter().map(ToString::to_string)).collect();
        Self {
            id: case.id.clone(),
            clause: case.clause,
            function: case.function,
            title: case.title.clone(),
            needs: needs.join(", "),
        }
    }
}

/// The results of all selected cases.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
pub struct Report {
    /// The entries, in the order in which the cases were run.
    pub entries: Vec<Entry>,
}

impl Entry {
    /// Creates the entry of a case.
    pub fn new<S: Subject>(case: &Case<S>, binding: Binding, curve: Curve, verdict: Verdict) -> Self {
        let way = match case.scope {
            Scope::Full => format!("{binding}, {curve}"),
            Scope::Bindings | Scope::Json | Scope::Asn1 => binding.to_string(),
            Scope::Once => String::new(),
        };
        let ended = match verdict {
            Ok(()) => Ended::Passed,
            Err(Stop::Failed(why)) => Ended::Failed(why),
            Err(Stop::NotRun(why)) => Ended::NotRun(why),
        };
        Self {
            id: case.id.clone(),
            clause: case.clause,
            function: case.function,
            title: case.title.clone(),
            way,
            ended,
            findings: BTreeSet::new(),
        }
    }

    /// Adds the findings. In a strict run a finding fails a case that passes otherwise, unless it
    /// is an extension that the standard allows.
    #[must_use]
    pub fn with_findings(mut self, findings: BTreeSet<Finding>, strict: bool) -> Self {
        if let (true, Ended::Passed, Some(finding)) =
            (strict, &self.ended, findings.iter().find(|it| !it.kind.is_extension()))
        {
            self.ended = Ended::Failed(finding.to_string());
        }
        self.findings = findings;
        self
    }

    /// The function, the requirement and the variant.
    pub fn name(&self) -> String {
        format!("{}: {}{}", self.function, self.title, self.variant())
    }

    /// The binding and curve in brackets, empty if there is only one variant.
    fn variant(&self) -> String {
        if self.way.is_empty() { String::new() } else { format!(" [{}]", self.way) }
    }

    /// Formats the entry for people.
    pub fn line(&self) -> String {
        let mut line = match &self.ended {
            Ended::Passed => format!("passed   {}", self.name()),
            Ended::Failed(why) => {
                let from = self.id.as_deref().unwrap_or(self.clause);
                format!("FAILED   {}\n         {from}: {why}", self.name())
            }
            Ended::NotRun(why) => format!("not run  {}: {why}", self.name()),
        };
        for finding in &self.findings {
            line.push_str(&format!("\n         finding: {finding}"));
        }
        line
    }
}

impl Report {
    /// Returns the numbers of passed, failed and not run cases.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |is: fn(&Ended) -> bool| self.entries.iter().filter(|entry| is(&entry.ended)).count();
        (
            count(|ended| *ended == Ended::Passed),
            count(|ended| matches!(ended, Ended::Failed(_))),
            count(|ended| matches!(ended, Ended::NotRun(_))),
        )
    }

    /// True if no case failed and at least one passed. A run without any passed case is not a
    /// success.
    pub fn is_good(&self) -> bool {
        let (passed, failed, _) = self.counts();
        failed == 0 && passed > 0
    }

    /// Returns the summary line.
    pub fn summary(&self) -> String {
        let (passed, failed, not_run) = self.counts();
        let mut kinds: Vec<_> = self
            .entries
            .iter()
            .flat_map(|entry| &entry.findings)
            .map(|finding| finding.kind.name())
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        let findings = match kinds.as_slice() {
            [] => String::new(),
            kinds => format!(", findings: {}", kinds.join(", ")),
        };
        format!("{passed} passed, {failed} failed, {not_run} not run{findings}")
    }

    /// Returns the report as JUnit XML for CI systems. `suite` is the name of the table.
    pub fn junit(&self, suite: &str) -> String {
        let (_, failed, not_run) = self.counts();
        let xml = Junit { suite, report: self, failed, not_run }.to_string() + "\n";
        // XML cannot represent most control characters.
        xml.replace(|c: char| c.is_control() && c != '\n', " ")
    }
}

#[derive(Template)]
#[template(path = "junit.xml")]
struct Junit<'a> {
    suite: &'a str,
    report: &'a Report,
    failed: usize,
    not_run: usize,
}

#[cfg(test)]
mod tests {
    use rsp::finding::FindingKind;

    use super::*;

    fn entry(ended: Ended) -> Entry {
        Entry {
            id: None,
            clause: "5.6.1",
            function: "ES9+.InitiateAuthentication",
            title: "a title with <angles> & \"quotes\"".to_owned(),
            way: "JSON, NIST P-256".to_owned(),
            ended,
            findings: BTreeSet::new(),
        }
    }

    #[test]
    fn a_run_without_a_passed_case_is_not_good() {
        let not_run = || entry(Ended::NotRun("needs more".to_owned()));
        assert!(!Report::default().is_good());
        assert!(!Report { entries: vec![not_run()] }.is_good());
        assert!(Report { entries: vec![not_run(), entry(Ended::Passed)] }.is_good());
    }

    #[test]
    fn findings_are_in_every_format_and_fail_a_case_only_in_a_strict_run() {
        let finding = Finding::new(FindingKind::LongSegment, "the longest has 1036 octets");
        let strict = entry(Ended::Passed).with_findings([finding.clone()].into(), true);
        assert!(matches!(&strict.ended, Ended::Failed(why) if why.contains("1036 octets")), "{strict:?}");
        let entry = entry(Ended::Passed).with_findings([finding].into(), false);
        assert!(entry.line().contains("\n         finding: long-segment (SGP.22 2.5.3)"), "{}", entry.line());
        assert_eq!(serde_json::to_value(&entry).unwrap()["findings"][0]["kind"], "long-segment");
        let report = Report { entries: vec![entry.clone(), entry] };
        assert!(report.is_good());
        assert_eq!(report.summary(), "2 passed, 0 failed, 0 not run, findings: long-segment");
        assert!(report.junit("SGP.23").contains("long-segment"), "{}", report.junit("SGP.23"));
    }

    #[test]
    fn results_are_counted_separately() {
        let report = Report {
            entries: vec![
                entry(Ended::Passed),
                entry(Ended::Failed("expected <a>".to_owned())),
                entry(Ended::NotRun("needs more".to_owned())),
            ],
        };
        assert_eq!(report.counts(), (1, 1, 1));
        assert!(!report.is_good());
        assert_eq!(report.summary(), "1 passed, 1 failed, 1 not run");
        let xml = report.junit("SGP.23");
        assert!(xml.contains("tests=\"3\" failures=\"1\" skipped=\"1\""), "{xml}");
        assert!(xml.contains("<failure message=\"expected &#60;a&#62;\"/>"), "{xml}");
        assert!(
            xml.contains("a title with &#60;angles&#62; &#38; &#34;quotes&#34; [JSON, NIST P-256]"),
            "{xml}"
        );
    }
}
