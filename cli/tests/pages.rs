//! The report pages in a browser, at the width of a desktop and of a phone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod browser;
mod common;

use std::{collections::BTreeMap, path::Path};

use browser::Browser;
use common::{landfall, succeed};
use scenario::report::{Bounded, Campaign, Device, Expectation, Failure, Kind, Report, Spent, Stay};

/// Widths in CSS pixels: a window on a desktop, and a phone.
const WIDTHS: [u32; 2] = [1300, 375];
/// Minimum size of a text in a chart, in CSS pixels.
const SMALLEST_TEXT: f64 = 9.0;

/// Opens a page in a window of this width and measures it. Returns its defects.
fn defects(browser: &mut Browser, page: &Path, width: u32, theme: &str) -> Vec<String> {
    browser.open(page, width, theme);
    let measure = format!("({})({width}, {SMALLEST_TEXT})", include_str!("pages.js"));
    serde_json::from_value(browser.evaluate(&measure)).unwrap()
}

#[test]
#[cfg_attr(not(has_chromium), ignore = "needs chromium")]
fn pages_are_readable_at_the_width_of_a_desktop_and_of_a_phone() {
    let folder = tempfile::tempdir().unwrap();
    let mut pages = vec![
        ("scenario", write(folder.path(), "scenario", &full_report(365).page())),
        ("a run of some minutes", write(folder.path(), "short", &full_report(0).page())),
        ("empty", write(folder.path(), "empty", &Report::new("x", "X", "", "7", begins()).page())),
    ];
    pages.push(("device check", device_check(folder.path())));
    let mut browser = Browser::start(folder.path());
    for (name, page) in pages {
        for (width, theme) in WIDTHS.into_iter().zip(["light", "dark"]) {
            let defects = defects(&mut browser, &page, width, theme);
            assert!(defects.is_empty(), "{name} at {width} pixels:\n{}", defects.join("\n"));
            assert!(browser.complaints().is_empty(), "{name}: {:?}", browser.complaints());
        }
    }
}

/// A page with each of these defects must be found, so that the check above is not empty.
#[test]
#[cfg_attr(not(has_chromium), ignore = "needs chromium")]
fn defects_of_a_page_are_found() {
    const PAGE: &str = r#"<!doctype html><title></title>
<p style="width: 900px">wide</p>
<div style="overflow: auto; width: 100px"><p style="width: 200px">region</p></div>
<table style="width: 1em; table-layout: fixed"><tr><td style="overflow-wrap: anywhere">letters</td></tr></table>
<svg width="100" viewBox="0 0 1000 100"><text y="20" font-size="12">tiny</text></svg>
<p style="color: #ccc">pale</p>
<img src="http://127.0.0.1:9/logo.png"><script>throw new Error("oops")</script>"#;
    let folder = tempfile::tempdir().unwrap();
    let page = write(folder.path(), "bad", PAGE);
    let mut browser = Browser::start(folder.path());
    let defects = defects(&mut browser, &page, 375, "light");
    let expected =
        ["no lang", "no title", "wider than", "no tabindex", "no label", "by letter", "tiny", "contrast"];
    for defect in expected {
        assert!(defects.iter().any(|found| found.contains(defect)), "{defect}: {defects:?}");
    }
    let complaints = browser.complaints().join("\n");
    for complaint in ["Error: oops", "request to http://127.0.0.1:9/logo.png"] {
        assert!(complaints.contains(complaint), "{complaint}: {complaints}");
    }
}

#[test]
fn the_terminal_the_json_and_the_page_of_a_run_have_the_same_figures() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = landfall(folder.path());
    command.args(["run", "border-flapping", "--report"]).arg(folder.path());
    let terminal = succeed(&mut command);
    let read =
        |ending| std::fs::read_to_string(folder.path().join(format!("border-flapping.{ending}"))).unwrap();
    let (json, mut page) = (read("json"), text_of(&read("html")));
    let report: Report = serde_json::from_str(&json).unwrap();
    assert!(page.contains("Giralda (214-91)"), "the page has the names of networks:\n{page}");
    for (code, name) in &report.networks {
        page = page.replace(&format!("{name} ({code})"), code);
    }
    let met = report.expectations().iter().filter(|expectation| expectation.passed).count();
    let heading = format!("{met} of {} expectations met", report.expectations().len());
    let both = |text: &str| {
        let (on_terminal, on_page) = (squeezed(&terminal), squeezed(&page));
        assert!(on_terminal.contains(text), "{text:?} is not on the terminal:\n{on_terminal}");
        assert!(on_page.contains(text), "{text:?} is not on the page:\n{on_page}");
    };
    both(&heading);
    assert!(!report.expectations().is_empty() && !report.costs.by_bearer.is_empty(), "{json}");
    for Expectation { text, at, saw, .. } in report.expectations() {
        both(text);
        both(saw);
        let (day, date) = (report.day(*at), at.to_string()[..10].to_owned());
        assert!(squeezed(&terminal).contains(&format!("{day} {date} {text}")), "{terminal}");
        assert!(squeezed(&page).contains(&format!("day {day} \u{B7} {date}")), "{page}");
    }
    for (bearer, Spent { octets, messages, money }) in &report.costs.by_bearer {
        both(&format!("{bearer} {octets} {messages} {money}"));
    }
    both(&format!("total {}", report.costs.total()));
    for (fault, times) in &report.faults {
        both(&format!("{fault} {}", times.times));
    }
}

