//! Tests of pages and filters of lists, and of requests that wait.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use rsp_server::api::next_page;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    api::Api,
    testbed::{Agent, LOCAL, MoveResult, Testbed, bootstrap, campaign, eid},
};

/// Returns the EIDs of all pages of a list.
async fn eids(api: &Api, target: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut next = Some(target.to_owned());
    while let Some(target) = next {
        let response =
            world::send(&api.link, Request::get(target).body(Bytes::new()).unwrap()).await.unwrap();
        let page: Vec<Value> = serde_json::from_slice(response.body()).unwrap();
        found.extend(page.iter().map(|element| element["eid"].clone()));
        next = next_page(response.headers()).map(str::to_owned);
    }
    found
}

#[tokio::test]
async fn devices_decisions_and_moves_are_listed_in_pages() {
    let testbed = Testbed::new(5).await;
    let api = Api::of(&testbed).await;
    let all: Vec<Value> = (0..5).map(|number| json!(eid(number))).collect();
    for target in ["/v1/devices?limit=2&country=BR", "/v1/decisions?limit=2", "/v1/devices"] {
        assert_eq!(eids(&api, target).await, all, "{target}");
    }
    assert_eq!(api.get("/v1/devices?limit=1").await.as_array().unwrap().len(), 1);
    testbed.run(&campaign("c")).await;
    for number in 0..3 {
        testbed.check_in(&testbed.check_in_of(number, &[bootstrap(number)])).await;
    }
    assert_eq!(eids(&api, "/v1/moves?limit=1").await, all[..3]);
    assert_eq!(api.get("/v1/moves/latest").await["eid"], all[2]);
    for (query, expected) in [
        (format!("carrier={LOCAL}&country=BR&campaign=c"), 3),
        ("country=DE".to_owned(), 0),
        ("carrier=262-01".to_owned(), 0),
        ("campaign=d".to_owned(), 0),
        (format!("eid={}", eid(1)), 1),
    ] {
        assert_eq!(eids(&api, &format!("/v1/moves?{query}")).await.len(), expected, "{query}");
    }
    assert_eq!(api.get("/v1/campaigns?state=done").await, json!([]));
    assert_eq!(api.get("/v1/campaigns?state=running").await.as_array().unwrap().len(), 1);
}

/// Time is paused and advances only if nothing else can happen. A wait that takes no time was woken.
#[tokio::test(start_paused = true)]
async fn waits_for_a_check_in_a_move_and_its_end_are_woken() {
    let testbed = Testbed::new(1).await;
    let (api, begun) = (Api::of(&testbed).await, Instant::now());
    for latest in ["/v1/events/latest?function=CheckIn", "/v1/moves/latest"] {
        assert_eq!(api.call(Method::GET, latest, None).await.0, StatusCode::NO_CONTENT, "{latest}");
    }
    testbed.run(&campaign("c")).await;
    let mut device = Agent::new(0);
    let check_in = format!("/v1/events/wait?function=CheckIn&peer={}", eid(0));
    let (check_in, open, ended, _) = tokio::join!(
        api.get(&check_in),
        api.get("/v1/moves/wait?campaign=c"),
        api.get("/v1/events/wait?function=MoveEnded&outcome=done&timeout=60s"),
        async {
            device.wake(&testbed, MoveResult::Moves).await.unwrap();
            tokio::task::yield_now().await;
            device.settle(&testbed, MoveResult::Moves).await
        },
    );
    assert_eq!((&check_in["peer"], &open["eid"]), (&json!(eid(0)), &json!(eid(0))));
    assert_eq!(check_in["note"], format!("move {}", open["id"].as_str().unwrap()));
    assert_eq!(ended["peer"], json!(eid(0)));
    let last = api.get("/v1/events/latest?function=CheckIn").await;
    assert!(last["number"].as_u64() > check_in["number"].as_u64());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_when_the_platform_stops() {
    let testbed = Testbed::new(0).await;
    let (api, begun) = (Api::of(&testbed).await, Instant::now());
    let wait = api.call(Method::GET, "/v1/moves/wait?timeout=60s", None);
    let ((status, _), ()) = tokio::join!(wait, async { testbed.platform.end_waits() });
    assert_eq!((status, begun.elapsed()), (StatusCode::NO_CONTENT, Duration::ZERO));
}
