//! A device checks in, and is moved.

use fleet::{Destination, Ending, Happening, MoveEnded, Spec, State, Target, What};
use localize::{Identity, RuleBook};
use rsp::ids::Imsi;

use crate::bench::{Bench, HOME, LOCAL, Stands, at, bootstrap, plmn};

#[tokio::test]
async fn a_device_that_must_move_is_given_a_profile_and_is_then_on_it() {
    let bench = Bench::new(1).await.decided().await;
    let told = bench.check_in(&bench.says(0, &[bootstrap(0)])).await;
    let What::Move { order, to: Target::Download { iccid, code }, fall_back_to } = told.what else {
        panic!("{told:?}")
    };
    assert_eq!(code.to_string(), format!("1$smdp.example.com$M-{iccid}"));
    assert_eq!(fall_back_to, Some(bootstrap(0)));
    assert_eq!(bench.sm_dp.order(iccid), Stands::Released);
    assert!(matches!(bench.device(0).await.state, State::Moving { to, .. } if to == plmn(LOCAL)));

    // The answer was lost: it is the same move.
    let again = bench.check_in(&bench.says(0, &[bootstrap(0)])).await;
    assert!(matches!(again.what, What::Move { order: same, .. } if same == order));

    bench.later(1);
    let mut said = bench.says(0, &[iccid, bootstrap(0)]);
    said.ended = Some(MoveEnded { order, ending: Ending::Moved });
    let told = bench.check_in(&said).await;
    assert_eq!(told.what, What::Nothing);
    assert_eq!(told.next_check_in, at("2026-10-30T09:00:00Z"), "the longest interval");
    let device = bench.device(0).await;
    assert_eq!((device.state, device.tally.moved), (State::Working, 1));
    assert_eq!(device.connection.held.len(), 2);
    let progress = bench.platform.campaigns().await.unwrap()[0].progress;
    assert_eq!((progress.begun, progress.moved, progress.under_way), (1, 1, 0));
    assert_eq!(bench.sm_dp.0.lock().unwrap().calls, ["downloadOrder", "confirmOrder"]);
}

#[tokio::test]
async fn an_sm_dp_that_is_away_is_asked_once_for_all_that_is_to_be_cancelled_there() {
    let bench = Bench::new(3).await.decided().await;
    for device in 0..3 {
        let at_home = [bootstrap(device)];
        let told = bench.check_in(&bench.says(device, &at_home)).await;
        let What::Move { order, .. } = told.what else { panic!("{told:?}") };
        let mut said = bench.says(device, &at_home);
        said.ended = Some(MoveEnded { order, ending: Ending::NotInstalled { why: "no answer".into() } });
        bench.sm_dp.0.lock().unwrap().away = true;
        bench.check_in(&said).await;
        bench.sm_dp.0.lock().unwrap().away = false;
    }
    let cancelled = || {
        let stock = bench.sm_dp.0.lock().unwrap();
        stock.calls.iter().filter(|call| *call == "cancelOrder").count()
    };
    bench.sm_dp.0.lock().unwrap().away = true;
    let before = cancelled();
    bench.platform.due().await.unwrap();
    assert_eq!(cancelled() - before, 1);
    bench.sm_dp.0.lock().unwrap().away = false;
    bench.platform.due().await.unwrap();
    assert_eq!(cancelled() - before, 4);
}

#[tokio::test]
async fn what_failed_is_cancelled_and_tried_again() {
    let bench = Bench::new(1).await.decided().await;
    let at_home = [bootstrap(0)];
    let told = bench.check_in(&bench.says(0, &at_home)).await;
    let What::Move { order, to, .. } = told.what else { panic!("{told:?}") };
    let mut said = bench.says(0, &at_home);
    said.ended =
        Some(MoveEnded { order: order.clone(), ending: Ending::NotInstalled { why: "no answer".into() } });
    let told = bench.check_in(&said).await;
    assert_eq!(told.what, What::Nothing);
    assert_eq!(told.next_check_in, at("2026-10-29T09:00:00Z"), "an hour after a try that failed");
    bench.platform.due().await.unwrap();
    assert_eq!(bench.sm_dp.order(to.iccid().unwrap()), Stands::Cancelled);

    bench.later(1);
    let told = bench.check_in(&bench.says(0, &at_home)).await;
    let What::Move { order: second, to, .. } = told.what else { panic!("{told:?}") };
    assert_ne!(order, second);
    assert_eq!(bench.sm_dp.order(to.iccid().unwrap()), Stands::Released);
    assert!(bench.events.all().iter().any(|event| event.function == "MoveEnded"));
}

