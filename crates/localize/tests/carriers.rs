//! Rules of carriers and contracts, rules about many devices, and the owner's strategy.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy takes only #[test] functions for tests, not the helpers beside them"
)]

use localize::{
    Census, Criticality, Day, Decision, Destination, Device, HeldProfile, HeldState, History, Home, Identity,
    Latency, Needs, Offer, Orderable, Policy, ProfileType, Reason, Role, RuleBook, Status, Strategy, decide,
    findings,
};
use rsp::time::Timestamp;

fn at(day: &str) -> Timestamp {
    format!("{day}T00:00:00Z").parse().unwrap()
}

fn book(rules: &str) -> RuleBook {
    let tail = "source = \"a contract\"\nreviewed = \"2026-11-22\"\nconfidence = \"high\"\n";
    let rules: String = rules
        .split("---")
        .enumerate()
        .map(|(n, r)| format!("[[rule]]\nid = \"r{n}\"\n{r}\n{tail}"))
        .collect();
    RuleBook::parse(&rules).unwrap()
}

/// A device on this network since this day, with this home network.
fn device(network: &str, home: &str, since: &str) -> Device {
    let book = RuleBook::built_in().unwrap();
    let place = |plmn: &str| book.locate(plmn.parse().unwrap()).unwrap();
    let mut history = History::default();
    history.observe_with(place(network), Home::from(place(home)), at(since)).unwrap();
    let bootstrap = HeldProfile {
        iccid: "8944476500001224158".parse().unwrap(),
        home: place(home),
        role: Role::Bootstrap,
        state: HeldState::Enabled,
    };
    Device { history, held: vec![bootstrap], ..Device::default() }
}

fn offer(network: &str) -> Offer {
    let operator = RuleBook::built_in().unwrap().locate(network.parse().unwrap()).unwrap();
    Offer { order: Orderable::ProfileType(ProfileType("local".into())), operator, priority: 1 }
}

fn rules_of(decision: &Decision) -> Vec<String> {
    decision.reasons().iter().filter_map(|reason| reason.rule().map(ToString::to_string)).collect()
}

#[test]
fn a_carriers_rule_applies_on_its_networks_and_a_contracts_rule_to_its_home_networks() {
    let book = book(
        "networks = [\"724-05\"]\nkind = \"consecutive_days\"\nlimit_days = 30\n---\n\
         countries = [\"BR\"]\nhome_networks = [\"234-15\"]\nkind = \"consecutive_days\"\nlimit_days = 40",
    );
    assert_eq!(book.rules()[0].countries, ["BR".parse().unwrap()]);
    let (policy, now) = (Policy::default(), at("2026-01-10"));
    let found = |device: &Device| -> Vec<(String, String)> {
        let findings = findings(now, device, &book, &policy);
        findings.iter().map(|f| (f.citation.rule.to_string(), f.measurement.breach.day.to_string())).collect()
    };
    let both = [("r0".to_owned(), "2026-01-31".to_owned()), ("r1".to_owned(), "2026-02-10".to_owned())];
    assert_eq!(found(&device("724-05", "234-15", "2026-01-01")), both);
    assert_eq!(found(&device("724-05", "310-410", "2026-01-01")), both[..1]);
    assert_eq!(found(&device("724-02", "234-15", "2026-01-01")), both[1..]);
    assert_eq!(found(&device("724-02", "310-410", "2026-01-01")), []);

    // Another network of the country restarts the count under the carrier's rule, but not under the
    // contract's.
    let mut moved = device("724-02", "234-15", "2026-01-01");
    moved
        .history
        .observe(
            "724-05".parse().map(|n| book.locate(n).unwrap()).unwrap(),
            "GB".parse().unwrap(),
            at("2026-01-06"),
        )
        .unwrap();
    assert_eq!(found(&moved), [("r0".to_owned(), "2026-02-05".to_owned())]);
    let decision = decide(now, &moved, &[], &book, &policy);
    assert!(decision.to_string().contains("network 724-05 in Brazil allows 30 days in a row"), "{decision}");
    assert!(
        decision
            .to_string()
            .contains("for subscriptions of 234-15, and the home network of this one is unknown"),
        "{decision}"
    );
}

