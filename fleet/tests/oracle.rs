//! Compares the reports with a model that evaluates every day of every device and keeps sets of
//! days.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy takes only #[test] functions for tests, not the helpers beside them"
)]

use std::collections::{BTreeMap, BTreeSet};

use fleet::{
    Conditions, Device, DeviceEvent, EvaluatedFleet, Fleet, Selection,
    answers::{Chances, Change, Residence, breaches, markets, residents, what_if, who_must_move},
};
use localize::{Country, Day, Decision, History, Home, Offer, Policy, RuleBook};
use rsp::{ids::Eid, time::Timestamp};
use world::{Random, SeededRandom};

const DAY: i64 = 86_400_000;
const RULES: &str = r#"
[[rule]]
id = "br"
countries = ["BR"]
kind = "days_in_period"
limit_days = 60
window_days = 180
source = "s"
reviewed = "2026-11-22"
confidence = "high"
[[rule]]
id = "tr-share"
countries = ["TR"]
kind = "share_of_roaming"
max_percent = 10
window_days = 30
of = "account"
source = "s"
reviewed = "2026-11-22"
confidence = "high"
"#;

struct Rolls(SeededRandom);

impl Rolls {
    fn below(&mut self, n: i64) -> i64 {
        let mut octets = [0; 8];
        self.0.fill(&mut octets);
        i64::from_le_bytes(octets).rem_euclid(n)
    }
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn random_fleet(rolls: &mut Rolls, book: &RuleBook) -> Fleet {
    let devices = (0..40).map(|n| {
        let mut device = Device::new(Eid::with_check_digits(&format!("89049032{n:022}")).unwrap());
        device.account = ["acme", "zenith"][n % 2].into();
        let mut at = now().0 - (200 + rolls.below(200)) * DAY;
        for _ in 0..1 + rolls.below(5) {
            let networks = ["724-05", "724-02", "286-01", "286-02", "234-15", "262-01"];
            let place = book.locate(networks[rolls.below(6) as usize].parse().unwrap()).unwrap();
            let home = ["GB", "BR", "US"][rolls.below(3) as usize].parse::<Country>().unwrap();
            device.connection.history.observe_with(place, Home::from(home), Timestamp(at)).unwrap();
            at += 1 + rolls.below(90 * DAY);
            if rolls.below(3) == 0 {
                device.connection.history.detached(Timestamp(at)).unwrap();
                at += rolls.below(30 * DAY);
            }
            if at > now().0 {
                break;
            }
        }
        if rolls.below(10) == 0 {
            device.happened(now(), DeviceEvent::Retired).unwrap();
        }
        device
    });
    Fleet::new(devices.collect())
}

/// The days since 1970 that a counted stay touches.
fn days(history: &History, counts: impl Fn(&localize::Stay) -> bool) -> BTreeSet<i64> {
    let mut days = BTreeSet::new();
    for stay in history.stays().iter().filter(|stay| counts(stay) && stay.from <= now()) {
        let until = stay.until.map_or(now().0, |until| (until.0 - 1).max(stay.from.0)).min(now().0);
        days.extend(stay.from.0.div_euclid(DAY)..=until.div_euclid(DAY));
    }
    days
}

fn today() -> i64 {
    now().0.div_euclid(DAY)
}

fn within(days: &BTreeSet<i64>, window: i64) -> usize {
    days.range(today() - window + 1..=today()).count()
}

fn roams_in(device: &Device, country: &str) -> bool {
    let country: Country = country.parse().unwrap();
    device
        .connection
        .history
        .present(now())
        .is_some_and(|stay| stay.country == country && stay.home != country)
}

#[test]
fn the_reports_equal_those_of_a_day_by_day_model() {
    let seed = std::env::var("LANDFALL_SEED").unwrap_or_else(|_| "20261122".into());
    println!("seed {seed}; set LANDFALL_SEED for another one");
    let mut rolls = Rolls(SeededRandom::from_text(&seed));
    let book = RuleBook::parse(RULES).unwrap();
    let brazil: Country = "BR".parse().unwrap();
    let offers: Vec<Offer> = Vec::new();
    let (mut broken, mut sent_away) = (0, 0);
    for round in 0..60 {
        let fleet = random_fleet(&mut rolls, &book);
        let policy = Policy::default();
        let counted = EvaluatedFleet::new(
            &fleet,
            Conditions { now: now(), book: &book, policy: &policy, offers: &offers },
        );

        // Residents: at least 30 days within 90.
        let mut model: BTreeMap<(Country, Country), (u32, u32, usize)> = BTreeMap::new();
        for device in fleet.in_service() {
            let history = &device.connection.history;
            let pairs: BTreeSet<_> = history.stays().iter().map(|stay| (stay.country, stay.home)).collect();
            for (country, home) in pairs.into_iter().filter(|(country, home)| country != home) {
                let there = within(&days(history, |s| (s.country, s.home) == (country, home)), 90);
                let row = model.entry((country, home)).or_default();
                row.0 += u32::from(there > 0);
                row.1 += u32::from(there >= 30);
                row.2 += if there >= 30 { there } else { 0 };
            }
        }
        model.retain(|_, row| row.0 > 0);
        let found: BTreeMap<_, _> = residents(&counted, Residence::default())
            .into_iter()
            .map(|row| ((row.country.code, row.home.code), (row.devices, row.resident, row.days as usize)))
            .collect();
        assert_eq!(found, model, "seed {seed}, round {round}");

        // Brazil: the day that would be the 61st within 180 if the device stayed.
        let mut model: BTreeMap<Eid, i64> = BTreeMap::new();
        for device in fleet.in_service().filter(|device| roams_in(device, "BR")) {
            let mut days = days(&device.connection.history, |s| s.country == brazil && s.home != brazil);
            let count = |days: &BTreeSet<i64>, day: i64| days.range(day - 179..=day).count();
            let mut day = today();
            if count(&days, day) > 60 {
                while count(&days, day - 1) > 60 {
                    day -= 1;
                }
            } else {
                while count(&days, day) <= 60 {
                    day += 1;
                    days.insert(day);
                }
            }
            model.insert(device.eid, day);
        }
        let all = breaches(&counted, &Selection::default(), None);
        assert!(all.is_sorted_by_key(|breach| breach.day));
        let found: BTreeMap<Eid, i64> =
            all.iter().filter(|b| b.rule.to_string() == "br").map(|b| (b.eid, b.day.number())).collect();
        assert_eq!(found, model, "seed {seed}, round {round}");
        broken += model.values().filter(|day| **day <= today()).count();
        let soon = breaches(&counted, &Selection::default(), Some(10));
        let expected = model.values().filter(|day| **day <= today() + 10).count();
        assert_eq!(soon.iter().filter(|b| b.rule.to_string() == "br").count(), expected);

        // Turkiye, by account: a tenth of the devices that were attached in the last 30 days. Those
        // that have been there longest leave.
        let mut model = BTreeSet::new();
        for account in ["acme", "zenith"] {
            let members: Vec<&Device> =
                fleet.in_service().filter(|d| d.account.as_ref() == account).collect();
            let attached =
                members.iter().filter(|d| within(&days(&d.connection.history, |_| true), 30) > 0).count();
            let mut there: Vec<(usize, Eid)> = members
                .iter()
                .filter(|device| roams_in(device, "TR"))
                .map(|d| {
                    let days =
                        days(&d.connection.history, |s| s.country.to_string() == "TR" && s.home != s.country);
                    (within(&days, 30), d.eid)
                })
                .collect();
            there.sort_by_key(|(days, _)| std::cmp::Reverse(*days));
            let too_many = there.len().saturating_sub(attached / 10);
            if let Some((least, _)) = too_many.checked_sub(1).and_then(|last| there.get(last)) {
                model.extend(there.iter().filter(|(days, _)| days >= least).map(|(_, eid)| *eid));
            }
        }
        let found: BTreeSet<Eid> =
            all.iter().filter(|b| b.rule.to_string() == "tr-share").map(|b| b.eid).collect();
        assert_eq!(found, model, "seed {seed}, round {round}");
        sent_away += model.len();

        // The other reports agree with the list of breaches, even if the horizon is shorter than
        // the lead time.
        let days = [3, 10][round % 2];
        let soon = breaches(&counted, &Selection::default(), Some(days));
        let must: BTreeSet<Eid> = who_must_move(&counted, &Selection::default(), Some(days))
            .by_profile
            .iter()
            .map(|d| d.eid)
            .collect();
        assert_eq!(must, soon.iter().map(|b| b.eid).collect());
        let markets = markets(&counted, Some(days));
        assert_eq!(markets.iter().map(|m| m.must_move as usize).sum::<usize>(), must.len());
        for market in &markets {
            let days = soon.iter().filter(|b| b.country == market.country.code).map(|b| b.day);
            assert_eq!(market.first, days.min());
            assert_eq!(market.stuck, market.must_move, "there is no offer");
        }
    }
    println!("{broken} broken in Brazil, {sent_away} sent away from Turkiye");
    assert!(broken > 50 && sent_away > 20, "the random fleets contain too few breaches");
}

#[test]
fn a_share_of_an_account_does_not_depend_on_other_rules() {
    let both = RuleBook::parse(RULES).unwrap();
    let share = RuleBook::parse(&RULES[RULES.rfind("[[rule]]").unwrap()..]).unwrap();
    let (mut rolls, policy) = (Rolls(SeededRandom::from_text("shares")), Policy::default());
    let mut sent_away = 0;
    for _ in 0..20 {
        let fleet = random_fleet(&mut rolls, &both);
        let [of_both, of_one] = [&both, &share].map(|book| {
            let conditions = Conditions { now: now(), book, policy: &policy, offers: &[] };
            let all = breaches(&EvaluatedFleet::new(&fleet, conditions), &Selection::default(), None);
            let found = all.iter().filter(|breach| breach.rule.to_string() == "tr-share");
            found.map(|breach| breach.eid).collect::<BTreeSet<Eid>>()
        });
        assert_eq!(of_both, of_one);
        sent_away += of_one.len();
    }
    assert!(sent_away > 0);
}

#[test]
fn a_what_if_report_lists_affected_devices_and_changes() {
    let before_book = RuleBook::parse(RULES).unwrap();
    let ban = "[[rule]]\nid = \"ban\"\nnetworks = [\"724-05\"]\nkind = \"banned\"\neffective = \"2026-12-01\"\nsource = \"s\"\n\
               reviewed = \"2026-11-22\"\nconfidence = \"high\"\n";
    let after_book = RuleBook::parse(&format!("{RULES}{ban}")).unwrap();
    let mut rolls = Rolls(SeededRandom::from_text("what if"));
    let policy = Policy::default();
    let (mut nearer, mut same) = (0, 0);
    for _ in 0..20 {
        let fleet = random_fleet(&mut rolls, &before_book);
        let conditions = |book| Conditions { now: now(), book, policy: &policy, offers: &[] };
        let (before, after) = (
            EvaluatedFleet::new(&fleet, conditions(&before_book)),
            EvaluatedFleet::new(&fleet, conditions(&after_book)),
        );
        let answer = what_if(&before, &after, &Selection::default());
        let first = |counted: &EvaluatedFleet<'_>| -> BTreeMap<Eid, Day> {
            let mut first = BTreeMap::new();
            for breach in breaches(counted, &Selection::default(), None) {
                first.entry(breach.eid).or_insert(breach.day);
            }
            first
        };
        let (then, now_first) = (first(&before), first(&after));
        for one in &answer.affected {
            let (then, now) = (then.get(&one.eid), now_first.get(&one.eid));
            match one.change {
                Change::Nearer => {
                    assert!(now < then && now.is_some_and(|day| day.to_string() == "2026-12-01"))
                }
                Change::Comes => assert!(then.is_none() && now.is_some()),
                other => panic!("an additional ban cannot cause {other:?}"),
            }
            assert_eq!(one.after.rule.as_ref().map(ToString::to_string).as_deref(), Some("ban"));
        }
        let changed = now_first.iter().filter(|(eid, day)| then.get(eid) != Some(day)).count();
        assert_eq!(answer.affected.len(), changed);
        // In the reverse comparison, each change of a deadline is reversed.
        let back = what_if(&after, &before, &Selection::default());
        assert_eq!(back.affected.len(), changed);
        assert!(back.affected.iter().all(|one| matches!(one.change, Change::Later | Change::Goes)));
        assert!(what_if(&after, &after, &Selection::default()).affected.is_empty());
        nearer += answer.changes.get(&Change::Nearer).copied().unwrap_or(0);
        same += u32::try_from(now_first.len() - changed).unwrap();
    }
    assert!(nearer > 0 && same > 0, "{nearer} {same}");
}

