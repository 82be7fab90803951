//! Cases of ES2+.ConfirmOrder: SGP.22 section 5.3.2.

use rsp::sgp22::es2plus::ConfirmOrderRequest;
use rsp::status::Status;

use super::{super::CODE, expect_refusal};
use crate::arrange::fresh_iccid;
use crate::binding::Answer;
use crate::case::{Case, Need, Run, run};
use crate::testbed::Testbed;
use crate::verdict::{During, Stop, Verdict, ensure, equal};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case(
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
        case(
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
        case(
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
        case(
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
        case(
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
        case(
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
        case(
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
        case(
            "without the release flag the profile cannot be downloaded yet",
            run!(|testbed| {
                let (_, _, matching_id) = testbed.confirmed(false).await?;
                testbed.expect_refused_download(&matching_id, Status::ProfileNotReleased).await
            }),
        ),
    ];
    cases.extend(CONFIRMATIONS.iter().map(|(title, status, change)| {
        let (status, change) = (*status, *change);
        case(
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

fn case(title: &str, run: Run) -> Case {
    super::case("ES2+.ConfirmOrder", "5.3.2", title, run)
}

type ChangeConfirmation = fn(&Testbed<'_>, &mut ConfirmOrderRequest) -> Verdict;

/// Confirmations that are refused. The profile was ordered for the eUICC of the case.
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
        case(
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
        case(
            "a profile that is not ordered cannot be confirmed",
            run!(|testbed| {
                let operator = testbed.operator()?;
                let answer = operator.confirm(&operator.confirmation(testbed.iccid()?)).await?;
                expect_refusal(answer, "8.2.1")
            }),
        ),
        case(
            "an order can be confirmed only once",
            run!(|testbed| {
                let (operator, iccid, _) = testbed.confirmed(true).await?;
                expect_refusal(operator.confirm(&operator.confirmation(iccid)).await?, "8.2.1")
            }),
        ),
        case(
            "an empty MatchingID needs an EID",
            run!(|testbed| {
                let (operator, iccid) = testbed.ordered().await?;
                let request =
                    ConfirmOrderRequest { matching_id: Some(String::new()), ..operator.confirmation(iccid) };
                operator.confirm(&request).await?.refused("confirmOrder", Status::EidMissing)
            }),
        ),
        case(
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
