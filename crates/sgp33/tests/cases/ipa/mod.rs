//! The cases of an IPA.

mod support;
mod violations;

use sgp33::ipa::table;

use support::{Changes, under_test};

// req: SGP.32-6.1-UserAgent
#[tokio::test]
async fn the_ipa_of_this_project_passes_every_case() {
    crate::expect_passed(&under_test(Changes::default()), &table()).await;
}

#[tokio::test]
async fn an_ipa_that_violates_the_standard_fails_the_cases_of_the_violation() {
    crate::expect_failed(table, violations::all()).await;
}
