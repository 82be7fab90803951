//! Cases of ES2+: SGP.22 section 5.3, SGP.23 sections 4.3.1 to 4.3.6.

use rsp::ids::{Iccid, TransactionId};
use rsp::sgp22::es2plus::{CancelOrderRequest, ConfirmOrderRequest, FinalProfileStatusIndicator};
use rsp::status::Status;

use super::CODE;
use crate::arrange::fresh_iccid;
use crate::binding::{Answer, Refused};
use crate::case::{Case, Need, Run, Scope, run};
use crate::operator::{EmptyReply, Operator};
use crate::order::{IntendedEuicc, Order, PlacedOrder, StockState};
use crate::testbed::Testbed;
use crate::verdict::{During, Stop, Verdict, ensure, equal};

const STOCK: Order = Order {
    state: StockState::Available,
    intended_for: IntendedEuicc::Any,
    lookup: crate::order::LookupKey::ByMatchingId,
    confirmation_code: None,
    expired: false,
    attempts: None,
    wrong_confirmation_codes: 0,
    reusable: false,
    ppk: false,
    bound_once: false,
    profile: crate::order::ProfileFeatures { usim: false, ppr1: false, icon: false },
};

fn case(function: &'static str, clause: &'static str, title: &str, run: Run) -> Case {
    Case::new(function, clause, title, run).scope(Scope::Once).order(STOCK).need(Need::Operator)
}

fn download_order_case(title: &str, run: Run) -> Case {
    case("ES2+.DownloadOrder", "5.3.1", title, run)
}

fn confirm_order_case(title: &str, run: Run) -> Case {
    case("ES2+.ConfirmOrder", "5.3.2", title, run)
}

fn cancel_order_case(title: &str, run: Run) -> Case {
    case("ES2+.CancelOrder", "5.3.3", title, run)
}

fn release_profile_case(title: &str, run: Run) -> Case {
    case("ES2+.ReleaseProfile", "5.3.4", title, run)
}

pub(super) fn cases() -> Vec<Case> {
    [download_order(), confirm_order(), cancel_order(), release_profile(), callers()].concat()
}

impl Testbed<'_> {
    /// Orders the profile in stock.
    async fn ordered(&self) -> Result<(&Operator, Iccid), Stop> {
        let (operator, iccid) = (self.operator()?, self.iccid()?);
        operator.download_order(Some(iccid), None, None).await?.done().during("DownloadOrder")?;
        Ok((operator, iccid))
    }

    /// Orders and confirms the profile in stock. Returns the MatchingID.
    async fn confirmed(&self, release_flag: bool) -> Result<(&Operator, Iccid, String), Stop> {
        let (operator, iccid) = self.ordered().await?;
        let request = ConfirmOrderRequest { release_flag, ..operator.confirmation(iccid) };
        let reply = operator.confirm(&request).await?.done().during("ConfirmOrder")?;
        Ok((operator, iccid, reply.matching_id))
    }

    /// Downloads the profile with this MatchingID.
    async fn download_with(
        &self,
        matching_id: &str,
        code: Option<&'static str>,
    ) -> Result<TransactionId, Stop> {
        let placed_order = PlacedOrder {
            matching_id: matching_id.to_owned(),
            confirmation_code: code,
            ..self.placed_order()?.clone()
        };
        Ok(self.following(placed_order).download().await.during("the download")?.transaction_id)
    }

    /// Checks that a download with this MatchingID is refused.
    async fn expect_refused_download(&self, matching_id: &str, status: Status) -> Verdict {
        use rsp::sgp22::es9plus::AuthenticateClient;
        let started = self.initiate().await?;
        let proof = self.euicc.authenticate(&started.ok, matching_id).request()?;
        self.refused::<AuthenticateClient>(&proof, status).await
    }
}

// --- DownloadOrder -------------------------------------------------------------------------------

