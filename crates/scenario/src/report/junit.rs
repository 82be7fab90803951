//! The report as JUnit XML for CI systems, with a test case for each expectation.

use std::collections::BTreeMap;

use rsp::time::Timestamp;

use super::escape::Escaped;
use super::{Expectation, Report};

impl Report {
    /// The report as JUnit XML.
    ///
    /// Each case has the `file` and `line` of its expectation, as in pytest (xunit1). There is no
    /// `time` attribute: readers expect the seconds of real time, which differ from run to run, and
    /// the virtual time is days.
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
             <system-out>{title}\n\n{about}\n\nCommand: {again}</system-out>\n\
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

/// Returns the name, which must not be empty in JUnit XML.
fn named(name: &str) -> &str {
    if name.trim().is_empty() { "scenario" } else { name }
}

fn property(name: &str, value: &str) -> String {
    format!("<property name=\"{name}\" value=\"{}\"/>\n", Escaped(value))
}

/// A test case. Its name is the expectation, with a number if the same text occurs more than once.
/// It does not contain the time of the check, so that a CI system can follow the case from run to
/// run.
fn case(scenario: &Escaped<'_>, file: &str, expectation: &Expectation, times: u32) -> String {
    let Expectation { text, line, at, passed, saw } = expectation;
    let number = if times > 1 { format!(" #{times}") } else { String::new() };
    let place = line.map(|line| format!(" line=\"{line}\"")).unwrap_or_default();
    let (what, file) = (Escaped(text), Escaped(file));
    let opened = format!("<testcase classname=\"{scenario}\" name=\"{what}{number}\" file=\"{file}\"{place}");
    if *passed {
        return format!("{opened}/>\n");
    }
    let line = line.map(|line| format!("expectation in line {line} of the scenario\n")).unwrap_or_default();
    let (expected, saw) = (Escaped(text), Escaped(saw));
    format!(
        "{opened}>\n<failure type=\"expectation\" message=\"expected: {expected}; saw: {saw}\">{line}checked at: {at}\nsaw: {saw}</failure>\n</testcase>\n"
    )
}
