//! Cases of profile operations, of the notifications that follow, and of the rollback: SGP.32
//! sections 3.3.2, 3.4 and 3.7.

use ::eim::records::ProfileOperation;
use rsp::sgp32::EuiccResultData;
use rsp::sgp32::result::{DeleteProfileResult, DisableProfileResult, EnableProfileResult};
use sgp23::{During, Stop, ensure, equal};

use super::case;
use crate::ipa::case::{Case, Run, run};
use crate::ipa::tap::{Act, Function};
use crate::ipa::testbed::results_of;

pub(super) fn cases() -> Vec<Case> {
    vec![
        case("ESep.Enable", "3.4.1", "a profile is enabled, and its result arrives", enabling()),
        case(
            "ES10b.ProfileRollback",
            "3.3.2",
            "a profile whose result cannot be delivered is rolled back",
            rollback(),
        ),
        case(
            "ESipa.HandleNotification",
            "3.7",
            "the notification of a change is delivered, and removed from the eUICC",
            notification(),
        ),
        case("ESep.Disable", "3.4.2", "a profile is disabled, and its result arrives", disabling()),
        case("ESep.Delete", "3.4.3", "a profile is deleted, and its result arrives", deletion()),
    ]
}

fn enable(iccid: rsp::ids::Iccid, rollback: bool) -> ProfileOperation {
    ProfileOperation::Enable { iccid, rollback }
}

const ENABLED: EuiccResultData = EuiccResultData::EnableResult(EnableProfileResult::OK);

fn enabling() -> Run {
    run!(|testbed| {
        let [first, second] = testbed.profiles().await?;
        testbed.executed(&[enable(second, false)]).await?;
        let results = testbed.executed(&[enable(first, false)]).await?;
        equal("the results of the eUICC", &results, &vec![ENABLED])
    })
}

fn rollback() -> Run {
    run!(|testbed| {
        let [first, second] = testbed.profiles().await?;
        // The profile to which the eUICC returns.
        testbed.executed(&[enable(first, false)]).await?;
        let id = testbed.order_profiles(&[enable(second, true)]).await?;
        testbed.intervene(
            &[Function::ProvideEimPackageResult, Function::HandleNotification],
            Act::LoseRequest,
            u32::MAX,
        );
        testbed.run().await?;
        testbed.ipa.tap.end_interventions();
        let results = results_of(&testbed.outcome(&id).await?)?;
        ensure(results.iter().any(|result| matches!(result, EuiccResultData::RollbackResult(_))), || {
            format!("the last result is {results:?}, expected that of a rollback")
        })?;
        let results = testbed.executed(&[enable(second, false)]).await.during("afterwards")?;
        equal("the result of enabling the same profile again", &results, &vec![ENABLED])
    })
}

fn notification() -> Run {
    run!(|testbed| {
        let [first, second] = testbed.profiles().await?;
        testbed.executed(&[enable(first, false)]).await?;
        testbed.executed(&[enable(second, false)]).await?;
        // The notifications may follow at the next poll.
        testbed.run().await?;
        let pending = testbed.data(&[eim::records::DataElement::Notifications]).await?;
        let pending = pending.notifications_list.unwrap_or_default().0.len();
        equal("the number of notifications on the eUICC", &pending, &0)
    })
}

fn disabling() -> Run {
    run!(|testbed| {
        let [first, _] = testbed.profiles().await?;
        testbed.executed(&[enable(first, false)]).await?;
        let results = testbed.executed(&[ProfileOperation::Disable { iccid: first }]).await?;
        let expected = EuiccResultData::DisableResult(DisableProfileResult::OK);
        equal("the results of the eUICC", &results, &vec![expected])
    })
}

fn deletion() -> Run {
    run!(|testbed| {
        let [iccid, _] = testbed.profiles().await?;
        testbed.executed(&[ProfileOperation::Disable { iccid }]).await?;
        let results = testbed.executed(&[ProfileOperation::Delete { iccid }]).await?;
        testbed.ipa.known().profiles.retain(|known| *known != iccid);
        let expected = EuiccResultData::DeleteResult(DeleteProfileResult::OK);
        match results.as_slice() {
            [only] => equal("the result of the eUICC", only, &expected),
            other => Err(Stop::failed(format!("the results are {other:?}, expected one"))),
        }
    })
}