fn download_order() -> Vec<Case> {
    let one_of_a_kind = |title, run| download_order_case(title, run).need(Need::Admin);
    vec![
        download_order_case(
            "a profile is reserved by its ICCID",
            run!(|testbed| {
                let (operator, iccid) = (testbed.operator()?, testbed.iccid()?);
                let reply = operator.download_order(Some(iccid), None, None).await?.done()?;
                equal("iccid", &reply.iccid, &iccid)
            }),
        ),
        one_of_a_kind(
            "a profile reserved without EID is Allocated",
            run!(|testbed| {
                testbed.ordered().await?;
                testbed.expect_state("Allocated").await
            }),
        ),
        one_of_a_kind(
            "a profile reserved for an EID is Linked",
            run!(|testbed| {
                let operator = testbed.operator()?;
                let eid = Some(testbed.euicc.eid);
                operator.download_order(Some(testbed.iccid()?), None, eid).await?.done()?;
                testbed.expect_state("Linked").await
            }),
        ),
        one_of_a_kind(
            "a profile is reserved by its type, and each profile only once",
            run!(|testbed| {
                let (operator, iccid) = (testbed.operator()?, testbed.iccid()?);
                let profile_type = testbed.profile_type()?;
                let reply = operator.download_order(None, Some(profile_type), None).await?.done()?;
                equal("iccid", &reply.iccid, &iccid)?;
                let again = operator.download_order(None, Some(profile_type), None).await?;
                again.refused("downloadOrder", Status::ProfileTypeUnavailable).during("the second time")
            }),
        ),
        download_order_case(
            "a matching ICCID and profile type are accepted",
            run!(|testbed| {
                let (operator, iccid) = (testbed.operator()?, testbed.iccid()?);
                let profile_type = testbed.profile_type()?;
                let reply = operator.download_order(Some(iccid), Some(profile_type), None).await?.done()?;
                equal("iccid", &reply.iccid, &iccid)
            }),
        ),
        download_order_case(
            "one of ICCID and profile type must be given",
            run!(|testbed| {
                let answer = testbed.operator()?.download_order(None, None, None).await?;
                expect_refusal(answer, "1.3.1")
            }),
        ),
        download_order_case(
            "an unknown ICCID is refused",
            run!(|testbed| {
                let answer =
                    testbed.operator()?.download_order(Some(fresh_iccid(testbed)?), None, None).await?;
                answer.refused("downloadOrder", Status::IccidUnknown)
            }),
        ),
        download_order_case(
            "an already ordered ICCID is refused",
            run!(|testbed| {
                let (operator, iccid) = testbed.ordered().await?;
                let answer = operator.download_order(Some(iccid), None, None).await?;
                answer.refused("downloadOrder", Status::IccidInUse)
            }),
        ),
        download_order_case(
            "a profile type that does not match the ICCID is refused",
            run!(|testbed| {
                let answer = testbed
                    .operator()?
                    .download_order(Some(testbed.iccid()?), Some("another type"), None)
                    .await?;
                answer.refused("downloadOrder", Status::ProfileTypeMismatch)
            }),
        ),
        download_order_case(
            "an unknown profile type is refused",
            run!(|testbed| {
                let answer = testbed.operator()?.download_order(None, Some("unknown type"), None).await?;
                answer.refused("downloadOrder", Status::ProfileTypeUnknown)
            }),
        ),
    ]
}

// --- ConfirmOrder --------------------------------------------------------------------------------

