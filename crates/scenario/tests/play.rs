//! Tests that play scenarios and check their reports. The same seed must give the same report.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use scenario::file::Scenario;
use scenario::play::play;
use scenario::report::{Report, Verdict};

const EXAMPLE: &str = include_str!("../library/ninety-days-in-brazil.toml");
const YEAR: &str = include_str!("../../../tests/benches/year.toml");

fn played(text: &str, seed: &str) -> Report {
    let scenario = Scenario::parse("test.toml", text).unwrap_or_else(|why| panic!("{why}"));
    play("test", &scenario, seed).unwrap_or_else(|why| panic!("{why}"))
}

/// Fails with the timeline and the expectations if the report did not pass.
fn passes(report: &Report) {
    if report.verdict() == Verdict::Failed {
        for entry in report.timeline.entries() {
            println!("{} {} {}: {}", entry.at, entry.kind, entry.who, entry.what);
        }
        for expectation in report.expectations() {
            println!("{} {}: {}", expectation.passed, expectation.text, expectation.saw);
        }
        panic!("an expectation was not met");
    }
}

#[test]
fn the_scenario_ninety_days_in_brazil_passes_and_the_same_seed_gives_the_same_report() {
    let report = played(EXAMPLE, "7");
    passes(&report);
    assert_eq!(report.json().unwrap(), played(EXAMPLE, "7").json().unwrap());
    assert_ne!(report.json().unwrap(), played(EXAMPLE, "8").json().unwrap());
}

/// One device loses its power during the download, the other during a write.
#[test]
fn m2m_devices_get_their_profiles_despite_power_cuts() {
    const METERS: &str = r#"
title = "Power cuts"
lasts = "6d"
network = [{ plmn = "724-91", bearer = "2g-sms" }]
operator = [{ network = "234-91" }, { network = "724-91", stock = 5 }]
devices = [{ name = "meters", kind = "m2m", count = 2, bootstrap = "234-91", journey = [{ at = "0d", in = "BR" }] }]
step = [
  { at = "1d", do = "download-profile", devices = "meters", operator = "724-91", lasts = "2d" },
  { at = "1d 1m", do = "cut-power", devices = "meters 1", lasts = "2h" },
  { at = "4d", do = "disable-profile", devices = "meters 1", operator = "724-91" },
  { at = "5d", do = "delete-profile", devices = "meters 1", operator = "724-91" },
]
fault = [{ what = "power/cut-before-write@card#4", devices = "meters 2", at = "1d" }]
expect = [
  { at = "3d", on = "724-91", with = "724-91", agrees = true },
  { at = "3d", fault = "power/cut-before-write", exactly = 1 },
  { at = "3d", count = "moved", exactly = 2 },
  { at = "100h", devices = "meters 1", with = "234-91", holds = "724-91", agrees = true },
  { devices = "meters 1", holds = "724-91", exactly = 0 },
  { devices = "meters 2", with = "724-91" },
  { agrees = true },
  { count = "profiles-lost", exactly = 0 },
]
"#;
    let report = played(METERS, "7");
    passes(&report);
    assert_eq!(report.faults.keys().collect::<Vec<_>>(), ["power/cut-before-write@card#4"]);
    assert_eq!(report.json().unwrap(), played(METERS, "7").json().unwrap());
}

