//! Download and enabling of a profile with one failure each: a lost request, a lost response or a
//! duplicated message between servers, or a restart of SM-DP or SM-SR at one of its commits. In
//! each case the operator must be informed, exactly once, that the profile is enabled, and the card
//! must agree.

use rsp::{
    ids::Iccid,
    sgp02::{Namespace, eis::ProfileState},
};
use tokio::runtime::Builder;

use crate::testbed::{Bearer, Bench, Counted, Heard, LOCAL, Mishap, REFUSING, Who};
use euicc_sim::m2m::toolkit::Numbers;

/// Runs the story with one failure. Returns the counters up to the response to the operator.
fn run(bearer: Bearer, mishap: Option<Mishap>) -> Counted {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let bench = Bench::with("mishaps", bearer, Namespace::V3).await;
        let device = bench.device(501, Numbers::default()).await;
        let iccid = bench.put_in_stock(LOCAL, 1).await;
        bench.settle().await;
        bench.overheard();
        bench.expect(mishap);
        let counted = bench
            .play(async {
                let response = bench.download(device.eid, iccid, true).await;
                let counted = bench.counted();
                assert!(!bench.is_still_to_come(), "{mishap:?} did not occur: {counted:?}");
                let how = response.base.function_execution_status;
                assert_eq!(how.to_string(), "EXECUTED_SUCCESS", "{mishap:?}");
                assert_eq!(response.iccid, Some(iccid), "{mishap:?}");
                is_enabled(&bench, device.eid, iccid).await;
                counted
            })
            .await;
        let has_session = bench.overheard().iter().any(|heard| matches!(heard, Heard::Request(_)));
        assert_eq!(has_session, bearer == Bearer::Https, "{mishap:?}");
        assert_eq!(bench.state_in_stock(iccid).await, sm_dp::ProfileState::Installed, "{mishap:?}");
        counted
    })
}

async fn is_enabled(bench: &Bench, eid: rsp::ids::Eid, iccid: Iccid) {
    let eis = bench.audit(eid).await;
    let enabled: Vec<_> = eis.profile_info.iter().filter(|it| it.state == ProfileState::Enabled).collect();
    assert_eq!(enabled.len(), 1, "{:?}", eis.profile_info);
    assert_eq!(enabled[0].iccid, iccid);
}

/// Runs the story for each commit of `who` with a restart before it, and with a restart after it.
fn stopped_at_any_commit(who: Who, bearer: Bearer) {
    let counted = run(bearer, None);
    let commits = match who {
        Who::SmDp => counted.sm_dp,
        Who::SmSr => counted.sm_sr,
    };
    for at in 1..=commits {
        for mishap in [Mishap::RestartBefore(who, at), Mishap::RestartAfter(who, at)] {
            run(bearer, Some(mishap));
        }
    }
}

#[test]
fn a_profile_is_downloaded_and_enabled() {
    for bearer in [Bearer::Sms, Bearer::Https] {
        let counted = run(bearer, None);
        assert!(counted.messages >= 14, "{bearer:?}: {counted:?}");
        assert!(counted.sm_dp >= 10 && counted.sm_sr >= 20, "{bearer:?}: {counted:?}");
    }
}

#[test]
fn a_download_survives_each_lost_or_duplicated_message() {
    let Counted { messages, .. } = run(Bearer::Sms, None);
    for at in 1..=messages {
        for mishap in [Mishap::LostRequest(at), Mishap::LostResponse(at), Mishap::Doubled(at)] {
            run(Bearer::Sms, Some(mishap));
        }
    }
}

#[test]
fn a_download_over_sms_survives_sm_dp_restarts_at_each_commit() {
    stopped_at_any_commit(Who::SmDp, Bearer::Sms);
}

#[test]
fn a_download_over_https_survives_sm_dp_restarts_at_each_commit() {
    stopped_at_any_commit(Who::SmDp, Bearer::Https);
}

#[test]
fn a_download_over_sms_survives_sm_sr_restarts_at_each_commit() {
    stopped_at_any_commit(Who::SmSr, Bearer::Sms);
}

#[test]
fn a_download_over_https_survives_sm_sr_restarts_at_each_commit() {
    stopped_at_any_commit(Who::SmSr, Bearer::Https);
}

#[test]
fn a_profile_refused_by_its_network_is_not_enabled() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let bench = Bench::new("refused").await;
        let device = bench.device(502, Numbers::default()).await;
        let iccid = bench.put_in_stock(REFUSING, 2).await;
        bench.settle().await;
        let before = bench.audit(device.eid).await;
        let first = before.profile_info[0].iccid;
        let response = bench.download(device.eid, iccid, true).await;
        let how = response.base.function_execution_status.to_string();
        assert!(how.starts_with("EXECUTED_WITHWARNING"), "{how}");
        is_enabled(&bench, device.eid, first).await;
        // The profile is installed, so that another attempt is possible.
        let after = bench.audit(device.eid).await;
        let it = after.profile_info.iter().find(|it| it.iccid == iccid).unwrap();
        assert_eq!(it.state, ProfileState::Disabled);
    });
}
