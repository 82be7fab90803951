//! Tests of stored records: the record that states that a device is moving, and records of an
//! earlier form.

use fleet::{
    Device, ImportError, MOVES, ORDERS, State,
    files::{Rows, export, read_devices},
};
use localize::RuleBook;
use serde_json::{Value, json};
use world::{Collection, Tx, transact};

use crate::testbed::{Agent, MoveResult, Testbed, bootstrap, campaign, eid};

async fn write(testbed: &Testbed, collection: &'static str, key: &str, record: &Value) {
    let collection = Collection::<Value>::new(collection);
    let put = |tx: &mut Tx<'_>| tx.put(&collection, key, record);
    transact(&*testbed.records, |tx| Box::pin(async move { put(tx) })).await.unwrap();
}

async fn delete(testbed: &Testbed, collection: &'static str, key: &str) {
    let collection = Collection::<Value>::new(collection);
    let delete = |tx: &mut Tx<'_>| tx.delete(&collection, key);
    transact(&*testbed.records, |tx| {
        delete(tx);
        Box::pin(async { Ok(()) })
    })
    .await
    .unwrap();
}

async fn stored(testbed: &Testbed) -> Value {
    let devices =
        Tx::begin(&*testbed.records).peek_list(&Collection::<Value>::new("devices"), "").await.unwrap();
    devices.into_iter().next().unwrap().1
}

async fn import(testbed: &Testbed, state: &str) -> Result<Device, ImportError> {
    let mut rows = Rows::default();
    let text = format!("eid,state\n{},{state}\n", eid(0));
    read_devices(&mut rows, "d.csv", text.as_bytes(), &RuleBook::built_in().unwrap()).unwrap();
    fleet::import(&*testbed.records, &rows, testbed.now(), false).await?;
    Ok(testbed.device(0).await)
}

#[tokio::test]
async fn only_the_record_of_an_open_move_makes_a_device_moving() {
    let testbed = Testbed::new(1).await;
    testbed.run(&campaign("c")).await;
    Agent::new(0).wake(&testbed, MoveResult::Moves).await.unwrap();
    assert!(matches!(testbed.device(0).await.state, State::Moving { .. }));
    assert_eq!(stored(&testbed).await["state"], json!({ "is": "working" }));
    delete(&testbed, MOVES.name(), &eid(0).to_string()).await;
    assert_eq!(testbed.device(0).await.state, State::Working);
}

#[tokio::test]
async fn a_csv_file_neither_starts_nor_ends_a_move() {
    let testbed = Testbed::new(1).await;
    let moving = "moving 724-02 2026-10-01T00:00:00Z";
    assert_eq!(import(&testbed, moving).await.unwrap().state, State::Working);
    testbed.run(&campaign("c")).await;
    Agent::new(0).wake(&testbed, MoveResult::Moves).await.unwrap();
    for state in ["working", "unreachable 2026-10-01T00:00:00Z", moving] {
        let device = import(&testbed, state).await.unwrap();
        assert!(matches!(device.state, State::Moving { .. }), "{state}: {:?}", device.state);
    }
    let Err(ImportError::BadRows(bad)) = import(&testbed, "retired 2026-10-01T00:00:00Z").await else {
        panic!("a device with an open move was retired")
    };
    assert!(bad[0].to_string().contains("is moving; retire it with `landfall fleet retire`"), "{}", bad[0]);
    // An exported state is valid as an import.
    let exported = String::from_utf8(export([&testbed.device(0).await]).unwrap().devices).unwrap();
    assert!(exported.contains(",moving 724-02 "), "{exported}");
    assert_eq!(fleet::violations(&*testbed.records).await.unwrap(), [] as [String; 0]);
}