fn confirm_order() -> Vec<Case> {
    let mut cases = vec![
        confirm_order_case(
            "the server generates a MatchingID and the profile can be downloaded with it",
            run!(|testbed| {
                let (_, _, matching_id) = testbed.confirmed(true).await?;
                let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'-';
                ensure(!matching_id.is_empty() && matching_id.bytes().all(allowed), || {
                    format!("matchingId is {matching_id:?}, expected A-Z, 0-9 and -")
                })?;
                testbed.download_with(&matching_id, None).await.map(|_| ())
            }),
        ),
        confirm_order_case(
            "the response has the address of the SM-DP+, and an EID only if the order has one",
            run!(|testbed| {
                let (operator, iccid) = testbed.ordered().await?;
                let reply = operator.confirm(&operator.confirmation(iccid)).await?.done()?;
                equal("eid", &reply.eid, &None)?;
                if let Some(address) = reply.smdp_address {
                    ensure(!address.is_empty(), || "smdpAddress is empty".to_owned())?;
                }
                Ok(())
            }),
        ),
        confirm_order_case(
            "a MatchingID chosen by the operator is used",
            run!(|testbed| {
                let (operator, iccid) = testbed.ordered().await?;
                let chosen = chosen_matching_id(testbed)?;
                let request =
                    ConfirmOrderRequest { matching_id: Some(chosen.clone()), ..operator.confirmation(iccid) };
                let reply = operator.confirm(&request).await?.done()?;
                equal("matchingId", &reply.matching_id, &chosen)?;
                testbed.download_with(&chosen, None).await.map(|_| ())
            }),
        ),
        confirm_order_case(
            "an EID in the order is returned, and other EIDs are refused",
            run!(|testbed| {
                let (operator, iccid) = (testbed.operator()?, testbed.iccid()?);
                let eid = testbed.other_euicc.eid;
                operator.download_order(Some(iccid), None, Some(eid)).await?.done()?;
                let reply = operator.confirm(&operator.confirmation(iccid)).await?.done()?;
                equal("eid", &reply.eid, &Some(eid))?;
                testbed.expect_refused_download(&reply.matching_id, Status::EidNotAllowed).await
            }),
        ),
        confirm_order_case(
            "an EID in the confirmation is returned, and other EIDs are refused",
            run!(|testbed| {
                let (operator, iccid) = testbed.ordered().await?;
                let eid = Some(testbed.other_euicc.eid);
                let request = ConfirmOrderRequest { eid, ..operator.confirmation(iccid) };
                let reply = operator.confirm(&request).await?.done()?;
                equal("eid", &reply.eid, &eid)?;
                testbed.expect_refused_download(&reply.matching_id, Status::EidNotAllowed).await
            }),
        ),
        confirm_order_case(
            "an order with an empty MatchingID is found by its EID",
            run!(|testbed| {
                let (operator, iccid) = testbed.ordered().await?;
                let request = ConfirmOrderRequest {
                    eid: Some(testbed.euicc.eid),
                    matching_id: Some(String::new()),
                    ..operator.confirmation(iccid)
                };
                let reply = operator.confirm(&request).await?.done()?;
                equal("matchingId", &reply.matching_id.as_str(), &"")?;
                testbed.download_with("", None).await.map(|_| ())
            }),
        ),
        confirm_order_case(
            "a confirmation code is required from the user",
            run!(|testbed| {
                let (operator, iccid) = testbed.ordered().await?;
                let request = ConfirmOrderRequest {
                    confirmation_code: Some(CODE.to_owned()),
                    ..operator.confirmation(iccid)
                };
                let reply = operator.confirm(&request).await?.done()?;
                testbed.download_with(&reply.matching_id, Some(CODE)).await.map(|_| ())
            }),
        ),
        confirm_order_case(
            "without the release flag the profile cannot be downloaded yet",
            run!(|testbed| {
                let (_, _, matching_id) = testbed.confirmed(false).await?;
                testbed.expect_refused_download(&matching_id, Status::ProfileNotReleased).await
            }),
        ),
    ];
    cases.extend(CONFIRMATIONS.iter().map(|(title, status, change)| {
        let (status, change) = (*status, *change);
        confirm_order_case(
            title,
            run!(|testbed| {
                let (operator, iccid) = (testbed.operator()?, testbed.iccid()?);
                let eid = Some(testbed.euicc.eid);
                operator.download_order(Some(iccid), None, eid).await?.done().during("DownloadOrder")?;
                let mut request = operator.confirmation(iccid);
                change(testbed, &mut request)?;
                operator.confirm(&request).await?.refused("confirmOrder", status)?;
                // The order must be unchanged.
                operator.confirm(&operator.confirmation(iccid)).await?.done().during("afterwards").map(|_| ())
            }),
        )
    }));
    cases.extend(conflicts());
    cases
}

