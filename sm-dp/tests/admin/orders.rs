//! Tests of orders in every state, and of presets.

use crypto::Curve;
use http::{Method, StatusCode};
use rsp::sgp22::es2plus::{ConfirmOrderReply, DownloadOrderReply, DownloadOrderRequest};
use rsp::status::Status;
use serde_json::{Value, json};
use sm_dp::ProfileState;
use sm_dp::admin::preset::{Ensured, NewOrder, NewProfile};

use crate::support::{ADDRESS, Expect, ICCID, OTHER_ICCID, PROFILE_TYPE, Testbed};
use crate::{Api, new_profile, post};

/// Places an order for the default profile.
async fn order(api: &Api, body: Value) -> Value {
    let mut order = json!({ "iccid": ICCID });
    order.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    api.post("/admin/v1/orders", order).await
}

#[tokio::test]
async fn a_placed_order_is_released_can_be_downloaded_and_can_be_ended() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    let target = format!("/admin/v1/orders/{ICCID}");
    let (status, _) = api.call(Method::GET, &target, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let placed = order(&api, json!({})).await;
    assert_eq!((&placed["iccid"], &placed["state"]), (&json!(ICCID), &json!("Released")));
    let matching_id = placed["matchingId"].as_str().unwrap();
    assert_eq!(placed["activationCode"], format!("LPA:1${ADDRESS}${matching_id}"));
    assert_eq!(placed["expires"], testbed.now().plus(sm_dp::config::ORDER_LIFETIME).to_string());
    assert_eq!(api.get(&target).await, placed);
    assert_eq!(api.get("/admin/v1/orders").await, json!([placed]));
    let shown = &api.get(&format!("/admin/v1/stock/{ICCID}")).await["order"];
    assert_eq!(shown["matchingId"], placed["matchingId"]);
    testbed.euicc().try_authenticate(&testbed.server, matching_id).await.done();
    assert_eq!(api.get(&target).await["downloadAttempts"], 1);
    api.delete(&target).await;
    assert_eq!(testbed.state().await, ProfileState::Available);
    let refused = testbed.euicc().try_authenticate(&testbed.server, matching_id).await.refused();
    assert_eq!(refused, Status::MatchingIdRefused);
    // The MatchingID can be used again.
    order(&api, json!({ "matchingId": matching_id })).await;
    testbed.euicc().try_authenticate(&testbed.server, matching_id).await.done();
}

#[tokio::test]
async fn an_lpa_gets_the_refusal_that_belongs_to_the_requested_state_of_the_order() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    let (euicc, other) = (testbed.euicc(), testbed.numbered_euicc(Curve::P256, 1));
    let (eid, other) = (euicc.eid.to_string(), other.eid.to_string());
    for (body, refusal) in [
        (json!({ "state": "Confirmed" }), Some(Status::ProfileNotReleased)),
        (json!({ "state": "Error" }), Some(Status::MatchingIdRefused)),
        (json!({ "state": "Unavailable" }), Some(Status::MatchingIdRefused)),
        (json!({ "state": "Installed", "eid": eid }), Some(Status::MatchingIdRefused)),
        (json!({ "state": "Downloaded", "eid": other }), Some(Status::EidNotAllowed)),
        (json!({ "state": "Downloaded", "eid": eid }), None),
        (json!({ "eid": other }), Some(Status::EidNotAllowed)),
        (json!({ "eid": eid }), None),
        (json!({ "expires": "2026-11-21T07:59:59Z" }), Some(Status::OrderExpired)),
        (json!({ "expires": "2026-11-21T08:00:01Z" }), None),
        (json!({ "downloadAttempts": 3, "maxDownloadAttempts": 3 }), Some(Status::DownloadAttemptsExceeded)),
        (json!({ "downloadAttempts": 2, "maxDownloadAttempts": 3 }), None),
        (json!({ "confirmationCode": "1234" }), None),
    ] {
        let mut body = body;
        body["matchingId"] = json!("OF-THE-TEST");
        order(&api, body.clone()).await;
        let answer = euicc.try_authenticate(&testbed.server, "OF-THE-TEST").await;
        match refusal {
            Some(refusal) => assert_eq!(answer.refused(), refusal, "{body}"),
            None => {
                let is_code_required = answer.done().smdp_signed2.cc_required_flag;
                assert_eq!(is_code_required, body.get("confirmationCode").is_some(), "{body}");
            }
        }
        api.delete(&format!("/admin/v1/orders/{ICCID}")).await;
    }
    order(&api, json!({ "eid": eid, "matchingId": "" })).await;
    euicc.try_authenticate(&testbed.server, "").await.done();
}