#[test]
fn a_rule_is_unknown_before_its_notice_and_does_not_apply_after_its_end() {
    let book = book(
        "networks = [\"724-05\"]\nkind = \"banned\"\nannounced = \"2026-03-01\"\neffective = \"2026-03-31\"\n---\n\
         countries = [\"BR\"]\nkind = \"consecutive_days\"\nlimit_days = 90\nends = \"2026-04-01\"",
    );
    let (device, offers) = (device("724-05", "234-15", "2026-01-01"), [offer("724-02")]);
    let policy = Policy { lead_time_days: 10, ..Policy::default() };
    let decided = |day| decide(at(day), &device, &offers, &book, &policy);
    // The 91st day would be the day on which the second rule ends.
    assert_eq!(rules_of(&decided("2026-02-28")), ["r1"]);
    assert!(decided("2026-02-28").to_string().contains("ends on 2026-04-01, before it would be broken"));
    let Decision::Stay { next_check, .. } = decided("2026-03-01") else { panic!("too early") };
    assert_eq!(next_check, Some(at("2026-03-21")));
    let decision = decided("2026-03-21");
    assert!(
        matches!(decision, Decision::Move { deadline: Some(deadline), .. } if deadline == at("2026-03-31")),
        "{decision}"
    );
    assert_eq!(rules_of(&decided("2026-04-02")), ["r0"]);
}

#[test]
fn a_rule_can_require_a_minimum_number_of_devices_in_the_country() {
    let book = book("countries = [\"BR\"]\nkind = \"banned\"\nmin_devices = 3\ndevices_in = \"place\"");
    let (now, subject) = (at("2026-02-01"), device("724-05", "234-15", "2026-01-01"));
    for (devices, holds) in [(2, false), (3, true)] {
        let mut census = Census::new(&book, now);
        (0..devices).for_each(|_| census.add(&subject.history));
        // Devices at home or elsewhere do not count.
        census.add(&device("724-05", "724-05", "2026-01-01").history);
        census.add(&device("262-01", "234-15", "2026-01-01").history);
        let policy = Policy { counts: census.finish(), ..Policy::default() };
        let decision = decide(now, &subject, &[], &book, &policy);
        assert_eq!(matches!(decision, Decision::Stuck { .. }), holds, "{decision}");
        let too_few = "where it applies there are 2";
        assert_eq!(decision.to_string().contains(too_few), !holds, "{decision}");
    }
}

/// Ten devices in Brazil, since January 1st, 2nd and so on, and thirty at home.
fn fleet() -> Vec<Device> {
    let abroad = (1..=10).map(|day| device("724-05", "234-15", &format!("2026-01-{day:02}")));
    abroad.chain((0..30).map(|_| device("234-15", "234-15", "2026-01-01"))).collect()
}

#[test]
fn the_devices_with_the_longest_stays_leave_first() {
    for (rule, allowed, says) in [
        ("kind = \"share_of_roaming\"\nmax_percent = 20\nwindow_days = 30", 8, "20 percent of the devices"),
        (
            "kind = \"device_count\"\nmax_devices = 7\nwindow_days = 30",
            7,
            "7 devices to roam there within 30 days",
        ),
    ] {
        let (book, now) = (book(&format!("networks = [\"724-05\"]\n{rule}")), at("2026-01-20"));
        let fleet = fleet();
        let mut census = Census::new(&book, now);
        fleet.iter().for_each(|device| census.add(&device.history));
        let counts = census.finish();
        let share = counts.under_rule.values().next().unwrap();
        assert_eq!((share.devices, share.roaming, share.staying, share.allowed), (40, 10, 10, Some(allowed)));
        assert_eq!(share.percent(), 25);

        // The fleet was not counted: the decision reports it, and the device stays.
        let uncounted = decide(now, &fleet[0], &[offer("724-02")], &book, &Policy::default());
        assert!(uncounted.to_string().contains("has not been counted"), "{uncounted}");

        let policy = Policy { counts, ..Policy::default() };
        let decisions: Vec<Decision> =
            fleet.iter().map(|device| decide(now, device, &[offer("724-02")], &book, &policy)).collect();
        let moves = decisions.iter().filter(|decision| matches!(decision, Decision::Move { .. })).count();
        assert_eq!(moves, 10 - allowed as usize);
        assert!(matches!(decisions[0], Decision::Move { deadline: Some(deadline), .. } if deadline == now));
        assert!(decisions[0].to_string().contains(says), "{}", decisions[0]);
        assert!(decisions[9].to_string().contains("others have been there longer"), "{}", decisions[9]);
    }
}

#[test]
fn a_device_that_left_counts_in_the_period_but_causes_no_move() {
    let book = book("networks = [\"724-05\"]\nkind = \"device_count\"\nmax_devices = 9\nwindow_days = 30");
    let mut fleet = fleet();
    fleet[0].history.detached(at("2026-01-15")).unwrap();
    let mut census = Census::new(&book, at("2026-01-20"));
    fleet.iter().for_each(|device| census.add(&device.history));
    let policy = Policy { counts: census.finish(), ..Policy::default() };
    let share = policy.counts.under_rule.values().next().unwrap();
    assert_eq!((share.roaming, share.staying, share.is_exceeded()), (10, 9, false));
    let decision = decide(at("2026-01-20"), &fleet[1], &[offer("724-02")], &book, &policy);
    assert!(decision.to_string().contains("no device has to leave"), "{decision}");
}

