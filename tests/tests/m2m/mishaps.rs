//! The download and enabling of a profile with one mishap each: a message between servers lost on its way or on its way
//! back, or doubled; SM-DP or SM-SR stopped at one of its commits. Whatever it is, the operator hears that the profile is
//! enabled, once, and the card agrees.

use rsp::{ids::Iccid, sgp02::eis::ProfileState};
use tokio::runtime::Builder;

use crate::bench::{Bench, LOCAL, Mishap, REFUSING, Who};
use euicc_sim::card::m2m::toolkit::Numbers;

/// One run: what was counted, and whether the mishap took place.
fn run(mishap: Option<Mishap>) -> ((usize, usize, usize), bool) {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let bench = Bench::new("mishaps").await;
        let device = bench.device(501, Numbers::default()).await;
        let iccid = bench.stock(LOCAL, 1).await;
        bench.settle().await;
        bench.expect(mishap);
        // Who is stopped by what the SM-SR still does after its answer is started again too.
        let (counted, took_place) = bench
            .play(async {
                let response = bench.download(device.eid, iccid, true).await;
                let counted = bench.counted();
                let took_place = !bench.is_still_to_come();
                bench.forget_mishap();
                let how = response.base.function_execution_status;
                assert_eq!(how.to_string(), "EXECUTED_SUCCESS", "{mishap:?}");
                assert_eq!(response.iccid, Some(iccid), "{mishap:?}");
                is_enabled(&bench, device.eid, iccid).await;
                (counted, took_place)
            })
            .await;
        assert_eq!(bench.state_in_stock(iccid).await, sm_dp::ProfileState::Installed, "{mishap:?}");
        (counted, took_place)
    })
}

async fn is_enabled(bench: &Bench, eid: rsp::ids::Eid, iccid: Iccid) {
    let eis = bench.audit(eid).await;
    let enabled: Vec<_> = eis.profile_info.iter().filter(|it| it.state == ProfileState::Enabled).collect();
    assert_eq!(enabled.len(), 1, "{:?}", eis.profile_info);
    assert_eq!(enabled[0].iccid, iccid);
}

#[test]
fn a_profile_is_pushed_and_enabled() {
    let ((messages, sm_dp, sm_sr), _) = run(None);
    assert!(messages >= 14, "{messages} messages between servers");
    assert!(sm_dp >= 10 && sm_sr >= 20, "{sm_dp} and {sm_sr} commits");
}

#[test]
fn every_message_between_servers_may_be_lost_or_doubled() {
    let ((messages, _, _), _) = run(None);
    for at in 1..=messages {
        for mishap in [Mishap::LostRequest(at), Mishap::LostResponse(at), Mishap::Doubled(at)] {
            let (_, took_place) = run(Some(mishap));
            assert!(took_place, "{mishap:?}");
        }
    }
}

#[test]
fn the_sm_dp_may_be_stopped_at_any_commit() {
    let ((_, commits, _), _) = run(None);
    for at in 1..=commits {
        for mishap in [Mishap::RestartBefore(Who::SmDp, at), Mishap::RestartAfter(Who::SmDp, at)] {
            run(Some(mishap));
        }
    }
}

#[test]
fn the_sm_sr_may_be_stopped_at_any_commit() {
    let ((_, _, commits), _) = run(None);
    for at in 1..=commits {
        for mishap in [Mishap::RestartBefore(Who::SmSr, at), Mishap::RestartAfter(Who::SmSr, at)] {
            run(Some(mishap));
        }
    }
}

#[test]
fn a_profile_whose_network_refuses_it_is_enabled_by_nobody() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let bench = Bench::new("refused").await;
        let device = bench.device(502, Numbers::default()).await;
        let iccid = bench.stock(REFUSING, 2).await;
        bench.settle().await;
        let before = bench.audit(device.eid).await;
        let first = before.profile_info[0].iccid;
        let response = bench.download(device.eid, iccid, true).await;
        let how = response.base.function_execution_status.to_string();
        assert!(how.starts_with("EXECUTED_WITHWARNING"), "{how}");
        is_enabled(&bench, device.eid, first).await;
        // It is there, and another try may be made.
        let after = bench.audit(device.eid).await;
        let it = after.profile_info.iter().find(|it| it.iccid == iccid).unwrap();
        assert_eq!(it.state, ProfileState::Disabled);
    });
}
