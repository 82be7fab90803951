//! Tests of check-ins that cause moves.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use fleet::{Action, CampaignSpec, Destination, DeviceEvent, Ending, MoveEnded, State, Target};
use localize::{Identity, RuleBook};
use rsp::ids::Imsi;

use crate::testbed::{HOME, LOCAL, OrderState, Testbed, at, bootstrap, plmn};

#[tokio::test]
async fn a_device_that_must_move_gets_a_profile_and_moves_to_it() {
    let testbed = Testbed::new(1).await.decided().await;
    let instruction = testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await;
    let Action::Move { order, to: Target::Download { iccid, code }, fall_back_to } = instruction.what else {
        panic!("{instruction:?}")
    };
    assert_eq!(code.to_string(), format!("1$smdp.example.com$M-{iccid}"));
    assert_eq!(fall_back_to, Some(bootstrap(0)));
    assert_eq!(testbed.sm_dp.order(iccid), OrderState::Released);
    assert!(matches!(testbed.device(0).await.state, State::Moving { to, .. } if to == plmn(LOCAL)));
    let requested = testbed.device(0).await.connection.swap_requested;
    assert_eq!(
        requested.map(|day| day.to_string()).as_deref(),
        Some("2026-10-29"),
        "rules count from this day"
    );

    // If the answer was lost, the device gets the same move again.
    let again = testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await;
    assert!(matches!(again.what, Action::Move { order: same, .. } if same == order));

    testbed.later(1);
    let mut report = testbed.check_in_of(0, &[iccid, bootstrap(0)]);
    report.ended = Some(MoveEnded { order, ending: Ending::Moved });
    let instruction = testbed.check_in(&report).await;
    assert_eq!(instruction.what, Action::Nothing);
    assert_eq!(instruction.next_check_in, at("2026-10-30T09:00:00Z"), "the maximum interval");
    let device = testbed.device(0).await;
    assert_eq!((device.state, device.tally.moved), (State::Working, 1));
    assert_eq!(device.connection.held.len(), 2);
    assert_eq!(device.connection.swap_requested, None);
    let progress = testbed.platform.campaigns().await.unwrap()[0].progress;
    assert_eq!((progress.begun, progress.moved, progress.under_way), (1, 1, 0));
    assert_eq!(testbed.sm_dp.0.lock().unwrap().calls, ["downloadOrder", "confirmOrder"]);
}

#[tokio::test]
async fn an_unreachable_sm_dp_gets_one_cancellation_per_run() {
    let testbed = Testbed::new(3).await.decided().await;
    for device in 0..3 {
        let at_home = [bootstrap(device)];
        let instruction = testbed.check_in(&testbed.check_in_of(device, &at_home)).await;
        let Action::Move { order, .. } = instruction.what else { panic!("{instruction:?}") };
        let mut report = testbed.check_in_of(device, &at_home);
        report.ended = Some(MoveEnded { order, ending: Ending::NotInstalled { why: "no answer".into() } });
        testbed.sm_dp.0.lock().unwrap().unreachable = true;
        testbed.check_in(&report).await;
        testbed.sm_dp.0.lock().unwrap().unreachable = false;
    }
    let cancelled = || {
        let stock = testbed.sm_dp.0.lock().unwrap();
        stock.calls.iter().filter(|call| *call == "cancelOrder").count()
    };
    testbed.sm_dp.0.lock().unwrap().unreachable = true;
    let before = cancelled();
    testbed.platform.due().await.unwrap();
    assert_eq!(cancelled() - before, 1);
    testbed.sm_dp.0.lock().unwrap().unreachable = false;
    testbed.platform.due().await.unwrap();
    assert_eq!(cancelled() - before, 4);
}

#[tokio::test]
async fn the_next_run_is_when_a_move_has_taken_too_long() {
    let testbed = Testbed::new(1).await.decided().await;
    testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await;
    testbed.clock.advance(Duration::from_secs(2 * 24 * 3600 - 1800));
    assert_eq!(testbed.platform.due().await.unwrap(), at("2026-10-31T08:00:00Z"));
    assert_eq!(testbed.device(0).await.tally.lost, 0);
    testbed.clock.advance(Duration::from_secs(1800));
    testbed.platform.due().await.unwrap();
    assert_eq!(testbed.device(0).await.tally.lost, 1);
}

#[tokio::test]
async fn a_device_that_checks_in_during_a_move_without_end_is_not_lost() {
    let testbed = Testbed::new(1).await.decided().await;
    let report = testbed.check_in_of(0, &[bootstrap(0)]);
    testbed.check_in(&report).await;
    testbed.later(1);
    testbed.check_in(&testbed.check_in_of(0, &[bootstrap(0)])).await;
    testbed.later(48);
    testbed.platform.due().await.unwrap();
    let tally = testbed.device(0).await.tally;
    assert_eq!((tally.not_installed, tally.lost), (1, 0), "{tally:?}");
}