#[test]
fn a_rule_about_accounts_counts_each_account_separately() {
    let book = book(
        "networks = [\"724-05\"]\nkind = \"device_count\"\nmax_devices = 5\nof = \"account\"\n---\n\
         networks = [\"724-05\"]\nkind = \"device_count\"\nmax_devices = 50",
    );
    let now = at("2026-01-20");
    let count = |devices: &[Device]| {
        let mut census = Census::new(&book, now);
        devices.iter().for_each(|device| census.add(&device.history));
        census.finish()
    };
    let fleet = fleet();
    let (owner, account) = (count(&fleet), count(&fleet[..4]));
    let counts = owner.for_account(&account, &book);
    let staying: Vec<u32> = counts.under_rule.values().map(|share| share.staying).collect();
    assert_eq!(staying, [4, 10]);
    assert_eq!(counts.devices_in("BR".parse().unwrap()), 10);
}

#[test]
fn the_first_matching_row_of_the_strategy_decides_and_is_a_reason() {
    let book = RuleBook::built_in().unwrap();
    let strategy = Strategy::built_in(&book).unwrap();
    let now = at("2026-03-30");
    let place = |plmn: &str| book.locate(plmn.parse().unwrap()).unwrap();
    let policy = |country: &str, devices| {
        let mut policy = Policy { strategy: strategy.clone(), ..Policy::default() };
        policy.counts.in_country.insert(country.parse().unwrap(), devices);
        policy
    };
    let row = |decision: &Decision| {
        let rows = decision.reasons().iter().filter_map(|reason| match reason {
            Reason::Strategy { row, .. } => Some(row.to_string()),
            _ => None,
        });
        rows.collect::<Vec<_>>()
    };
    // In Brazil a rule requires the move, however few the devices.
    let decision =
        decide(now, &device("724-05", "234-15", "2026-01-01"), &[offer("724-05")], &book, &policy("BR", 1));
    assert!(matches!(decision, Decision::Move { deadline: Some(_), .. }), "{decision}");
    assert_eq!(row(&decision), ["required"]);

    // New Zealand has no rule: the number of devices and their needs decide.
    let mut zealand = device("530-01", "234-15", "2020-01-01");
    let offers = [offer("530-05")];
    let decided = |device: &Device, devices| decide(now, device, &offers, &book, &policy("NZ", devices));
    for (devices, expected) in [(1, "occasional"), (50, "medium-market"), (500, "large-market")] {
        assert_eq!(row(&decided(&zealand, devices)), [expected]);
    }
    assert!(matches!(decided(&zealand, 49), Decision::Stay { next_check: None, .. }));
    let decision = decided(&zealand, 50);
    assert!(matches!(decision, Decision::Stay { .. }), "the card has no identity of the country");
    assert!(
        decision.to_string().contains("no profile on the card has an identity of New Zealand"),
        "{decision}"
    );
    assert!(!decision.to_string().contains("add an offer"), "no offer is needed: {decision}");
    let decision = decided(&zealand, 500);
    assert!(matches!(decision, Decision::Move { deadline: None, .. }), "{decision}");
    assert!(decision.to_string().contains("by the owner's strategy"), "{decision}");
    assert!(
        decision.to_string().contains("\"large-market\" fits with 500 devices in New Zealand"),
        "{decision}"
    );
    zealand.identities.push(Identity { operator: place("530-24") });
    let decision = decided(&zealand, 50);
    assert!(
        matches!(decision, Decision::Stay { .. }),
        "the applet has not changed the identity for years: {decision}"
    );
    assert!(decision.to_string().contains("has not selected its identity of network 530-24"), "{decision}");
    zealand.history = device("530-01", "234-15", &Day::of(now).to_string()).history;
    let decision = decided(&zealand, 50);
    let Decision::Move { to, .. } = &decision else { panic!("{decision}") };
    assert_eq!(**to, Destination::Identity(zealand.identities[0]));
    zealand.needs = Needs { latency: Latency::Tight, criticality: Criticality::High, ..Needs::default() };
    assert_eq!(row(&decided(&zealand, 1)), ["short-latency"]);
}

