//! Compares the answers about a generated fleet with those of an independent program,
//! `tests/independent/localize.py`, for every rule of a data file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy takes only #[test] functions for tests, not the helpers beside them"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
    process::Command,
};

use fleet::{
    Conditions, Device, EvaluatedFleet, Fleet, Owner,
    files::{Rows, read_devices, read_stays},
};
use localize::{
    BUILT_IN_NETWORKS, BUILT_IN_RULES, CountedBy, Country, Day, Decision, Finding, NumberRange, Reason, Rule,
    RuleBook, RuleKind, Status,
};
use rsp::{
    ids::{Eid, Plmn},
    time::Timestamp,
};
use world::{MemoryRecords, Random, SeededRandom};

const NOW: &str = "2026-11-25T10:00:00Z";
const DAY: i64 = 86_400_000;

const OWNER: &str = r#"
lead_time_days = 10
[[offer]]
network = "724-02"
type = "local-br"
priority = 2
[[offer]]
network = "724-05"
type = "other-br"
[[offer]]
network = "404-02"
type = "local-in"
[[offer]]
network = "505-02"
type = "local-au"
"#;

/// An owner that fulfils requirements for all of its devices.
const REGISTERED_OWNER: &str = "registered_in = [\"AE\"]\npermits = [\"approval EG\"]\n";

/// Rules with the parts of the language that the built-in rules do not use.
const OTHER_RULES: &str = r#"
[[rule]]
id = "account-share"
networks = ["310-410"]
home_networks = ["302-720", "234"]
kind = "share_of_roaming"
max_percent = 30
window_days = 30
of = "account"
consequence = "throttled"
throttle_kbps = 128
source = "made up"
reviewed = "2026-11-25"
confidence = "high"
[[rule]]
id = "resident-devices"
networks = ["310-410", "310-260"]
kind = "device_count"
max_devices = 40
window_days = 60
min_days = 30
grace_days = 20
source = "made up"
reviewed = "2026-11-25"
confidence = "high"
[[rule]]
id = "one-network"
countries = ["US", "CA"]
counted = "each_network"
kind = "consecutive_days"
limit_days = 60
requires = ["carrier_approval", "certification"]
announced = "2026-01-01"
effective = "2026-03-01"
source = "made up"
reviewed = "2026-11-25"
confidence = "high"
[[rule]]
id = "global-numbers"
countries = ["MX"]
home_networks = ["901"]
kind = "banned"
source = "made up"
reviewed = "2026-11-25"
confidence = "high"
[[rule]]
id = "ending"
countries = ["MX"]
kind = "days_in_period"
limit_days = 20
window_days = 40
counted_by = "imei"
ends = "2026-12-11"
source = "made up"
reviewed = "2026-11-25"
confidence = "high"
[[rule]]
id = "large-fleets"
countries = ["MX"]
kind = "consecutive_days"
limit_days = 30
min_devices = 100000
source = "made up"
reviewed = "2026-11-25"
confidence = "high"
"#;

struct Rolls(SeededRandom);

impl Rolls {
    fn below(&mut self, n: i64) -> i64 {
        let mut octets = [0; 8];
        self.0.fill(&mut octets);
        i64::from_le_bytes(octets).rem_euclid(n)
    }

    fn one_in(&mut self, n: i64) -> bool {
        self.below(n) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let place = self.below(i64::try_from(from.len()).unwrap());
        &from[usize::try_from(place).unwrap()]
    }
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn today() -> i64 {
    Day::of(now()).number()
}

/// The files of a fleet.
struct Files {
    devices: String,
    stays: String,
    count: u32,
}

/// Generates devices, many of which are close to the limit of a rule.
struct Generator<'a> {
    rolls: Rolls,
    book: &'a RuleBook,
    files: Files,
}

impl<'a> Generator<'a> {
    fn new(seed: &str, book: &'a RuleBook) -> Self {
        let devices =
            "eid,account,profiles,imei_registered_in,permits,owner_since,swap_requested,refused,state\n";
        let files =
            Files { devices: devices.into(), stays: "eid,network,home,from,until,imei\n".into(), count: 0 };
        Self { rolls: Rolls(SeededRandom::from_text(seed)), book, files }
    }