#[test]
fn probabilities_come_from_the_record_once_it_is_long_enough() {
    let mut device = Device::new("89049032000000000000000000000163".parse().unwrap());
    let to = "724-05".parse().unwrap();
    let play = |device: &mut Device, end: DeviceEvent| {
        device.happened(now(), DeviceEvent::MoveBegan { to }).unwrap();
        device.happened(now(), end).unwrap();
    };
    (0..96).for_each(|_| play(&mut device, DeviceEvent::Moved));
    (0..3).for_each(|_| play(&mut device, DeviceEvent::CameBack { why: "#11".into() }));
    assert_eq!(Chances::of_record(&Fleet::new(vec![device.clone()])), None);
    play(&mut device, DeviceEvent::Lost { why: "no answer".into() });
    let chances = Chances::of_record(&Fleet::new(vec![device.clone()])).unwrap();
    assert_eq!((chances.came_back_ppm, chances.lost_ppm), (30_000, 10_000));
    assert_eq!(device.state.word(), "unreachable");
    assert!(matches!(
        EvaluatedFleet::new(
            &Fleet::default(),
            Conditions {
                now: now(),
                book: &RuleBook::parse("").unwrap(),
                policy: &Policy::default(),
                offers: &[]
            }
        )
        .decide(&device),
        Decision::Stay { .. }
    ));
}