#[tokio::test]
async fn the_order_of_a_failed_move_is_cancelled_and_the_move_retried() {
    let testbed = Testbed::new(1).await.decided().await;
    let at_home = [bootstrap(0)];
    let instruction = testbed.check_in(&testbed.check_in_of(0, &at_home)).await;
    let Action::Move { order, to, .. } = instruction.what else { panic!("{instruction:?}") };
    let is_woken = Arc::new(AtomicBool::new(false));
    let woken = Arc::clone(&is_woken);
    let _ = testbed.platform.clone().with_waker(move || woken.store(true, Relaxed));
    let mut report = testbed.check_in_of(0, &at_home);
    report.ended =
        Some(MoveEnded { order: order.clone(), ending: Ending::NotInstalled { why: "no answer".into() } });
    let instruction = testbed.check_in(&report).await;
    assert!(is_woken.load(Relaxed), "an order is to be cancelled");
    assert_eq!(instruction.what, Action::Nothing);
    assert_eq!(instruction.next_check_in, at("2026-10-29T09:00:00Z"), "an hour after the failed attempt");
    testbed.platform.due().await.unwrap();
    assert_eq!(testbed.sm_dp.order(to.iccid().unwrap()), OrderState::Cancelled);
    assert!(testbed.device(0).await.connection.swap_requested.is_some(), "the request is not withdrawn");

    testbed.later(1);
    let instruction = testbed.check_in(&testbed.check_in_of(0, &at_home)).await;
    let Action::Move { order: second, to, .. } = instruction.what else { panic!("{instruction:?}") };
    assert_ne!(order, second);
    assert_eq!(testbed.sm_dp.order(to.iccid().unwrap()), OrderState::Released);
    assert!(testbed.events.all().iter().any(|event| event.function == "MoveEnded"));
}

#[tokio::test]
async fn a_profile_that_was_handed_out_but_not_installed_is_downloaded_again() {
    // If the SM-DP+ does not know the order any more, another profile is ordered.
    for (state, is_downloaded_again) in [(OrderState::Downloaded, true), (OrderState::Forgotten, false)] {
        let testbed = Testbed::new(1).await.decided().await;
        let at_home = [bootstrap(0)];
        let instruction = testbed.check_in(&testbed.check_in_of(0, &at_home)).await;
        let Action::Move { order, to, .. } = instruction.what else { panic!("{instruction:?}") };
        testbed.sm_dp.set(to.iccid().unwrap(), state);
        let mut report = testbed.check_in_of(0, &at_home);
        report.ended = Some(MoveEnded { order, ending: Ending::NotInstalled { why: "power cut".into() } });
        testbed.check_in(&report).await;
        testbed.platform.due().await.unwrap();
        let trail = testbed.device(0).await.trail;
        let last = trail.entries().last().unwrap().event.to_string();
        assert!(last.contains("cannot be cancelled"), "{last}");

        testbed.later(1);
        let instruction = testbed.check_in(&testbed.check_in_of(0, &at_home)).await;
        let Action::Move { to: second, .. } = instruction.what else { panic!("{instruction:?}") };
        assert_eq!(second == to, is_downloaded_again, "{second:?} after {to:?}");
    }
}

/// The profile is British. In Brazil, the applet on its card uses an identity of a Brazilian network.
#[tokio::test]
async fn a_device_registered_with_a_local_identity_does_not_move() {
    let testbed = Testbed::new(1).await.decided().await;
    let book = RuleBook::built_in().unwrap();
    let mut device = testbed.device(0).await;
    device.connection.identities.push(Identity { operator: book.locate(plmn(LOCAL)).unwrap() });
    testbed.put(&device).await;
    let as_whom = |network: &str| format!("{}0000000001", network.replace('-', "")).parse::<Imsi>().unwrap();
    let check_in_of = |imsi: &str| {
        let mut report = testbed.check_in_of(0, &[bootstrap(0)]);
        report.registered.as_mut().unwrap().imsi = Some(as_whom(imsi));
        report
    };
    let instruction = testbed.check_in(&check_in_of(LOCAL)).await;
    assert_eq!(instruction.what, Action::Nothing);
    let device = testbed.device(0).await;
    assert_eq!(device.imsi, Some(as_whom(LOCAL)));
    let stays = device.connection.history.stays();
    let homes: Vec<_> = stays.iter().map(|stay| stay.home_network.unwrap().to_string()).collect();
    assert_eq!(homes, [HOME, LOCAL], "the earlier days were roaming, those from now on are not");
    assert!(device.trail.entries().iter().all(|entry| !matches!(entry.event, DeviceEvent::Found(_))));

    // The applet has switched back: the device is roaming again, and the rules count all its days
    // in the country.
    let instruction = testbed.check_in(&check_in_of(HOME)).await;
    assert!(matches!(instruction.what, Action::Move { .. }), "{instruction:?}");

    // The IMSI belongs to no recorded identity.
    let report = check_in_of("722-07");
    testbed.check_in(&report).await;
    let device = testbed.device(0).await;
    let last = device.connection.history.stays().last().unwrap();
    assert_eq!((last.home.to_string().as_str(), last.home_network), ("AR", None));
    let found = device.trail.entries().last().unwrap().event.to_string();
    assert!(found.contains("registered as IMSI 722070000000001, which is no recorded identity"), "{found}");
}

#[tokio::test]
async fn a_campaign_to_a_network_skips_devices_with_an_identity_of_it() {
    let testbed = Testbed::new(1).await;
    let mut device = testbed.device(0).await;
    let local = RuleBook::built_in().unwrap().locate(plmn(LOCAL)).unwrap();
    device.connection.identities.push(Identity { operator: local });
    testbed.put(&device).await;
    let id = "to-it".parse().unwrap();
    let target = Destination::Network(plmn(LOCAL));
    let spec = CampaignSpec { target, standing: false, ..CampaignSpec::decided(id) };
    testbed.run(&spec).await;
    let mut report = testbed.check_in_of(0, &[bootstrap(0)]);
    report.registered.as_mut().unwrap().imsi = format!("{}0000000001", LOCAL.replace('-', "")).parse().ok();
    assert_eq!(testbed.check_in(&report).await.what, Action::Nothing);
}