    fn network_in(&mut self, country: Country) -> Plmn {
        let code = self.book.codes_of(country)[0];
        format!("{code}-{}", self.rolls.pick(&["01", "02"])).parse().unwrap()
    }

    fn network_of(&mut self, rule: &Rule) -> Plmn {
        if rule.networks.is_empty() {
            let country = *self.rolls.pick(&rule.countries);
            self.network_in(country)
        } else {
            *self.rolls.pick(&rule.networks)
        }
    }

    fn home_of(&mut self, rule: &Rule) -> Plmn {
        match rule.home_networks.as_slice() {
            [] => {}
            ranges => match *self.rolls.pick(ranges) {
                NumberRange::Network(network) => return network,
                NumberRange::Mcc(mcc) => {
                    return format!("{mcc}-{}", self.rolls.pick(&["15", "28"])).parse().unwrap();
                }
            },
        }
        let anywhere = ["GB", "US", "KE", "FR"].map(|code| code.parse().unwrap());
        let homes = if rule.homes.is_empty() { &anywhere[..] } else { &rule.homes };
        let country = *self.rolls.pick(homes);
        self.network_in(country)
    }

    /// Adds a device whose days under the rule are close to its limit.
    fn near(&mut self, rule: &Rule, account: &str) {
        let (network, home) = (self.network_of(rule), self.home_of(rule));
        let close = [-1, 0, 1, 1, 2, -30 + self.rolls.below(60)];
        let offset = *self.rolls.pick(&close);
        // The days of each stay as (first, last), counted back from today. The last one continues.
        let mut spans = Vec::new();
        match rule.kind {
            RuleKind::ConsecutiveDays { limit_days } => {
                let days = (i64::from(limit_days) + offset).max(1);
                if self.rolls.one_in(2) {
                    let gap = self.rolls.below(3);
                    spans.push((days + gap + 20, days + gap));
                }
                spans.push((days - 1, 0));
            }
            RuleKind::DaysInPeriod { limit_days, window_days } => {
                let days = (i64::from(limit_days) + offset).max(2);
                let before = self.rolls.below(days - 1);
                let last = days - before;
                let gap = self.rolls.below((i64::from(window_days) - days).max(1) + 5);
                if before > 0 {
                    spans.push((last + gap + before - 1, last + gap));
                }
                spans.push((last - 1, 0));
            }
            RuleKind::DaysSince { limit_days, .. } => {
                let days = (i64::from(limit_days) + offset).max(3);
                if self.rolls.one_in(2) {
                    spans.push((days - 1, days / 2 + 1));
                    spans.push((days / 2 - 1, 0));
                } else {
                    spans.push((days - 1, 0));
                }
            }
            RuleKind::RoamingMonthsInPeriod { limit_months, .. } => {
                let months = (i64::from(limit_months) + offset.clamp(-1, 2)).max(1);
                spans.extend((1..months).rev().map(|back| (back * 30 + 10, back * 30 + 8)));
                spans.push((5, 0));
            }
            _ => spans.push((self.rolls.below(70), 0)),
        }
        self.device(&spans, (network, home), account, Some(rule));
        if rule.counted_by == CountedBy::Imei && self.rolls.one_in(2) {
            let imei = format!("35{:013}", self.files.count);
            self.other_card(&imei, network, home, account);
        }
    }

    /// Adds another card that was used in the same equipment, before or between the stays of the
    /// present one. Nothing reports the end of some of its stays, and some of the cards are retired.
    fn other_card(&mut self, imei: &str, network: Plmn, home: Plmn, account: &str) {
        self.files.count += 1;
        let number = self.files.count;
        let eid = Eid::with_check_digits(&format!("89049032{number:022}")).unwrap();
        let first = self.rolls.below(150);
        let last = (first - self.rolls.below(60)).max(0);
        let hour = 1 + self.rolls.below(8);
        let from = Timestamp((today() - first) * DAY + hour * 3_600_000);
        let until = Timestamp((today() - last) * DAY + 9 * 3_600_000);
        let until = if self.rolls.one_in(3) { String::new() } else { until.to_string() };
        let state = if self.rolls.one_in(2) { "retired 2026-11-20T00:00:00Z" } else { "" };
        writeln!(self.files.stays, "{eid},{network},{home},{from},{until},{imei}").unwrap();
        let profile = format!("894447652{number:010} {home} bootstrap enabled");
        writeln!(self.files.devices, "{eid},{account},{profile},,,,,,{state}").unwrap();
    }

