//! Decisions about a device, country by country, with the built-in rules.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy takes only #[test] functions for tests, not the helpers beside them"
)]

use localize::{
    Criticality, Day, Decision, Destination, Device, HeldProfile, HeldState, History, Latency, Needs, Offer,
    Orderable, Place, Policy, ProfileType, Reason, Refused, Role, RuleBook, Status, Stay, decide,
};
use rsp::time::Timestamp;

fn book() -> RuleBook {
    RuleBook::built_in().unwrap()
}

fn place(plmn: &str) -> Place {
    book().locate(plmn.parse().unwrap()).unwrap()
}

fn at(text: &str) -> Timestamp {
    let text = if text.contains('T') { text.to_owned() } else { format!("{text}T00:00:00Z") };
    text.parse().unwrap()
}

fn held(iccid: &str, home: &str, role: Role, state: HeldState) -> HeldProfile {
    HeldProfile { iccid: iccid.parse().unwrap(), home: place(home), role, state }
}

const BOOTSTRAP: &str = "8944476500001224158";
const OPERATIONAL: &str = "8901410321111851072";
const LOCAL: &str = "8955031234567890120";

fn bootstrap() -> HeldProfile {
    held(BOOTSTRAP, "234-15", Role::Bootstrap, HeldState::Enabled)
}

fn offer(operator: &str, priority: u32) -> Offer {
    let order = Orderable::ProfileType(ProfileType(format!("local-{operator}")));
    Offer { order, operator: place(operator), priority }
}

/// Stays as (network, home, first day, last day); an empty last day is an open stay. Both days are
/// included.
fn history(stays: &[(&str, &str, &str, &str)]) -> History {
    History::from_stays(stays.iter().map(|(plmn, home, first, last)| Stay {
        country: place(plmn).country,
        plmn: plmn.parse().unwrap(),
        home: home.parse().unwrap(),
        home_network: None,
        imei: None,
        from: Timestamp(at(first).0 + 3_600_000),
        until: (!last.is_empty()).then(|| Timestamp(at(last).0 + 7_200_000)),
    }))
    .unwrap()
}

fn device(stays: &[(&str, &str, &str, &str)]) -> Device {
    Device { history: history(stays), held: vec![bootstrap()], ..Device::default() }
}

/// The breach of a rule for this history, as (counted, day, blocked from).
fn finding(stays: &[(&str, &str, &str, &str)], rule: &str, now: &str) -> Option<(u32, String, String)> {
    let book = book();
    let rule = book.rules().iter().find(|known| known.id.to_string() == rule).unwrap();
    let measured = localize::measure(&device(stays), rule, at(now))?;
    Some((measured.measured, measured.breach.day.to_string(), measured.breach.blocked_from.to_string()))
}