/// Rules and campaigns also move M2M devices. If a party is down during a move, the M2M agent waits
/// until the party runs again, and determines how the move ended.
#[test]
fn an_m2m_move_with_unknown_end_is_audited_retried_and_can_be_rolled_back() {
    const METERS: &str = r#"
title = "Longer than an order lasts"
lasts = "16d"
network = [{ plmn = "724-91", bearer = "2g-sms" }]
operator = [{ network = "234-91" }, { network = "724-91", stock = 5 }]
devices = [
  { name = "meters", kind = "m2m", count = 2, bootstrap = "234-91", check_in = "6h", journey = [{ at = "0d", in = "BR" }] },
]
campaign = [{ name = "home", at = "1d", target = "724-91", retries = { times = 3, after = "6h" } }]
step = [
  { at = "1d 5m 30s", AWAY, lasts = "30h" },
  { at = "1d 5m 40s", do = "restart", party = "platform", lasts = "3h" },
  { at = "10d", do = "roll-back", campaign = "home" },
]
expect = [
  { at = "1d 5m 20s", state = "moving" },
  { at = "5d", on = "724-91", with = "724-91", state = "working", agrees = true },
  { at = "5d", campaign = "home", is = "done" },
  { at = "5d", count = "not-installed", exactly = 2 },
  { on = "724-91", with = "234-91", holds = "724-91", state = "working", agrees = true },
  { campaign = "home", is = "rolled-back" },
  { count = "findings", exactly = 0 },
  { count = "profiles-lost", exactly = 0 },
]
"#;
    for away in ["do = \"restart\", party = \"sm-sr\"", "do = \"cut-power\", devices = \"meters\""] {
        passes(&played(&METERS.replace("AWAY", away), "7"));
    }
    let away =
        METERS.replace("AWAY", "do = \"restart\", party = \"sm-dp\"").replace("exactly = 2", "at_most = 2");
    let report = played(&away, "7");
    passes(&report);
    assert_eq!(report.json().unwrap(), played(&away, "7").json().unwrap());
}

/// The same file passes with SGP.22 devices and with SGP.02 devices.
#[test]
fn the_same_file_passes_with_devices_of_either_kind() {
    const CANARY: &str = include_str!("../library/canary-that-must-stop.toml");
    for text in [EXAMPLE, CANARY] {
        let m2m = text.replace("[[devices]]", "[[devices]]\nkind = \"m2m\"");
        assert!(Scenario::parse("test.toml", &m2m).unwrap().is_m2m());
        passes(&played(&m2m, "7"));
    }
}

/// The EIS cannot be read at the end of the move and for hours after it.
#[test]
fn the_end_of_an_m2m_move_is_reported_before_the_platform_finds_it() {
    const METERS: &str = r#"
title = "An EIS that cannot be read"
lasts = "6d"
network = [{ plmn = "724-91", bearer = "nb-iot" }]
operator = [{ network = "234-91" }, { network = "724-91", stock = 3 }]
devices = [{ name = "meters", kind = "m2m", count = 3, bootstrap = "234-91", journey = [{ at = "0d", in = "BR" }] }]
campaign = [{ name = "home", at = "1d", target = "724-91" }]
fault = [{ what = "link/http-500@ES4.GetEIS", at = "1d 5m 10s", lasts = "3h" }]
expect = [
  { fault = "link/http-500", at_least = 1 },
  { with = "724-91", state = "working", agrees = true },
  { count = "moved", exactly = 3 },
  { count = "findings", exactly = 0 },
]
"#;
    passes(&played(METERS, "7"));
}

#[test]
fn an_m2m_device_gets_a_profile_of_the_next_operator_if_the_first_has_none() {
    const METERS: &str = r#"
title = "Two operators"
lasts = "100d"
network = [{ plmn = "724-91" }, { plmn = "724-92" }]
operator = [
  { network = "234-91" },
  { network = "724-91", stock = 1, priority = 1 },
  { network = "724-92", stock = 2, priority = 2 },
]
owner = { lead_time = "14d" }
devices = [{ name = "meters", kind = "m2m", count = 2, bootstrap = "234-91", journey = [{ at = "0d", in = "BR" }] }]
campaign = [{ name = "home", at = "0d", retries = { times = 3, after = "6h" } }]
expect = [
  { with = "724-91", exactly = 1 },
  { with = "724-92", exactly = 1 },
  { agrees = true, state = "working", within_rules = true },
  { count = "not-installed", exactly = 1 },
  { count = "findings", exactly = 0 },
]
"#;
    passes(&played(METERS, "7"));
}

