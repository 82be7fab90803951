//! The parts of the rule language: counts by network and by IMEI, events, numbering ranges,
//! requirements, consequences, dates.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy takes only #[test] functions for tests, not the helpers beside them"
)]

use localize::{
    Census, DateOfRule, Decision, Device, History, Home, Policy, Reason, RuleBook, RulesDiff, Status, decide,
    findings, measure,
};
use rsp::time::Timestamp;

fn at(day: &str) -> Timestamp {
    format!("{day}T12:00:00Z").parse().unwrap()
}

fn rule(fields: &str) -> String {
    format!("[[rule]]\n{fields}\nsource = \"s\"\nreviewed = \"2026-11-25\"\nconfidence = \"high\"\n")
}

fn book(fields: &str) -> RuleBook {
    RuleBook::parse(&rule(&format!("id = \"r\"\n{fields}"))).unwrap()
}

/// A device with these stays: network, home network, IMEI, first day. Each stay ends when the next
/// one begins.
fn device(stays: &[(&str, &str, &str, &str)]) -> Device {
    let book = RuleBook::built_in().unwrap();
    let mut history = History::default();
    for (network, home, imei, since) in stays {
        let place = |network: &str| book.locate(network.parse().unwrap()).unwrap();
        let home = Home { imei: imei.parse().ok(), ..Home::from(place(home)) };
        history.observe_with(place(network), home, at(since)).unwrap();
    }
    Device { history, ..Device::default() }
}

/// Counted days and the day of the breach under the only rule of the book.
fn measured(device: &Device, book: &RuleBook, now: &str) -> Option<(u32, String)> {
    let found = measure(device, &book.rules()[0], at(now))?;
    Some((found.measured, found.breach.day.to_string()))
}

const A: &str = "004999010640000";
const B: &str = "004999010640018";

#[test]
fn days_in_a_row_on_one_visited_network_start_again_on_another_network() {
    let days = "countries = [\"BR\"]\nkind = \"consecutive_days\"\nlimit_days = 90\n";
    let device = device(&[("724-05", "234-15", A, "2026-01-01"), ("724-02", "234-15", A, "2026-03-01")]);
    let (country, network) = (book(days), book(&format!("{days}counted = \"each_network\"")));
    assert_eq!(measured(&device, &country, "2026-03-10"), Some((69, "2026-04-01".into())));
    assert_eq!(measured(&device, &network, "2026-03-10"), Some((10, "2026-05-30".into())));
}

#[test]
fn a_rule_that_counts_by_imei_starts_again_with_another_imei() {
    let days = "countries = [\"TR\"]\nkind = \"days_in_period\"\nlimit_days = 90\nwindow_days = 120\n";
    let (by_card, by_imei) = (book(days), book(&format!("{days}counted_by = \"imei\"")));
    let other = device(&[("286-01", "234-15", A, "2026-01-01"), ("286-01", "234-15", B, "2026-03-01")]);
    assert_eq!(measured(&other, &by_card, "2026-03-10"), Some((69, "2026-04-01".into())));
    assert_eq!(measured(&other, &by_imei, "2026-03-10"), Some((10, "2026-05-30".into())));
    // Another subscription in the same equipment does not restart the count, and an unknown IMEI
    // may be the same.
    let same = device(&[("286-01", "234-15", A, "2026-01-01"), ("286-01", "208-01", A, "2026-03-01")]);
    assert_eq!(measured(&same, &by_imei, "2026-03-10"), Some((69, "2026-04-01".into())));
    let unknown = device(&[("286-01", "234-15", "", "2026-01-01"), ("286-02", "234-15", B, "2026-03-01")]);
    assert_eq!(measured(&unknown, &by_imei, "2026-03-10"), Some((69, "2026-04-01".into())));
}

#[test]
fn a_rule_that_counts_by_imei_adds_the_days_of_other_cards_with_the_same_imei() {
    let days = "countries = [\"TR\"]\nkind = \"days_in_period\"\nlimit_days = 90\nwindow_days = 120\n";
    let (by_card, by_imei) = (book(days), book(&format!("{days}counted_by = \"imei\"")));
    let other_cards = |imei| {
        let mut former = device(&[("286-01", "208-01", imei, "2026-01-01")]);
        former.history.detached(at("2026-03-05")).unwrap();
        former.history.stays().to_vec()
    };
    let mut new = device(&[("286-01", "234-15", A, "2026-03-01")]);
    assert_eq!(measured(&new, &by_imei, "2026-03-10"), Some((10, "2026-05-30".into())));
    // The days in which both cards are recorded count once.
    new.other_cards = other_cards(A);
    assert_eq!(measured(&new, &by_imei, "2026-03-10"), Some((69, "2026-04-01".into())));
    assert_eq!(measured(&new, &by_card, "2026-03-10"), Some((10, "2026-05-30".into())));
    for imei in [B, ""] {
        new.other_cards = other_cards(imei);
        assert_eq!(measured(&new, &by_imei, "2026-03-10"), Some((10, "2026-05-30".into())), "{imei}");
    }
    let arrival = "countries = [\"TR\"]\nkind = \"days_since\"\nevent = \"arrival\"\nlimit_days = 183\n";
    new.other_cards = other_cards(A);
    let found = measured(&new, &book(&format!("{arrival}counted_by = \"imei\"")), "2026-03-10");
    assert_eq!(found, Some((69, "2026-07-03".into())));
}

