//! Tests with an operator that supplies its profiles itself (SGP.02). The platform calls no server
//! and instructs the M2M agent of the device instead.

use std::{collections::BTreeMap, sync::Arc};

use fleet::{
    Action, CheckIn, DeviceEvent, Discrepancy, Ending, MoveEnded, MoveId, ORDERS, Setup, State, Supplier,
    Target,
};
use localize::{Orderable, Role};
use rsp::ids::Iccid;
use world::Tx;

use crate::testbed::{HOME, LOCAL, SmDp, Testbed, bootstrap, campaign, iccid, plmn, setup};

/// The number of the profile that the operator chooses.
const ITS: u32 = 500;

fn chosen_profile() -> Iccid {
    iccid(ITS)
}

/// A configuration in which the local operator supplies its profiles itself.
fn brought(sm_dp: &SmDp) -> Setup {
    Setup { suppliers: BTreeMap::from([(plmn(LOCAL), Supplier::Operator)]), ..setup(sm_dp) }
}

async fn testbed() -> Testbed {
    let testbed = restarted(&Testbed::new(1).await, 1);
    testbed.decided().await
}

/// Another process of the platform on the same records.
pub(crate) fn restarted(testbed: &Testbed, process: u32) -> Testbed {
    let (records, setup) = (Arc::clone(&testbed.records), brought(&testbed.sm_dp));
    Testbed::set_up(records, testbed.clock.clone(), testbed.sm_dp.clone(), process, setup)
}

/// A check-in of the M2M agent: the first of these profiles is enabled, and each has its home
/// network.
fn check_in_of(testbed: &Testbed, profiles: &[Iccid], ended: Option<(&MoveId, Ending)>) -> CheckIn {
    let mut report = testbed.check_in_of(0, profiles);
    for profile in report.profiles.iter_mut().flatten() {
        profile.home = Some(plmn(if profile.iccid == chosen_profile() { LOCAL } else { HOME }));
    }
    report.ended = ended.map(|(order, ending)| MoveEnded { order: order.clone(), ending });
    report
}

async fn instructed_move(testbed: &Testbed, report: &CheckIn) -> (MoveId, Target) {
    match testbed.check_in(report).await.what {
        Action::Move { order, to, .. } => (order, to),
        Action::Nothing => panic!("the device got no move"),
    }
}

async fn found(testbed: &Testbed) -> Vec<Discrepancy> {
    let trail = testbed.device(0).await.trail;
    let found = trail.entries().iter().filter_map(|entry| match &entry.event {
        DeviceEvent::Found(found) => Some(found.clone()),
        _ => None,
    });
    found.collect()
}

#[tokio::test]
async fn an_operator_supplies_a_profile_and_restarts_keep_the_move() {
    let testbed = testbed().await;
    let at_home = check_in_of(&testbed, &[bootstrap(0)], None);
    let (order, to) = instructed_move(&testbed, &at_home).await;
    let Target::Order { operator, what: Orderable::ProfileType(kind) } = &to else { panic!("{to:?}") };
    assert_eq!((operator, kind.0.as_str()), (&plmn(LOCAL), "local-br"));

    let testbed = restarted(&testbed, 2);
    assert_eq!(instructed_move(&testbed, &at_home).await, (order.clone(), to));
    let testbed = restarted(&testbed, 3);
    let moved = check_in_of(&testbed, &[chosen_profile(), bootstrap(0)], Some((&order, Ending::Moved)));
    assert_eq!(testbed.check_in(&moved).await.what, Action::Nothing);
    assert_eq!(testbed.check_in(&moved).await.what, Action::Nothing, "the answer was lost");

    let device = testbed.device(0).await;
    assert_eq!((device.state, device.tally.moved), (State::Working, 1));
    let held = device.connection.held.iter().find(|held| held.iccid == chosen_profile()).unwrap();
    assert_eq!((held.home.plmn, held.role), (plmn(LOCAL), Role::Local));
    assert_eq!(found(&testbed).await, [], "the profile was expected");
    assert!(testbed.sm_dp.0.lock().unwrap().calls.is_empty());
    assert!(Tx::begin(&*testbed.records).peek_list(&ORDERS, "").await.unwrap().is_empty());
}

/// The agent reports the end of the move and cannot list the profiles.
#[tokio::test]
async fn the_end_of_a_move_is_believed_if_the_profiles_are_unknown() {
    let testbed = testbed().await;
    let (order, _) = instructed_move(&testbed, &check_in_of(&testbed, &[bootstrap(0)], None)).await;
    let moved = check_in_of(&testbed, &[], Some((&order, Ending::Moved)));
    testbed.check_in(&CheckIn { profiles: None, ..moved }).await;
    let tally = testbed.device(0).await.tally;
    assert_eq!((tally.moved, tally.not_installed), (1, 0));
}

#[tokio::test]
async fn a_profile_that_had_no_service_is_enabled_again_in_the_next_attempt() {
    let testbed = Testbed::new(1).await;
    let testbed = restarted(&testbed, 1);
    let mut spec = campaign("c");
    spec.retries.times = 1;
    testbed.run(&spec).await;
    let (order, _) = instructed_move(&testbed, &check_in_of(&testbed, &[bootstrap(0)], None)).await;
    let ending = Ending::CameBack { why: "the network refuses it".into() };
    let back = check_in_of(&testbed, &[bootstrap(0), chosen_profile()], Some((&order, ending)));
    assert_eq!(testbed.check_in(&back).await.what, Action::Nothing);
    assert_eq!(testbed.device(0).await.tally.came_back, 1);

    testbed.later(1);
    let (again, to) =
        instructed_move(&testbed, &check_in_of(&testbed, &[bootstrap(0), chosen_profile()], None)).await;
    assert_ne!(again, order);
    assert_eq!(to, Target::Enable(chosen_profile()));

    // The device does not report the end of the move, but the platform detects it.
    let there = check_in_of(&testbed, &[chosen_profile(), bootstrap(0)], None);
    assert_eq!(testbed.check_in(&there).await.what, Action::Nothing);
    assert_eq!(found(&testbed).await, [Discrepancy::Unreported { iccid: chosen_profile() }]);

    // The card has fallen back on its own.
    testbed.check_in(&check_in_of(&testbed, &[bootstrap(0), chosen_profile()], None)).await;
    assert_eq!(found(&testbed).await[1..], [Discrepancy::OtherEnabled { iccid: Some(bootstrap(0)) }]);
}

#[tokio::test]
async fn a_missing_profile_is_ordered_again() {
    let testbed = testbed().await;
    let at_home = [bootstrap(0)];
    let mut ends = [Ending::NotInstalled { why: "none is left".into() }, Ending::Moved].into_iter();
    // The second attempt is reported as successful, but the card does not have the profile.
    for hours in [1, 2] {
        let (order, to) = instructed_move(&testbed, &check_in_of(&testbed, &at_home, None)).await;
        assert!(matches!(to, Target::Order { .. }), "{to:?}");
        let ended = check_in_of(&testbed, &at_home, Some((&order, ends.next().unwrap())));
        assert_eq!(testbed.check_in(&ended).await.what, Action::Nothing);
        testbed.later(hours);
    }
    let progress = testbed.platform.campaigns().await.unwrap()[0].progress;
    assert_eq!((progress.begun, progress.moved, progress.not_installed), (2, 0, 2));
    assert!(matches!(
        instructed_move(&testbed, &check_in_of(&testbed, &at_home, None)).await.1,
        Target::Order { .. }
    ));
}
