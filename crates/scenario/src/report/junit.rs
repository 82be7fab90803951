//! A report for a CI system: JUnit's XML, a test case for each expectation.

use std::collections::BTreeMap;

use rsp::time::Timestamp;

use super::escape::Escaped;
use super::{Expectation, Report};

impl Report {
    /// The report as JUnit's XML, as the CI systems read it.
    ///
    /// Each case says with `file` and `line` where it is expected, as pytest's do (xunit1). Nothing has a `time`: readers take it
    /// for seconds that a machine was busy, which differ from run to run, and the run's own are days.
    pub fn junit(&self) -> String {
        let failures = self.expectations().iter().filter(|expectation| !expectation.passed).count();
        let name = Escaped(named(&self.scenario.name));
        let file = format!("{}.toml", named(&self.scenario.name));
        let mut names = BTreeMap::<&str, u32>::new();
        let cases: String = self
            .expectations()
            .iter()
            .map(|expectation| {
                let times = names.entry(&expectation.text).or_default();
                *times += 1;
                case(&name, &file, expectation, *times)
            })
            .collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite id=\"0\" name=\"{name}\" package=\"landfall\" \
             hostname=\"localhost\" timestamp=\"{at}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\">\n\
             <properties>\n{seed}{begins}{ended}</properties>\n{cases}\
             <system-out>{title}\n\n{about}\n\nAgain: {again}</system-out>\n\
             <system-err></system-err>\n</testsuite>\n</testsuites>\n",
            at = Timestamp::from_seconds(self.begins.seconds()).to_string().trim_end_matches('Z'),
            tests = self.expectations().len(),
            seed = property("seed", &self.seed),
            begins = property("begins", &self.begins.to_string()),
            ended = property("ended", &self.ended.to_string()),
            title = Escaped(&self.scenario.title),
            about = Escaped(&self.scenario.about),
            again = Escaped(&self.again()),
        )
    }
}

/// A name must not be empty.
fn named(name: &str) -> &str {
    if name.trim().is_empty() { "scenario" } else { name }
}

fn property(name: &str, value: &str) -> String {
    format!("<property name=\"{name}\" value=\"{}\"/>\n", Escaped(value))
}

/// A case's name is what is expected, and its number where that stands more than once: a CI system follows it from run to run,
/// whenever in the run it was looked at.
fn case(scenario: &Escaped<'_>, file: &str, expectation: &Expectation, times: u32) -> String {
    let Expectation { text, line, at, passed, saw } = expectation;
    let number = if times > 1 { format!(" #{times}") } else { String::new() };
    let place = line.map(|line| format!(" line=\"{line}\"")).unwrap_or_default();
    let (what, file) = (Escaped(text), Escaped(file));
    let opened = format!("<testcase classname=\"{scenario}\" name=\"{what}{number}\" file=\"{file}\"{place}");
    if *passed {
        return format!("{opened}/>\n");
    }
    let line = line.map(|line| format!("expected in line {line} of the scenario\n")).unwrap_or_default();
    let (expected, saw) = (Escaped(text), Escaped(saw));
    format!(
        "{opened}>\n<failure type=\"expectation\" message=\"expected: {expected}; saw: {saw}\">{line}looked at: {at}\nsaw: {saw}</failure>\n</testcase>\n"
    )
}
