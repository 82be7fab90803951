//! Tests of the report.

use super::*;

pub(super) const BEGINS: Timestamp = Timestamp(1_798_761_600_000); // 2027-01-01

fn expectation(passed: bool) -> Expectation {
    Expectation { text: "meters work".into(), line: Some(7), at: BEGINS, passed, saw: "2 of 3".into() }
}

#[test]
fn an_unmet_expectation_fails_the_run() {
    let mut report = Report::new("x", "X", "", "7", BEGINS);
    assert_eq!(report.verdict(), Verdict::Passed);
    report.judge(expectation(false));
    report.judge(expectation(true));
    assert_eq!((report.verdict(), report.expectations().len()), (Verdict::Failed, 2));
    assert!(report.timeline.entries()[0].what.contains("NOT as expected: meters work: 2 of 3"));
}

#[test]
fn omitted_entries_are_counted() {
    let mut report = Report::new("x", "X", "", "7", BEGINS);
    for number in 0..1000 {
        report.timeline.add(BEGINS, Kind::Moved, "meters", format!("meters-{number} moved"));
    }
    report.timeline.add(BEGINS, Kind::Campaign, "first", "ü".repeat(500));
    assert_eq!(report.timeline.entries().len(), 201, "many entries of one kind do not displace another kind");
    assert_eq!(report.timeline.left_out().collect::<Vec<_>>(), [(Kind::Moved, 800)]);
    assert_eq!(report.timeline.entries()[200].what.chars().count(), 400);
    let mut list = Bounded::<u8, 2>::default();
    (0..5).for_each(|number| list.push(number));
    assert_eq!((list.shown(), list.left_out(), list.count()), (&[0, 1][..], 3, 5));
}

#[test]
fn lasting_events_are_drawn_as_spans() {
    let mut report = Report::new("x", "X", "", "7", BEGINS);
    let at = |day: i64| Timestamp(BEGINS.0 + day * 86_400_000);
    report.ended = at(100);
    let long = "a reason that is long ".repeat(15);
    report.timeline.add_lasting((at(10), at(100)), Kind::World, "724-91", "is off the air");
    report.timeline.add_lasting((at(50), at(200)), Kind::Server, "platform", "is away");
    report.timeline.add_lasting((at(60), at(60)), Kind::Server, "sm-dp", "is away");
    report.timeline.add(at(70), Kind::Failed, "meters", &long);
    report.timeline.over(at(20), "724-91", "is off the air");
    report.timeline.over(at(30), "724-91", "is off the air");
    report.timeline.ends(at(100));
    let until: Vec<_> = report.timeline.entries().iter().map(|entry| entry.until).collect();
    assert_eq!(until, [Some(at(20)), Some(at(100)), Some(at(60)), None]);
    let page = report.page();
    // A day is a hundredth of the width.
    for span in [
        "<rect class=\"span world\" x=\"10%\" y=\"8\" width=\"10%\" height=\"8\"><title>day 10 \u{B7} 2027-01-11 00:00:00 to day 20 \u{B7} 2027-01-21 00:00:00: is off",
        "<rect class=\"span server\" x=\"50%\" y=\"32\" width=\"50%\"",
    ] {
        assert!(page.contains(span), "{span}\n{page}");
    }
    assert_eq!(page.matches("<rect class=\"span").count(), 2, "an event without duration has only a mark");
    assert!(
        page.contains(&format!("<title>day 70 \u{B7} 2027-03-12 00:00:00: {long}</title>")),
        "the full text must be readable"
    );
}

#[test]
fn days_are_counted_from_the_start_of_the_run() {
    let mut report = Report::new("x", "X", "", "7", BEGINS);
    let at = |hours: i64| Timestamp(BEGINS.0 + hours * 3_600_000);
    report.record_fault(at(23), "link/lose-answer@ES9+");
    report.record_fault(at(49), "link/lose-answer@ES9+");
    report.record_fault(at(-1), "link/lose-answer@ES9+");
    report.days.faults.add("never-ends", usize::MAX, 1); // Must not panic or allocate a huge list.
    let Times { times, first, last } = report.faults["link/lose-answer@ES9+"];
    assert_eq!((times, first, last), (3, at(-1), at(49)));
    assert_eq!(report.days.faults.lines().next(), Some(("link/lose-answer@ES9+", &[2, 0, 1][..])));
}

