//! Cases of an eUICC with several eIMs: SGP.32 sections 3.1.1.1 and 3.5.1.

use ::eim::records::{EimConfiguration, EimOperation, Package, ProfileOperation};
use ::eim::{NewDevice, NewOrder};
use rsp::ids::TransactionId;
use rsp::sgp32::EuiccResultData;
use rsp::sgp32::esipa::EimPackageResult;
use rsp::sgp32::result::{AddEimResult, AddEimResultCode, DeleteEimResult};
use sgp23::{Stop, Verdict, ensure, equal};

use super::case;
use crate::ipa::case::{Case, Need, Run, run};
use crate::ipa::subject::AnotherEim;
use crate::ipa::testbed::Testbed;

pub(super) fn cases() -> Vec<Case> {
    let case =
        |function, title: &str, run| case(function, "3.1.1.1, 3.5.1", title, run).need(Need::AnotherEim);
    vec![
        case("ESep.AddEim", "an added eIM is polled, and its package is executed", addition()),
        case("ESipa.GetEimPackage", "each of two eIMs gets the results of its own packages only", both()),
        case("ESep.DeleteEim", "a deleted eIM is not polled any more", deletion()),
    ]
}

fn other<'a>(testbed: &Testbed<'a>) -> Result<&'a AnotherEim, Stop> {
    testbed.ipa.other.as_ref().ok_or_else(|| Stop::needs(Need::AnotherEim))
}

/// Lets the IPA execute an operation of the first eIM, and returns its result.
async fn executed(testbed: &mut Testbed<'_>, operation: EimOperation) -> Result<EuiccResultData, Stop> {
    let id = testbed.order(Package::EimOperations(vec![operation])).await?;
    let results = testbed.delivered_results(&id).await?;
    match <[_; 1]>::try_from(results) {
        Ok([only]) => Ok(only),
        Err(results) => Err(Stop::failed(format!("the results are {results:?}, expected one"))),
    }
}

/// Associates the eUICC with the other eIM.
async fn add(testbed: &mut Testbed<'_>) -> Verdict {
    let other = other(testbed)?;
    if other.eim.device(testbed.eid).await?.is_none() {
        other.eim.register(&NewDevice::new(testbed.eid)).await?;
    }
    // The association of an earlier check may have remained. Otherwise the eUICC refuses.
    let id = testbed.order(Package::EimOperations(vec![deletion_of(other)])).await?;
    testbed.outcome(&id).await?;
    let own = other.eim.configuration();
    let configuration = EimConfiguration { association_token: None, ..own };
    let result = executed(testbed, EimOperation::AddEim(Box::new(configuration))).await?;
    let added = EuiccResultData::AddEimResult(AddEimResult::AddEimResultCode(AddEimResultCode::OK));
    equal("the result of addEim", &result, &added)?;
    other.tap.clear();
    Ok(())
}

/// Removes the other eIM. Returns the result of the eUICC.
async fn delete(testbed: &mut Testbed<'_>) -> Result<EuiccResultData, Stop> {
    let operation = deletion_of(other(testbed)?);
    executed(testbed, operation).await
}

fn deletion_of(other: &AnotherEim) -> EimOperation {
    EimOperation::DeleteEim { eim_id: other.eim.configuration().eim_id }
}

/// Places an order at the other eIM.
async fn order_at_other(testbed: &Testbed<'_>) -> Result<TransactionId, Stop> {
    let list = Package::ProfileOperations(vec![ProfileOperation::ListProfileInfo {}]);
    Ok(other(testbed)?.eim.order(&NewOrder::new(testbed.eid, list)).await?)
}

/// Lets the IPA poll until the order of the other eIM has a result.
async fn expect_result_at_other(testbed: &Testbed<'_>, id: &TransactionId) -> Verdict {
    let other = other(testbed)?;
    for _ in 0..=testbed.ipa.retries {
        testbed.run().await?;
        if other.eim.order_of(id).await?.is_some_and(|order| order.state.is_ended()) {
            return Ok(());
        }
    }
    let calls = other.tap.calls().len();
    Err(Stop::failed(format!("the other eIM has no result; the IPA called it {calls} times")))
}

fn addition() -> Run {
    run!(|testbed| {
        add(testbed).await?;
        let id = order_at_other(testbed).await?;
        let verdict = expect_result_at_other(testbed, &id).await;
        delete(testbed).await?;
        verdict
    })
}

fn both() -> Run {
    run!(|testbed| {
        add(testbed).await?;
        let (first, second) = (testbed.order_list().await?, order_at_other(testbed).await?);
        let verdict = async {
            testbed.outcome(&first).await?;
            expect_result_at_other(testbed, &second).await?;
            let other = other(testbed)?;
            let taps = [(&testbed.ipa.tap, &testbed.ipa.eim), (&other.tap, &other.eim)];
            for (tap, eim) in taps {
                let own_id = eim.configuration().eim_id;
                for result in tap.calls().iter().filter_map(|call| call.result()) {
                    let result = match &result {
                        EimPackageResult::EuiccPackageResult(result) => result,
                        EimPackageResult::EprAndNotifications(both) => &both.euicc_package_result,
                        _ => continue,
                    };
                    let found = result.eim_id();
                    ensure(found == own_id, || format!("the eIM {own_id} got a result for {found}"))?;
                }
            }
            Ok(())
        }
        .await;
        delete(testbed).await?;
        verdict
    })
}

fn deletion() -> Run {
    run!(|testbed| {
        add(testbed).await?;
        let result = delete(testbed).await?;
        equal("the result of deleteEim", &result, &EuiccResultData::DeleteEimResult(DeleteEimResult::OK))?;
        let other = other(testbed)?;
        other.tap.clear();
        let id = testbed.order_list().await?;
        testbed.outcome(&id).await?;
        let calls = other.tap.calls().len();
        ensure(calls == 0, || format!("the IPA called the deleted eIM {calls} times"))
    })
}