/// The operator continues from the state that the API has set.
#[tokio::test]
async fn an_order_placed_for_an_operator_belongs_to_it() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    let operator = testbed.operator();
    let iccid = ICCID.parse().unwrap();
    order(&api, json!({ "state": "Allocated", "requester": operator.identifier })).await;
    assert_eq!(testbed.state().await, ProfileState::Allocated);
    let mut confirmation = operator.confirmation(iccid);
    confirmation.release_flag = false;
    let confirmed: ConfirmOrderReply =
        operator.call(&testbed.server, "confirmOrder", &confirmation).await.done();
    assert_eq!(testbed.state().await, ProfileState::Confirmed);
    operator.release(&testbed.server, iccid).await.done();
    testbed.euicc().try_authenticate(&testbed.server, &confirmed.matching_id).await.done();
    api.delete(&format!("/admin/v1/orders/{ICCID}")).await;
    order(&api, json!({})).await;
    let refused = operator.release(&testbed.server, iccid).await.refused();
    assert_eq!(refused, Status::IccidNotAllowed);
}

#[tokio::test]
async fn a_reusable_order_can_be_downloaded_repeatedly() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    order(&api, json!({ "reusable": true, "matchingId": "AGAIN", "protection": "ProfileProtectionKeys" }))
        .await;
    for number in [0, 1] {
        let euicc = testbed.numbered_euicc(Curve::P256, number);
        let one_time = euicc.one_time_key();
        euicc.download(&testbed.server, "AGAIN", &one_time).await;
        assert_eq!(api.get(&format!("/admin/v1/orders/{ICCID}")).await["state"], "Released");
    }
}

#[tokio::test]
async fn orders_by_type_use_each_profile_once() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    for iccid in [ICCID, OTHER_ICCID] {
        api.post("/admin/v1/stock", new_profile(iccid)).await;
    }
    let by_type = json!({ "profileType": PROFILE_TYPE });
    let mut ordered = Vec::new();
    for _ in 0..2 {
        ordered.push(api.post("/admin/v1/orders", by_type.clone()).await["iccid"].clone());
    }
    ordered.sort_by_key(|iccid| iccid.to_string());
    assert_eq!(ordered, [ICCID, OTHER_ICCID]);
    let (status, problem) = api.call(Method::POST, "/admin/v1/orders", Some(by_type)).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
}

#[tokio::test]
async fn contradictory_and_conflicting_orders_are_refused() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    for iccid in [ICCID, OTHER_ICCID] {
        api.post("/admin/v1/stock", new_profile(iccid)).await;
    }
    let eid = testbed.euicc().eid.to_string();
    let bad = StatusCode::BAD_REQUEST;
    for (body, status, named) in [
        (json!({ "iccid": ICCID, "profileType": "test" }), bad, "either"),
        (json!({ "iccid": ICCID, "state": "Available" }), bad, "Available"),
        (json!({ "iccid": ICCID, "state": "Open" }), bad, "Open"),
        (json!({ "iccid": ICCID, "state": "Allocated", "eid": eid }), bad, "Linked"),
        (json!({ "iccid": ICCID, "state": "Allocated", "matchingId": "A" }), bad, "matchingId"),
        (json!({ "iccid": ICCID, "state": "Linked" }), bad, "eid"),
        (json!({ "iccid": ICCID, "state": "Downloaded" }), bad, "eid"),
        (json!({ "iccid": ICCID, "state": "Installed" }), bad, "eid"),
        (json!({ "iccid": ICCID, "state": "Error", "reusable": true }), bad, "reusable"),
        (json!({ "iccid": ICCID, "matchingId": "" }), bad, "eid"),
        (json!({ "iccid": ICCID, "matchingId": "a\nb" }), bad, "a\\nb"),
        (json!({ "iccid": ICCID, "matchingId": "A".repeat(256) }), bad, "256"),
        (json!({ "iccid": ICCID, "smdsAddress": "smds.example" }), bad, "eid"),
        (
            json!({ "iccid": ICCID, "smdsAddress": "smds.example", "eid": eid, "matchingId": "" }),
            bad,
            "matchingId",
        ),
        (
            json!({ "iccid": ICCID, "smdsAddress": "smds.example", "eid": eid, "state": "Linked" }),
            bad,
            "Linked",
        ),
        (json!({ "iccid": ICCID, "smdsAddress": "not an address", "eid": eid }), bad, "not an address"),
        (json!({ "iccid": ICCID, "expires": "tomorrow" }), bad, "tomorrow"),
        (json!({ "iccid": ICCID, "downloadAttempts": -1 }), bad, "-1"),
        (json!({ "iccid": "8949000000000000043" }), StatusCode::NOT_FOUND, "8949000000000000043"),
        (json!({ "profileType": "gold" }), StatusCode::CONFLICT, "gold"),
    ] {
        let why = api.refused(post("/admin/v1/orders", &body.to_string()), status).await;
        assert!(why.contains(named), "{body}: {why}");
    }
    assert_eq!(api.get("/admin/v1/orders").await, json!([]));
    order(&api, json!({ "matchingId": "TAKEN" })).await;
    for taken in [json!({ "iccid": ICCID }), json!({ "iccid": OTHER_ICCID, "matchingId": "TAKEN" })] {
        let (status, problem) = api.call(Method::POST, "/admin/v1/orders", Some(taken)).await;
        assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    }
}