/// A report with entries in every section, which contain untrusted text.
fn hostile() -> Report {
    const TEXT: &str = "<script>alert(\"1\")</script> & 'so' ]]>\u{8}";
    let at = |hours: i64| Timestamp(BEGINS.0 + hours * 3_600_000);
    let mut report = Report::new("x\"><script>", TEXT, TEXT, "7", BEGINS);
    report.ended = at(30 * 24);
    report.judge(expectation(true));
    report.judge(Expectation {
        text: TEXT.into(),
        line: Some(7),
        at: at(24),
        passed: false,
        saw: TEXT.into(),
    });
    Kind::ALL.into_iter().for_each(|kind| report.timeline.add(at(30), kind, TEXT, TEXT));
    report.record_fault(at(50), TEXT);
    report.days.devices_by_network.add(TEXT, 2, 10);
    report.days.spent.add(TEXT, 3, 2_500_000);
    report.costs.currency = TEXT.into();
    report.costs.by_bearer.insert(TEXT.into(), Spent::default());
    let mut failures = Bounded::default();
    failures.push(Failure { device: TEXT.into(), result: TEXT.into(), why: TEXT.into() });
    report.campaigns.push(Campaign {
        name: TEXT.into(),
        target: TEXT.into(),
        terms: BTreeMap::from([(TEXT.into(), TEXT.into())]),
        state: TEXT.into(),
        why: Some(TEXT.into()),
        began: Some(at(1)),
        ended: None,
        devices: 1,
        results: BTreeMap::from([(TEXT.into(), 1)]),
        canaries: Bounded::default(),
        failures,
    });
    report.devices.push(device(TEXT));
    report
}

fn device(name: &str) -> Device {
    let mut stays = Bounded::default();
    stays.push(Stay { from: BEGINS, network: Some("724-05".parse().unwrap()), roams: true, at_home: false });
    stays.push(Stay { from: Timestamp(BEGINS.0 + 1_000_000), network: None, roams: false, at_home: false });
    Device {
        name: name.into(),
        eid: "89049032000000000000000000000163".parse().unwrap(),
        network: None,
        enabled: None,
        profiles: 1,
        state: name.into(),
        moves: 0,
        came_back: 1,
        stays,
    }
}

#[test]
fn untrusted_text_is_escaped() {
    let (page, junit) = (hostile().page(), hostile().junit());
    for written in [&page, &junit] {
        assert!(
            !written.contains("<script") && !written.contains("& ") && !written.contains('\u{8}'),
            "{written}"
        );
        assert!(written.contains(
            "&#60;script&#62;alert(&#34;1&#34;)&#60;/script&#62; &#38; &#39;so&#39; ]]&#62;\u{FFFD}"
        ));
    }
    assert!(page.matches("&#60;script&#62;alert").count() > 20, "every section contains it");
}

#[test]
fn the_page_shows_the_settings_of_a_campaign() {
    let mut report = hostile();
    let terms = BTreeMap::from([("per_hour".to_owned(), "10 moves begin".to_owned())]);
    report.campaigns.iter_mut().for_each(|campaign| campaign.terms = terms.clone());
    assert!(report.page().contains("<dt>per hour</dt><dd>10 moves begin</dd><dt>state</dt>"));
}

#[test]
fn a_time_on_the_page_is_the_day_of_the_run_with_its_date() {
    let mut report = hostile();
    report.refused(Timestamp(BEGINS.0 + 3_600_000), "no profile is left");
    let page = report.page();
    for time in ["day 2 \u{B7} 2027-01-03 02:00:00</time>", "day 0 \u{B7} 2027-01-01 01:00:00</time>"] {
        assert!(page.contains(time), "{time}\n{page}");
    }
    assert!(page.contains(">5</text>") && page.contains(">2027-01-06</text>"), "a tick has its date: {page}");
}

#[test]
fn networks_have_their_names_on_the_page() {
    let mut report = hostile();
    report.networks = BTreeMap::from([("724-05".to_owned(), "Brasil Um".to_owned())]);
    report.days.devices_by_network.add("724-05", 2, 10);
    report.timeline.add(BEGINS, Kind::World, "724-05", "724-051 and x-724-05 are others; 724-05, is off");
    let page = report.page();
    for text in [
        "roaming on Brasil Um (724-05), from",
        "<td>Brasil Um (724-05)</td>",
        ">724-051 and x-724-05 are others; Brasil Um (724-05), is off<",
    ] {
        assert!(page.contains(text), "{text}\n{page}");
    }
    assert!(!page.contains(">724-05<"), "{page}");
}

#[test]
fn the_page_refers_to_no_other_resource() {
    let page = hostile().page();
    for outside in ["http://", "https://", "src=", "@import", "url(", "href="] {
        let inside = |rest: &str| rest.starts_with('#') || rest.starts_with("\"#");
        assert!(page.split(outside).skip(1).all(inside), "{outside}");
    }
}

