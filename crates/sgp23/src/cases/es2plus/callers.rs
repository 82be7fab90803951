//! Cases of the authorisation of callers of ES2+: SGP.22 sections 2.6.6 and 6.5.1.

use rsp::sgp22::es2plus::{self, ConfirmOrder, DownloadOrder};
use rsp::status::Status;

use super::{case, expect_refusal};
use crate::binding::Answer;
use crate::case::{Case, Need, run};
use crate::operator::Operator;
use crate::testbed::Testbed;
use crate::verdict::{During, Verdict, ensure, equal};

const FUNCTIONS: [&str; 4] = ["downloadOrder", "confirmOrder", "cancelOrder", "releaseProfile"];

pub(super) fn cases() -> Vec<Case> {
    let caller_case = |title: &str, run| case("ES2+", "2.6.6, 6.5.1", title, run);
    vec![
        caller_case(
            "an order of another operator cannot be confirmed, released or cancelled",
            run!(|testbed| {
                let (_, iccid) = testbed.ordered().await?;
                let second = testbed.second_operator()?;
                let not_allowed = Status::IccidNotAllowed;
                second.confirm(&second.confirmation(iccid)).await?.refused("confirmOrder", not_allowed)?;
                second.release(iccid).await?.refused("releaseProfile", not_allowed)?;
                second.cancel(&second.cancellation(iccid)).await?.refused("cancelOrder", not_allowed)
            }),
        )
        .need(Need::SecondOperator),
        caller_case(
            "a functionRequesterIdentifier that does not match the client certificate is refused",
            run!(|testbed| {
                let mut impostor = testbed.operator()?.clone();
                impostor.identifier.clone_from(&testbed.second_operator()?.identifier);
                let answer = impostor.download_order(Some(testbed.iccid()?), None, None).await?;
                expect_refusal(answer, "1.1").during("with the identifier of the second operator")?;
                impostor.identifier.clear();
                expect_refusal(impostor.download_order(Some(testbed.iccid()?), None, None).await?, "1.1")
                    .during("with an empty identifier")
            }),
        )
        .need(Need::SecondOperator),
        caller_case(
            "a registered identifier is accepted only with its own certificate",
            run!(|testbed| {
                let (first, second) = (testbed.operator()?, testbed.second_operator()?);
                let name = format!("SGP23-{}", testbed.iccid()?);
                testbed.admin()?.register(&name, &second.identifier, None).await?;
                let named = |operator: &Operator| operator.with_identifier(&name);
                let order = async |operator: &Operator| {
                    named(operator).download_order(Some(testbed.iccid()?), None, None).await
                };
                expect_refusal(order(first).await?, "1.1")?;
                order(second).await?.done().during("with its own certificate").map(|_| ())
            }),
        )
        .need(Need::SecondOperator)
        .need(Need::Admin),
        caller_case(
            "a request without a client certificate is not executed",
            run!(|testbed| {
                let link = testbed.server.lpa.clone();
                expect_unauthorised(testbed, &testbed.operator()?.with_link(link)).await
            }),
        ),
        caller_case(
            "a request with a client certificate of an unknown CI is not executed",
            run!(|testbed| {
                let link = testbed.stranger()?.clone();
                expect_unauthorised(testbed, &testbed.operator()?.with_link(link)).await
            }),
        )
        .need(Need::UntrustedCertificate),
        caller_case(
            "a request without header is not executed",
            run!(|testbed| {
                let body = serde_json::json!({ "iccid": testbed.iccid()?.to_string() });
                let answer = testbed.operator()?.call::<DownloadOrder>(&body).await?;
                ensure(matches!(answer, Answer::Refused(_)), || "the request was executed".to_owned())
            }),
        ),
        caller_case(
            "a repeated call gets the same response",
            run!(|testbed| {
                let (operator, iccid) = (testbed.operator()?, testbed.iccid()?);
                let order = serde_json::json!({ "header": operator.header(), "iccid": iccid.to_string() });
                for _ in 0..2 {
                    operator.call::<DownloadOrder>(&order).await?.done().during("DownloadOrder")?;
                }
                let confirm = operator.confirmation(iccid);
                let confirm = || operator.call::<ConfirmOrder>(&confirm);
                let first = confirm().await?.done().during("ConfirmOrder")?;
                equal("the second response", &confirm().await?.done().during("ConfirmOrder again")?, &first)
            }),
        ),
        caller_case(
            "unknown fields of a later version are ignored",
            run!(|testbed| {
                let operator = testbed.operator()?;
                let body = serde_json::json!({
                    "header": operator.header(),
                    "iccid": testbed.iccid()?.to_string(),
                    "eidList": [],
                    "operatorId": { "mccMnc": "99970" },
                });
                operator.call::<DownloadOrder>(&body).await?.done().map(|_| ())
            }),
        ),
    ]
}

/// Checks that every function is refused by TLS or with an HTTP status, and that the profile is
/// still available.
async fn expect_unauthorised(testbed: &Testbed<'_>, caller: &Operator) -> Verdict {
    let iccid = testbed.iccid()?;
    for function in FUNCTIONS {
        match caller.post(&es2plus::path(function), &caller.confirmation(iccid)).await.result {
            // The handshake failed, either immediately or (TLS 1.3) at the first read.
            Err(_) => {}
            Ok(response) => {
                let status = response.status().as_u16();
                ensure(status == 403 || status == 401, || {
                    format!("{function}: HTTP status {status}, expected a failed handshake or 403")
                })?;
            }
        }
    }
    testbed.ordered().await.during("afterwards, with the right certificate").map(|_| ())
}
