//! Cases of ESipa.ProvideEimPackageResult: SGP.32 section 5.14.6.

use rsp::der::Raw;
use rsp::sgp32::EuiccPackageResult;
use rsp::sgp32::esipa::{
    EimPackageResult, EimPackageResultErrorCode, EimPackageResultResponseError, EprAndNotifications,
    GetEimPackageResponse, ProvideEimPackageResultError, ProvideEimPackageResultResponse,
};
use rsp::sgp32::ipa_data::IpaEuiccDataRequest;
use rsp::sgp32::notification::PendingNotificationList;
use rsp::sgp32::result::EuiccPackageResultDataSigned;
use sgp23::{During, Stop, Verdict, ensure, equal};

use crate::eim::case::{Case, Need, Run, run};
use crate::eim::esipa::{acknowledged, of_euicc};
use crate::eim::operator::Operation;
use crate::eim::testbed::{Testbed, data_of, signed_part};

const FUNCTION: &str = "ESipa.ProvideEimPackageResult";
const CLAUSE: &str = "5.14.6";

fn case(clause: &'static str, title: &str, run: Run) -> Case {
    Case::new(FUNCTION, clause, title, run).need(Need::Operator)
}

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            CLAUSE,
            "a result is acknowledged by its sequence number, and ends the order",
            acknowledgement(),
        ),
        case(CLAUSE, "a repeated result is acknowledged again", repetition()),
        case(
            "2.11.2.1, 5.14.6",
            "a result with an invalid signature is not acknowledged",
            invalid_signature(),
        ),
        case("2.11.2.1, 5.14.6", "a result of another eUICC is not acknowledged", another_euicc()),
        case(
            "2.11.2.1, 3.3.1",
            "a result with the counter of an earlier package is not acknowledged",
            changed_result(|data| data.counter_value -= 1),
        ),
        case(
            "2.11.2.1, 3.3.1",
            "a result for another eIM is not acknowledged",
            changed_result(|data| data.eim_id.push('x')),
        ),
        case(
            "2.11.2.2",
            "data with an unknown eimTransactionId do not end the order",
            wrong_transaction(Wrong::Data),
        ),
        case(
            "6.3.2.7",
            "a report of the IPA with an unknown eimTransactionId does not end the order",
            wrong_transaction(Wrong::Report),
        ),
        case(CLAUSE, "unknown elements of a later version are ignored", unknown_elements()),
        case(CLAUSE, "a result for an EID that is not registered is refused: eidNotFound", unknown_eid()),
        case("3.3.1, 5.14.6", "the notifications in a result are acknowledged with it", notifications()),
        case("2.11.2.1", "the error that an eUICC signed is accepted", signed_error()),
        case("3.3.1, 6.3.2.7", "the report that the IPA cannot process the package is accepted", ipa_error()),
        case("2.11.1.2, 2.11.2.2", "requested data of the device are accepted", data()),
    ]
}

/// Orders a package, and lets the card execute it.
async fn executed(testbed: &mut Testbed<'_>) -> Result<Raw<EuiccPackageResult>, Stop> {
    testbed.ordered(&[Operation::List]).await?;
    let package = testbed.package().await?;
    testbed.execute(&package).await
}

fn acknowledgement() -> Run {
    run!(|testbed| {
        let result = executed(testbed).await?;
        let reply = testbed.provide(of_euicc(&result)).await?;
        equal("the acknowledgements", &acknowledged(&reply)?, &vec![data_of(&result)?.seq_number])?;
        testbed.expect_no_package().await
    })
}

fn repetition() -> Run {
    run!(|testbed| {
        let result = executed(testbed).await?;
        for _ in 0..2 {
            let reply = testbed.provide(of_euicc(&result)).await?;
            equal("the acknowledgements", &acknowledged(&reply)?, &vec![data_of(&result)?.seq_number])?;
        }
        Ok(())
    })
}

/// Delivers a forged result, which must change nothing, and then the correct one.
async fn expect_refusal(
    testbed: &mut Testbed<'_>,
    forged: &Raw<EuiccPackageResult>,
    result: &Raw<EuiccPackageResult>,
) -> Verdict {
    let reply = testbed.provide(of_euicc(forged)).await?;
    if let Ok(numbers) = acknowledged(&reply) {
        return Err(Stop::failed(format!("the eIM accepted the result and acknowledged {numbers:?}")));
    }
    testbed.package().await.during("after the refusal")?;
    let reply = testbed.provide(of_euicc(result)).await.during("the correct result")?;
    acknowledged(&reply).during("the correct result").map(|_| ())
}

fn invalid_signature() -> Run {
    run!(|testbed| {
        let result = executed(testbed).await?;
        let mut signed = signed_part(&result)?.clone();
        if let Some(octet) = signed.euicc_sign_epr.last_mut() {
            *octet ^= 1;
        }
        let forged = Raw::new(EuiccPackageResult::EuiccPackageResultSigned(signed));
        expect_refusal(testbed, &forged, &result).await
    })
}

/// Delivers a result with other data and a valid signature.
fn changed_result(change: fn(&mut EuiccPackageResultDataSigned)) -> Run {
    run!(|testbed| {
        let result = executed(testbed).await?;
        let forged = testbed.changed_result(&result, change).await?;
        expect_refusal(testbed, &forged, &result).await
    })
}

/// What has an identifier that the eIM has not issued. The result of an eUICC also has the counter, by
/// which an eIM can find its order.
#[derive(Clone, Copy)]
enum Wrong {
    Data,
    Report,
}