#[test]
fn a_change_of_owner_and_a_request_for_a_swap_start_their_own_clocks() {
    let since = |event: &str, days: u32| {
        book(&format!(
            "countries = [\"IN\"]\nkind = \"days_since\"\nevent = \"{event}\"\nlimit_days = {days}"
        ))
    };
    let mut device = device(&[("404-10", "234-15", A, "2026-01-01")]);
    let (owner, swap) = (since("change_of_owner", 0), since("swap_request", 92));
    assert_eq!(measured(&device, &since("arrival", 183), "2026-04-01"), Some((91, "2026-07-03".into())));
    let decision = decide(at("2026-04-01"), &device, &[], &owner, &Policy::default());
    assert!(matches!(decision.reasons(), [Reason::NotHappened { .. }]), "{decision}");

    device.owner_since = Some("2025-06-01".parse().unwrap());
    assert_eq!(measured(&device, &owner, "2026-04-01"), None, "the owner changed before the arrival");
    device.owner_since = Some("2026-03-15".parse().unwrap());
    assert_eq!(measured(&device, &owner, "2026-04-01"), Some((18, "2026-03-15".into())));
    assert_eq!(measured(&device, &owner, "2026-03-14"), None, "the change is in the future");
    let decision = decide(at("2026-04-01"), &device, &[], &owner, &Policy::default());
    assert!(decision.to_string().contains("India allows no stay after a change of owner"), "{decision}");

    assert_eq!(measured(&device, &swap, "2026-04-01"), None);
    device.swap_requested = Some("2026-03-01".parse().unwrap());
    assert_eq!(measured(&device, &swap, "2026-04-01"), Some((32, "2026-06-01".into())));
    let decision = decide(at("2026-04-01"), &device, &[], &swap, &Policy::default());
    assert!(decision.to_string().contains("92 days since the request for a swap"), "{decision}");
}

#[test]
fn a_numbering_range_selects_subscriptions() {
    let ban = book("countries = [\"IN\"]\nkind = \"banned\"\nhome_networks = [\"901\", \"234-15\"]");
    for (home, applies) in [("901-28", true), ("901-37", true), ("234-15", true), ("234-20", false)] {
        let device = device(&[("404-10", home, A, "2026-01-01")]);
        assert_eq!(measured(&device, &ban, "2026-01-01").is_some(), applies, "{home}");
    }
    let built_in = RuleBook::built_in().unwrap();
    let global = built_in.rules().iter().find(|rule| rule.id.to_string() == "in-global-imsi").unwrap();
    for (home, applies) in [("901-28", true), ("234-15", false)] {
        let device = device(&[("404-10", home, A, "2026-01-01")]);
        assert_eq!(localize::measure(&device, global, at("2026-01-01")).is_some(), applies, "{home}");
    }
    let mut unknown = device(&[]);
    let place = built_in.locate("404-10".parse().unwrap()).unwrap();
    unknown.history.observe(place, "XZ".parse().unwrap(), at("2026-01-01")).unwrap();
    let decision = decide(at("2026-01-02"), &unknown, &[], &ban, &Policy::default());
    assert!(matches!(decision.reasons()[0], Reason::HomeNetworkNotKnown { .. }), "{decision}");
}

#[test]
fn a_device_that_fulfils_all_requirements_is_exempt() {
    let book = book(
        "networks = [\"310-410\"]\nkind = \"consecutive_days\"\nlimit_days = 30\n\
         requires = [\"certification\", \"carrier_approval\"]",
    );
    let mut device = device(&[("310-410", "302-720", A, "2026-01-01")]);
    let unmet = |device: &Device| {
        let found = findings(at("2026-01-20"), device, &book, &Policy::default());
        found.first().map(|finding| serde_json::to_value(&finding.unmet).unwrap())
    };
    assert_eq!(unmet(&device), Some(serde_json::json!(["certification", "carrier_approval"])));
    device.permits.insert("certification US".parse().unwrap());
    device.permits.insert("carrier_approval 310-260".parse().unwrap());
    assert_eq!(unmet(&device), Some(serde_json::json!(["carrier_approval"])), "another carrier approved it");
    device.permits.insert("carrier_approval 310-410".parse().unwrap());
    assert_eq!(unmet(&device), None);
    let decision = decide(at("2026-01-20"), &device, &[], &book, &Policy::default());
    assert!(decision.to_string().contains("are fulfilled: the device is certified there and"), "{decision}");
}