/// One device gets no profile, because the stock is empty. The card of the other device later falls
/// back by itself.
#[test]
fn the_platform_detects_changes_that_an_m2m_card_made_by_itself() {
    const METERS: &str = r#"
title = "A network that fails after a move"
lasts = "12d"
network = [
  { plmn = "724-91", bearer = "nb-iot", partners = "none" },
  { plmn = "724-92", bearer = "nb-iot", partners = ["234-91"] },
]
operator = [{ network = "234-91" }, { network = "724-91", stock = 1 }]
devices = [{ name = "meters", kind = "m2m", count = 2, bootstrap = "234-91", journey = [{ at = "0d", in = "BR" }] }]
campaign = [{ name = "home", at = "1d", target = "724-91", at_once = 1, retries = { times = 1, after = "6h" } }]
step = [{ at = "5d", do = "coverage-ends", network = "724-91", lasts = "1d" }]
expect = [
  { at = "4d", with = "724-91", exactly = 1 },
  { at = "4d", count = "not-installed", exactly = 2 },
  { at = "4d", agrees = true },
  { at = "4d", count = "findings", exactly = 0 },
  { at = "132h", on = "724-92", with = "234-91", state = "working", agrees = true },
  { at = "132h", count = "findings", exactly = 1 },
  { campaign = "home", is = "done" },
  { heard_within = "2d" },
  { count = "profiles-lost", exactly = 0 },
]
"#;
    passes(&played(METERS, "7"));
}

/// TS 23.122 section 4.4.3.3.1: a device that stays on and a device that sleeps both return to
/// their home network within the hour that their cards set, once it has coverage again and accepts
/// them.
#[test]
fn a_device_on_a_national_roaming_partner_returns_to_its_home_network_within_an_hour() {
    const OUTAGE: &str = r#"
title = "An outage at home"
lasts = "6d"
network = [
  { plmn = "724-91", away = [{ from = "1d", until = "2d" }] },
  { plmn = "724-92" },
  { plmn = "234-92" },
]
operator = [{ network = "724-91" }]
devices = [{ name = "meters", KIND count = 3, bootstrap = "724-91", journey = [{ at = "0d", in = "BR" }] }]
expect = [
  { at = "23h", on = "724-91" },
  { at = "1d 1h", on = "724-92" },
  { at = "47h 59m", on = "724-92" },
  { at = "2d 1h 1m", on = "724-91" },
  { at = "4d", on = "724-92", devices = "meters 2" },
  { at = "4d 13h", on = "724-92", devices = "meters 2" },
  { on = "724-91" },
]
step = [
  { at = "3d", do = "refuse", network = "724-91", devices = "meters 2", cause = 15, lasts = "2d" },
]
"#;
    for kind in ["kind = \"m2m\",", "check_in = \"24h\","] {
        let report = played(&OUTAGE.replace("KIND", kind), "7");
        passes(&report);
        let refused =
            report.timeline.entries().iter().filter(|entry| entry.what.contains("meters-1")).count();
        assert!(refused < 10, "{kind}: {refused} times");
        let first = report.devices.shown()[0].stays.shown();
        let partner = first.iter().find(|stay| stay.network == Some("724-92".parse().unwrap())).unwrap();
        assert!(!partner.roams && !partner.at_home);
        assert!(report.page().contains("roaming in its home country on 724-92"));
    }
}

const MOVE: &str = r#"
title = "A move"
lasts = "6d"

[[network]]
plmn = "724-91"

[[operator]]
network = "234-91"

[[operator]]
network = "724-91"
stock = 4

[[devices]]
name = "meters"
count = 3
bootstrap = "234-91"
check_in = "6h"
journey = [{ at = "0d", in = "BR" }]

[[campaign]]
name = "home"
at = "1d"
target = "724-91"
canary = { devices = 1, wait = "12h" }

[[expect]]
with = "724-91"
agrees = true
"#;