    /// Adds a device somewhere.
    fn anywhere(&mut self) {
        let countries: Vec<Country> =
            self.book.rules().iter().flat_map(|rule| rule.countries.clone()).collect();
        let (country, home) = (*self.rolls.pick(&countries), *self.rolls.pick(&countries));
        let places = (self.network_in(country), self.network_in(home));
        let first = self.rolls.below(300);
        let account = format!("account-{}", self.rolls.below(5));
        self.device(&[(first + 90, first + 40), (first, 0)], places, &account, None);
    }

    fn device(
        &mut self,
        spans: &[(i64, i64)],
        (network, home): (Plmn, Plmn),
        account: &str,
        rule: Option<&Rule>,
    ) {
        self.files.count += 1;
        let number = self.files.count;
        let eid = Eid::with_check_digits(&format!("89049032{number:022}")).unwrap();
        let country = self.book.locate(network).unwrap().country;
        let rolls = &mut self.rolls;
        let imeis = [format!("35{number:013}"), format!("36{number:013}"), String::new()];
        let changes_imei = rolls.one_in(6);
        let home_text = match rolls.one_in(10) {
            true => self.book.locate(home).unwrap().country.to_string(),
            false => home.to_string(),
        };
        let leaves = rolls.one_in(25);
        for (place, (first, last)) in spans.iter().enumerate() {
            let hour = |rolls: &mut Rolls| 1 + rolls.below(8);
            let at = |day: i64, hour: i64| Timestamp((today() - day) * DAY + hour * 3_600_000);
            let from = at(*first, hour(rolls));
            let goes_on = place + 1 == spans.len() && !leaves;
            // Up to its last day, or up to the midnight after it. Today has no midnight yet.
            let until = match rolls.one_in(4) && *last > 0 {
                true => at(last - 1, 0),
                false => at(*last, 9),
            };
            let until = if goes_on { String::new() } else { until.to_string() };
            let imei = if changes_imei { rolls.pick(&imeis) } else { &imeis[0] };
            // Sometimes the former stay was on another network of the country.
            let code = network.mcc();
            let network = match rolls.one_in(5) && !goes_on {
                true => format!("{code}-02"),
                false => network.to_string(),
            };
            writeln!(self.files.stays, "{eid},{network},{home_text},{from},{until},{imei}").unwrap();
        }
        let date = |days: i64| Day::of(Timestamp((today() - days) * DAY)).to_string();
        let (arrived, window) = (spans[0].0, i64::from(rule.and_then(limit_days).unwrap_or(60)));
        let event = |rolls: &mut Rolls| match rolls.below(4) {
            0 => String::new(),
            1 => date(arrived + 1 + rolls.below(20)),
            2 => date(rolls.below(arrived + 1)),
            _ => date((window - 1 + rolls.below(3)).clamp(0, arrived)),
        };
        let (owner_since, swap_requested) = (event(rolls), event(rolls));
        let registered = if rolls.one_in(5) { country.to_string() } else { String::new() };
        let mut permits = Vec::new();
        for requirement in
            ["sim_registration", "local_programming", "data_in_country", "certification", "approval"]
        {
            if rolls.below(3) > 0 && rolls.below(3) > 0 {
                permits.push(format!("{requirement} {country}"));
            }
        }
        if rolls.one_in(2) {
            permits.push(format!("carrier_approval {network}"));
        }
        let mut profiles = vec![format!("894447650{number:010} {home} bootstrap enabled")];
        match rolls.below(12) {
            0 => profiles.push(format!("894447651{number:010} {network} local disabled")),
            1 => profiles = vec![format!("894447651{number:010} {network} local enabled")],
            _ => {}
        }
        let refused = match rolls.below(8) {
            0 => format!("{network} 2026-11-20T00:00:00Z"),
            1 => "724-05 2026-11-22T00:00:00Z; 404-02 2026-10-01T00:00:00Z".into(),
            _ => String::new(),
        };
        writeln!(
            self.files.devices,
            "{eid},{account},{},{registered},{},{owner_since},{swap_requested},{refused},",
            profiles.join("; "),
            permits.join("; ")
        )
        .unwrap();
    }
}

