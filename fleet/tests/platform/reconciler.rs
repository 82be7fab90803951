//! Tests of differences between check-ins and records.

use std::{sync::Arc, time::Duration};

use fleet::{
    Action, CardProfile, CheckIn, Config, DeviceEvent, Discrepancy, Ending, Es2Plus, MoveEnded, ORDERS,
    OrderStep, Processed, Setup, State, Supplier, Target,
};
use localize::{HeldProfile, HeldState};
use rsp::{
    ids::Iccid,
    sgp22::{
        es2plus::{HandleDownloadProgressInfoRequest, NotificationPointId},
        json::{ExecutionStatus, FunctionExecutionStatus, RequestHeader},
    },
};
use world::{Outcome, Tx};

use crate::testbed::{
    Agent, HOME, LOCAL, MoveResult, OrderState, SECOND, SM_DP, SmDp, Testbed, bootstrap, campaign, eid,
    es2plus, iccid, plmn, setup,
};

async fn found(testbed: &Testbed, number: u32) -> Vec<Discrepancy> {
    let trail = testbed.device(number).await.trail;
    let found = trail.entries().iter().filter_map(|entry| match &entry.event {
        DeviceEvent::Found(discrepancy) => Some(discrepancy.clone()),
        _ => None,
    });
    found.collect()
}

fn card(profiles: &[(Iccid, bool, Option<&str>)]) -> Option<Vec<CardProfile>> {
    let on_card = |(iccid, enabled, home): &(Iccid, bool, Option<&str>)| CardProfile {
        iccid: *iccid,
        enabled: *enabled,
        home: home.map(plmn),
    };
    Some(profiles.iter().map(on_card).collect())
}

pub(crate) fn progress_report(
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

async fn process_progress(testbed: &Testbed, report: &HandleDownloadProgressInfoRequest) {
    let processed = testbed.platform.process_progress(&[SM_DP.parse().unwrap()], report).await.unwrap();
    assert_eq!(processed, Processed::Accepted);
}

#[tokio::test]
async fn the_card_is_authoritative_for_its_profiles() {
    let testbed = Testbed::new(1).await;
    let other = iccid(5);
    let mut report = testbed.check_in_of(0, &[]);
    report.profiles =
        card(&[(bootstrap(0), false, None), (other, true, Some("724-02")), (iccid(6), false, None)]);
    for _ in 0..2 {
        testbed.check_in(&report).await;
    }
    let expected = [
        Discrepancy::Appeared { iccid: other },
        Discrepancy::Stranger { iccid: iccid(6) },
        Discrepancy::OtherEnabled { iccid: Some(other) },
    ];
    assert_eq!(found(&testbed, 0).await, expected, "each is recorded once");
    assert_eq!(testbed.device(0).await.connection.held.len(), 2);
    report.profiles = card(&[(bootstrap(0), true, None)]);
    testbed.check_in(&report).await;
    assert!(found(&testbed, 0).await.contains(&Discrepancy::Gone { iccid: other }));
    // A device that did not query its card does not report an empty card.
    testbed.check_in(&CheckIn::new(eid(0), testbed.now())).await;
    assert_eq!(testbed.device(0).await.connection.held.len(), 1);
}

#[tokio::test]
async fn another_profile_than_that_of_the_move_is_unexpected() {
    let testbed = Testbed::new(1).await;
    testbed.run(&campaign("c")).await;
    let instruction = testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await;
    let Action::Move { to, .. } = instruction.what else { panic!("{instruction:?}") };
    let target = to.iccid().unwrap();
    let instruction = testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0), target, iccid(6)])).await;
    assert_eq!(found(&testbed, 0).await, [Discrepancy::Stranger { iccid: iccid(6) }]);
    // The profile of the move is there already, and only has to be enabled.
    assert!(matches!(instruction.what, Action::Move { to: Target::Enable(iccid), .. } if iccid == target));
}

#[tokio::test]
async fn an_unreported_move_is_detected() {
    let testbed = Testbed::new(1).await;
    testbed.run(&campaign("c")).await;
    let mut device = Agent::new(0);
    device.wake(&testbed, MoveResult::Moves).await.unwrap();
    device.ended = None;
    device.settle(&testbed, MoveResult::Moves).await;
    assert_eq!(found(&testbed, 0).await, [Discrepancy::Unreported { iccid: device.profiles[0] }]);
    assert_eq!(testbed.campaign("c").await.progress.moved, 1);
}

