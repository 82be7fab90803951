//! The cases of an eIM against the eIM of this project, and against eIMs that violate the standard.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod support;

use sgp23::{Ended, Selection};
use sgp33::eim::table;

use support::under_test;

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
