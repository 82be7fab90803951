//! What a check-in finds that the records do not say, and what becomes of it.

use fleet::{CheckIn, Discrepancy, Ending, Happening, Heard, MoveEnded, ORDERS, OnCard, State, Step, What};
use localize::{HeldProfile, HeldState};
use rsp::{
    ids::Iccid,
    sgp22::{
        es2plus::{HandleDownloadProgressInfoRequest, NotificationPointId},
        json::{ExecutionStatus, FunctionExecutionStatus, RequestHeader},
    },
};
use world::Tx;

use crate::bench::{
    Agent, Bench, HOME, How, SECOND, SM_DP, SmDp, Stands, bootstrap, campaign, eid, iccid, plmn,
};

async fn found(bench: &Bench, number: u32) -> Vec<Discrepancy> {
    let trail = bench.device(number).await.trail;
    let found = trail.entries().iter().filter_map(|entry| match &entry.happening {
        Happening::Found(discrepancy) => Some(discrepancy.clone()),
        _ => None,
    });
    found.collect()
}

fn card(profiles: &[(Iccid, bool, Option<&str>)]) -> Option<Vec<OnCard>> {
    let on_card = |(iccid, enabled, home): &(Iccid, bool, Option<&str>)| OnCard {
        iccid: *iccid,
        enabled: *enabled,
        home: home.map(plmn),
    };
    Some(profiles.iter().map(on_card).collect())
}

pub(crate) fn told(
    iccid: Iccid,
    point: NotificationPointId,
    status: ExecutionStatus,
) -> HandleDownloadProgressInfoRequest {
    HandleDownloadProgressInfoRequest {
        header: RequestHeader {
            function_requester_identifier: "2.999.20".into(),
            function_call_identifier: "1".into(),
        },
        eid: Some(eid(0)),
        iccid,
        profile_type: "local-br".into(),
        timestamp: rsp::time::Timestamp(0),
        notification_point_id: point,
        notification_point_status: FunctionExecutionStatus { status, status_code_data: None },
        result_data: None,
    }
}

async fn hear(bench: &Bench, told: &HandleDownloadProgressInfoRequest) {
    let heard = bench.platform.hear(&[SM_DP.parse().unwrap()], told).await.unwrap();
    assert_eq!(heard, Heard::Taken);
}

#[tokio::test]
async fn the_card_is_right_about_what_it_holds() {
    let bench = Bench::new(1).await;
    let other = iccid(5);
    let mut said = bench.says(0, &[]);
    said.profiles =
        card(&[(bootstrap(0), false, None), (other, true, Some("724-02")), (iccid(6), false, None)]);
    for _ in 0..2 {
        bench.check_in(&said).await;
    }
    let expected = [
        Discrepancy::Appeared { iccid: other },
        Discrepancy::Stranger { iccid: iccid(6) },
        Discrepancy::OtherEnabled { iccid: Some(other) },
    ];
    assert_eq!(found(&bench, 0).await, expected, "each is said once");
    assert_eq!(bench.device(0).await.connection.held.len(), 2);
    said.profiles = card(&[(bootstrap(0), true, None)]);
    bench.check_in(&said).await;
    assert!(found(&bench, 0).await.contains(&Discrepancy::Gone { iccid: other }));
    // A card that was not asked has not said that it holds nothing.
    bench.check_in(&CheckIn::new(eid(0), bench.now())).await;
    assert_eq!(bench.device(0).await.connection.held.len(), 1);
}

#[tokio::test]
async fn a_move_that_was_not_reported_has_ended_all_the_same() {
    let bench = Bench::new(1).await;
    bench.run(&campaign("c")).await;
    let mut device = Agent::new(0);
    device.wake(&bench, How::Moves).await.unwrap();
    device.ended = None;
    device.settle(&bench, How::Moves).await;
    assert_eq!(found(&bench, 0).await, [Discrepancy::Unreported { iccid: device.profiles[0] }]);
    assert_eq!(bench.campaign("c").await.progress.moved, 1);
}