/// The text of a page without groups of digits.
fn text_of(page: &str) -> String {
    let (_, body) = page.split_once("<body>").unwrap();
    let texts = body.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text);
    texts.collect::<Vec<_>>().join(" ").replace('\u{202F}', "")
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn write(folder: &Path, name: &str, page: &str) -> std::path::PathBuf {
    let file = folder.join(format!("{name}.html"));
    std::fs::write(&file, page).unwrap();
    file
}

fn device_check(folder: &Path) -> std::path::PathBuf {
    let (data, page) = (folder.join("data"), folder.join("device-check.html"));
    let data = data.display().to_string();
    let faults =
        ["link/http-503@ES9+.GetBoundProfilePackage#1", "tamper/bpp-mac@ES9+.GetBoundProfilePackage#1"];
    let mut command = landfall(folder);
    command.args(["check", "device", "--html"]).arg(&page);
    command.args(faults.iter().flat_map(|fault| ["--fault", fault]));
    let lpa =
        [env!("CARGO_BIN_EXE_landfall"), "--data-dir", &data, "device", "download", "{activation_code}"];
    succeed(command.arg("--").args(lpa));
    page
}

fn begins() -> rsp::time::Timestamp {
    "2027-01-01T00:00:00Z".parse().unwrap()
}

/// A report with something in every section, and with long texts and many entries.
fn full_report(days: i64) -> Report {
    const LONG: &str = "a reason that is longer than a line on a phone, with link/lose-answer@ES9+.GetBoundProfilePackage#25%#0s..12h";
    let at = |day: i64| begins().plus(std::time::Duration::from_secs(86_400 * day.min(days).unsigned_abs()));
    let mut report = Report::new("a-scenario-with-a-rather-long-name", "A scenario", LONG, "7", begins());
    report.ended = at(days).plus(std::time::Duration::from_secs(600));
    let names = (0..12).map(|number| (format!("724-{number:02}"), format!("Brasil {number}")));
    report.networks = BTreeMap::from_iter(names);
    for day in 0..days.min(100) {
        let network = format!("724-{:02}", day % 12);
        for kind in Kind::ALL {
            report.timeline.add(at(day * 3), kind, &network, format!("{LONG} in {network}"));
        }
        report.days.devices_by_network.add(&network, usize::try_from(day * 3).unwrap(), 100_000);
        report.days.moves.add("moved", usize::try_from(day).unwrap(), 10);
        report.days.spent.add("nb-iot", usize::try_from(day).unwrap(), 2_500_000);
        report.record_fault(at(day), &format!("link/lose-answer@ES9+.GetBoundProfilePackage#{day}"));
        report.refused(at(day), LONG);
        report.devices.push(device(day, &[&at(day), &at(day * 2)]));
    }
    report.timeline.add_lasting((at(10), at(200)), Kind::Server, "sm-dp", "is away");
    for passed in [true, false] {
        report.judge(Expectation {
            text: LONG.into(),
            line: Some(1234),
            at: at(90),
            passed,
            saw: LONG.into(),
        });
    }
    report.costs.currency = "EUR".into();
    let spent = Spent { octets: 123_456_789, messages: 12_345, money: 1_234.5.into() };
    report.costs.by_bearer.insert("a-bearer-with-a-long-name".into(), spent);
    let mut failures = Bounded::default();
    failures.push(Failure { device: "meters-1".into(), result: "not installed".into(), why: LONG.into() });
    report.campaigns.push(Campaign {
        name: "home".into(),
        target: "724-05".into(),
        terms: BTreeMap::from([("per_hour".into(), LONG.into())]),
        state: "stopped".into(),
        why: Some(LONG.into()),
        began: Some(at(1)),
        ended: Some(at(2)),
        devices: 100_000,
        results: BTreeMap::from([("moved".into(), 99_999)]),
        canaries: Bounded::default(),
        failures,
    });
    report
}

fn device(number: i64, from: &[&rsp::time::Timestamp]) -> Device {
    let mut stays = Bounded::default();
    for (index, from) in from.iter().enumerate() {
        let network = (index > 0).then(|| "724-05".parse().unwrap());
        stays.push(Stay { from: **from, network, roams: number % 2 == 0, at_home: false });
    }
    Device {
        name: format!("meters-in-the-north-{number}"),
        eid: "89049032000000000000000000000163".parse().unwrap(),
        network: Some("724-05".parse().unwrap()),
        enabled: None,
        profiles: 2,
        state: "working".into(),
        moves: 1,
        came_back: 0,
        stays,
    }
}