/// The class of the swatch of each name in the legend of the plot with this title.
fn colours_of(page: &str, title: &str) -> BTreeMap<String, String> {
    let figure = page.split("<figure>").find(|figure| figure.contains(title)).unwrap();
    let rows = figure.split("<svg class=\"swatch\"").skip(1);
    rows.map(|row| {
        let colour = row.split("class=\"").nth(1).unwrap().split('"').next().unwrap();
        let name = row.split("<td>").nth(1).unwrap().split('<').next().unwrap();
        (name.to_owned(), colour.to_owned())
    })
    .collect()
}

#[test]
fn a_name_has_the_same_colour_in_all_plots() {
    let mut report = Report::new("x", "X", "", "7", BEGINS);
    report.ended = Timestamp(BEGINS.0 + 10 * 86_400_000);
    // The first name is the largest in one plot and the smallest in the other.
    for (number, network) in ["234-91", "724-91", "none"].into_iter().enumerate() {
        report.days.devices_by_network.add(network, 9, 30 - number as u64);
        report.days.devices_by_subscription.add(network, 9, 20 + number as u64);
    }
    report.days.devices_by_country.add("BR", 9, 5);
    report.days.devices_by_country.add("none", 9, 50);
    let page = report.page();
    let networks = colours_of(&page, "Devices by network");
    assert_eq!(colours_of(&page, "Devices by operator of the subscription"), networks);
    let countries = colours_of(&page, "Devices by country");
    assert_eq!(countries["none"], networks["none"]);
    assert!(!networks.values().any(|colour| *colour == countries["BR"]), "{networks:?} {countries:?}");
    (0..12).for_each(|number| report.days.devices_by_network.add(&format!("001-{number:02}"), 9, 40));
    let page = report.page();
    let (many, few) =
        (colours_of(&page, "Devices by network"), colours_of(&page, "operator of the subscription"));
    assert_eq!((many.len(), many.values().collect::<std::collections::BTreeSet<_>>().len()), (8, 8));
    assert_eq!(few.values().collect::<std::collections::BTreeSet<_>>().len(), 3);
}

#[test]
fn junit_has_a_case_for_each_expectation() {
    let mut report = Report::new("ninety-days", "Ninety days", "A meter.", "7", BEGINS);
    report.judge(expectation(true));
    report.judge(expectation(false));
    assert_eq!(report.junit(), include_str!("junit.xml"));
}

/// 100,000 devices for a year, each of which fills the report as far as its limits allow.
#[test]
fn many_devices_do_not_make_a_large_page() {
    let mut report = Report::new("year", "A year", "", "7", BEGINS);
    let at = |day: usize, second: usize| Timestamp(BEGINS.0 + (day * 86_400 + second % 86_400) as i64 * 1000);
    report.ended = at(365, 0);
    for number in 0..100_000 {
        let (day, network) = (number % 365, format!("network {}", number % 40));
        for kind in Kind::ALL {
            report.timeline.add(at(day, number), kind, format!("group {}", number % 100), "x".repeat(300));
        }
        report.record_fault(
            at(day, 0),
            &format!("link/lose-answer@ES9+.GetBoundProfilePackage#{}", number % 40),
        );
        report.days.devices_by_network.add(&network, (number * 7) % 365, number as u64);
        report.days.devices_by_country.add(&network, (number * 11) % 365, number as u64);
        report.days.devices_by_state.add(&network, (number * 13) % 365, number as u64);
        report.days.moves.add(&network, day, number as u64 % 7);
        report.days.spent.add(&network, day, number as u64);
        if report.devices.left_out() == 0 {
            let mut device = device(&format!("devices-{number}"));
            (0..100).for_each(|stay| {
                device.stays.push(Stay { from: at(stay * 3, 0), network: None, roams: true, at_home: false })
            });
            report.devices.push(device);
        }
    }
    let (page, json) = (report.page().len(), report.json().unwrap().len());
    // The full text of every timeline entry is on the page.
    assert!(page < 1_500_000, "{page} octets");
    assert!(json < 5_000_000, "{json} octets");
}

#[test]
fn json_round_trips() {
    let mut report = Report::new("x", "X", "", "7", BEGINS);
    report.judge(expectation(false));
    report.days.moves.add("moved", 3, 2);
    report.costs.by_bearer.insert("nb-iot".into(), Spent::default());
    let read: Report = serde_json::from_str(&report.json().unwrap()).unwrap();
    assert_eq!(read, report);
}

#[test]
fn the_schema_is_up_to_date() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/report.schema.json");
    let fresh = serde_json::to_string_pretty(&schemars::schema_for!(Report)).unwrap() + "\n";
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == fresh,
        "docs/report.schema.json is stale; LANDFALL_REGENERATE=1 cargo test -p scenario --lib report"
    );
}