#[test]
fn faults_affect_the_notifications_of_an_sm_dp_to_the_platform() {
    let with = |what: &str, findings: u32| {
        let fault = format!(
            "[[fault]]\nwhat = \"{what}@ES2+.HandleDownloadProgressInfo\"\n\
             [[expect]]\nfault = \"{}\"\nat_least = 3\n[[expect]]\ncount = \"findings\"\nexactly = {findings}\n",
            what.split('=').next().unwrap()
        );
        passes(&played(&format!("{MOVE}{fault}"), "7"));
    };
    // A late notification is still delivered. A notification that the platform refuses is not
    // repeated, and the platform finds the difference.
    with("link/delay=1h", 0);
    with("link/http-404", 3);
}

#[test]
fn a_report_lists_canaries_faults_and_restarts() {
    let step = "[[step]]\nat = \"12h\"\ndo = \"restart\"\nparty = \"sm-dp\"\nlasts = \"1h\"\n";
    let fault = "[[fault]]\nat = \"1d\"\nwhat = \"records/crash-before-commit=1h@sm-dp#1\"\n\
                 [[fault]]\nwhat = \"power/cut-before-write@device:intension\"\n";
    let report = played(&format!("{MOVE}{step}{fault}"), "7");
    passes(&report);
    assert_eq!(report.campaigns[0].canaries.count(), 1);
    let entry = |what: &str| {
        let mut entries = report.timeline.entries().iter();
        entries.find(|entry| entry.what.starts_with(what)).unwrap_or_else(|| panic!("{what}")).clone()
    };
    let (ends, back) = (entry("sm-dp ends"), entry("has restarted"));
    assert_eq!(back.who, "sm-dp");
    // The process of the SM-DP+ ends at the time of the step, whether or not it handles a request.
    let hour = std::time::Duration::from_secs(3600);
    assert_eq!((ends.at.since(report.begins), back.at.since(ends.at)), (12 * hour, hour));
    let struck = report.faults.iter().find(|(name, _)| name.starts_with("records/crash")).unwrap().1;
    assert!(struck.times == 1 && struck.first.since(report.begins) > 24 * hour, "{struck:?}");
    assert_eq!(report.never_struck, ["power/cut-before-write@device:intension"]);
    // A move is visible in the plot of devices by subscription.
    let homes: Vec<&str> = report.days.devices_by_subscription.lines().map(|(home, _)| home).collect();
    assert_eq!(homes, ["234-91", "724-91"]);
}

#[test]
fn lasting_events_have_an_end() {
    const AWAY: &str = r#"
title = "Away"
lasts = "10d"
network = [{ plmn = "724-91", away = [{ from = "2d", until = "4d" }, { from = "8d" }] }]
operator = [{ network = "724-91" }]
devices = [{ name = "meters", count = 2, bootstrap = "724-91", journey = [{ at = "0d", in = "BR" }] }]
step = [
  { at = "1d", do = "restart", party = "sm-dp", lasts = "3d" },
  { at = "2d", do = "restart", party = "sm-dp", lasts = "1d" },
  { at = "5d", do = "cut-power", devices = "meters 1", lasts = "1d" },
  { at = "9d", do = "restart", party = "platform", lasts = "5d" },
]
fault = [
  { what = "records/crash-after-commit=6h@platform#1", at = "6d" },
  { what = "radio/outage@724-91", at = "7d", lasts = "1h" },
]
"#;
    let report = played(AWAY, "7");
    let hours = |at: rsp::time::Timestamp| at.since(report.begins).as_secs() / 3600;
    let entries = report.timeline.entries().iter();
    let lasting: Vec<_> = entries
        .filter_map(|entry| Some((entry.who.as_str(), entry.what.as_str(), entry.at, entry.until?)))
        .collect();
    let (crashes, others): (Vec<_>, Vec<_>) =
        lasting.into_iter().partition(|(_, what, ..)| what.contains("crash"));
    assert_eq!(crashes.iter().map(|(who, ..)| *who).collect::<Vec<_>>(), ["platform"]);
    assert!(crashes.iter().all(|(_, _, at, until)| until.since(*at).as_secs() == 6 * 3600), "{crashes:?}");
    let ended = "its process has ended and is down";
    let all: Vec<_> =
        others.into_iter().map(|(who, what, at, until)| (who, what, hours(at), hours(until))).collect();
    assert_eq!(
        all,
        [
            ("sm-dp", ended, 24, 48),
            ("724-91", "has no coverage", 48, 96),
            ("sm-dp", ended, 48, 72),
            ("meters", "1 of 2 devices have no power", 120, 144),
            ("faults", "radio/outage@724-91#0s..1h, all", 168, 169),
            ("724-91", "has no coverage", 192, 240),
            ("platform", ended, 216, 240),
        ]
    );
}

