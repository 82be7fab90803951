//! An operator that brings its profiles itself (SGP.02): the platform calls nobody, and says what it wants to who acts for the device.

use std::{collections::BTreeMap, sync::Arc};

use fleet::{
    CheckIn, Discrepancy, Ending, Happening, MoveEnded, ORDERS, OrderId, Setup, State, Supplier, Target, What,
};
use localize::{Orderable, Role};
use rsp::ids::Iccid;
use world::Tx;

use crate::bench::{Bench, HOME, LOCAL, SmDp, bootstrap, campaign, iccid, plmn, setup};

/// The profile that the operator picks.
const ITS: u32 = 500;

fn its() -> Iccid {
    iccid(ITS)
}

/// The local operator brings its profiles itself.
fn brought(sm_dp: &SmDp) -> Setup {
    Setup { suppliers: BTreeMap::from([(plmn(LOCAL), Supplier::Operator)]), ..setup(sm_dp) }
}

async fn bench() -> Bench {
    let bench = restarted(&Bench::new(1).await, 1);
    bench.decided().await
}

/// Another process of the platform, on the same records.
pub(crate) fn restarted(bench: &Bench, life: u32) -> Bench {
    let (records, setup) = (Arc::clone(&bench.records), brought(&bench.sm_dp));
    Bench::set_up(records, bench.clock.clone(), bench.sm_dp.clone(), life, setup)
}

/// What is said for the device: the first of these profiles is in use, and each has its home network.
fn says(bench: &Bench, profiles: &[Iccid], ended: Option<(&OrderId, Ending)>) -> CheckIn {
    let mut said = bench.says(0, profiles);
    for profile in said.profiles.iter_mut().flatten() {
        profile.home = Some(plmn(if profile.iccid == its() { LOCAL } else { HOME }));
    }
    said.ended = ended.map(|(order, ending)| MoveEnded { order: order.clone(), ending });
    said
}

async fn told_to_move(bench: &Bench, said: &CheckIn) -> (OrderId, Target) {
    match bench.check_in(said).await.what {
        What::Move { order, to, .. } => (order, to),
        What::Nothing => panic!("nothing is to be done"),
    }
}

async fn found(bench: &Bench) -> Vec<Discrepancy> {
    let trail = bench.device(0).await.trail;
    let found = trail.entries().iter().filter_map(|entry| match &entry.happening {
        Happening::Found(found) => Some(found.clone()),
        _ => None,
    });
    found.collect()
}

#[tokio::test]
async fn the_operator_is_to_bring_a_profile_and_the_same_order_is_the_same_move_in_every_life() {
    let bench = bench().await;
    let at_home = says(&bench, &[bootstrap(0)], None);
    let (order, to) = told_to_move(&bench, &at_home).await;
    let Target::Order { operator, what: Orderable::ProfileType(kind) } = &to else { panic!("{to:?}") };
    assert_eq!((operator, kind.0.as_str()), (&plmn(LOCAL), "local-br"));

    let bench = restarted(&bench, 2);
    assert_eq!(told_to_move(&bench, &at_home).await, (order.clone(), to));
    let bench = restarted(&bench, 3);
    let moved = says(&bench, &[its(), bootstrap(0)], Some((&order, Ending::Moved)));
    assert_eq!(bench.check_in(&moved).await.what, What::Nothing);
    assert_eq!(bench.check_in(&moved).await.what, What::Nothing, "its answer was lost");

    let device = bench.device(0).await;
    assert_eq!((device.state, device.tally.moved), (State::Working, 1));
    let held = device.connection.held.iter().find(|held| held.iccid == its()).unwrap();
    assert_eq!((held.home.plmn, held.role), (plmn(LOCAL), Role::Local));
    assert_eq!(found(&bench).await, [], "it was to be expected");
    assert!(bench.sm_dp.0.lock().unwrap().calls.is_empty());
    assert!(Tx::begin(&*bench.records).glance(&ORDERS, "").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_profile_that_was_brought_and_did_not_carry_is_enabled_the_next_time() {
    let bench = Bench::new(1).await;
    let bench = restarted(&bench, 1);
    let mut spec = campaign("c");
    spec.retries.times = 1;
    bench.run(&spec).await;
    let (order, _) = told_to_move(&bench, &says(&bench, &[bootstrap(0)], None)).await;
    let ending = Ending::CameBack { why: "the network refuses it".into() };
    let back = says(&bench, &[bootstrap(0), its()], Some((&order, ending)));
    assert_eq!(bench.check_in(&back).await.what, What::Nothing);
    assert_eq!(bench.device(0).await.tally.came_back, 1);

    bench.later(1);
    let (again, to) = told_to_move(&bench, &says(&bench, &[bootstrap(0), its()], None)).await;
    assert_ne!(again, order);
    assert_eq!(to, Target::Enable(its()));

    // It says nothing of the end, which is seen nevertheless.
    let there = says(&bench, &[its(), bootstrap(0)], None);
    assert_eq!(bench.check_in(&there).await.what, What::Nothing);
    assert_eq!(found(&bench).await, [Discrepancy::Unreported { iccid: its() }]);

    // The card has fallen back by itself, and is no longer where it was.
    bench.check_in(&says(&bench, &[bootstrap(0), its()], None)).await;
    assert_eq!(found(&bench).await[1..], [Discrepancy::OtherEnabled { iccid: Some(bootstrap(0)) }]);
}

#[tokio::test]
async fn what_was_not_brought_is_ordered_again() {
    let bench = bench().await;
    let at_home = [bootstrap(0)];
    let mut ends = [Ending::NotInstalled { why: "none is left".into() }, Ending::Moved].into_iter();
    // The second says that it moved, and its card has no such profile.
    for hours in [1, 2] {
        let (order, to) = told_to_move(&bench, &says(&bench, &at_home, None)).await;
        assert!(matches!(to, Target::Order { .. }), "{to:?}");
        let ended = says(&bench, &at_home, Some((&order, ends.next().unwrap())));
        assert_eq!(bench.check_in(&ended).await.what, What::Nothing);
        bench.later(hours);
    }
    let progress = bench.platform.campaigns().await.unwrap()[0].progress;
    assert_eq!((progress.begun, progress.moved, progress.not_installed), (2, 0, 2));
    assert!(matches!(told_to_move(&bench, &says(&bench, &at_home, None)).await.1, Target::Order { .. }));
}
