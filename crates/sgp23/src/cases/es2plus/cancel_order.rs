//! Cases of ES2+.CancelOrder: SGP.22 section 5.3.3.

use rsp::sgp22::es2plus::{CancelOrderRequest, FinalProfileStatusIndicator};
use rsp::status::Status;

use super::expect_refusal;
use crate::arrange::fresh_iccid;
use crate::case::{Case, Run, run};
use crate::order::PlacedOrder;
use crate::testbed::Testbed;
use crate::verdict::{During, Verdict};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case(
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
        case(
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
        case(
            "an order can be cancelled before it is confirmed",
            run!(|testbed| {
                let (operator, iccid) = testbed.ordered().await?;
                operator.cancel(&operator.cancellation(iccid)).await?.done().map(|_| ())
            }),
        ),
        case(
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
        case(
            "an order cannot be cancelled after the package was delivered",
            run!(|testbed| {
                let (operator, iccid, matching_id) = testbed.confirmed(true).await?;
                testbed.download_with(&matching_id, None).await?;
                expect_refusal(operator.cancel(&operator.cancellation(iccid)).await?, "8.2.1")
            }),
        ),
        case(
            "a profile that is not ordered cannot be cancelled",
            run!(|testbed| {
                let operator = testbed.operator()?;
                expect_refusal(operator.cancel(&operator.cancellation(testbed.iccid()?)).await?, "8.2.1")
            }),
        ),
    ];
    cases.extend(CANCELLATIONS.iter().map(|(title, status, change)| {
        let (status, change) = (*status, *change);
        case(
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

fn case(title: &str, run: Run) -> Case {
    super::case("ES2+.CancelOrder", "5.3.3", title, run)
}

type ChangeCancellation = fn(&Testbed<'_>, &mut CancelOrderRequest) -> Verdict;

/// Cancellations that are refused. The order that they would cancel is for the eUICC of the case.
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