#[test]
fn a_platform_starts_a_campaign_after_its_restart() {
    let step = "[[step]]\nat = \"23h\"\ndo = \"restart\"\nparty = \"platform\"\nlasts = \"3h\"\n";
    let pause = "[[step]]\nat = \"25h\"\ndo = \"pause\"\ncampaign = \"home\"\n\
                 [[step]]\nat = \"27h\"\ndo = \"resume\"\ncampaign = \"home\"\n";
    let retire = "[[step]]\nat = \"5d\"\ndo = \"retire\"\ndevices = \"meters 1\"\n".repeat(2);
    let report = played(&format!("{MOVE}{step}{pause}{retire}"), "7");
    let at = |what: &str| {
        let entry = report.timeline.entries().iter().find(|entry| entry.what.starts_with(what));
        entry.unwrap_or_else(|| panic!("{what}")).at.since(report.begins).as_secs() / 3600
    };
    assert_eq!((at("platform ends"), at("has restarted"), at("starts: ")), (23, 26, 26));
}

/// The year of `cargo bench -p tests --bench year`, with few devices.
#[test]
fn a_year_with_rules_moves_and_faults_passes_and_is_determined_by_the_seed() {
    let numbers = [("{count}", "60"), ("{roam}", "50"), ("{stay}", "10"), ("{stock}", "62")];
    let text = numbers.iter().fold(YEAR.to_owned(), |text, (name, number)| text.replace(name, number));
    let report = played(&text, "7");
    passes(&report);
    let saw = |text: &str| {
        let expected = report.expectations().iter().find(|expectation| expectation.text == text);
        expected.unwrap().saw.parse::<u32>().unwrap()
    };
    assert!(saw("moved") >= 50 && saw("check-ins") >= 60 * 12, "the fleet was not active for a year");
    assert!(report.faults.values().any(|times| times.times > 0), "{:?}", report.faults);
    assert_eq!(report.json().unwrap(), played(&text, "7").json().unwrap());
}

const TRAVEL: &str = r#"
title = "Travel"
lasts = "4d"
network = [{ plmn = "262-91" }, { plmn = "724-91" }, { plmn = "208-91" }]
operator = [{ network = "262-91", identities = [{ in = ["BR"], of = "724-91" }], stock = 2 }, { network = "724-91" }, { network = "208-91" }]
devices = [{ name = "trackers", count = 2, bootstrap = "208-91", check_in = "6h", journey = [{ at = "0d", in = "FR" }, { at = "2d", in = "BR" }] }]
campaign = [{ name = "to-the-traveller", at = "1h", target = "262-91" }]
"#;

/// A profile with identities is ordered and downloaded. The card selects one identity, and its home
/// network has the subscriber.
#[test]
fn a_profile_with_several_identities_can_be_ordered() {
    let expect = r#"
expect = [
  { at = "1d", on = "208-91", with = "262-91", as = "262-91" },
  { on = "724-91", with = "262-91", as = "724-91", agrees = true },
  { count = "identities", exactly = 2 },
]
"#;
    let report = played(&format!("{TRAVEL}{expect}"), "7");
    passes(&report);
    let told: Vec<_> = report.timeline.entries().iter().map(|entry| entry.what.as_str()).collect();
    let crossed = "on 724-91 with the identity of 724-91 in a profile of 262-91";
    assert!(told.iter().any(|what| what.contains(crossed)), "{told:#?}");
}

