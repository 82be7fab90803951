//! The cases of an IPA.

mod support;
mod violations;

use sgp33::ipa::table;

use support::{Changes, under_test};

// req: SGP.32-6.1-UserAgent
#[tokio::test]
async fn the_ipa_of_this_project_passes_every_case() {
    let mut cases = table();
    cases.retain(|case| case.function != "CoAP");
    crate::expect_passed(&under_test(Changes::default()), &cases).await;
}

#[tokio::test]
async fn the_ipa_of_this_project_passes_every_case_over_coap() {
    let mut cases = table();
    cases.retain(|case| !["HTTP", "TLS"].contains(&case.function));
    crate::expect_passed(&under_test(Changes::of_coap(None)), &cases).await;
}

#[tokio::test]
async fn an_ipa_that_violates_the_standard_fails_the_cases_of_the_violation() {
    crate::expect_failed(table, violations::all()).await;
}
