//! The cases of an IPA against the IPA of this project, and against IPAs that violate the standard.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;
mod violations;

use std::collections::BTreeSet;

use sgp23::{Ended, Selection};
use sgp33::ipa::table;

use support::{Changes, under_test};

// req: SGP.32-6.1-UserAgent
#[tokio::test]
async fn the_ipa_of_this_project_passes_every_case() {
    let mut wrong = Vec::new();
    let ipa = under_test(Changes::default());
    let report = sgp23::run(&ipa, &table(), &Selection::default(), |entry, _| {
        if entry.ended != Ended::Passed {
            wrong.push(entry.line());
        }
    })
    .await;
    println!("{}", report.summary());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(report.is_good(), "{}", report.summary());
}

#[tokio::test]
async fn an_ipa_that_violates_the_standard_fails_the_cases_of_the_violation() {
    let name = |case: &sgp33::ipa::Case| format!("{}: {}", case.function, case.title);
    let names: Vec<_> = table().iter().map(name).collect();
    let (mut covered, mut wrong) = (BTreeSet::new(), Vec::new());
    for violation in violations::all() {
        let what = violation.what;
        for text in violation.fails {
            let expected: Vec<_> = names.iter().filter(|name| name.contains(text)).collect();
            assert!(!expected.is_empty(), "{what}: no case contains {text:?}");
            covered.extend(expected);
        }
        let cases =
            table().into_iter().filter(|case| violation.fails.iter().any(|text| name(case).contains(text)));
        for case in cases {
            // Each case has a new device, because a violation can have lasting effects.
            let ipa = under_test(violation.changes);
            let report = sgp23::run(&ipa, &[case], &Selection::default(), |_, _| {}).await;
            for entry in report.entries.iter().filter(|entry| !matches!(entry.ended, Ended::Failed(_))) {
                wrong.push(format!("{what}: this case must fail:\n{}", entry.line()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let missing: Vec<_> = names.iter().filter(|name| !covered.contains(name)).collect();
    assert!(missing.is_empty(), "no violation fails these cases: {missing:#?}");
}