#[tokio::test]
async fn a_move_that_is_reported_and_did_not_happen_has_failed() {
    let bench = Bench::new(1).await;
    bench.run(&campaign("c")).await;
    let told = bench.check_in(&bench.says(0, &[bootstrap(0)])).await;
    let What::Move { order, to, .. } = told.what else { panic!("{told:?}") };
    let mut said = bench.says(0, &[bootstrap(0), to.iccid().unwrap()]);
    said.ended = Some(MoveEnded { order, ending: Ending::Moved });
    bench.check_in(&said).await;
    assert_eq!(found(&bench, 0).await, [Discrepancy::NotThere { iccid: to.iccid().unwrap() }]);
    let progress = bench.campaign("c").await.progress;
    assert_eq!((progress.moved, progress.came_back), (0, 1));
}

#[tokio::test]
async fn a_device_that_is_lost_and_found_is_where_its_card_says() {
    let bench = Bench::new(1).await;
    bench.run(&campaign("c")).await;
    let mut device = Agent::new(0);
    device.wake(&bench, How::Moves).await.unwrap();
    let local = device.profiles[0];
    bench.later(50);
    bench.platform.due().await.unwrap();
    assert_eq!(bench.device(0).await.state.word(), "unreachable");
    bench.later(1);
    bench.check_in(&bench.says(0, &device.profiles)).await;
    let back = bench.device(0).await;
    assert_eq!(back.state, State::Working);
    assert!(back.connection.held.iter().any(|held| held.iccid == local), "it is known whose it is");
    let found = found(&bench, 0).await;
    assert!(found.contains(&Discrepancy::TooLong), "{found:?}");
    let orders = Tx::begin(&*bench.records).glance(&ORDERS, "").await.unwrap();
    assert!(orders.iter().all(|(_, order)| matches!(order.step, Step::Fulfilled { .. })), "{orders:?}");
}

#[tokio::test]
async fn a_device_that_is_silent_is_unreachable_until_it_is_heard_of() {
    let bench = Bench::new(2).await;
    for number in 0..2 {
        bench.check_in(&bench.says(number, &[bootstrap(number)])).await;
    }
    bench.platform.due().await.unwrap();
    bench.later(24 * 4);
    bench.check_in(&bench.says(1, &[bootstrap(1)])).await;
    bench.later(24 * 4);
    bench.platform.due().await.unwrap();
    assert_eq!(bench.device(0).await.state.word(), "unreachable");
    assert_eq!(bench.device(1).await.state.word(), "working");
    bench.check_in(&bench.says(0, &[bootstrap(0)])).await;
    assert_eq!(bench.device(0).await.state.word(), "working");
}

