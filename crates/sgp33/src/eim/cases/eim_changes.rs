//! Cases of ESep for the configuration of eIMs: SGP.32 sections 2.11.1.1.2.2 and 3.5.1. The card of
//! the tester verifies the package, and shows its associations afterwards.

use rsp::sgp32::EuiccResultData;
use rsp::sgp32::eim_configuration::EimIdInfo;
use rsp::sgp32::result::{AddEimResult, AddEimResultCode, DeleteEimResult, ListEimResult, UpdateEimResult};
use sgp23::{During, Stop, Verdict, ensure, equal};

use crate::eim::case::{Case, Need, Run, run};
use crate::eim::operator::{Operation, OtherEim};
use crate::eim::testbed::Testbed;

const CLAUSE: &str = "2.11.1.1.2.2, 3.5.1";

pub(super) fn cases() -> Vec<Case> {
    let case = |function, title: &str, run| Case::new(function, CLAUSE, title, run).need(Need::Operator);
    vec![
        case("ESep.AddEim", "another eIM is added with its address and its key", addition()),
        case("ESep.UpdateEim", "the address of another eIM is changed", update()),
        case("ESep.UpdateEim", "the eIM replaces its key, and signs the next package with it", own_key()),
        case("ESep.DeleteEim", "another eIM is deleted", deletion()),
        case("ESep.ListEim", "the associated eIMs are listed", listing()),
    ]
}

/// Registers the device, and lets the eIM add another one.
async fn added(testbed: &mut Testbed<'_>) -> Result<OtherEim, Stop> {
    testbed.register().await?;
    let other = testbed.other_eim();
    let added = EuiccResultData::AddEimResult(AddEimResult::AddEimResultCode(AddEimResultCode::OK));
    testbed.expect_result(Operation::AddEim(other.clone()), added).await?;
    Ok(other)
}

/// Checks the configuration of another eIM on the card, which has no other one besides the eIM
/// under test.
async fn expect_other(testbed: &mut Testbed<'_>, expected: &[OtherEim]) -> Verdict {
    let own = testbed.eim.configuration.eim_id.clone();
    let mut others = testbed.associated().await?;
    others.retain(|eim| eim.eim_id != own);
    // The card does not return counters.
    let expected: Vec<_> = expected.iter().map(|eim| OtherEim { counter: None, ..eim.clone() }).collect();
    equal("the other eIMs of the eUICC", &others, &expected)
}

fn addition() -> Run {
    run!(|testbed| {
        let other = added(testbed).await?;
        expect_other(testbed, &[other]).await?;
        // The association with the eIM under test is the same.
        testbed.performed(&[Operation::List]).await.during("the next package").map(|_| ())
    })
}

const UPDATED: EuiccResultData = EuiccResultData::UpdateEimResult(UpdateEimResult::OK);

fn update() -> Run {
    run!(|testbed| {
        let other = added(testbed).await?;
        let fqdn = Some("moved.other.example".to_owned());
        let change =
            OtherEim { eim_id: other.eim_id.clone(), fqdn: fqdn.clone(), counter: None, public_key: None };
        testbed.expect_result(Operation::UpdateEim(change), UPDATED).await?;
        expect_other(testbed, &[OtherEim { fqdn, ..other }]).await
    })
}

fn own_key() -> Run {
    run!(|testbed| {
        testbed.register().await?;
        let before = testbed.associated().await?;
        testbed.expect_result(Operation::ReplaceKey, UPDATED).await?;
        ensure(testbed.associated().await? != before, || "the eUICC has the former key".to_owned())?;
        for _ in 0..2 {
            testbed.performed(&[Operation::List]).await.during("with the new key")?;
        }
        Ok(())
    })
}

fn deletion() -> Run {
    run!(|testbed| {
        let other = added(testbed).await?;
        let deleted = EuiccResultData::DeleteEimResult(DeleteEimResult::OK);
        testbed.expect_result(Operation::DeleteEim(other.eim_id), deleted).await?;
        expect_other(testbed, &[]).await
    })
}

fn listing() -> Run {
    run!(|testbed| {
        testbed.register().await?;
        let results = testbed.performed(&[Operation::ListEims]).await?;
        let [EuiccResultData::ListEimResult(ListEimResult::EimIdList(list))] = results.as_slice() else {
            return Err(Stop::failed(format!("the result of the eUICC is {results:?}, expected a list")));
        };
        let configuration = &testbed.eim.configuration;
        let own = EimIdInfo { eim_id: configuration.eim_id.clone(), eim_id_type: configuration.eim_id_type };
        equal("the list", &list.0, &vec![own])
    })
}