#[test]
fn invalid_identities_are_reported_with_their_line() {
    for (written, instead, words) in [
        ("of = \"724-91\"", "of = \"286-91\"", "286-91"),
        ("of = \"724-91\"", "of = \"262-91\"", "262-91 is listed already"),
        ("in = [\"BR\"]", "in = []", "this identity has no country"),
        ("in = [\"BR\"]", "in = [\"BR\", \"BR\"]", "BR has an identity already"),
        ("in = [\"BR\"]", "in = [\"QQ\"]", "QQ has no mobile country code"),
    ] {
        let text = TRAVEL.replace(written, instead);
        let error = Scenario::parse("test.toml", &text).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("test.toml:5"), "{error}");
    }
    let m2m = TRAVEL
        .replace("count = 2, ", "count = 2, kind = \"m2m\", ")
        .replace("check_in = \"6h\", ", "")
        .split("campaign")
        .next()
        .unwrap()
        .to_owned();
    let error = Scenario::parse("test.toml", &m2m).unwrap_err().to_string();
    assert!(error.contains("M2M devices have only one identity"), "{error}");
}

#[test]
fn a_fractional_campaign_share_is_refused_with_its_line() {
    for (canary, number) in
        [("{ devices = \"2.5%\" }", "2.5"), ("{ devices = 1 }\nstop = { failed = \"0.1%\" }", "0.1")]
    {
        let text = MOVE.replace("{ devices = 1, wait = \"12h\" }", canary);
        let error = Scenario::parse("test.toml", &text).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{number} is not a whole number")) && error.contains("test.toml:"),
            "{error}"
        );
    }
}

/// The expected cost is compared to the millionth, with the value that the report shows.
#[test]
fn an_expected_cost_is_not_rounded() {
    let report = played(MOVE, "7");
    let spent = report.costs.total().units();
    let with = |limit: f64, what: &str| {
        let verdict =
            played(&format!("{MOVE}[[expect]]\ncount = \"cost\"\n{what} = {limit}\n"), "7").verdict();
        verdict == Verdict::Passed
    };
    assert!(spent > 0.0 && with(spent, "exactly") && !with(spent - 1e-6, "at_most"), "{spent}");
}

/// A device sleeps between two attempts, whether or not a wake-up becomes due while it is awake. The
/// network rejects the devices with a cause that takes several attempts, and changes its roaming
/// policy while they are in progress.
#[test]
fn a_device_without_service_wakes_up_only_as_often_as_its_retry_delay_permits() {
    const TRACKERS: &str = r#"
title = "Rejected by the only network"
lasts = "6d"
network = [{ plmn = "234-91" }, { plmn = "286-91" }]
operator = [{ network = "234-91" }]
devices = [
  { name = "trackers", count = 10, bootstrap = "234-91", check_in = "1d", journey = [{ at = "0d", in = "TR" }] },
]
step = [
  { at = "1d", do = "refuse", network = "286-91", devices = "trackers", cause = CAUSE },
  { at = "1d 61s", do = "roaming-begins", network = "286-91" },
]
expect = [
  { registered = true, exactly = 0 },
  { count = "wake-ups", at_least = 200, at_most = 300 },
]
"#;
    for cause in ["11", "15"] {
        passes(&played(&TRACKERS.replace("CAUSE", cause), "7"));
    }
}

/// A refusal with cause #11 is not authenticated, so that the network is tried again after T3247 (TS
/// 24.301 section 5.3.7b).
#[test]
fn a_device_returns_to_a_network_that_has_forbidden_it_for_a_time() {
    const TRACKERS: &str = r#"
title = "Rejected for a day"
lasts = "3d"
network = [{ plmn = "234-91" }, { plmn = "286-91" }]
operator = [{ network = "234-91" }]
devices = [
  { name = "trackers", count = 2, bootstrap = "234-91", check_in = "1d", journey = [{ at = "0d", in = "TR" }] },
]
step = [{ at = "1d", do = "refuse", network = "286-91", devices = "trackers", cause = 11, lasts = "1d" }]
expect = [
  { at = "47h", registered = true, exactly = 0 },
  { on = "286-91" },
]
"#;
    passes(&played(TRACKERS, "7"));
}

