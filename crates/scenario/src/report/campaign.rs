//! The outcome of a campaign.

use std::collections::BTreeMap;
use std::time::Duration;

use fleet::{CampaignSpec, Canary, Retries, Share, Stop, Window};
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
    /// The target of the campaign, as text.
    pub target: String,
    /// The settings of the campaign as text, by their keys in a scenario file. Settings without a
    /// value are absent.
    #[serde(default)]
    pub terms: BTreeMap<String, String>,
    /// Its state at the end: `running`, `stopped`, `done` and so on.
    pub state: String,
    /// The reason for the state, if there is one.
    pub why: Option<String>,
    /// The start time, if it started.
    #[schemars(with = "Option<String>")]
    pub began: Option<Timestamp>,
    /// The end time, if it ended.
    #[schemars(with = "Option<String>")]
    pub ended: Option<Timestamp>,
    /// The number of devices.
    pub devices: u64,
    /// The number of attempts by result: `begun`, `under way`, `moved`, `came back`, `not
    /// installed`, `lost`, `rolled back`.
    pub results: BTreeMap<String, u64>,
    /// The canary devices, if there are any.
    pub canaries: Bounded<String, 100>,
    /// Devices that did not move, with the reason.
    pub failures: Bounded<Failure, 100>,
}

/// A device that a campaign did not move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The name of the device in the scenario.
    pub device: String,
    /// Its result.
    pub result: String,
    /// The reason that the device or the platform reported.
    pub why: String,
}

/// Describes the settings of a campaign, except devices and target.
pub(crate) fn terms(spec: &CampaignSpec) -> BTreeMap<String, String> {
    let CampaignSpec { standing, pace, canary, stop, windows, retries, .. } = spec;
    let windows: Vec<String> = windows.iter().map(window).collect();
    let all = [
        ("standing", standing.then(|| "without end".to_owned())),
        ("per_hour", pace.per_hour.map(|most| format!("at most {most} moves start per clock hour"))),
        ("at_once", pace.at_once.map(|most| format!("at most {most} moves in progress"))),
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
    format!("{who} of the devices first, the others {} after the last of these", hours(canary.wait_hours))
}

fn stops(stop: Stop, has_canaries: bool) -> Option<String> {
    let failed = stop.failed_percent.map(|percent| match stop.after {
        0 | 1 => format!("{percent}% of the ended attempts have failed"),
        after => format!("{percent}% of the ended attempts have failed and at least {after} have ended"),
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
        let later = if retries.times == 1 { "" } else { ", then after twice the delay each time" };
        format!("{times}, {} after the first failure{later}", hours(retries.after_hours))
    });
    let anew = is_standing.then(|| format!("started again {}d after the last attempt", retries.rest_days));
    let all: Vec<String> = [again, anew].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{Scenario, campaign_spec};

    #[test]
    fn the_settings_of_a_campaign_are_described() {
        let described = |campaign: &str| {
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
            described(all),
            [
                "at_once: at most 5 moves in progress",
                "canary: 5% of the devices first, the others 12h after the last of these",
                "per_hour: at most 10 moves start per clock hour",
                "retries: 3 times, 6h after the first failure, then after twice the delay each time",
                "stop: when 30% of the ended attempts have failed and at least 3 have ended, or 2 devices are lost, or no canary moved",
                "windows: sat, sun 00:00 to 06:00; every day 22:00 to 24:00",
            ]
        );
        assert_eq!(described("target = \"724-91\""), [""; 0]);
        assert_eq!(
            described(""),
            ["retries: started again 7d after the last attempt", "standing: without end"]
        );
    }
}