fn limit_days(rule: &Rule) -> Option<u32> {
    match rule.kind {
        RuleKind::DaysSince { limit_days, .. } => Some(limit_days),
        _ => None,
    }
}

async fn load(book: &RuleBook, files: &Files) -> Fleet {
    let mut rows = Rows::default();
    read_devices(&mut rows, "devices.csv", files.devices.as_bytes(), book).unwrap();
    read_stays(&mut rows, "stays.csv", files.stays.as_bytes(), book).unwrap();
    let records = MemoryRecords::default();
    fleet::import(&records, &rows, now(), false).await.unwrap();
    fleet::load(&records).await.unwrap()
}

/// The answers of Landfall, one a line, as the independent program prints them.
fn answers(fleet: &Fleet, book: &RuleBook, owner: &Owner) -> Vec<String> {
    let conditions = Conditions { now: now(), book, policy: &owner.policy, offers: &owner.offers };
    let counted = EvaluatedFleet::new(fleet, conditions);
    fleet.in_service().flat_map(|device| of_device(&counted, device)).collect()
}

fn of_device(counted: &EvaluatedFleet<'_>, device: &Device) -> Vec<String> {
    let decision = counted.decide(device);
    let day = |deadline: Timestamp| Day::of(deadline).to_string();
    let mut lines = vec![match &decision {
        Decision::Stay { reasons, .. } => match reasons[..] {
            [Reason::NotAttached] => "stay not_attached".into(),
            [Reason::AtHome { .. }] => "stay at_home".into(),
            _ => "stay".into(),
        },
        Decision::Move { to, deadline, .. } => {
            format!("move {} {}", day(deadline.expect("without a strategy")), to.operator().plmn)
        }
        Decision::Stuck { deadline, .. } => format!("stuck {}", day(*deadline)),
    }];
    lines.extend(counted.findings(device).iter().map(of_finding));
    if matches!(decision, Decision::Stay { .. }) {
        lines.extend(decision.reasons().iter().filter_map(|reason| {
            let outcome = match reason {
                Reason::TooFewDevices { devices, .. } => format!("too_few_devices {devices}"),
                Reason::Fulfilled { .. } => "fulfilled".into(),
                Reason::NotHappened { .. } => "not_happened".into(),
                Reason::EndsFirst { .. } => "ends_first".into(),
                Reason::Permissive { .. } => "permissive".into(),
                Reason::CarrierTerms { .. } => "carrier_terms".into(),
                Reason::HomeNetworkNotKnown { .. } => "home_network_not_known".into(),
                Reason::FleetRule { share: Some(share), .. } => {
                    format!("fleet_rule {} {} {}", share.roaming, share.staying, share.allowed.unwrap())
                }
                _ => return None,
            };
            Some(format!("rule {} {outcome}", reason.rule().unwrap()))
        }));
    }
    lines.into_iter().map(|line| format!("{} {line}", device.eid)).collect()
}

fn of_finding(finding: &Finding) -> String {
    let word = |value: serde_json::Value| value.as_str().unwrap().to_owned();
    let status = word(serde_json::to_value(finding.status).unwrap());
    let consequence = word(serde_json::to_value(finding.consequence).unwrap()["consequence"].take());
    let mut unmet: Vec<String> =
        finding.unmet.iter().map(|one| word(serde_json::to_value(one).unwrap())).collect();
    unmet.sort();
    let (id, measured, breach) =
        (&finding.citation.rule, finding.measurement.measured, finding.measurement.breach);
    let mut line =
        format!("rule {id} {status} {measured} {} {consequence} {}", breach.day, breach.blocked_from);
    unmet.iter().for_each(|one| line.push_str(&format!(" {one}")));
    line
}