/// A device with an LPA is simulated only while it is awake, and an M2M device all the time. In the
/// same world both end in the same state.
#[test]
fn an_lpa_device_and_an_always_on_device_end_in_the_same_state() {
    const JOURNEY: &str = r#"
title = "Two journeys"
lasts = "12d"
network = [
  { plmn = "262-91" },
  { plmn = "262-92" },
  { plmn = "748-91", partners = ["262-91"] },
  { plmn = "748-92", partners = [] },
  { plmn = "214-91", partners = [] },
]
operator = [{ network = "262-91" }]
devices = [
  { name = "t", KIND, count = 2, bootstrap = "262-91", check_in = "12h", journey = [
    { at = "0d", in = "DE" }, { at = "2d", hears = ["748-92", "748-91"] }, { at = "4d", in = "ES" },
    { at = "8d", in = "UY" }, { at = "10d", in = "DE" },
  ] },
]
step = [
  { at = "3d", do = "refuse", network = "748-91", devices = "t 1", cause = CAUSE, lasts = "12h" },
  { at = "6d", do = "roaming-begins", network = "214-91" },
  { at = "9d", do = "coverage-ends", network = "748-91", lasts = "8h" },
  { at = "11d", do = "refuse", network = "262-91", devices = "t 2", cause = CAUSE },
]
"#;
    let conditions =
        ["on = \"262-91\"", "on = \"262-92\"", "on = \"748-91\"", "on = \"214-91\"", "registered = true"];
    let hours = [47, 71, 80, 95, 119, 143, 191, 222, 239, 263, 287];
    let expected = hours.iter().flat_map(|hour| {
        ["t 1", "t 2"].into_iter().flat_map(move |device| {
            conditions.map(|condition| {
                format!("[[expect]]\nat = \"{hour}h\"\ndevices = \"{device}\"\n{condition}\n")
            })
        })
    });
    let expected = expected.collect::<String>();
    for cause in ["3", "11", "15"] {
        let [lpa, always_on] = ["kind = \"consumer\"", "kind = \"m2m\""].map(|kind| {
            let journey = JOURNEY.replace("KIND", kind).replace("CAUSE", cause);
            let report = played(&format!("{journey}{expected}"), "7");
            report
                .expectations()
                .iter()
                .map(|one| format!("{}: {}", one.text, one.passed))
                .collect::<Vec<_>>()
        });
        let places = || hours.iter().flat_map(|hour| [hour; 10]);
        for (hour, (lpa, always_on)) in places().zip(lpa.iter().zip(&always_on)) {
            assert_eq!(lpa, always_on, "after {hour} hours, cause {cause}");
        }
        assert_eq!(lpa.len(), hours.len() * 10);
    }
}

/// Eight of eighty devices are barred, whatever the seed. The seed determines which ones.
#[test]
fn a_share_of_a_group_is_exact_and_drawn_by_the_seed() {
    const METERS: &str = r#"
title = "A tenth"
lasts = "1d"
network = [{ plmn = "234-91" }]
operator = [{ network = "234-91" }]
devices = [
  { name = "meters", count = 80, bootstrap = "234-91", journey = [{ at = "0d", in = "GB" }] },
  { name = "others", count = 5, bootstrap = "234-91", journey = [{ at = "0d", in = "GB" }] },
]
step = [{ at = "12h", do = "bar", devices = ["meters 10%", "others 1%"] }]
expect = [
  { devices = "meters", registered = false, exactly = 8 },
  { devices = "others", registered = false, exactly = 1 },
]
"#;
    let barred = ["1", "2", "3"].map(|seed| {
        let report = played(METERS, seed);
        passes(&report);
        let without = report.devices.shown().iter().filter(|device| device.network.is_none());
        without.map(|device| device.name.clone()).collect()
    });
    let [first, second, third]: [Vec<String>; 3] = barred;
    assert!(first != second && second != third, "{first:?}, {second:?}, {third:?}");
}