/// Changes the first record whose key has this prefix, as RFC 7396 describes. Deletes it if the
/// patch is null.
async fn patch(testbed: &Testbed, (collection, prefix, patch): (&'static str, &str, Value)) {
    fn merge(record: &mut Value, patch: Value) {
        match (record, patch) {
            (Value::Object(fields), Value::Object(changes)) => {
                for (name, change) in changes {
                    merge(fields.entry(name).or_insert(Value::Null), change);
                }
            }
            (record, patch) => *record = patch,
        }
    }
    let all = Collection::<Value>::new(collection);
    let found = Tx::begin(&*testbed.records).peek_list(&all, prefix).await.unwrap();
    let (key, mut record) = found.into_iter().next().unwrap();
    merge(&mut record, patch);
    match record {
        Value::Null => delete(testbed, collection, &key).await,
        record => write(testbed, collection, &key, &record).await,
    }
}

#[tokio::test]
async fn contradictory_records_are_found() {
    let moving = async || {
        let testbed = Testbed::new(2).await;
        testbed.run(&campaign("c")).await;
        for number in 0..2 {
            assert!(Agent::new(number).wake(&testbed, MoveResult::Vanishes).await.unwrap());
        }
        testbed
    };
    let (zero, one) = (eid(0).to_string(), eid(1).to_string());
    let (member, time) = (format!("c/{zero}"), "2026-10-01T00:00:00Z");
    let orders = Tx::begin(&*moving().await.records).peek_list(&ORDERS, "").await.unwrap();
    let missing = format!("moves with order {}, which does not exist", orders[0].0);
    let (devices, moves, members) = ("devices", "moves", "campaign-devices");
    let (campaigns, profile_orders) = ("campaigns", "profile-orders");
    let (zero, member) = (zero.as_str(), member.as_str());
    let retired = (devices, zero, json!({ "state": { "is": "retired", "since": time } }));
    let goes_back = (campaigns, "c", json!({ "goes_back": true, "progress": { "to_roll_back": 2 } }));
    let back = (moves, zero, json!({ "direction": "back" }));
    let in_step = |step| (profile_orders, zero, json!({ "step": step }));
    let no_move = (moves, zero, Value::Null);
    let without_move = ["campaign c counts", "its mark as started does not match its attempts"];
    for (changes, expected) in [
        (vec![], vec![]),
        (vec![(devices, zero, Value::Null)], vec!["is not part of the fleet"]),
        (
            vec![(devices, zero, json!({ "state": { "is": "unreachable", "since": time } }))],
            vec!["has a move and is unreachable"],
        ),
        (
            vec![(members, member, json!({ "started": false }))],
            vec!["a campaign that has not started it", "campaign c counts", "its mark as started"],
        ),
        (vec![(campaigns, "c", json!({ "progress": { "begun": 7 } }))], vec!["campaign c counts"]),
        (
            vec![(members, member, json!({ "ended": { "lost": 1 } }))],
            vec!["campaign c counts", "the time of its last attempt"],
        ),
        (
            vec![(members, member, json!({ "last_ended": time }))],
            vec!["campaign c counts", "the time of its last attempt"],
        ),
        (vec![(members, member, json!({ "tries": 0 }))], vec!["it has a move and no attempt"]),
        (vec![back.clone()], vec!["moves back, but campaign c is not rolled back"]),
        (vec![goes_back.clone(), back], vec![]),
        (vec![retired.clone()], vec!["has a move and is retired"]),
        (vec![goes_back, retired], vec!["has a move and is retired", "the rollback of campaign c waits"]),
        (vec![(profile_orders, zero, Value::Null)], vec![missing.as_str()]),
        (
            vec![(profile_orders, zero, json!({ "eid": one }))],
            vec!["of device", "has the key of another device"],
        ),
        (vec![in_step(json!({ "is": "fulfilled" }))], vec!["which is Fulfilled"]),
        (vec![in_step(json!({ "is": "cancelling", "call": "1" }))], vec!["which is Cancelling"]),
        (
            vec![(moves, one.as_str(), json!({ "source": { "order": { "id": orders[0].0 } } }))],
            vec!["of device", "belongs to two moves"],
        ),
        (vec![no_move.clone()], without_move.into()),
        (
            vec![no_move.clone(), in_step(json!({ "is": "reserving", "call": "1", "unwanted": true }))],
            without_move.into(),
        ),
        (
            vec![no_move.clone(), in_step(json!({ "is": "reserving", "call": "1", "unwanted": false }))],
            [&["is in progress and belongs to no move"][..], &without_move].concat(),
        ),
        (
            vec![no_move, in_step(json!({ "is": "confirming", "call": "1" }))],
            [&["is in progress and belongs to no move"][..], &without_move].concat(),
        ),
    ] {
        let testbed = moving().await;
        for change in changes.clone() {
            patch(&testbed, change).await;
        }
        let found = fleet::violations(&*testbed.records).await.unwrap();
        let as_expected = found.iter().zip(&expected).all(|(found, words)| found.contains(words));
        assert!(found.len() == expected.len() && as_expected, "{changes:?}: {found:#?}");
    }
}

#[tokio::test]
async fn records_of_an_earlier_form_are_reported() {
    let testbed = Testbed::new(1).await;
    testbed.run(&campaign("c")).await;
    let mut device = stored(&testbed).await;
    let current = device.clone();
    device["state"] = json!({ "is": "moving", "to": "724-02", "since": "2026-10-01T00:00:00Z" });
    let open = json!({
        "order": "0011223344556677", "campaign": "c", "to": { "plmn": "724-02", "country": "BR" },
        "by": { "held": bootstrap(0) }, "fall_back_to": null, "rolls_back": false,
        "begun": "2026-10-01T00:00:00Z",
    });
    let member =
        json!({ "tries": 1, "state": { "is": "moving", "order": "0011223344556677" }, "started": true });
    let without_counts = json!({ "tries": 0, "state": { "is": "waiting" }, "started": false });
    let key = eid(0).to_string();
    for (collection, key, record, words) in [
        ("devices", key.clone(), &device, "as an earlier version wrote it"),
        ("moves", key.clone(), &open, "unknown field `by`"),
        ("campaign-devices", format!("c/{key}"), &member, "unknown variant `moving`"),
        ("campaign-devices", format!("c/{key}"), &without_counts, "missing field `ended`"),
    ] {
        write(&testbed, collection, &key, record).await;
        let report = testbed.check_in_of(0, &[bootstrap(0)]);
        let problem = testbed.platform.check_in(&report).await.unwrap_err();
        assert_eq!(problem.status.as_u16(), 500);
        let problem = problem.to_string();
        assert!(problem.contains(words) && problem.contains(collection), "{problem}");
        match collection {
            "devices" => write(&testbed, collection, &key, &current).await,
            _ => delete(&testbed, collection, &key).await,
        }
    }
}