#[test]
fn each_rule_is_broken_on_its_day() {
    type Row<'a> =
        (&'a str, &'a [(&'a str, &'a str, &'a str, &'a str)], &'a str, Option<(u32, &'a str, &'a str)>);
    let rows: &[Row<'_>] = &[
        // Brazil: 90 days in 365. The first day is 1 January, and the 91st is 1 April, or 31 March
        // in a leap year.
        (
            "br-90-in-365",
            &[("724-05", "GB", "2026-01-01", "")],
            "2026-01-01T12:00:00Z",
            Some((1, "2026-04-01", "2026-04-01")),
        ),
        (
            "br-90-in-365",
            &[("724-05", "GB", "2028-01-01", "")],
            "2028-01-10",
            Some((10, "2028-03-31", "2028-03-31")),
        ),
        (
            "br-90-in-365",
            &[("724-05", "GB", "2026-01-01", "")],
            "2026-06-01",
            Some((152, "2026-04-01", "2026-04-01")),
        ),
        // After 60 days in the country and an absence, 30 more days are allowed.
        (
            "br-90-in-365",
            &[("724-05", "GB", "2026-01-01", "2026-03-01"), ("724-05", "GB", "2026-08-01", "")],
            "2026-08-01T12:00:00Z",
            Some((61, "2026-08-31", "2026-08-31")),
        ),
        // Old days leave the window: on 2 January of the next year the first day is out of it.
        (
            "br-90-in-365",
            &[("724-05", "GB", "2026-01-01", "2026-03-31"), ("724-05", "GB", "2027-01-02", "")],
            "2027-01-02T12:00:00Z",
            Some((89, "2027-04-02", "2027-04-02")),
        ),
        // Changing the foreign subscription does not restart the count; a local one does not count.
        (
            "br-90-in-365",
            &[
                ("724-05", "GB", "2026-01-01", "2026-01-30"),
                ("724-05", "BR", "2026-01-31", "2026-02-28"),
                ("724-02", "US", "2026-03-01", ""),
            ],
            "2026-03-01T12:00:00Z",
            Some((31, "2026-04-30", "2026-04-30")),
        ),
        // No breach: not in the country, at home there, from Chile, or no longer there.
        ("br-90-in-365", &[("730-01", "GB", "2026-01-01", "")], "2026-06-01", None),
        ("br-90-in-365", &[("724-05", "BR", "2026-01-01", "")], "2026-06-01", None),
        ("br-90-in-365", &[("724-05", "CL", "2026-01-01", "")], "2026-06-01", None),
        ("br-90-in-365", &[("724-05", "GB", "2026-01-01", "2026-05-30")], "2026-06-01", None),
        // Turkiye: the 91st day in 120 breaks the rule, and the device is blocked 30 days later.
        (
            "tr-91-in-120",
            &[("286-01", "GB", "2026-01-01", "")],
            "2026-02-01",
            Some((32, "2026-04-01", "2026-05-01")),
        ),
        // 60 days in the country, 40 days away, and back: at first, the window of 120 days contains
        // at most 80 days in the country. Old days then leave the window as new ones are added,
        // until the 40 days leave the window as well.
        (
            "tr-91-in-120",
            &[("286-01", "GB", "2026-01-01", "2026-03-01"), ("286-01", "GB", "2026-04-11", "")],
            "2026-04-12",
            Some((62, "2026-07-10", "2026-08-09")),
        ),
        (
            "tr-local-esim-120",
            &[("286-01", "GB", "2026-01-01", "")],
            "2026-02-01",
            Some((32, "2026-05-01", "2026-05-01")),
        ),
        // China: the first day breaks the rule.
        (
            "cn-local-only",
            &[("460-00", "GB", "2026-05-05", "")],
            "2026-05-05T12:00:00Z",
            Some((1, "2026-05-05", "2026-05-05")),
        ),
        // Brazil and Chile: one rule counts consecutive days, the other all days of a year.
        (
            "br-cl-90-consecutive",
            &[("724-05", "CL", "2026-01-01", "")],
            "2026-02-01",
            Some((32, "2026-04-01", "2026-04-01")),
        ),
        (
            "br-cl-90-consecutive",
            &[("724-05", "CL", "2026-01-01", "2026-03-20"), ("724-05", "CL", "2026-03-22", "")],
            "2026-03-22T12:00:00Z",
            Some((1, "2026-06-20", "2026-06-20")),
        ),
        (
            "br-cl-120-in-365",
            &[("724-05", "CL", "2026-01-01", "2026-03-20"), ("724-05", "CL", "2026-03-22", "")],
            "2026-03-22T12:00:00Z",
            Some((80, "2026-05-02", "2026-05-02")),
        ),
        (
            "br-cl-90-consecutive",
            &[("730-01", "BR", "2026-01-01", "")],
            "2026-02-01",
            Some((32, "2026-04-01", "2026-04-01")),
        ),
        ("br-cl-90-consecutive", &[("730-01", "GB", "2026-01-01", "")], "2026-02-01", None),
        // Australia: after at least one day in each of five months, the first roaming day of the
        // sixth month breaks the rule. It is the rule of one network.
        (
            "au-6-months-in-12",
            &[("505-01", "GB", "2026-01-31", "")],
            "2026-02-01",
            Some((2, "2026-06-01", "2026-06-01")),
        ),
        ("au-6-months-in-12", &[("505-02", "GB", "2026-01-31", "")], "2026-02-01", None),
        (
            "au-6-months-in-12",
            &[("505-01", "GB", "2026-01-31", "2026-05-01"), ("505-01", "GB", "2026-08-20", "")],
            "2026-09-09",
            Some((7, "2026-08-20", "2026-08-20")),
        ),
        // The window of twelve months slides: January 2026 no longer counts in January 2027.
        (
            "au-6-months-in-12",
            &[("505-01", "GB", "2026-01-01", "2026-01-02"), ("505-01", "GB", "2026-12-31", "")],
            "2026-12-31T12:00:00Z",
            Some((2, "2027-05-01", "2027-05-01")),
        ),
        // The EU: for a home in the EU, the 62nd day abroad in 122 days breaks the rule, and all
        // countries are counted together. The rule does not cover a home outside the EU.
        (
            "eu-fair-use",
            &[
                ("208-01", "DE", "2026-01-01", "2026-01-31"),
                ("262-01", "DE", "2026-02-01", "2026-02-10"),
                ("222-01", "DE", "2026-02-11", ""),
            ],
            "2026-02-12",
            Some((33, "2026-03-13", "2026-03-27")),
        ),
        ("eu-fair-use", &[("208-01", "GB", "2026-01-01", "")], "2026-02-12", None),
        ("eu-fair-use", &[("208-01", "NO", "2026-01-01", "")], "2026-02-12", None),
        // Norway and Moldova belong to the same area.
        (
            "eu-fair-use",
            &[("242-01", "DE", "2026-01-01", "2026-01-31"), ("259-01", "DE", "2026-02-01", "")],
            "2026-02-12",
            Some((43, "2026-03-03", "2026-03-17")),
        ),
        (
            "eu-fair-use-is-li-no",
            &[("208-01", "NO", "2026-01-01", "")],
            "2026-02-12",
            Some((43, "2026-03-03", "2026-03-17")),
        ),
        (
            "eu-fair-use-ua-md",
            &[("208-01", "UA", "2026-01-01", "")],
            "2026-02-12",
            Some((43, "2026-03-03", "2026-03-17")),
        ),
        (
            "in-six-months",
            &[("404-10", "GB", "2026-01-01", "")],
            "2026-02-01",
            Some((32, "2026-07-03", "2026-07-03")),
        ),
        // A day away does not restart the count.
        (
            "in-six-months",
            &[("404-10", "GB", "2026-01-01", "2026-01-20"), ("404-10", "GB", "2026-01-31", "")],
            "2026-02-01",
            Some((32, "2026-07-03", "2026-07-03")),
        ),
        ("in-change-of-owner", &[("404-10", "GB", "2026-01-01", "")], "2026-02-01", None),
        (
            "sa-registration-90",
            &[("420-01", "GB", "2026-01-01", "")],
            "2026-02-01",
            Some((32, "2026-04-01", "2026-04-01")),
        ),
        (
            "ae-presence",
            &[("424-02", "GB", "2026-01-01", "")],
            "2026-02-01",
            Some((32, "2026-01-01", "2026-01-01")),
        ),
        ("us-ca-carrier-terms", &[("310-410", "GB", "2026-01-01", "")], "2026-02-01", None),
        ("jp-permissive", &[("440-10", "GB", "2016-01-01", "")], "2026-02-01", None),
    ];
    for (rule, stays, now, expected) in rows {
        let expected =
            expected.map(|(measured, day, blocked)| (measured, day.to_owned(), blocked.to_owned()));
        assert_eq!(finding(stays, rule, now), expected, "{rule} at {now}: {stays:?}");
    }
}

#[test]
fn a_device_moves_at_the_start_of_the_lead_time_and_not_before() {
    let device = device(&[("724-05", "GB", "2026-01-01", "")]);
    let (offers, book, policy) = ([offer("724-05", 1)], book(), Policy::default());
    let Decision::Stay { reasons, next_check } =
        decide(at("2026-03-24T23:59:59.999Z"), &device, &offers, &book, &policy)
    else {
        panic!("moves too early")
    };
    assert_eq!(next_check, Some(at("2026-03-25")));
    assert!(matches!(&reasons[..], [Reason::Rule(finding)] if finding.status == Status::Clear));

    for (now, status) in [
        ("2026-03-25", Status::Near),
        ("2026-03-31T23:59:59.999Z", Status::Near),
        ("2026-04-01", Status::Broken),
    ] {
        let decision = decide(at(now), &device, &offers, &book, &policy);
        let Decision::Move { to, country, fall_back_to, deadline, reasons } = &decision else {
            panic!("{decision}")
        };
        assert_eq!(**to, Destination::Offer(offers[0].clone()));
        assert_eq!(country.to_string(), "BR");
        assert_eq!(fall_back_to.as_deref(), Some(&bootstrap()));
        assert_eq!(*deadline, Some(at("2026-04-01")));
        assert!(
            matches!(&reasons[..], [Reason::Rule(finding)] if finding.status == status),
            "{now}: {decision}"
        );
    }
}

#[test]
fn a_device_at_home_or_not_attached_stays() {
    let book = book();
    let policy = Policy::default();
    let now = at("2027-01-01");
    let mut local = device(&[("724-05", "BR", "2026-01-01", "")]);
    assert!(matches!(decide(now, &local, &[], &book, &policy).reasons(), [Reason::AtHome { .. }]));
    local.history.detached(at("2026-12-31")).unwrap();
    assert!(matches!(decide(now, &local, &[], &book, &policy).reasons(), [Reason::NotAttached]));

    // The device has enabled the local profile but has not registered with it yet.
    let mut switched = device(&[("724-05", "GB", "2026-01-01", "")]);
    assert!(matches!(decide(now, &switched, &[], &book, &policy), Decision::Stuck { .. }));
    switched.held[0].state = HeldState::Disabled;
    switched.held.push(held(LOCAL, "724-05", Role::Local, HeldState::Enabled));
    assert!(matches!(decide(now, &switched, &[], &book, &policy).reasons(), [Reason::AtHome { .. }]));
}

#[test]
fn a_permissive_country_and_a_country_without_rule_are_reasons() {
    let (book, policy, now) = (book(), Policy::default(), at("2026-11-21"));
    for (network, words) in [
        ("440-10", "Japan allows permanent roaming"),
        ("310-410", "the operators' terms decide"),
        ("530-01", "no rule is known"),
    ] {
        let decision = decide(now, &device(&[(network, "GB", "2020-01-01", "")]), &[], &book, &policy);
        assert!(matches!(decision, Decision::Stay { next_check: None, .. }), "{decision}");
        assert!(decision.to_string().contains(words), "{decision}");
    }
}

#[test]
fn a_ban_moves_a_device_at_once_and_a_device_without_an_offer_is_stuck() {
    let (book, policy, now) = (book(), Policy::default(), at("2026-05-05T12:00:00Z"));
    let device = device(&[("460-00", "GB", "2026-05-05", "")]);
    let decision = decide(now, &device, &[offer("724-05", 1)], &book, &policy);
    let Decision::Stuck { deadline, next_check: None, reasons } = &decision else { panic!("{decision}") };
    assert_eq!(*deadline, at("2026-05-05"));
    assert!(matches!(&reasons[..], [Reason::Rule(_), Reason::NoLocalProfile { .. }]));
    assert!(matches!(decide(now, &device, &[offer("460-00", 1)], &book, &policy), Decision::Move { .. }));
}

#[test]
fn small_fleets_and_registered_owners_and_devices_are_exempt_from_some_rules() {
    let (book, now) = (book(), at("2026-11-21"));
    let australia = device(&[("505-01", "GB", "2026-01-31", "")]);
    let on_network = |staying| {
        let share = localize::Share { staying, ..localize::Share::default() };
        let rule = book.rules().iter().find(|rule| rule.id.to_string() == "au-6-months-in-12").unwrap();
        let under_rule = [(rule.id.clone(), share)].into();
        Policy { counts: localize::FleetCounts { under_rule, ..Default::default() }, ..Policy::default() }
    };
    let small = decide(now, &australia, &[], &book, &on_network(500));
    assert!(matches!(small.reasons(), [Reason::TooFewDevices { .. }]), "{small}");
    assert!(matches!(decide(now, &australia, &[], &book, &on_network(501)), Decision::Stuck { .. }));

    let emirates = device(&[("424-02", "GB", "2026-01-31", "")]);
    let registered = Policy { registered_in: ["AE".parse().unwrap()].into(), ..Policy::default() };
    assert!(matches!(decide(now, &emirates, &[], &book, &registered).reasons(), [Reason::Fulfilled { .. }]));
    assert!(matches!(decide(now, &emirates, &[], &book, &Policy::default()), Decision::Stuck { .. }));

    let rules = |device: &Device| {
        let decision = decide(now, device, &[], &book, &Policy::default());
        decision.reasons().iter().filter_map(|r| r.rule().map(ToString::to_string)).collect::<Vec<_>>()
    };
    // Two independent rules of Turkiye: registration of the IMEI lifts one, and a locally
    // programmable eSIM with data in the country the other.
    let mut turkiye = device(&[("286-01", "GB", "2026-01-01", "")]);
    assert_eq!(rules(&turkiye), ["tr-91-in-120", "tr-local-esim-120"]);
    turkiye.imei_registered_in.insert("TR".parse().unwrap());
    assert_eq!(rules(&turkiye), ["tr-local-esim-120"]);
    turkiye.permits.insert("local_programming TR".parse().unwrap());
    assert_eq!(rules(&turkiye), ["tr-local-esim-120"], "the data is not in the country");
    turkiye.permits.insert("data_in_country TR".parse().unwrap());
    assert!(matches!(decide(now, &turkiye, &[], &book, &Policy::default()), Decision::Stay { .. }));

    // Egypt requires an approval, which an owner can have for all devices.
    let egypt = device(&[("602-01", "GB", "2026-11-01", "")]);
    let approved = Policy { permits: ["approval EG".parse().unwrap()].into(), ..Policy::default() };
    assert!(matches!(decide(now, &egypt, &[], &book, &Policy::default()), Decision::Stuck { .. }));
    assert!(matches!(decide(now, &egypt, &[], &book, &approved), Decision::Stay { .. }));
}

#[test]
fn installed_profiles_precede_orders_and_lower_priority_numbers_precede_higher_ones() {
    let (book, policy, now) = (book(), Policy::default(), at("2026-04-05"));
    let mut device = device(&[("724-05", "GB", "2026-01-01", "")]);
    let offers = [offer("724-02", 2), offer("730-01", 0), offer("724-05", 1)];
    let destination = |device: &Device, now| match decide(now, device, &offers, &book, &policy) {
        Decision::Move { to, .. } => to.operator().plmn.to_string(),
        other => panic!("{other}"),
    };
    assert_eq!(destination(&device, now), "724-05");
    device.refused.push(Refused { operator: "724-05".parse().unwrap(), at: at("2026-04-01"), cause: None });
    assert_eq!(destination(&device, now), "724-02");
    assert_eq!(destination(&device, at("2026-04-08")), "724-05", "seven days later it is tried again");
    device.refused.push(Refused {
        operator: "724-02".parse().unwrap(),
        at: at("2026-04-02"),
        cause: Some("#2 IMSI unknown in HSS".into()),
    });
    let decision = decide(now, &device, &offers, &book, &policy);
    assert!(
        matches!(decision, Decision::Stuck { next_check: Some(next), .. } if next == at("2026-04-08")),
        "{decision}"
    );
    let text = decision.to_string();
    assert!(text.contains("no destination; next evaluation at 2026-04-08T"), "{text}");
    assert!(text.contains("network 724-02 refused the device (#2 IMSI unknown in HSS)"), "{text}");
    assert!(!text.contains("add an offer"), "the operators have offers: {text}");
    device.held.push(held(LOCAL, "724-11", Role::Local, HeldState::Disabled));
    assert_eq!(destination(&device, now), "724-11");
}

#[test]
fn the_fallback_is_the_bootstrap_profile_or_else_the_active_profile() {
    let (book, policy, now) = (book(), Policy::default(), at("2026-04-05"));
    let offers = [offer("724-05", 1)];
    let operational = held(OPERATIONAL, "310-410", Role::Operational, HeldState::Enabled);
    let elsewhere = held(LOCAL, "730-01", Role::Local, HeldState::Disabled);
    let mut asleep = bootstrap();
    asleep.state = HeldState::Disabled;
    for (held, expected) in [
        (vec![operational.clone(), elsewhere.clone(), asleep.clone()], Some(BOOTSTRAP)),
        (vec![elsewhere.clone(), operational], Some(OPERATIONAL)),
        (vec![elsewhere], None),
        (vec![], None),
    ] {
        let needs = Needs { criticality: Criticality::High, latency: Latency::Tight, ..Needs::default() };
        let device = Device { held, needs, ..device(&[("724-05", "GB", "2026-01-01", "")]) };
        let decision = decide(now, &device, &offers, &book, &policy);
        let Decision::Move { fall_back_to, reasons, .. } = &decision else { panic!("{decision}") };
        let expected: Option<rsp::ids::Iccid> = expected.map(|iccid| iccid.parse().unwrap());
        assert_eq!(fall_back_to.as_ref().map(|held| held.iccid), expected);
        assert_eq!(
            expected.is_none(),
            decision.to_string().contains("add a bootstrap profile first"),
            "{decision}"
        );
        assert!(reasons.iter().any(|reason| matches!(reason, Reason::ShorterPath { .. })));
    }
}

#[test]
fn a_rule_is_not_broken_before_it_takes_effect() {
    let rules = "[[rule]]\nid = \"x\"\ncountries = [\"NZ\"]\nkind = \"banned\"\neffective = \"2026-12-01\"\n\
                 source = \"a carrier's notice\"\nreviewed = \"2026-11-21\"\nconfidence = \"high\"\n";
    let book = RuleBook::parse(rules).unwrap();
    let device = device(&[("530-01", "GB", "2026-01-01", "")]);
    let policy = Policy { lead_time_days: 30, ..Policy::default() };
    let decision = decide(at("2026-10-31"), &device, &[], &book, &policy);
    assert!(
        matches!(decision, Decision::Stay { next_check: Some(next), .. } if next == at("2026-11-01")),
        "{decision}"
    );
    let decision = decide(at("2026-11-01"), &device, &[], &book, &policy);
    assert!(
        matches!(decision, Decision::Stuck { deadline, .. } if deadline == at("2026-12-01")),
        "{decision}"
    );
}

#[test]
fn a_decision_prints_as_sentences_and_round_trips_through_json() {
    let device = device(&[("286-01", "GB", "2026-01-01", "")]);
    let decision = decide(at("2026-03-30"), &device, &[offer("286-02", 1)], &book(), &Policy::default());
    assert_eq!(
        decision.to_string(),
        format!(
            "move to a profile of type \"local-286-02\" of network 286-02, to be ordered, in TR, by 2026-04-01T00:00:00Z; \
             fall back to profile {BOOTSTRAP} of network 234-15\n  - Turkiye allows 90 days in any 120 on a foreign \
             subscription unless the IMEI is registered; counted so far: 89; would be broken on 2026-04-01, cut off \
             from 2026-05-01 [tr-91-in-120: Law 7186, provisional article 6 of Law 5809 (2019-07-17), from BeeLine \
             Armenia, notice to customers, 11 November 2019; gide.com, reviewed 2026-11-25, confidence medium]"
        )
    );
    let json = serde_json::to_value(&decision).unwrap();
    assert_eq!(json["decision"], "move");
    assert_eq!(json["reasons"][0]["rule"], "tr-91-in-120");
    assert_eq!(json["reasons"][0]["measured"], 89);
    assert_eq!(json["reasons"][0]["limit"], 90);
    assert_eq!(json["reasons"][0]["breach"]["day"], "2026-04-01");
    assert_eq!(serde_json::from_value::<Decision>(json).unwrap(), decision);
    let text = serde_json::to_string(&device).unwrap();
    assert_eq!(serde_json::from_str::<Device>(&text).unwrap(), device);
}

#[test]
fn counts_that_may_be_too_low_are_reported() {
    let mut device = device(&[("724-05", "GB", "2026-02-01", "")]);
    let mut stored = serde_json::to_value(&device.history).unwrap();
    stored["forgotten_before"] = serde_json::to_value(at("2026-01-15")).unwrap();
    device.history = serde_json::from_value(stored).unwrap();
    let reasons = |now| {
        let decision = decide(at(now), &device, &[], &book(), &Policy::default());
        decision.reasons().iter().any(|reason| matches!(reason, Reason::CountsTooLow { .. }))
    };
    assert!(reasons("2026-03-01"));
    assert!(!reasons("2027-01-15"));
    assert_eq!(Day::of(at("2026-03-01")).to_string(), "2026-03-01");
}