#[test]
fn throttling_is_a_consequence_with_a_day() {
    let book = book(
        "networks = [\"310-410\"]\nkind = \"consecutive_days\"\nlimit_days = 30\nconsequence = \"throttled\"\n\
         throttle_kbps = 128\ngrace_days = 10",
    );
    let device = device(&[("310-410", "302-720", A, "2026-01-01")]);
    let decision = decide(at("2026-02-01"), &device, &[], &book, &Policy::default());
    assert!(decision.to_string().contains("throttled to 128 kbit/s from 2026-02-10"), "{decision}");
    let Decision::Stuck { reasons, .. } = &decision else { panic!("{decision}") };
    let json = serde_json::to_value(&reasons[0]).unwrap();
    assert_eq!((&json["consequence"], &json["throttle_kbps"]), (&"throttled".into(), &128.into()));
    let text = serde_json::to_string(&decision).unwrap();
    assert_eq!(serde_json::from_str::<Decision>(&text).unwrap(), decision);
    let rule = serde_json::to_string(&book.rules()[0]).unwrap();
    assert_eq!(serde_json::from_str::<localize::Rule>(&rule).unwrap(), book.rules()[0]);
}

#[test]
fn a_rule_about_resident_devices_counts_only_those_with_enough_days() {
    let book = book(
        "networks = [\"310-410\"]\nkind = \"device_count\"\nmax_devices = 1\nwindow_days = 30\nmin_days = 20",
    );
    let devices: Vec<Device> = ["2026-01-01", "2026-01-05", "2026-01-20"]
        .map(|since| device(&[("310-410", "302-720", A, since)]))
        .into();
    let mut census = Census::new(&book, at("2026-01-25"));
    devices.iter().for_each(|device| census.add(&device.history));
    let policy = Policy { counts: census.finish(), ..Policy::default() };
    let share = policy.counts.under_rule.values().next().unwrap();
    assert_eq!((share.devices, share.roaming, share.staying), (3, 2, 2));
    let statuses: Vec<Option<Status>> = devices
        .iter()
        .map(|device| findings(at("2026-01-25"), device, &book, &policy).first().map(|found| found.status))
        .collect();
    assert_eq!(statuses, [Some(Status::Broken), None, None], "the longest resident leaves");
    let decision = decide(at("2026-01-25"), &devices[0], &[], &book, &policy);
    assert!(decision.to_string().contains("on 20 or more of 30 days"), "{decision}");
}

#[test]
fn a_date_of_a_rule_is_reported_when_it_is_near() {
    let book = book(
        "countries = [\"NZ\"]\nkind = \"banned\"\nannounced = \"2026-01-01\"\neffective = \"2026-03-01\"\n\
         ends = \"2026-06-01\"",
    );
    let alerts = |today: &str, within| -> Vec<(DateOfRule, u32)> {
        let found = book.alerts(today.parse().unwrap(), within);
        found.into_iter().map(|alert| (alert.event, alert.in_days)).collect()
    };
    assert_eq!(alerts("2025-12-31", 90), [], "the rule is not announced yet");
    assert_eq!(alerts("2026-01-30", 30), [(DateOfRule::TakesEffect, 30)]);
    assert_eq!(alerts("2026-01-30", 29), []);
    assert_eq!(alerts("2026-03-01", 92), [(DateOfRule::Ends, 92)], "the rule is in force");
    let text = book.alerts("2026-02-01".parse().unwrap(), 30)[0].to_string();
    assert_eq!(text, "rule r takes effect on 2026-03-01, in 28 days");
}

#[test]
fn a_diff_lists_added_removed_and_changed_rules_with_their_fields() {
    let with = |limit: u32| {
        rule(&format!("id = \"a\"\ncountries = [\"BR\"]\nkind = \"consecutive_days\"\nlimit_days = {limit}"))
    };
    let ban = |id: &str| rule(&format!("id = \"{id}\"\ncountries = [\"BR\"]\nkind = \"banned\""));
    let parse = |text: String| RuleBook::parse(&text).unwrap();
    let (before, after) = (parse(with(90) + &ban("b")), parse(with(60) + &ban("c")));
    let diff = serde_json::to_value(RulesDiff::between(&before, &after)).unwrap();
    assert_eq!(diff["added"][0]["id"], "c");
    assert_eq!(diff["removed"], serde_json::json!(["b"]));
    let fields = serde_json::json!([{ "field": "limit_days", "before": 90, "after": 60 }]);
    assert_eq!(diff["changed"], serde_json::json!([{ "rule": "a", "fields": fields }]));
    assert!(RulesDiff::between(&before, &before).is_empty());
    // A rule whose kind changes loses fields.
    let banned = parse(ban("a"));
    let diff = serde_json::to_value(RulesDiff::between(&parse(with(90)), &banned)).unwrap();
    let fields = serde_json::json!([
        { "field": "kind", "before": "consecutive_days", "after": "banned" },
        { "field": "limit_days", "before": 90, "after": null },
    ]);
    assert_eq!(diff["changed"][0]["fields"], fields);
}