type ChangeConfirmation = fn(&Testbed<'_>, &mut ConfirmOrderRequest) -> Verdict;

/// The profile is ordered for the eUICC of the case.
const CONFIRMATIONS: &[(&str, Status, ChangeConfirmation)] = &[
    ("an unknown ICCID cannot be confirmed", Status::IccidUnknown, |testbed, it| {
        it.iccid = fresh_iccid(testbed)?;
        Ok(())
    }),
    ("an EID that differs from the order is refused", Status::EidAssociation, |testbed, it| {
        it.eid = Some(testbed.other_euicc.eid);
        Ok(())
    }),
    ("an unreachable SM-DS is refused", Status::SmdsInaccessible, |_, it| {
        // Port 9 is the discard service, and no TLS server listens there.
        it.smds_address = Some("localhost:9".to_owned());
        Ok(())
    }),
];

fn conflicts() -> Vec<Case> {
    vec![
        confirm_order_case(
            "a MatchingID of another order is refused",
            run!(|testbed| {
                let (operator, iccid, taken) = testbed.confirmed(true).await?;
                let other = testbed.second_profile().await?;
                operator.download_order(Some(other), None, None).await?.done().during("DownloadOrder")?;
                let request =
                    ConfirmOrderRequest { matching_id: Some(taken.clone()), ..operator.confirmation(other) };
                operator.confirm(&request).await?.refused("confirmOrder", Status::MatchingIdInUse)?;
                // After the first order is cancelled, its MatchingID can be used again.
                operator.cancel(&operator.cancellation(iccid)).await?.done().during("CancelOrder")?;
                let again = ConfirmOrderRequest { header: operator.header(), ..request };
                operator.confirm(&again).await?.done().during("afterwards").map(|_| ())
            }),
        )
        .need(Need::Admin),
        confirm_order_case(
            "a profile that is not ordered cannot be confirmed",
            run!(|testbed| {
                let operator = testbed.operator()?;
                let answer = operator.confirm(&operator.confirmation(testbed.iccid()?)).await?;
                expect_refusal(answer, "8.2.1")
            }),
        ),
        confirm_order_case(
            "an order can be confirmed only once",
            run!(|testbed| {
                let (operator, iccid, _) = testbed.confirmed(true).await?;
                expect_refusal(operator.confirm(&operator.confirmation(iccid)).await?, "8.2.1")
            }),
        ),
        confirm_order_case(
            "an empty MatchingID needs an EID",
            run!(|testbed| {
                let (operator, iccid) = testbed.ordered().await?;
                let request =
                    ConfirmOrderRequest { matching_id: Some(String::new()), ..operator.confirmation(iccid) };
                operator.confirm(&request).await?.refused("confirmOrder", Status::EidMissing)
            }),
        ),
        confirm_order_case(
            "a MatchingID with other characters than A-Z, 0-9 and - is refused",
            run!(|testbed| {
                let (operator, iccid) = testbed.ordered().await?;
                let matching_id = Some("lower case".to_owned());
                let request = ConfirmOrderRequest { matching_id, ..operator.confirmation(iccid) };
                let answer = operator.confirm(&request).await?;
                ensure(matches!(answer, Answer::Refused(_)), || "the MatchingID was accepted".to_owned())
            }),
        ),
    ]
}

/// Returns a unique MatchingID.
fn chosen_matching_id(testbed: &Testbed<'_>) -> Result<String, Stop> {
    Ok(format!("SGP23-{}", fresh_iccid(testbed)?))
}

// --- CancelOrder ---------------------------------------------------------------------------------

fn cancel_order() -> Vec<Case> {
    let mut cases = vec![
        cancel_order_case(
            "a cancelled order cannot be downloaded, and its profile can be ordered again",
            run!(|testbed| {
                let (operator, iccid, matching_id) = testbed.confirmed(true).await?;
                let request = CancelOrderRequest {
                    matching_id: Some(matching_id.clone()),
                    ..operator.cancellation(iccid)
                };
                operator.cancel(&request).await?.done()?;
                testbed.expect_refused_download(&matching_id, Status::MatchingIdRefused).await?;
                operator
                    .download_order(Some(iccid), None, None)
                    .await?
                    .done()
                    .during("ordered again")
                    .map(|_| ())
            }),
        ),
        cancel_order_case(
            "a profile that was made unavailable cannot be ordered again",
            run!(|testbed| {
                let (operator, iccid, matching_id) = testbed.confirmed(true).await?;
                let request = CancelOrderRequest {
                    final_profile_status_indicator: FinalProfileStatusIndicator::Unavailable,
                    ..operator.cancellation(iccid)
                };
                operator.cancel(&request).await?.done()?;
                testbed.expect_refused_download(&matching_id, Status::MatchingIdRefused).await?;
                let again = operator.download_order(Some(iccid), None, None).await?;
                again.refused("downloadOrder", Status::IccidInUse)
            }),
        ),
        cancel_order_case(
            "an order can be cancelled before it is confirmed",
            run!(|testbed| {
                let (operator, iccid) = testbed.ordered().await?;
                operator.cancel(&operator.cancellation(iccid)).await?.done().map(|_| ())
            }),
        ),
        cancel_order_case(
            "an order whose download has failed can be cancelled",
            run!(|testbed| {
                let (operator, iccid, matching_id) = testbed.confirmed(true).await?;
                let placed_order = PlacedOrder { matching_id, ..testbed.placed_order()?.clone() };
                let under = testbed.following(placed_order);
                let offered = under.offered().await?;
                let reason = rsp::sgp22::CancelSessionReason::END_USER_REJECTION;
                let id = &offered.ok.transaction_id;
                under.cancel(&under.euicc.cancel(id, &offered.auth.oid, reason)).await?;
                operator.cancel(&operator.cancellation(iccid)).await?.done().map(|_| ())
            }),
        ),
        cancel_order_case(
            "an order cannot be cancelled after the package was delivered",
            run!(|testbed| {
                let (operator, iccid, matching_id) = testbed.confirmed(true).await?;
                testbed.download_with(&matching_id, None).await?;
                expect_refusal(operator.cancel(&operator.cancellation(iccid)).await?, "8.2.1")
            }),
        ),
        cancel_order_case(
            "a profile that is not ordered cannot be cancelled",
            run!(|testbed| {
                let operator = testbed.operator()?;
                expect_refusal(operator.cancel(&operator.cancellation(testbed.iccid()?)).await?, "8.2.1")
            }),
        ),
    ];
    cases.extend(CANCELLATIONS.iter().map(|(title, status, change)| {
        let (status, change) = (*status, *change);
        cancel_order_case(
            title,
            run!(|testbed| {
                let (operator, iccid) = (testbed.operator()?, testbed.iccid()?);
                let eid = Some(testbed.euicc.eid);
                operator.download_order(Some(iccid), None, eid).await?.done().during("DownloadOrder")?;
                let reply =
                    operator.confirm(&operator.confirmation(iccid)).await?.done().during("ConfirmOrder")?;
                let mut request = CancelOrderRequest { eid, ..operator.cancellation(iccid) };
                change(testbed, &mut request)?;
                operator.cancel(&request).await?.refused("cancelOrder", status)?;
                testbed.download_with(&reply.matching_id, None).await.during("afterwards").map(|_| ())
            }),
        )
    }));
    cases
}

type ChangeCancellation = fn(&Testbed<'_>, &mut CancelOrderRequest) -> Verdict;

/// The order is for the eUICC of the case.
const CANCELLATIONS: &[(&str, Status, ChangeCancellation)] = &[
    ("an unknown ICCID cannot be cancelled", Status::IccidUnknown, |testbed, it| {
        it.iccid = fresh_iccid(testbed)?;
        Ok(())
    }),
    ("the EID of the order must be given", Status::EidMissing, |_, it| {
        it.eid = None;
        Ok(())
    }),
    (
        "an EID that differs from the order is refused for a cancellation",
        Status::EidAssociation,
        |testbed, it| {
            it.eid = Some(testbed.other_euicc.eid);
            Ok(())
        },
    ),
    ("a MatchingID that differs from the order is refused", Status::MatchingIdAssociation, |_, it| {
        it.matching_id = Some("ANOTHER".to_owned());
        Ok(())
    }),
];

// --- ReleaseProfile ------------------------------------------------------------------------------

fn release_profile() -> Vec<Case> {
    vec![
        release_profile_case(
            "a confirmed profile is released and can be downloaded",
            run!(|testbed| {
                let (operator, iccid, matching_id) = testbed.confirmed(false).await?;
                operator.release(iccid).await?.done()?;
                testbed.download_with(&matching_id, None).await.map(|_| ())
            }),
        ),
        release_profile_case(
            "an unknown ICCID cannot be released",
            run!(|testbed| {
                let answer = testbed.operator()?.release(fresh_iccid(testbed)?).await?;
                answer.refused("releaseProfile", Status::IccidUnknown)
            }),
        ),
        release_profile_case(
            "an order that is not confirmed cannot be released",
            run!(|testbed| {
                let (operator, iccid) = testbed.ordered().await?;
                operator.release(iccid).await?.refused("releaseProfile", Status::IccidInvalidTransition)
            }),
        ),
        release_profile_case(
            "a profile can be released only once",
            run!(|testbed| {
                let (operator, iccid, _) = testbed.confirmed(true).await?;
                operator.release(iccid).await?.refused("releaseProfile", Status::IccidInvalidTransition)
            }),
        ),
    ]
}

// --- Authorisation -------------------------------------------------------------------------------

const FUNCTIONS: [&str; 4] = ["downloadOrder", "confirmOrder", "cancelOrder", "releaseProfile"];

fn callers() -> Vec<Case> {
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
                let answer = testbed.operator()?.call::<EmptyReply>("downloadOrder", &body).await?;
                ensure(matches!(answer, Answer::Refused(_)), || "the request was executed".to_owned())
            }),
        ),
        caller_case(
            "a repeated call gets the same response",
            run!(|testbed| {
                use rsp::sgp22::es2plus::{ConfirmOrderReply, DownloadOrderReply};
                let (operator, iccid) = (testbed.operator()?, testbed.iccid()?);
                let order = serde_json::json!({ "header": operator.header(), "iccid": iccid.to_string() });
                for _ in 0..2 {
                    operator
                        .call::<DownloadOrderReply>("downloadOrder", &order)
                        .await?
                        .done()
                        .during("DownloadOrder")?;
                }
                let confirm = operator.confirmation(iccid);
                let confirm = || operator.call::<ConfirmOrderReply>("confirmOrder", &confirm);
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
                operator.call::<EmptyReply>("downloadOrder", &body).await?.done().map(|_| ())
            }),
        ),
    ]
}

/// Checks that every function is refused by TLS or with an HTTP status, and that the profile is
/// still available.
async fn expect_unauthorised(testbed: &Testbed<'_>, caller: &Operator) -> Verdict {
    let iccid = testbed.iccid()?;
    for function in FUNCTIONS {
        let request = rsp::sgp22::json::request(
            &rsp::sgp22::es2plus::path(function),
            caller.version,
            &caller.confirmation(iccid),
        );
        match world::send(&caller.link, request).await {
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

/// Checks that the call is refused with this subject code and any reason code.
fn expect_refusal<T>(answer: Answer<T>, subject: &str) -> Verdict {
    match answer {
        Answer::Refused(Refused::Json(why)) => ensure(why.subject_code == subject, || {
            format!("refused with {why}, expected one about {subject}")
        }),
        Answer::Refused(why) => {
            Err(Stop::failed(format!("refused with {why}, expected one about {subject}")))
        }
        Answer::Done(_) => Err(Stop::failed(format!("succeeded, expected a refusal about {subject}"))),
    }
}