#[tokio::test]
async fn a_move_that_is_reported_but_did_not_happen_counts_as_failed() {
    let testbed = Testbed::new(1).await;
    testbed.run(&campaign("c")).await;
    let instruction = testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await;
    let Action::Move { order, to, .. } = instruction.what else { panic!("{instruction:?}") };
    let mut report = testbed.check_in_of(0, &[bootstrap(0), to.iccid().unwrap()]);
    report.ended = Some(MoveEnded { order, ending: Ending::Moved });
    testbed.check_in(&report).await;
    assert_eq!(found(&testbed, 0).await, [Discrepancy::NotThere { iccid: to.iccid().unwrap() }]);
    let progress = testbed.campaign("c").await.progress;
    assert_eq!((progress.moved, progress.came_back), (0, 1));
}

#[tokio::test]
async fn a_lost_device_that_returns_has_the_state_of_its_card() {
    let testbed = Testbed::new(1).await;
    testbed.run(&campaign("c")).await;
    let mut device = Agent::new(0);
    device.wake(&testbed, MoveResult::Moves).await.unwrap();
    let local = device.profiles[0];
    testbed.later(50);
    testbed.platform.due().await.unwrap();
    assert_eq!(testbed.device(0).await.state.word(), "unreachable");
    testbed.later(1);
    testbed.check_in(&testbed.check_in_of(0, &device.profiles)).await;
    let back = testbed.device(0).await;
    assert_eq!(back.state, State::Working);
    assert!(
        back.connection.held.iter().any(|held| held.iccid == local),
        "the home network of the profile is known"
    );
    let found = found(&testbed, 0).await;
    assert!(found.contains(&Discrepancy::TooLong), "{found:?}");
    let orders = Tx::begin(&*testbed.records).peek_list(&ORDERS, "").await.unwrap();
    assert!(orders.iter().all(|(_, order)| matches!(order.step, OrderStep::Fulfilled { .. })), "{orders:?}");
}

#[tokio::test]
async fn a_silent_device_is_unreachable_until_its_next_check_in() {
    let testbed = Testbed::new(2).await;
    for number in 0..2 {
        testbed.check_in(&testbed.check_in_of(number, &[bootstrap(number)])).await;
    }
    testbed.platform.due().await.unwrap();
    testbed.later(24 * 4);
    testbed.check_in(&testbed.check_in_of(1, &[bootstrap(1)])).await;
    // After seven days without a check-in, the next survey finds the device. A survey is due each day.
    for (hours, state) in [(60, "working"), (12, "working"), (12, "unreachable")] {
        testbed.later(hours);
        testbed.platform.due().await.unwrap();
        assert_eq!(testbed.device(0).await.state.word(), state);
    }
    assert_eq!(testbed.device(1).await.state.word(), "working");
    testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await;
    assert_eq!(testbed.device(0).await.state.word(), "working");
}

