//! The cases of an eIM against the eIM of this project, and against eIMs that violate the standard.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;
mod violations;

use std::collections::BTreeSet;

use crypto::Curve;
use sgp23::{Binding, Ended, Selection};
use sgp33::eim::table;

use support::under_test;

// req: SGP.32-6.4-Body
#[tokio::test]
async fn the_eim_of_this_project_passes_every_case() {
    let eim = under_test(|link| link).await;
    let mut wrong = Vec::new();
    let report = sgp23::run(&eim, &table(), &Selection::default(), |entry, _| {
        if entry.ended != Ended::Passed {
            wrong.push(entry.line());
        }
    })
    .await;
    println!("{}", report.summary());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(report.is_good(), "{}", report.summary());
}

/// The function and title of a case, as violations name it.
fn name(function: &str, title: &str) -> String {
    format!("{function}: {title}")
}

#[tokio::test]
async fn an_eim_that_violates_the_standard_fails_the_cases_of_the_violation() {
    let names: Vec<_> = table().iter().map(|case| name(case.function, &case.title)).collect();
    let (mut covered, mut wrong) = (BTreeSet::new(), Vec::new());
    for violation in violations::all() {
        let what = violation.what;
        let eim = (violation.begin)().await;
        for text in violation.fails {
            let expected: Vec<_> = names.iter().filter(|name| name.contains(text)).collect();
            assert!(!expected.is_empty(), "{what}: no case contains {text:?}");
            covered.extend(expected);
        }
        let mut cases = table();
        cases.retain(|case| {
            let name = name(case.function, &case.title);
            violation.fails.iter().any(|text| name.contains(text))
        });
        let selection =
            Selection { bindings: vec![Binding::Asn1], curves: vec![Curve::P256], ..Selection::default() };
        let report = sgp23::run(&eim, &cases, &selection, |_, _| {}).await;
        for entry in report.entries.iter().filter(|entry| !matches!(entry.ended, Ended::Failed(_))) {
            wrong.push(format!("{what}: this case must fail:\n{}", entry.line()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let missing: Vec<_> = names.iter().filter(|name| !covered.contains(name)).collect();
    assert!(missing.is_empty(), "no violation fails these cases: {missing:#?}");
}

#[tokio::test]
async fn cases_without_an_operator_or_an_activation_code_are_not_run() {
    let mut eim = under_test(|link| link).await;
    eim.operator = None;
    let report = sgp23::run(&eim, &table(), &Selection::default(), |_, _| {}).await;
    let (passed, failed, not_run) = report.counts();
    assert!(passed > 0 && failed == 0, "{}", report.summary());
    let expected = table().iter().filter(|case| !case.needs.is_empty()).count();
    assert!(not_run >= expected, "{}", report.summary());
}