fn wrong_transaction(wrong: Wrong) -> Run {
    run!(|testbed| {
        testbed.register().await?;
        testbed.expect_no_package().await?;
        let operation = if matches!(wrong, Wrong::Data) { Operation::Data } else { Operation::List };
        testbed.order(&[operation]).await?;
        let sent = testbed.poll().await?;
        let id = Some(Testbed::unknown_transaction());
        let result = match (wrong, &sent) {
            (Wrong::Data, GetEimPackageResponse::IpaEuiccDataRequest(request)) => {
                let request = IpaEuiccDataRequest { eim_transaction_id: id, ..request.clone() };
                testbed.data(&request).await?
            }
            (Wrong::Report, _) => {
                EimPackageResult::EimPackageResultResponseError(EimPackageResultResponseError {
                    eim_transaction_id: id,
                    eim_package_result_error_code: EimPackageResultErrorCode::UNDEFINED_ERROR,
                })
            }
            (_, other) => return Err(Stop::failed(format!("the eIM sent {other:?}, another package"))),
        };
        // The eIM may refuse or acknowledge it: no order is meant.
        testbed.provide(result).await?;
        equal("the next package", &testbed.poll().await?, &sent)
    })
}

fn unknown_elements() -> Run {
    run!(|testbed| {
        let result = executed(testbed).await?;
        testbed.adds_unknown = true;
        acknowledged(&testbed.provide(of_euicc(&result)).await?)?;
        testbed.expect_no_package().await
    })
}

fn another_euicc() -> Run {
    run!(|testbed| {
        let result = executed(testbed).await?;
        let forged = testbed.signed_by_another_euicc(&result).await?;
        expect_refusal(testbed, &forged, &result).await
    })
}

fn unknown_eid() -> Run {
    run!(|testbed| {
        let result = executed(testbed).await?;
        let reply = testbed.provide_as(testbed.other_eid, of_euicc(&result)).await?;
        let code = ProvideEimPackageResultError::EID_NOT_FOUND;
        let expected = ProvideEimPackageResultResponse::ProvideEimPackageResultError(code);
        equal("the reply", &reply, &expected)?;
        let reply = testbed.provide(of_euicc(&result)).await.during("with the correct EID")?;
        acknowledged(&reply).during("with the correct EID").map(|_| ())
    })
}

fn notifications() -> Run {
    run!(|testbed| {
        testbed.register().await?;
        let iccid = testbed.installed().await?;
        testbed.order(&[Operation::Enable(iccid)]).await?;
        let package = testbed.package().await?;
        let result = testbed.execute(&package).await?;
        let list = testbed.notifications().await?;
        let listed = testbed.es10().list_notification().await.map_err(crate::eim::testbed::card_failed)?;
        let mut expected: Vec<_> = listed.iter().map(|metadata| metadata.seq_number).collect();
        ensure_some(&expected)?;
        expected.push(data_of(&result)?.seq_number);
        expected.sort_unstable();
        let both = EimPackageResult::EprAndNotifications(Box::new(EprAndNotifications {
            euicc_package_result: result,
            notification_list: PendingNotificationList(list),
        }));
        let reply = testbed.provide(both).await?;
        let mut numbers = acknowledged(&reply)?;
        numbers.sort_unstable();
        equal("the acknowledgements", &numbers, &expected)
    })
}

/// A card without notifications says nothing about the eIM.
fn ensure_some(numbers: &[i64]) -> Verdict {
    match numbers {
        [] => Err(Stop::needs("a card with a notification")),
        _ => Ok(()),
    }
}

fn signed_error() -> Run {
    run!(|testbed| {
        testbed.ordered(&[Operation::List]).await?;
        let package = testbed.package().await?;
        testbed.deliver(&package).await?;
        // The card refuses the same package with replayError.
        let replayed = testbed.es10().load_euicc_package(&package).await;
        let replayed = replayed.map_err(crate::eim::testbed::card_failed)?;
        ensure(matches!(&*replayed, EuiccPackageResult::EuiccPackageErrorSigned(_)), || {
            "the card executed a package twice".to_owned()
        })?;
        let reply = testbed.provide(of_euicc(&replayed)).await?;
        acknowledged(&reply)?;
        testbed.expect_no_package().await
    })
}

fn ipa_error() -> Run {
    run!(|testbed| {
        testbed.ordered(&[Operation::List]).await?;
        let package = testbed.package().await?;
        let error = EimPackageResultResponseError {
            eim_transaction_id: package.euicc_package_signed.eim_transaction_id.clone(),
            eim_package_result_error_code: EimPackageResultErrorCode::INVALID_PACKAGE_FORMAT,
        };
        let reply = testbed.provide(EimPackageResult::EimPackageResultResponseError(error)).await?;
        equal("the acknowledgements", &acknowledged(&reply)?, &Vec::new())
    })
}

fn data() -> Run {
    run!(|testbed| {
        testbed.register().await?;
        testbed.expect_no_package().await?;
        testbed.order(&[Operation::Data]).await?;
        let request = match testbed.poll().await? {
            GetEimPackageResponse::IpaEuiccDataRequest(request) => request,
            other => {
                return Err(Stop::failed(format!("the reply is {other:?}, expected a request for data")));
            }
        };
        let data = testbed.data(&request).await?;
        let reply = testbed.provide(data).await?;
        acknowledged(&reply)?;
        testbed.expect_no_package().await
    })
}
