//! The report as JUnit XML for CI systems, with a test case for each expectation.

use std::collections::BTreeMap;

use askama::Template;
use rsp::time::Timestamp;

use super::{Expectation, Report, printable};

#[derive(Template)]
#[template(path = "junit.xml")]
struct Junit<'a> {
    report: &'a Report,
    /// The name of the scenario, which must not be empty in JUnit XML.
    name: &'a str,
    /// The start of the run in whole seconds and without a time zone, as programs that read JUnit
    /// XML expect.
    timestamp: String,
    /// The expectations. The name of a test case is the text of its expectation, with a number if
    /// the same text occurs more than once. It does not contain the time of the check, so that a CI
    /// system can follow the case from run to run.
    cases: Vec<(&'a Expectation, u32)>,
}

impl Report {
    /// The report as JUnit XML.
    ///
    /// Each case has the `file` and `line` of its expectation, as in pytest (xunit1). There is no
    /// `time` attribute: readers expect the seconds of real time, which differ from run to run, and
    /// the virtual time is days.
    pub fn junit(&self) -> String {
        let name = match self.scenario.name.trim() {
            "" => "scenario",
            _ => &self.scenario.name,
        };
        let mut occurrences = BTreeMap::<&str, u32>::new();
        let cases = self.expectations.iter().map(|expectation| {
            let times = occurrences.entry(&expectation.text).or_default();
            *times += 1;
            (expectation, *times)
        });
        let cases = cases.collect();
        let timestamp = Timestamp::from_seconds(self.begins.seconds()).to_string();
        let timestamp = timestamp.trim_end_matches('Z').to_owned();
        printable(&(Junit { report: self, name, timestamp, cases }.to_string() + "\n"))
    }
}

impl Junit<'_> {
    fn failures(&self) -> usize {
        self.cases.iter().filter(|(expectation, _)| !expectation.passed).count()
    }
}
