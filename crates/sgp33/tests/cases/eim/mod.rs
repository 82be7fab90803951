//! The cases of an eIM.

mod support;
mod violations;

use sgp23::Selection;
use sgp33::eim::table;

use support::under_test;

// req: SGP.32-6.4-Body
#[tokio::test]
async fn the_eim_of_this_project_passes_every_case() {
    crate::expect_passed(&under_test(|link| link).await, &table()).await;
}

#[tokio::test]
async fn an_eim_that_violates_the_standard_fails_the_cases_of_the_violation() {
    crate::expect_failed(table, violations::all()).await;
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
