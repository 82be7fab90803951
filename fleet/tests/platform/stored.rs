//! Tests that the records of each release can be read. `tests/stored` has a fixture for each stored
//! form.

use std::{path::PathBuf, sync::Arc};

use fleet::{CAMPAIGNS, Device, MEMBERS, MOVES, ORDERS, OrderStep, State, Tally};
use world::{Collection, Tx};

use crate::{
    stored_records::{Fixture, NamedRecords, file},
    testbed::{Agent, LOCAL, MoveResult, Testbed, at, campaign, eid, iccid, plmn},
};

fn path() -> PathBuf {
    file(env!("CARGO_MANIFEST_DIR"), "0.1.json")
}

/// Writes the fixture: a campaign with one device that has moved, one that moves, one with an order
/// that the SM-DP+ has not received, and one that is retired.
async fn regenerate() {
    let records = NamedRecords::default();
    let testbed = Testbed::new_in(Arc::new(records.clone()), 4).await;
    testbed.run(&campaign("c")).await;
    testbed.platform.retire(eid(3)).await.unwrap();
    assert_eq!(Agent::new(0).settle(&testbed, MoveResult::Moves).await, 1);
    Agent::new(1).wake(&testbed, MoveResult::Vanishes).await.unwrap();
    testbed.sm_dp.0.lock().unwrap().unreachable = true;
    Agent::new(2).wake(&testbed, MoveResult::Vanishes).await.unwrap();
    records.regenerate(&path()).await;
}

#[tokio::test]
async fn the_records_of_each_release_can_be_read() {
    regenerate().await;
    let mut fixture = Fixture::read(&path());
    let records = fixture.records().await;

    let fleet = fleet::load(&records).await.unwrap();
    let states: Vec<State> = fleet.devices().iter().map(|device| device.state.clone()).collect();
    let since = at("2026-10-29T08:00:00Z");
    let moving = State::Moving { to: plmn(LOCAL), since };
    assert_eq!(states, [State::Working, moving.clone(), moving, State::Retired { since }]);
    let moved = fleet.device(eid(0)).unwrap();
    assert_eq!(moved.tally, Tally { moved: 1, ..Tally::default() });
    assert_eq!(moved.last_seen, Some(since));
    assert_eq!(moved.connection.held.len(), 2);
    assert_eq!(moved.trail.entries().len(), 2);

    let tx = Tx::begin(&records);
    let orders = tx.peek_list(&ORDERS, "").await.unwrap();
    let steps: Vec<&OrderStep> = orders.iter().map(|(_, order)| &order.step).collect();
    assert!(
        matches!(steps[..], [
            OrderStep::Fulfilled { iccid: first },
            OrderStep::Released { iccid: second, .. },
            OrderStep::Reserving { unwanted: false, .. },
        ] if (*first, *second) == (iccid(100), iccid(101))),
        "{steps:?}"
    );
    assert_eq!(fleet::violations(&records).await.unwrap(), [] as [String; 0]);

    fixture.check(&Collection::<Device>::new("devices")).await;
    fixture.check(&MOVES).await;
    fixture.check(&ORDERS).await;
    fixture.check(&CAMPAIGNS).await;
    fixture.check(&MEMBERS).await;
    fixture.all_checked();
}