#[tokio::test]
async fn a_profile_that_was_handed_out_and_is_on_no_card_is_downloaded_once_more() {
    let bench = Bench::new(1).await.decided().await;
    let at_home = [bootstrap(0)];
    let told = bench.check_in(&bench.says(0, &at_home)).await;
    let What::Move { order, to, .. } = told.what else { panic!("{told:?}") };
    bench.sm_dp.set(to.iccid().unwrap(), Stands::Downloaded);
    let mut said = bench.says(0, &at_home);
    said.ended = Some(MoveEnded { order, ending: Ending::NotInstalled { why: "power cut".into() } });
    bench.check_in(&said).await;
    bench.platform.due().await.unwrap();
    let trail = bench.device(0).await.trail;
    let last = trail.entries().last().unwrap().happening.to_string();
    assert!(last.contains("cannot be cancelled"), "{last}");

    bench.later(1);
    let told = bench.check_in(&bench.says(0, &at_home)).await;
    assert!(matches!(told.what, What::Move { to: same, .. } if same == to));
}

/// The profile is British; in Brazil its card is a subscriber of a Brazilian network.
#[tokio::test]
async fn who_is_registered_as_a_subscriber_of_the_country_is_at_home_there_and_does_not_move() {
    let bench = Bench::new(1).await.decided().await;
    let book = RuleBook::built_in().unwrap();
    let mut device = bench.device(0).await;
    device.connection.identities.push(Identity { operator: book.locate(plmn(LOCAL)).unwrap() });
    bench.put(&device).await;
    let as_whom = |network: &str| format!("{}0000000001", network.replace('-', "")).parse::<Imsi>().unwrap();
    let says = |imsi: &str| {
        let mut said = bench.says(0, &[bootstrap(0)]);
        said.registered.as_mut().unwrap().imsi = Some(as_whom(imsi));
        said
    };
    let told = bench.check_in(&says(LOCAL)).await;
    assert_eq!(told.what, What::Nothing);
    let device = bench.device(0).await;
    assert_eq!(device.imsi, Some(as_whom(LOCAL)));
    let stays = device.connection.history.stays();
    let homes: Vec<_> = stays.iter().map(|stay| stay.home_network.unwrap().to_string()).collect();
    assert_eq!(homes, [HOME, LOCAL], "the days before were a foreigner's, those from now on are not");
    assert!(device.trail.entries().iter().all(|entry| !matches!(entry.happening, Happening::Found(_))));

    // Its applet has gone back: it is a foreigner again, and for the rules it has been one all the time.
    let told = bench.check_in(&says(HOME)).await;
    assert!(matches!(told.what, What::Move { .. }), "{told:?}");

    // Somebody whom nobody has recorded.
    let said = says("722-07");
    bench.check_in(&said).await;
    let device = bench.device(0).await;
    let last = device.connection.history.stays().last().unwrap();
    assert_eq!((last.home.to_string().as_str(), last.home_network), ("AR", None));
    let found = device.trail.entries().last().unwrap().happening.to_string();
    assert!(found.contains("registered as IMSI 722070000000001, which is no identity"), "{found}");
}

#[tokio::test]
async fn a_campaign_to_a_network_leaves_those_alone_who_are_its_subscribers_by_an_identity() {
    let bench = Bench::new(1).await;
    let mut device = bench.device(0).await;
    let local = RuleBook::built_in().unwrap().locate(plmn(LOCAL)).unwrap();
    device.connection.identities.push(Identity { operator: local });
    bench.put(&device).await;
    let id = "to-it".parse().unwrap();
    let target = Destination::Network(plmn(LOCAL));
    let spec = Spec { target, standing: false, ..Spec::decided(id) };
    bench.run(&spec).await;
    let mut said = bench.says(0, &[bootstrap(0)]);
    said.registered.as_mut().unwrap().imsi = format!("{}0000000001", LOCAL.replace('-', "")).parse().ok();
    assert_eq!(bench.check_in(&said).await.what, What::Nothing);
}