#[tokio::test]
async fn a_missing_installation_report_is_detected() {
    // The last SM-DP+ reports no installation at all.
    for (told, reports_progress, expected) in
        [(None, true, 1), (Some("before the device"), true, 0), (Some("later"), true, 0), (None, false, 0)]
    {
        let testbed = Testbed::new(1).await;
        let mut setup = setup(&testbed.sm_dp);
        let supplier = Es2Plus { reports_progress, ..es2plus(&testbed.sm_dp) };
        setup.suppliers.insert(plmn(LOCAL), Supplier::SmDpPlus(supplier));
        let testbed = Testbed::set_up(testbed.records, testbed.clock, testbed.sm_dp, 1, setup);
        testbed.run(&campaign("c")).await;
        let mut device = Agent::new(0);
        assert!(device.wake(&testbed, MoveResult::Moves).await.unwrap());
        let local = device.profiles[0];
        let report =
            progress_report(local, NotificationPointId::BPP_INSTALLATION, ExecutionStatus::ExecutedSuccess);
        if told == Some("before the device") {
            process_progress(&testbed, &report).await;
        }
        device.settle(&testbed, MoveResult::Moves).await;
        if told == Some("later") {
            process_progress(&testbed, &report).await;
        }
        testbed.later(25);
        testbed.platform.due().await.unwrap();
        let found = found(&testbed, 0).await;
        assert_eq!(found.len(), expected, "{found:?}");
        assert!(found.iter().all(|found| *found == Discrepancy::NotNotified { iccid: local }));
        assert!(Tx::begin(&*testbed.records).peek_list(&ORDERS, "").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_profile_reported_as_installed_but_not_on_the_card_is_ordered_again() {
    let testbed = Testbed::new(1).await.decided().await;
    let at_home = |testbed: &Testbed| testbed.check_in_of(0, &[bootstrap(0)]);
    let first = testbed.check_in(&at_home(&testbed)).await;
    let Action::Move { to, .. } = first.what else { panic!("{first:?}") };
    testbed.sm_dp.set(to.iccid().unwrap(), OrderState::Downloaded);
    let report = progress_report(
        to.iccid().unwrap(),
        NotificationPointId::BPP_INSTALLATION,
        ExecutionStatus::ExecutedSuccess,
    );
    process_progress(&testbed, &report).await;
    assert_eq!(testbed.check_in(&at_home(&testbed)).await.what, Action::Nothing);
    assert_eq!(found(&testbed, 0).await, [Discrepancy::NotInstalled { iccid: to.iccid().unwrap() }]);
    testbed.later(1);
    let second = testbed.check_in(&at_home(&testbed)).await;
    assert!(matches!(second.what, Action::Move { to: other, .. } if other.iccid() != to.iccid()));
}

#[tokio::test]
async fn an_order_that_failed_at_the_sm_dp_is_not_used_again() {
    let testbed = Testbed::new(1).await.decided().await;
    let first = testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await;
    let Action::Move { to, .. } = first.what else { panic!("{first:?}") };
    let report =
        progress_report(to.iccid().unwrap(), NotificationPointId::BPP_INSTALLATION, ExecutionStatus::Failed);
    process_progress(&testbed, &report).await;
    assert_eq!(testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await.what, Action::Nothing);
    testbed.platform.due().await.unwrap();
    assert_eq!(testbed.sm_dp.order(to.iccid().unwrap()), OrderState::Cancelled);
}

#[tokio::test]
async fn an_unreachable_or_empty_sm_dp_is_tried_again_later() {
    let testbed = Testbed::new(1).await.decided().await;
    testbed.sm_dp.0.lock().unwrap().unreachable = true;
    let soon = Config { order_again: Duration::from_secs(300), ..Config::default() };
    for (config, next) in [(soon, "2026-10-29T08:05:00Z"), (Config::default(), "2026-10-29T08:15:00Z")] {
        let setup = Setup { config, ..setup(&testbed.sm_dp) };
        let (records, clock) = (Arc::clone(&testbed.records), testbed.clock.clone());
        let testbed = Testbed::set_up(records, clock, testbed.sm_dp.clone(), 1, setup);
        let instruction = testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await;
        assert_eq!(
            (instruction.what, instruction.next_check_in.to_string().as_str()),
            (Action::Nothing, next)
        );
    }
    {
        let mut stock = testbed.sm_dp.0.lock().unwrap();
        (stock.unreachable, stock.empty) = (false, true);
    }
    testbed.clock.advance(std::time::Duration::from_secs(900));
    assert_eq!(testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await.what, Action::Nothing);
    let device = testbed.device(0).await;
    let why = device.trail.entries().last().unwrap().event.to_string();
    assert!(why.contains("none is left"), "{why}");
    testbed.sm_dp.0.lock().unwrap().empty = false;
    testbed.later(1);
    let instruction = testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await;
    assert!(matches!(instruction.what, Action::Move { .. }));
    let calls = testbed.events.all().into_iter().filter(|event| event.interface == "ES2+");
    let calls: Vec<_> = calls.map(|event| (event.function, event.outcome == Outcome::Done)).collect();
    let failed = ("DownloadOrder".into(), false);
    assert_eq!(calls, [failed, ("DownloadOrder".into(), true), ("ConfirmOrder".into(), true)]);
}

#[tokio::test]
async fn an_order_has_the_time_of_its_last_step() {
    let testbed = Testbed::new(1).await.decided().await;
    testbed.sm_dp.0.lock().unwrap().unreachable = true;
    let order = async || {
        testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await;
        let orders = Tx::begin(&*testbed.records).peek_list(&ORDERS, "").await.unwrap();
        orders.into_iter().next().unwrap().1
    };
    let before = order().await;
    assert!(matches!(before.step, OrderStep::Reserving { .. }) && before.since == testbed.now());
    testbed.sm_dp.0.lock().unwrap().unreachable = false;
    testbed.later(1);
    let after = order().await;
    assert!(matches!(after.step, OrderStep::Released { .. }) && after.since == testbed.now());
}

#[tokio::test]
async fn a_registration_without_card_query_shows_the_enabled_profile() {
    let testbed = Testbed::new(1).await;
    let mut device = testbed.device(0).await;
    let other =
        HeldProfile { iccid: iccid(7), state: HeldState::Disabled, ..device.connection.held[0].clone() };
    device.connection.held.push(other);
    testbed.put(&device).await;
    let check_in_of = |in_use| CheckIn { profiles: None, ..testbed.check_in_of(0, &[in_use]) };
    let other = |iccid| Some(Discrepancy::OtherEnabled { iccid: Some(iccid) });
    let unknown_home = Some(Discrepancy::Stranger { iccid: iccid(8) });
    for (in_use, new) in [
        (iccid(7), other(iccid(7))),
        (iccid(7), None),
        (iccid(8), unknown_home),
        (bootstrap(0), other(bootstrap(0))),
    ] {
        let before = found(&testbed, 0).await.len();
        testbed.check_in(&check_in_of(in_use)).await;
        let all = found(&testbed, 0).await;
        assert_eq!(all[before..], new.into_iter().collect::<Vec<_>>());
    }
    let held = testbed.device(0).await.connection.held;
    assert_eq!([held[0].state, held[1].state], [HeldState::Enabled, HeldState::Disabled]);
}

#[tokio::test]
async fn the_next_operator_is_used_if_one_has_no_profile() {
    let second = SmDp::default();
    let testbed = Testbed::new(1).await.and_second(&second).decided().await;
    testbed.sm_dp.0.lock().unwrap().empty = true;
    let instruction = testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await;
    let Action::Move { to, .. } = instruction.what else { panic!("{instruction:?}") };
    assert_eq!(second.order(to.iccid().unwrap()), OrderState::Released);
    let device = testbed.device(0).await;
    assert!(matches!(device.state, State::Moving { to, .. } if to == plmn(SECOND)), "{:?}", device.state);
    let report = device.trail.entries().last().unwrap().event.to_string();
    assert!(
        report.contains("move to 724-03 instead, because 724-02 supplies no profile")
            && report.contains("none is left"),
        "{report}"
    );

    // No operator has a profile: the move ends, and the next one begins with the first operator
    // again.
    let second = SmDp::default();
    let testbed = Testbed::new(1).await.and_second(&second).decided().await;
    (testbed.sm_dp.0.lock().unwrap().empty, second.0.lock().unwrap().empty) = (true, true);
    assert_eq!(testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await.what, Action::Nothing);
    assert_eq!(testbed.device(0).await.state, State::Working);
    testbed.sm_dp.0.lock().unwrap().empty = false;
    testbed.later(1);
    let instruction = testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await;
    let Action::Move { to, .. } = instruction.what else { panic!("{instruction:?}") };
    assert_eq!(testbed.sm_dp.order(to.iccid().unwrap()), OrderState::Released);
}

#[tokio::test]
async fn an_unknown_network_ends_the_stay_and_an_old_report_changes_nothing() {
    let testbed = Testbed::new(1).await;
    let present = async || testbed.device(0).await.connection.history.present(testbed.now()).copied();
    assert!(present().await.is_some());
    let mut report = testbed.check_in_of(0, &[bootstrap(0)]);
    report.registered.as_mut().unwrap().network = plmn("998-01");
    testbed.check_in(&report).await;
    assert_eq!(present().await, None, "its days in Brazil no longer count");
    let before = testbed.device(0).await.connection.history;
    assert_eq!(before.stays().last().unwrap().until, Some(testbed.now()));
    report.registered.as_mut().unwrap().network = plmn("262-01");
    report.at = "2026-01-01T00:00:00Z".parse().unwrap();
    testbed.check_in(&report).await;
    let found = found(&testbed, 0).await;
    assert_eq!(found[0], Discrepancy::UnknownNetwork { network: plmn("998-01") });
    assert_eq!(found[1], Discrepancy::OldReport { country: "DE".parse().unwrap() });
    assert_eq!(testbed.device(0).await.connection.history, before);
    // A device clock that is ahead is limited to the platform's time.
    report.at = "2030-01-01T00:00:00Z".parse().unwrap();
    testbed.check_in(&report).await;
    let stays = testbed.device(0).await.connection.history.stays().last().copied().unwrap();
    assert_eq!(stays.from, testbed.now());
}

#[tokio::test]
async fn an_unknown_profile_ends_the_stay() {
    let testbed = Testbed::new(1).await;
    let mut report = testbed.check_in_of(0, &[iccid(6)]);
    report.profiles = None;
    testbed.check_in(&report).await;
    let device = testbed.device(0).await;
    assert_eq!(device.connection.history.present(testbed.now()), None);
    assert_eq!(found(&testbed, 0).await, [Discrepancy::Stranger { iccid: iccid(6) }]);
    // On a known profile, the days of the device count again.
    testbed.later(1);
    testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await;
    let back = testbed.device(0).await.connection.history.present(testbed.now()).copied().unwrap();
    assert_eq!(back.home_network, Some(plmn(HOME)));
}
