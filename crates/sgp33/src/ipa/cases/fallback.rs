//! Cases of the Fallback Mechanism: SGP.32 sections 3.6 and 5.14.5.

use ::eim::records::ProfileOperation;
use rsp::ids::Iccid;
use rsp::sgp32::result::SetFallbackAttributeResult;
use rsp::sgp32::{EuiccResultData, StateChangeCause};
use sgp23::{During, Stop, Verdict, ensure, equal};

use super::case;
use crate::ipa::case::{Case, Need, Run, run};
use crate::ipa::tap::Call;
use crate::ipa::testbed::Testbed;

pub(super) fn cases() -> Vec<Case> {
    let case = |title: &str, run| {
        case("ES10b.ExecuteFallbackMechanism", "3.6, 5.14.5", title, run).need(Need::Service)
    };
    vec![
        case(
            "after a loss of service the Fallback Profile is enabled, and the cause is reported",
            fallback(),
        ),
        case("the return from the Fallback Profile is reported with its cause", returning()),
    ]
}

/// Sets the Fallback Attribute of a profile, enables another one, and takes the service away.
/// Returns the Fallback Profile and the other one.
async fn without_service(testbed: &mut Testbed<'_>) -> Result<[Iccid; 2], Stop> {
    let [fallback, other] = testbed.profiles().await?;
    testbed.executed(&[ProfileOperation::Enable { iccid: other, rollback: false }]).await?;
    let results = testbed.executed(&[ProfileOperation::SetFallbackAttribute { iccid: fallback }]).await?;
    let set = EuiccResultData::SetFallbackAttributeResult(SetFallbackAttributeResult::OK);
    equal("the result of setFallbackAttribute", &results, &vec![set])?;
    testbed.ipa.tap.clear();
    match testbed.ipa.device.set_service(false) {
        true => Ok([fallback, other]),
        false => Err(Stop::needs(Need::Service)),
    }
}

/// Lets the IPA poll until it has reported the cause, and checks the enabled profile.
async fn expect_change(testbed: &mut Testbed<'_>, enabled: Iccid) -> Verdict {
    let is_reported = |call: &Call| {
        let poll = call.poll();
        poll.is_some_and(|poll| poll.state_change_cause == Some(StateChangeCause::FALLBACK))
    };
    for _ in 0..=testbed.ipa.retries {
        testbed.run().await?;
        if testbed.calls().iter().any(is_reported) {
            return equal("the enabled profile", &testbed.enabled().await?, &Some(enabled));
        }
    }
    let polls = testbed.calls().iter().filter_map(Call::poll).count();
    ensure(false, || format!("none of {polls} polls has stateChangeCause fallback"))
}

/// Restores the service and the attribute for the next case.
async fn restore(testbed: &mut Testbed<'_>) -> Verdict {
    testbed.ipa.device.set_service(true);
    testbed.run().await?;
    testbed.executed(&[ProfileOperation::UnsetFallbackAttribute {}]).await.map(|_| ())
}

fn fallback() -> Run {
    run!(|testbed| {
        let [fallback, _] = without_service(testbed).await?;
        let verdict = expect_change(testbed, fallback).await;
        restore(testbed).await?;
        verdict
    })
}

fn returning() -> Run {
    run!(|testbed| {
        let [fallback, former] = without_service(testbed).await?;
        expect_change(testbed, fallback).await.during("the fallback")?;
        testbed.ipa.tap.clear();
        testbed.ipa.device.set_service(true);
        let verdict = expect_change(testbed, former).await;
        restore(testbed).await?;
        verdict
    })
}
