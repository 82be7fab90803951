//! What a campaign came to.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet::{Canary, Retries, Share, Spec, Stop, Window};
use rsp::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Bounded;
use crate::file::Length;

/// A campaign at the end of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Campaign {
    /// Its name.
    pub name: String,
    /// Where its devices were to go, for people.
    pub target: String,
    /// Its terms, for people: by their keys in a scenario file, and only those that it has.
    #[serde(default)]
    pub terms: BTreeMap<String, String>,
    /// Its state at the end: `running`, `stopped`, `done` and so on.
    pub state: String,
    /// Why it is in that state, where there is something to say.
    pub why: Option<String>,
    /// When it began, if it did.
    #[schemars(with = "Option<String>")]
    pub began: Option<Timestamp>,
    /// When it ended, if it did.
    #[schemars(with = "Option<String>")]
    pub ended: Option<Timestamp>,
    /// How many devices it has.
    pub devices: u64,
    /// How many tries had which result: `begun`, `under way`, `moved`, `came back`, `not installed`, `lost`, `rolled back`.
    pub results: BTreeMap<String, u64>,
    /// Who went first, if somebody did.
    pub canaries: Bounded<String, 100>,
    /// Devices that did not move, and why.
    pub failures: Bounded<Failure, 100>,
}

/// A device that a campaign did not move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The device, as the scenario names it.
    pub device: String,
    /// Its result.
    pub result: String,
    /// Why, as the device or the platform says it.
    pub why: String,
}

/// What the platform was told of a campaign besides devices and target, in words.
pub(crate) fn terms(spec: &Spec) -> BTreeMap<String, String> {
    let Spec { standing, pace, canary, stop, windows, retries, .. } = spec;
    let windows: Vec<String> = windows.iter().map(window).collect();
    let all = [
        ("standing", standing.then(|| "without end".to_owned())),
        ("per_hour", pace.per_hour.map(|most| format!("{most} moves begin in a clock hour, at most"))),
        ("at_once", pace.at_once.map(|most| format!("{most} are under way, at most"))),
        ("canary", canary.as_ref().map(first)),
        ("stop", stops(*stop, canary.is_some())),
        ("windows", (!windows.is_empty()).then(|| windows.join("; "))),
        ("retries", again(*retries, *standing)),
    ];
    all.into_iter().filter_map(|(key, words)| Some((key.to_owned(), words?))).collect()
}

fn hours(hours: u32) -> Length {
    Length(Duration::from_secs(3600 * u64::from(hours)))
}

fn first(canary: &Canary) -> String {
    let who = match canary.devices {
        Share::Count(count) => count.to_string(),
        Share::Percent(percent) => format!("{percent}%"),
    };
    format!("{who} first, the others {} after the last of them", hours(canary.wait_hours))
}

fn stops(stop: Stop, has_canaries: bool) -> Option<String> {
    let failed = stop.failed_percent.map(|percent| match stop.after {
        0 | 1 => format!("{percent}% of the tries that ended have failed"),
        after => format!("{percent}% of the tries that ended have failed, and {after} have ended"),
    });
    let lost = stop.lost.map(|lost| format!("{lost} devices are lost"));
    let canaries = has_canaries.then(|| "no canary moved".to_owned());
    let all: Vec<String> = [failed, lost, canaries].into_iter().flatten().collect();
    (!all.is_empty()).then(|| format!("when {}", all.join(", or ")))
}

fn window(window: &Window) -> String {
    let Window { days, from_hour, until_hour } = window;
    let days: Vec<String> = days.iter().map(|day| format!("{day:?}").to_lowercase()).collect();
    let days = if days.is_empty() { "every day".to_owned() } else { days.join(", ") };
    format!("{days} {from_hour:02}:00 to {until_hour:02}:00")
}

fn again(retries: Retries, is_standing: bool) -> Option<String> {
    let again = (retries.times > 0).then(|| {
        let times = if retries.times == 1 { "once".to_owned() } else { format!("{} times", retries.times) };
        let later = if retries.times == 1 { "" } else { ", then after twice as long each time" };
        format!("{times}, {} after the first failure{later}", hours(retries.after_hours))
    });
    let anew = is_standing.then(|| format!("anew {}d after the last", retries.rest_days));
    let all: Vec<String> = [again, anew].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Scenario;
    use crate::play::campaign_spec;

    #[test]
    fn the_terms_of_a_campaign_are_said_in_words() {
        let said = |campaign: &str| {
            const WORLD: &str = r#"
title = "Terms"
lasts = "10d"
network = [{ plmn = "724-91" }]
operator = [{ network = "724-91" }]
devices = [{ name = "meters", bootstrap = "724-91", journey = [{ at = "0d", in = "BR" }] }]
"#;
            let text = format!("{WORLD}[[campaign]]\nname = \"home\"\nat = \"1d\"\n{campaign}");
            let scenario = Scenario::parse("test.toml", &text).unwrap();
            let terms = terms(&campaign_spec(&scenario.campaigns[0], None).unwrap());
            terms.into_iter().map(|(key, words)| format!("{key}: {words}")).collect::<Vec<_>>()
        };
        let all = "target = \"724-91\"\nper_hour = 10\nat_once = 5\ncanary = { devices = \"5%\", wait = \"12h\" }\n\
                   stop = { failed = \"30%\", after = 3, lost = 2 }\nretries = { times = 3, after = \"6h\" }\n\
                   windows = [{ days = [\"sat\", \"sun\"], from = 0, until = 6 }, { from = 22, until = 24 }]";
        assert_eq!(
            said(all),
            [
                "at_once: 5 are under way, at most",
                "canary: 5% first, the others 12h after the last of them",
                "per_hour: 10 moves begin in a clock hour, at most",
                "retries: 3 times, 6h after the first failure, then after twice as long each time",
                "stop: when 30% of the tries that ended have failed, and 3 have ended, or 2 devices are lost, or no canary moved",
                "windows: sat, sun 00:00 to 06:00; every day 22:00 to 24:00",
            ]
        );
        assert_eq!(said("target = \"724-91\""), [""; 0]);
        assert_eq!(said(""), ["retries: anew 7d after the last", "standing: without end"]);
    }
}
