//! Download and enabling of a profile with one failure each: a lost request, a lost response or a
//! duplicated message between servers, or a restart of SM-DP or SM-SR at one of its commits. In
//! each case the operator must be informed, exactly once, that the profile is enabled, and the card
//! must agree.

use rsp::{
    ids::Iccid,
    sgp02::{Namespace, eis::ProfileState},
};
use tokio::runtime::Builder;

use crate::testbed::{Bearer, Counters, Failure, LOCAL, Party, REFUSING, Recorded, Testbed};
use euicc_sim::m2m::toolkit::Numbers;

/// Runs the story with one failure. Returns the counters up to the response to the operator.
fn run(bearer: Bearer, failure: Option<Failure>) -> Counters {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let testbed = Testbed::with("mishaps", bearer, Namespace::V3).await;
        let device = testbed.device(501, Numbers::default()).await;
        let iccid = testbed.put_in_stock(LOCAL, 1).await;
        testbed.settle().await;
        testbed.recorded_messages();
        testbed.expect(failure);
        let counters = testbed
            .play(async {
                let response = testbed.download(device.eid, iccid, true).await;
                let counters = testbed.counters();
                assert!(!testbed.is_still_to_come(), "{failure:?} did not occur: {counters:?}");
                let how = response.base.function_execution_status;
                assert_eq!(how.to_string(), "EXECUTED_SUCCESS", "{failure:?}");
                assert_eq!(response.iccid, Some(iccid), "{failure:?}");
                is_enabled(&testbed, device.eid, iccid).await;
                counters
            })
            .await;
        let has_session =
            testbed.recorded_messages().iter().any(|recorded| matches!(recorded, Recorded::Request(_)));
        assert_eq!(has_session, bearer == Bearer::Https, "{failure:?}");
        assert_eq!(testbed.state_in_stock(iccid).await, sm_dp::ProfileState::Installed, "{failure:?}");
        counters
    })
}

async fn is_enabled(testbed: &Testbed, eid: rsp::ids::Eid, iccid: Iccid) {
    let eis = testbed.audit(eid).await;
    let enabled: Vec<_> = eis.profile_info.iter().filter(|it| it.state == ProfileState::Enabled).collect();
    assert_eq!(enabled.len(), 1, "{:?}", eis.profile_info);
    assert_eq!(enabled[0].iccid, iccid);
}

/// Runs the story for each commit of `party` with a restart before it, and with a restart after it.
fn stopped_at_any_commit(party: Party, bearer: Bearer) {
    let counters = run(bearer, None);
    let commits = match party {
        Party::SmDp => counters.sm_dp,
        Party::SmSr => counters.sm_sr,
    };
    for at in 1..=commits {
        for failure in [Failure::RestartBefore(party, at), Failure::RestartAfter(party, at)] {
            run(bearer, Some(failure));
        }
    }
}

#[test]
fn a_profile_is_downloaded_and_enabled() {
    for bearer in [Bearer::Sms, Bearer::Https] {
        let counters = run(bearer, None);
        assert!(counters.messages >= 14, "{bearer:?}: {counters:?}");
        assert!(counters.sm_dp >= 10 && counters.sm_sr >= 20, "{bearer:?}: {counters:?}");
    }
}

#[test]
fn a_download_survives_each_lost_or_duplicated_message() {
    let Counters { messages, .. } = run(Bearer::Sms, None);
    for at in 1..=messages {
        for failure in [Failure::LostRequest(at), Failure::LostResponse(at), Failure::Duplicated(at)] {
            run(Bearer::Sms, Some(failure));
        }
    }
}

#[test]
fn a_download_over_sms_survives_sm_dp_restarts_at_each_commit() {
    stopped_at_any_commit(Party::SmDp, Bearer::Sms);
}

#[test]
fn a_download_over_https_survives_sm_dp_restarts_at_each_commit() {
    stopped_at_any_commit(Party::SmDp, Bearer::Https);
}

#[test]
fn a_download_over_sms_survives_sm_sr_restarts_at_each_commit() {
    stopped_at_any_commit(Party::SmSr, Bearer::Sms);
}

#[test]
fn a_download_over_https_survives_sm_sr_restarts_at_each_commit() {
    stopped_at_any_commit(Party::SmSr, Bearer::Https);
}

#[test]
fn a_profile_refused_by_its_network_is_not_enabled() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let testbed = Testbed::new("refused").await;
        let device = testbed.device(502, Numbers::default()).await;
        let iccid = testbed.put_in_stock(REFUSING, 2).await;
        testbed.settle().await;
        let before = testbed.audit(device.eid).await;
        let first = before.profile_info[0].iccid;
        let response = testbed.download(device.eid, iccid, true).await;
        let how = response.base.function_execution_status.to_string();
        assert!(how.starts_with("EXECUTED_WITHWARNING"), "{how}");
        is_enabled(&testbed, device.eid, first).await;
        // The profile is installed, so that another attempt is possible.
        let after = testbed.audit(device.eid).await;
        let it = after.profile_info.iter().find(|it| it.iccid == iccid).unwrap();
        assert_eq!(it.state, ProfileState::Disabled);
    });
}