#[test]
fn an_identity_of_the_country_satisfies_its_row_and_otherwise_a_rule_moves_the_device() {
    let book = book("countries = [\"BR\"]\nkind = \"consecutive_days\"\nlimit_days = 90");
    let strategy = "[[row]]\nid = \"identities\"\nuse = \"multi_imsi\"\nsource = \"the owner\"\nreviewed = \"2026-11-22\"\n";
    let policy = Policy { strategy: Strategy::parse(strategy, &book).unwrap(), ..Policy::default() };
    let decided = |device: &Device, day| decide(at(day), device, &[offer("724-02")], &book, &policy);
    let place = |plmn: &str| book.locate(plmn.parse().unwrap()).unwrap();

    // The owner of the profile does not matter: the device is there as a subscriber of the country.
    let mut local = device("724-05", "724-11", "2026-01-01");
    local.held[0].home = place("234-15");
    local.identities.push(Identity { operator: place("724-11") });
    let decision = decided(&local, "2027-06-01");
    assert!(
        matches!(&decision, Decision::Stay { reasons, .. } if matches!(reasons[..], [Reason::AtHome { .. }])),
        "{decision}"
    );

    // With a foreign identity the device moves, and the decision has the reason why it does not move
    // to the local identity.
    let mut foreign = device("724-05", "234-15", "2026-01-01");
    for (identity, why) in [
        (None, "no profile on the card has an identity of Brazil"),
        (Some("724-11"), "the card's applet has not selected its identity of network 724-11 within 87 days"),
    ] {
        foreign.identities = identity.map(|plmn| Identity { operator: place(plmn) }).into_iter().collect();
        let decision = decided(&foreign, "2026-03-28");
        assert!(
            matches!(&decision, Decision::Move { to, .. } if matches!(**to, Destination::Offer(_))),
            "{decision}"
        );
        assert!(decision.to_string().contains(why), "{decision}");
    }

    // With an identity of another country, the device roams in the home country of its own profile.
    let mut lost = device("234-15", "724-11", "2026-01-01");
    lost.held[0].home = place("234-15");
    lost.identities.push(Identity { operator: place("724-11") });
    let decision = decided(&lost, "2026-03-28");
    assert!(!matches!(&decision.reasons()[0], Reason::AtHome { .. }), "{decision}");
}

#[test]
fn a_roaming_row_orders_nothing_and_reports_the_broken_rule() {
    let book = book("countries = [\"BR\"]\nkind = \"consecutive_days\"\nlimit_days = 90");
    let strategy = "[[row]]\nid = \"few\"\nuse = \"roam\"\nmax_devices = 4\nsource = \"the owner\"\nreviewed = \"2026-11-22\"\n";
    let policy = Policy { strategy: Strategy::parse(strategy, &book).unwrap(), ..Policy::default() };
    let mut device = device("724-05", "234-15", "2026-01-01");
    let decision = decide(at("2026-03-28"), &device, &[offer("724-02")], &book, &policy);
    let Decision::Stay { next_check, reasons } = &decision else { panic!("{decision}") };
    assert_eq!(*next_check, Some(at("2026-04-01")));
    assert!(matches!(&reasons[0], Reason::Rule(finding) if finding.status == Status::Near));
    device.held.push(HeldProfile {
        iccid: "8955031234567890120".parse().unwrap(),
        home: book.locate("724-11".parse().unwrap()).unwrap(),
        role: Role::Local,
        state: HeldState::Disabled,
    });
    let decision = decide(at("2026-03-28"), &device, &[offer("724-02")], &book, &policy);
    assert!(matches!(decision, Decision::Move { .. }), "the local profile on the card is used: {decision}");
}

#[test]
fn an_invalid_strategy_is_refused_with_its_line_and_a_remedy() {
    let book = RuleBook::built_in().unwrap();
    let tail = "source = \"s\"\nreviewed = \"2026-11-22\"\n";
    let head = format!("[[row]]\nid = \"x\"\n{tail}");
    for (row, words) in [
        ("use = \"roam\"\nwhen = \"always\"".to_owned(), "moves no device"),
        ("use = \"roam\"\nmin_devices = 5\nmax_devices = 4".to_owned(), "no number of devices fits"),
        ("use = \"roam\"\ncountries = [\"BX\"]".to_owned(), "neither a country nor a group"),
        ("use = \"fly\"".to_owned(), "unknown variant"),
        ("use = \"roam\"\ndevices = 3".to_owned(), "unknown field"),
        (format!("use = \"roam\"\n{head}use = \"roam\""), "already"),
    ] {
        let error = Strategy::parse(&format!("\n{head}{row}"), &book).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.line.is_some_and(|line| line >= 3), "{error}");
    }
}