/// The answers of the independent program.
fn independent(rules: &str, owner: &str, files: &Files) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/independent/localize.py");
    let output = Command::new("python3")
        .arg(program)
        .arg(NOW)
        .arg(write("rules.toml", rules))
        .arg(write("networks.toml", BUILT_IN_NETWORKS))
        .arg(write("owner.toml", owner))
        .arg(write("devices.csv", &files.devices))
        .arg(write("stays.csv", &files.stays))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Compares the two programs, and returns the answers.
async fn compare(rules: &str, owner_file: &str, files: &Files) -> Vec<String> {
    let mut book = RuleBook::parse(rules).unwrap();
    let owner = Owner::parse(owner_file, &mut book).unwrap();
    let fleet = load(&book, files).await;
    assert_eq!(fleet.devices().len(), usize::try_from(files.count).unwrap());
    let (mut ours, mut theirs) = (answers(&fleet, &book, &owner), independent(rules, owner_file, files));
    ours.sort();
    theirs.sort();
    let (only_ours, only_theirs): (BTreeSet<&String>, BTreeSet<&String>) =
        (ours.iter().collect(), theirs.iter().collect());
    let mut differ: Vec<String> =
        only_ours.difference(&only_theirs).map(|line| format!("Landfall only: {line}")).collect();
    differ.extend(only_theirs.difference(&only_ours).map(|line| format!("localize.py only: {line}")));
    differ.sort_by_key(|line| line.rsplit_once(": ").map(|(_, answer)| answer.to_owned()));
    assert!(ours == theirs, "{} lines differ\n{}", differ.len(), differ[..differ.len().min(20)].join("\n"));
    ours
}

/// Checks that each rule is broken for at least one device and not for another, and that the
/// devices include the last permitted value and the first forbidden value.
fn reaches_every_rule(book: &RuleBook, answers: &[String]) {
    let mut outcomes: BTreeMap<&str, Vec<Vec<&str>>> = BTreeMap::new();
    for line in answers {
        let words: Vec<&str> = line.split(' ').collect();
        if let [_, "rule", rule, outcome @ ..] = words.as_slice() {
            outcomes.entry(rule).or_default().push(outcome.to_vec());
        }
    }
    let devices = answers.iter().map(|line| line.split(' ').next().unwrap()).collect::<BTreeSet<_>>().len();
    for rule in book.rules() {
        let found = outcomes
            .get(rule.id.to_string().as_str())
            .unwrap_or_else(|| panic!("{} is not reached", rule.id));
        let has = |outcome: &str, measured: Option<u32>| {
            let measured = measured.map(|measured| measured.to_string());
            found.iter().any(|words| {
                words[0] == outcome && measured.as_deref().is_none_or(|measured| words[1] == measured)
            })
        };
        match (rule.kind, rule.kind.limit()) {
            _ if rule.id.to_string() == "large-fleets" => assert!(has("too_few_devices", None)),
            (_, None) => assert!(found.len() < devices, "{}", rule.id),
            (kind, Some(limit)) if kind.is_of_fleet() || limit.limit == 0 => {
                assert!(has("broken", None), "{} does not fire", rule.id);
                let not =
                    ["fulfilled", "fleet_rule", "not_happened"].iter().any(|outcome| has(outcome, None));
                let elsewhere = kind == RuleKind::Banned && rule.requires.is_empty();
                assert!(not || elsewhere && found.len() < devices, "{} always fires", rule.id);
            }
            (_, Some(limit)) => {
                let last = Some(limit.limit);
                assert!(has("near", last), "{}: no device on the last permitted day", rule.id);
                assert!(
                    has("broken", last.map(|last| last + 1)),
                    "{}: no device one over the limit",
                    rule.id
                );
                assert!(has("clear", None), "{}: no device is clear", rule.id);
            }
        }
        for requirement in &rule.requires {
            assert!(has("fulfilled", None), "{}: no device fulfils {requirement:?}", rule.id);
        }
    }
    for status in [Status::Broken, Status::Near, Status::Clear] {
        println!(
            "{status:?}: {}",
            outcomes.values().flatten().filter(|words| words[0] == word_of(status)).count()
        );
    }
}

