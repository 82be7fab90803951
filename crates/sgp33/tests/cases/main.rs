//! The cases against the parties of this project, and against parties that violate the standard.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod coap_changes;
mod eim;
mod ipa;
mod links;
mod servers;

use std::collections::BTreeSet;

use crypto::Curve;
use sgp23::{Binding, Case, Ended, Selection, Subject};
use world::BoxFuture;

/// A violation, and the cases that must fail because of it.
pub(crate) struct Violation<S> {
    pub(crate) what: &'static str,
    /// Creates the party with the violation.
    pub(crate) begin: Box<dyn Fn() -> BoxFuture<'static, S>>,
    /// A text that each case contains in its function or title.
    pub(crate) fails: &'static [&'static str],
}

/// The function and title of a case, as violations name it.
fn name<S: Subject>(case: &Case<S>) -> String {
    format!("{}: {}", case.function, case.title)
}

/// Checks that a correct party passes every case.
async fn expect_passed<S: Subject>(subject: &S, table: &[Case<S>]) {
    let mut wrong = Vec::new();
    let report = sgp23::run(subject, table, &Selection::default(), |entry, _| {
        if entry.ended != Ended::Passed {
            wrong.push(entry.line());
        }
    })
    .await;
    println!("{}", report.summary());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(report.is_good(), "{}", report.summary());
}

/// Checks that each violation fails its cases, and that each case is failed by a violation. The
/// violations are those of the ASN.1 binding.
async fn expect_failed<S: Subject>(table: fn() -> Vec<Case<S>>, violations: Vec<Violation<S>>) {
    let names: Vec<_> = table().iter().map(name).collect();
    let (mut covered, mut wrong) = (BTreeSet::new(), Vec::new());
    for violation in violations {
        let what = violation.what;
        for text in violation.fails {
            let expected: Vec<_> = names.iter().filter(|name| name.contains(text)).collect();
            assert!(!expected.is_empty(), "{what}: no case contains {text:?}");
            covered.extend(expected);
        }
        let is_meant = |case: &Case<S>| violation.fails.iter().any(|text| name(case).contains(text));
        for case in table().into_iter().filter(is_meant) {
            // Each case has a new party, because a violation can have lasting effects.
            let subject = (violation.begin)().await;
            let selection = Selection {
                bindings: vec![Binding::Asn1],
                curves: vec![Curve::P256],
                ..Selection::default()
            };
            let report = sgp23::run(&subject, &[case], &selection, |_, _| {}).await;
            for entry in report.entries.iter().filter(|entry| !matches!(entry.ended, Ended::Failed(_))) {
                wrong.push(format!("{what}: this case must fail:\n{}", entry.line()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let missing: Vec<_> = names.iter().filter(|name| !covered.contains(name)).collect();
    assert!(missing.is_empty(), "no violation fails these cases: {missing:#?}");
}
