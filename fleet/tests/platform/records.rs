//! Tests of stored records: the record that states that a device is moving, and records of an
//! earlier form.

use fleet::{
    Device, ImportError, MOVES, State,
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
    let key = eid(0).to_string();
    let delete = |tx: &mut Tx<'_>| tx.delete(&MOVES, &key);
    transact(&*testbed.records, |tx| {
        delete(tx);
        Box::pin(async { Ok(()) })
    })
    .await
    .unwrap();
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
            _ => {
                let all = Collection::<Value>::new(collection);
                let delete = |tx: &mut Tx<'_>| tx.delete(&all, &key);
                transact(&*testbed.records, |tx| {
                    delete(tx);
                    Box::pin(async { Ok(()) })
                })
                .await
                .unwrap();
            }
        }
    }
}