fn word_of(status: Status) -> &'static str {
    match status {
        Status::Broken => "broken",
        Status::Near => "near",
        Status::Clear => "clear",
    }
}

#[tokio::test]
#[cfg_attr(not(has_python3), ignore = "needs python3")]
async fn the_answers_about_5000_devices_equal_those_of_an_independent_program_for_every_built_in_rule() {
    let book = RuleBook::built_in().unwrap();
    let seed = std::env::var("LANDFALL_SEED").unwrap_or_else(|_| "20261125".into());
    println!("seed {seed}; set LANDFALL_SEED for another one");
    let mut generator = Generator::new(&seed, &book);
    for rule in book.rules() {
        let accounts: &[(&str, u32)] = match rule.min_devices {
            501 => &[("large", 640), ("small", 60)],
            _ => &[("account-1", 150)],
        };
        for (account, devices) in accounts {
            (0..*devices).for_each(|_| generator.near(rule, account));
        }
    }
    while generator.files.count < 5000 {
        generator.anywhere();
    }
    let mut answers = compare(BUILT_IN_RULES, OWNER, &generator.files).await;

    let mut generator = Generator::new("a registered owner", &book);
    for rule in book.rules().iter().filter(|rule| rule.kind == RuleKind::Banned) {
        (0..20).for_each(|_| generator.near(rule, "account-1"));
    }
    answers.extend(compare(BUILT_IN_RULES, REGISTERED_OWNER, &generator.files).await);
    reaches_every_rule(&book, &answers);
}

#[tokio::test]
#[cfg_attr(not(has_python3), ignore = "needs python3")]
async fn the_answers_equal_those_of_an_independent_program_for_the_rest_of_the_language() {
    let book = RuleBook::parse(OTHER_RULES).unwrap();
    let mut generator = Generator::new("the rest of the language", &book);
    for rule in book.rules() {
        (0..120).for_each(|n| generator.near(rule, ["acme", "zenith", "third"][n % 3]));
    }
    (0..100).for_each(|_| generator.anywhere());
    let answers = compare(OTHER_RULES, OWNER, &generator.files).await;
    reaches_every_rule(&book, &answers);
}

#[tokio::test]
#[cfg_attr(not(has_python3), ignore = "needs python3")]
async fn the_days_of_one_imei_are_joined_across_cards() {
    let card = |number: u32| Eid::with_check_digits(&format!("89049032{number:022}")).unwrap();
    let (former, present, other) = (card(1), card(2), card(3));
    let imei = "350000000000001";
    let mut devices =
        "eid,account,profiles,imei_registered_in,permits,owner_since,swap_requested,refused,state\n"
            .to_owned();
    for (eid, state) in [(former, "retired 2026-11-01T00:00:00Z"), (present, ""), (other, "")] {
        writeln!(devices, "{eid},,,,,,,,{state}").unwrap();
    }
    // The former card was in Turkiye for 70 days. The end of its stay was not reported; its
    // equipment was used with the present card in Britain afterwards.
    let stays = format!(
        "eid,network,home,from,until,imei\n\
         {former},286-01,262-01,2026-08-01T00:00:00Z,,{imei}\n\
         {present},234-15,262-01,2026-10-10T00:00:00Z,2026-10-30T00:00:00Z,{imei}\n\
         {present},286-01,262-01,2026-11-05T00:00:00Z,,{imei}\n\
         {other},286-01,262-01,2026-11-05T00:00:00Z,,350000000000002\n"
    );
    let files = Files { devices, stays, count: 3 };
    let answers = compare(BUILT_IN_RULES, OWNER, &files).await;
    let of = |eid: Eid| {
        let line = answers.iter().find(|line| line.starts_with(&format!("{eid} rule tr-91-in-120 ")));
        line.map(|line| line.split(' ').skip(3).take(3).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(of(present).as_deref(), Some("broken 91 2026-11-25"), "70 and 21 days");
    assert_eq!(of(other).as_deref(), Some("clear 21 2027-02-03"));
    assert_eq!(of(former), None, "it is retired");
}
