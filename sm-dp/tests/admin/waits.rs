//! Tests of the latest entry, and of requests that wait for one.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use sm_dp::ProfileOptions;
use tokio::time::Instant;

use crate::support::{self, ICCID, OTHER_ICCID, Testbed};
use crate::{Api, new_profile};

/// Time is paused and advances only if nothing else can happen. A wait that takes no time was woken.
#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_the_order_that_matches() {
    let testbed = Testbed::new();
    let (api, begun) = (Api::of(&testbed).await, Instant::now());
    for iccid in [ICCID, OTHER_ICCID] {
        api.post("/admin/v1/stock", new_profile(iccid)).await;
    }
    let place = async {
        api.post("/admin/v1/orders", json!({ "iccid": ICCID, "matchingId": "A" })).await;
        api.post("/admin/v1/orders", json!({ "iccid": OTHER_ICCID, "matchingId": "B" })).await;
    };
    let (found, ()) = tokio::join!(api.get("/admin/v1/orders/wait?matchingId=B&timeout=60s"), place);
    assert_eq!(found["iccid"], OTHER_ICCID);
    // An order that matches already is returned at once; with its revision the next change.
    assert_eq!(api.get("/admin/v1/orders/wait?state=Released").await["iccid"], ICCID);
    assert_eq!(api.get("/admin/v1/orders/latest").await, found);
    let change = async {
        api.delete(&format!("/admin/v1/orders/{ICCID}")).await;
        api.post(
            "/admin/v1/orders",
            json!({ "iccid": ICCID, "state": "Error", "expires": "2026-01-01T00:00:00Z" }),
        )
        .await;
    };
    let target = format!("/admin/v1/orders/wait?after={}", found["revision"]);
    let (next, ()) = tokio::join!(api.get(&target), change);
    assert_eq!((&next["iccid"], &next["state"]), (&json!(ICCID), &json!("Error")));
    assert!(next["revision"].as_u64() > found["revision"].as_u64());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn waits_for_a_session_a_notification_and_an_event_end_during_a_download() {
    let testbed = Testbed::new();
    let (api, begun) = (Api::of(&testbed).await, Instant::now());
    for resource in ["sessions", "notifications", "events"] {
        let (status, _) = api.call(Method::GET, &format!("/admin/v1/{resource}/latest"), None).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{resource}");
    }
    let euicc = testbed.euicc();
    let download = async {
        let code = testbed.released(&ProfileOptions::default()).await;
        let (download, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
        tokio::task::yield_now().await;
        let result = euicc.result(&download, ICCID.parse().unwrap(), true);
        assert_eq!(support::euicc::notify(&testbed.server, euicc.signed_result(result)).await, 204);
    };
    let session = format!("/admin/v1/sessions/wait?eid={}", euicc.eid);
    let notification =
        format!("/admin/v1/notifications/wait?eid={}&operation=installation%20result", euicc.eid);
    let (session, notification, event, installed, ()) = tokio::join!(
        api.get(&session),
        api.get(&notification),
        api.get("/admin/v1/events/wait?function=GetBoundProfilePackage&outcome=done"),
        api.get("/admin/v1/orders/wait?state=Installed"),
        download
    );
    assert_eq!(session["iccid"], ICCID);
    assert_eq!(api.get("/admin/v1/sessions/latest").await["iccid"], ICCID);
    assert_eq!(notification["told"], "installation result");
    assert_eq!((&event["interface"], &event["outcome"]["result"]), (&json!("ES9+"), &json!("done")));
    assert_eq!(installed["iccid"], ICCID);
    assert_eq!(api.get("/admin/v1/events/latest?function=GetBoundProfilePackage").await, event);
    assert_eq!(api.get("/admin/v1/notifications/latest").await, notification);
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_without_content_after_its_timeout_and_when_the_server_stops() {
    let testbed = Testbed::new();
    let (api, begun) = (Api::of(&testbed).await, Instant::now());
    let wait = async |timeout: &str| {
        let target = format!("/admin/v1/events/wait?timeout={timeout}");
        api.call(Method::GET, &target, None).await.0
    };
    assert_eq!(wait("2s").await, StatusCode::NO_CONTENT);
    assert!((2000..2010).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    let begun = Instant::now();
    let (ended, ()) = tokio::join!(wait("60s"), async { testbed.server.end_waits() });
    assert_eq!((ended, begun.elapsed()), (StatusCode::NO_CONTENT, Duration::ZERO));
}