#[tokio::test]
async fn an_sm_dp_that_was_never_told_of_an_installation_is_found() {
    for (is_told, expected) in [(false, 1), (true, 0)] {
        let bench = Bench::new(1).await;
        bench.run(&campaign("c")).await;
        let mut device = Agent::new(0);
        device.settle(&bench, How::Moves).await;
        let local = device.profiles[0];
        if is_told {
            let told = told(local, NotificationPointId::BPP_INSTALLATION, ExecutionStatus::ExecutedSuccess);
            hear(&bench, &told).await;
        }
        bench.later(25);
        bench.platform.due().await.unwrap();
        let found = found(&bench, 0).await;
        assert_eq!(found.len(), expected, "{found:?}");
        assert!(found.iter().all(|found| *found == Discrepancy::NotNotified { iccid: local }));
        assert!(Tx::begin(&*bench.records).glance(&ORDERS, "").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn what_the_sm_dp_takes_for_installed_and_is_on_no_card_is_ordered_anew() {
    let bench = Bench::new(1).await.decided().await;
    let said = |bench: &Bench| bench.says(0, &[bootstrap(0)]);
    let first = bench.check_in(&said(&bench)).await;
    let What::Move { to, .. } = first.what else { panic!("{first:?}") };
    bench.sm_dp.set(to.iccid().unwrap(), Stands::Downloaded);
    let word =
        told(to.iccid().unwrap(), NotificationPointId::BPP_INSTALLATION, ExecutionStatus::ExecutedSuccess);
    hear(&bench, &word).await;
    assert_eq!(bench.check_in(&said(&bench)).await.what, What::Nothing);
    assert_eq!(found(&bench, 0).await, [Discrepancy::NotInstalled { iccid: to.iccid().unwrap() }]);
    bench.later(1);
    let second = bench.check_in(&said(&bench)).await;
    assert!(matches!(second.what, What::Move { to: other, .. } if other.iccid() != to.iccid()));
}

#[tokio::test]
async fn an_order_that_has_failed_at_the_sm_dp_is_given_to_nobody_again() {
    let bench = Bench::new(1).await.decided().await;
    let first = bench.check_in(&bench.says(0, &[bootstrap(0)])).await;
    let What::Move { to, .. } = first.what else { panic!("{first:?}") };
    let word = told(to.iccid().unwrap(), NotificationPointId::BPP_INSTALLATION, ExecutionStatus::Failed);
    hear(&bench, &word).await;
    assert_eq!(bench.check_in(&bench.says(0, &[bootstrap(0)])).await.what, What::Nothing);
    bench.platform.due().await.unwrap();
    assert_eq!(bench.sm_dp.order(to.iccid().unwrap()), Stands::Cancelled);
}

#[tokio::test]
async fn an_sm_dp_that_is_away_or_has_nothing_is_asked_again_later() {
    let bench = Bench::new(1).await.decided().await;
    bench.sm_dp.0.lock().unwrap().away = true;
    let told = bench.check_in(&bench.says(0, &[bootstrap(0)])).await;
    assert_eq!((told.what, told.next_check_in.to_string().as_str()), (What::Nothing, "2026-10-29T08:15:00Z"));
    {
        let mut stock = bench.sm_dp.0.lock().unwrap();
        (stock.away, stock.empty) = (false, true);
    }
    bench.clock.advance(std::time::Duration::from_secs(900));
    assert_eq!(bench.check_in(&bench.says(0, &[bootstrap(0)])).await.what, What::Nothing);
    let device = bench.device(0).await;
    let why = device.trail.entries().last().unwrap().happening.to_string();
    assert!(why.contains("none is left"), "{why}");
    bench.sm_dp.0.lock().unwrap().empty = false;
    bench.later(1);
    let told = bench.check_in(&bench.says(0, &[bootstrap(0)])).await;
    assert!(matches!(told.what, What::Move { .. }));
}

#[tokio::test]
async fn a_card_that_was_not_asked_has_in_use_what_it_is_registered_with() {
    let bench = Bench::new(1).await;
    let mut device = bench.device(0).await;
    let other =
        HeldProfile { iccid: iccid(7), state: HeldState::Disabled, ..device.connection.held[0].clone() };
    device.connection.held.push(other);
    bench.put(&device).await;
    let says = |in_use| CheckIn { profiles: None, ..bench.says(0, &[in_use]) };
    let other = |iccid| Some(Discrepancy::OtherEnabled { iccid: Some(iccid) });
    let stranger = Some(Discrepancy::Stranger { iccid: iccid(8) });
    for (in_use, new) in [
        (iccid(7), other(iccid(7))),
        (iccid(7), None),
        (iccid(8), stranger),
        (bootstrap(0), other(bootstrap(0))),
    ] {
        let before = found(&bench, 0).await.len();
        bench.check_in(&says(in_use)).await;
        let all = found(&bench, 0).await;
        assert_eq!(all[before..], new.into_iter().collect::<Vec<_>>());
    }
    let held = bench.device(0).await.connection.held;
    assert_eq!([held[0].state, held[1].state], [HeldState::Enabled, HeldState::Disabled]);
}

#[tokio::test]
async fn an_operator_that_has_nothing_is_passed_over_for_the_next_one() {
    let second = SmDp::default();
    let bench = Bench::new(1).await.and_second(&second).decided().await;
    bench.sm_dp.0.lock().unwrap().empty = true;
    let told = bench.check_in(&bench.says(0, &[bootstrap(0)])).await;
    let What::Move { to, .. } = told.what else { panic!("{told:?}") };
    assert_eq!(second.order(to.iccid().unwrap()), Stands::Released);
    let device = bench.device(0).await;
    assert!(matches!(device.state, State::Moving { to, .. } if to == plmn(SECOND)), "{:?}", device.state);
    let said = device.trail.entries().last().unwrap().happening.to_string();
    assert!(
        said.contains("to 724-03 instead, as 724-02 gives no profile") && said.contains("none is left"),
        "{said}"
    );

    // Nobody has anything: the move has ended, and the next one begins with the first of them again.
    let second = SmDp::default();
    let bench = Bench::new(1).await.and_second(&second).decided().await;
    (bench.sm_dp.0.lock().unwrap().empty, second.0.lock().unwrap().empty) = (true, true);
    assert_eq!(bench.check_in(&bench.says(0, &[bootstrap(0)])).await.what, What::Nothing);
    assert_eq!(bench.device(0).await.state, State::Working);
    bench.sm_dp.0.lock().unwrap().empty = false;
    bench.later(1);
    let told = bench.check_in(&bench.says(0, &[bootstrap(0)])).await;
    let What::Move { to, .. } = told.what else { panic!("{told:?}") };
    assert_eq!(bench.sm_dp.order(to.iccid().unwrap()), Stands::Released);
}

#[tokio::test]
async fn a_report_from_nowhere_ends_the_stay_and_one_from_the_past_changes_no_history() {
    let bench = Bench::new(1).await;
    let present = async || bench.device(0).await.connection.history.present(bench.now()).copied();
    assert!(present().await.is_some());
    let mut said = bench.says(0, &[bootstrap(0)]);
    said.registered.as_mut().unwrap().network = plmn("998-01");
    bench.check_in(&said).await;
    assert_eq!(present().await, None, "its days in Brazil count no more");
    let before = bench.device(0).await.connection.history;
    assert_eq!(before.stays().last().unwrap().until, Some(bench.now()));
    said.registered.as_mut().unwrap().network = plmn("262-01");
    said.at = "2026-01-01T00:00:00Z".parse().unwrap();
    bench.check_in(&said).await;
    let found = found(&bench, 0).await;
    assert_eq!(found[0], Discrepancy::UnknownNetwork { network: plmn("998-01") });
    assert_eq!(found[1], Discrepancy::OldReport { country: "DE".parse().unwrap() });
    assert_eq!(bench.device(0).await.connection.history, before);
    // A clock that is ahead is taken back to ours.
    said.at = "2030-01-01T00:00:00Z".parse().unwrap();
    bench.check_in(&said).await;
    let stays = bench.device(0).await.connection.history.stays().last().copied().unwrap();
    assert_eq!(stays.from, bench.now());
}

#[tokio::test]
async fn a_device_on_a_profile_that_nobody_knows_is_no_longer_there_as_whom_it_was() {
    let bench = Bench::new(1).await;
    let mut said = bench.says(0, &[iccid(6)]);
    said.profiles = None;
    bench.check_in(&said).await;
    let device = bench.device(0).await;
    assert_eq!(device.connection.history.present(bench.now()), None);
    assert_eq!(found(&bench, 0).await, [Discrepancy::Stranger { iccid: iccid(6) }]);
    // Once it is on one that is known, its days count again.
    bench.later(1);
    bench.check_in(&bench.says(0, &[bootstrap(0)])).await;
    let back = bench.device(0).await.connection.history.present(bench.now()).copied().unwrap();
    assert_eq!(back.home_network, Some(plmn(HOME)));
}