#[tokio::test]
async fn installations_are_shown_with_the_profile() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    let eid = testbed.euicc().eid.to_string();
    order(&api, json!({ "state": "Installed", "eid": eid })).await;
    let shown = api.get(&format!("/admin/v1/stock/{ICCID}")).await;
    assert_eq!((&shown["state"], &shown["installedOn"]), (&json!("Installed"), &json!([eid])));
}

/// The repeated call must not get the stored reply, because its order no longer exists.
#[tokio::test]
async fn an_operator_can_repeat_a_call_whose_order_the_api_has_ended() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    let operator = testbed.operator();
    let call = DownloadOrderRequest {
        header: operator.header(),
        eid: None,
        iccid: Some(ICCID.parse().unwrap()),
        profile_type: None,
    };
    for _ in 0..2 {
        let _: DownloadOrderReply = operator.call(&testbed.server, "downloadOrder", &call).await.done();
        assert_eq!(testbed.state().await, ProfileState::Allocated);
        api.delete(&format!("/admin/v1/orders/{ICCID}")).await;
    }
}

#[tokio::test]
async fn removing_a_profile_removes_its_order() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    let eid = testbed.euicc().eid.to_string();
    for _ in 0..2 {
        api.post("/admin/v1/stock", new_profile(ICCID)).await;
        let placed = order(&api, json!({ "matchingId": "A", "eid": eid, "state": "Downloaded" })).await;
        assert_eq!(placed["handedTo"], eid);
        assert_eq!(api.get("/admin/v1/orders").await, json!([placed]));
        api.delete(&format!("/admin/v1/stock/{ICCID}")).await;
        assert_eq!(api.get("/admin/v1/orders").await, json!([]));
        // The MatchingID no longer leads to an order.
        let refused = testbed.euicc().try_authenticate(&testbed.server, "A").await.refused();
        assert_eq!(refused, Status::MatchingIdRefused);
    }
}

#[tokio::test]
async fn presets_leave_existing_entries_unchanged() {
    let testbed = Testbed::new();
    let server = &testbed.server;
    let new: NewProfile = serde_json::from_value(new_profile(ICCID)).unwrap();
    assert!(matches!(server.ensure_profile(&new).await.unwrap(), Ensured::Created(_)));
    let order: NewOrder = serde_json::from_value(json!({ "iccid": ICCID, "matchingId": "A" })).unwrap();
    assert!(matches!(server.ensure_order(&order).await.unwrap(), Ensured::Created(_)));
    let by_name = json!({ "profileType": PROFILE_TYPE, "matchingId": "A" });
    let by_name: NewOrder = serde_json::from_value(by_name).unwrap();
    for kept in [
        server.ensure_profile(&new).await.unwrap(),
        server.ensure_order(&order).await.unwrap(),
        server.ensure_order(&by_name).await.unwrap(),
    ] {
        assert_eq!(
            kept.to_string(),
            format!("profile {ICCID} is Released under MatchingID \"A\" (unchanged)")
        );
    }
    // The order was cancelled permanently.
    let api = Api::of(&testbed).await;
    api.delete(&format!("/admin/v1/orders/{ICCID}")).await;
    api.post("/admin/v1/orders", json!({ "iccid": ICCID, "state": "Unavailable" })).await;
    let kept = server.ensure_order(&order).await.unwrap();
    assert!(matches!(kept, Ensured::Existing(profile) if profile.state == ProfileState::Unavailable));
    // The profile is available again.
    api.delete(&format!("/admin/v1/orders/{ICCID}")).await;
    assert!(matches!(server.ensure_order(&order).await.unwrap(), Ensured::Created(_)));
}

#[tokio::test]
async fn an_order_without_a_profile_takes_any_available_one() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    let (status, problem) = api.call(Method::POST, "/admin/v1/orders", Some(json!({}))).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    let placed = api.post("/admin/v1/orders", json!({})).await;
    assert_eq!((&placed["iccid"], &placed["state"]), (&json!(ICCID), &json!("Released")));
    assert!(placed["activationCode"].as_str().unwrap().starts_with("LPA:1$"));
}

/// A third party may use a MatchingID that SGP.22 section 4.1.1 does not allow.
#[tokio::test]
async fn a_printable_matching_id_is_accepted_and_its_deviation_noted() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    for (matching_id, noted, has_code) in
        [("GOOD-1", None, true), ("lower_case id", Some("4.1.1"), true), ("A$B", Some("$"), false)]
    {
        let placed = api.post("/admin/v1/orders", json!({ "matchingId": matching_id })).await;
        assert_eq!(placed["matchingId"], matching_id);
        assert_eq!(placed["note"].as_str().is_some(), noted.is_some(), "{placed}");
        assert!(noted.is_none_or(|noted| placed["note"].as_str().unwrap().contains(noted)), "{placed}");
        assert_eq!(placed["activationCode"].is_string(), has_code, "{placed}");
        let euicc = testbed.euicc();
        euicc.try_authenticate(&testbed.server, matching_id).await.done();
        api.delete(&format!("/admin/v1/orders/{ICCID}")).await;
    }
    let longest = "A".repeat(255);
    api.post("/admin/v1/orders", json!({ "matchingId": longest })).await;
    testbed.euicc().try_authenticate(&testbed.server, &longest).await.done();
}
