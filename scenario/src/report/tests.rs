//! What a report promises to those who fill and read it.

use super::*;

pub(super) const BEGINS: Timestamp = Timestamp(1_798_761_600_000); // 2027-01-01

fn expectation(passed: bool) -> Expectation {
    Expectation { text: "meters work".into(), line: Some(7), at: BEGINS, passed, saw: "2 of 3".into() }
}

#[test]
fn one_expectation_that_is_not_met_fails_the_run() {
    let mut report = Report::new("x", "X", "", "7", BEGINS);
    assert_eq!(report.verdict(), Verdict::Passed);
    report.judge(expectation(false));
    report.judge(expectation(true));
    assert_eq!((report.verdict(), report.expectations().len()), (Verdict::Failed, 2));
    assert!(report.timeline.entries()[0].what.contains("NOT as expected: meters work: 2 of 3"));
}

#[test]
fn what_there_is_too_much_of_is_counted() {
    let mut report = Report::new("x", "X", "", "7", BEGINS);
    for number in 0..1000 {
        report.timeline.tell(BEGINS, Kind::Moved, "meters", format!("meters-{number} moved"));
    }
    report.timeline.tell(BEGINS, Kind::Campaign, "first", "ü".repeat(500));
    assert_eq!(report.timeline.entries().len(), 201, "many of one kind do not hide another");
    assert_eq!(report.timeline.left_out().collect::<Vec<_>>(), [(Kind::Moved, 800)]);
    assert_eq!(report.timeline.entries()[200].what.chars().count(), 400);
    let mut list = Bounded::<u8, 2>::default();
    (0..5).for_each(|number| list.push(number));
    assert_eq!((list.shown(), list.left_out(), list.count()), (&[0, 1][..], 3, 5));
}

#[test]
fn days_are_counted_from_the_beginning_of_the_run() {
    let mut report = Report::new("x", "X", "", "7", BEGINS);
    let at = |hours: i64| Timestamp(BEGINS.0 + hours * 3_600_000);
    report.struck(at(23), "link/lose-answer@ES9+");
    report.struck(at(49), "link/lose-answer@ES9+");
    report.struck(at(-1), "link/lose-answer@ES9+");
    report.days.faults.add("never-ends", usize::MAX, 1); // No panic, and no memory full of zeros.
    assert_eq!(report.faults["link/lose-answer@ES9+"], 3);
    assert_eq!(report.days.faults.lines().next(), Some(("link/lose-answer@ES9+", &[2, 0, 1][..])));
}

#[test]
fn json_is_read_back() {
    let mut report = Report::new("x", "X", "", "7", BEGINS);
    report.judge(expectation(false));
    report.days.moves.add("moved", 3, 2);
    report.costs.by_bearer.insert("nb-iot".into(), Spent::default());
    let read: Report = serde_json::from_str(&report.json().unwrap()).unwrap();
    assert_eq!(read, report);
}

#[test]
fn the_schema_is_what_the_type_says() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/report.schema.json");
    let fresh = serde_json::to_string_pretty(&schemars::schema_for!(Report)).unwrap() + "\n";
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == fresh,
        "docs/report.schema.json is stale; LANDFALL_REGENERATE=1 cargo test -p scenario --lib report"
    );
}
