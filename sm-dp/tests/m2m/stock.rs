//! Tests of downloads whose profile or order is removed in the meantime, and of the stock.

use http::{Method, Request, StatusCode};
use rsp::{
    ids::Iccid,
    sgp02::{SubscriptionAddress, es2, es3},
};
use serde_json::{Value, json};
use sm_dp::{
    ProfileState,
    records::{MATCHING_IDS, SUBSCRIPTION_ADDRESSES},
};
use world::Tx;

use crate::{
    support::{Expect as _, ICCID, PROFILE_TYPE},
    testbed::{M2mTestbed, OPERATOR, OTHER_OPERATOR, SM_SR, Step},
};

async fn admin(testbed: &M2mTestbed, method: Method, target: &str, body: Option<Value>) {
    let request = Request::builder().method(method).uri(target).header("content-type", "application/json");
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let response =
        world::send(&testbed.base.server.admin(), request.body(body.into()).unwrap()).await.unwrap();
    assert!(response.status().is_success(), "{}: {:?}", response.status(), response.body());
    assert_ne!(response.status(), StatusCode::ACCEPTED);
}

async fn remove_from_stock(testbed: &M2mTestbed) {
    admin(testbed, Method::DELETE, &format!("/admin/v1/stock/{ICCID}"), None).await;
}

async fn end_order(testbed: &M2mTestbed) {
    admin(testbed, Method::DELETE, &format!("/admin/v1/orders/{ICCID}"), None).await;
}

/// Executes the next step and the deletion of the ISD-P, and asserts that the download failed.
async fn assert_undone(testbed: &M2mTestbed, at: Step) {
    testbed.advance().await;
    if at == Step::Eis {
        assert!(testbed.sent::<es3::CreateIsdpRequest>(SM_SR).is_empty());
    } else {
        assert_eq!(testbed.last_request().element(), "ES3-DeleteISDPRequest", "{at:?}");
        testbed.advance().await;
    }
    assert_eq!(testbed.download_status(OPERATOR), "FAILED 8.2/3.7", "{at:?}");
    assert!(testbed.server().downloads().await.unwrap().is_empty());
    assert!(testbed.server().isd_ps(testbed.eid()).await.unwrap().is_empty());
}

/// The steps that read the profile.
fn steps() -> impl Iterator<Item = Step> {
    // The certificate check and the key agreement do not depend on the profile.
    let indifferent = |at: &Step| matches!(at, Step::RandomChallenge | Step::Receipt);
    [Step::Eis].into_iter().chain(Step::WITH_ISD_P).filter(move |at| !indifferent(at))
}

#[tokio::test]
async fn a_download_whose_profile_is_removed_is_undone_and_blocks_nothing() {
    for at in steps() {
        let testbed = M2mTestbed::new().await;
        let other = testbed.stock_another().await;
        testbed.advance_to(at).await;
        remove_from_stock(&testbed).await;
        assert_undone(&testbed, at).await;
        assert_eq!(testbed.profile().await, None);
        // The next request to this SM-SR is sent.
        testbed
            .order(OTHER_OPERATOR, es2::DownloadProfileRequest { iccid: Some(other), ..testbed.request() })
            .await;
        assert_eq!(testbed.last_request().element(), "ES3-CreateISDPRequest", "{at:?}");
    }
}

#[tokio::test]
async fn a_download_whose_order_is_ended_is_undone() {
    for at in steps() {
        let testbed = M2mTestbed::new().await;
        testbed.advance_to(at).await;
        end_order(&testbed).await;
        assert_undone(&testbed, at).await;
        assert_eq!(testbed.state().await, ProfileState::Available);
    }
}

#[tokio::test]
async fn a_download_does_not_change_a_later_order_of_its_profile() {
    for at in steps() {
        let testbed = M2mTestbed::new().await;
        testbed.advance_to(at).await;
        end_order(&testbed).await;
        // The new order is for a consumer eUICC.
        let order = json!({"iccid": ICCID, "eid": testbed.other_eid().to_string()});
        admin(&testbed, Method::POST, "/admin/v1/orders", Some(order)).await;
        let ordered = testbed.profile().await.unwrap();
        assert_undone(&testbed, at).await;
        assert_eq!(testbed.profile().await.unwrap(), ordered, "{at:?}");
    }
}

#[tokio::test]
async fn an_operator_can_cancel_an_es2_order_over_es2plus() {
    let testbed = M2mTestbed::new().await;
    testbed.advance_to(Step::IsdP).await;
    let operator = crate::support::Operator::new(&testbed.base.pki, OPERATOR);
    let mut cancellation = operator.cancellation(ICCID.parse().unwrap());
    cancellation.eid = Some(testbed.eid());
    operator
        .call::<rsp::sgp22::json::NoOutput>(&testbed.base.server, "cancelOrder", &cancellation)
        .await
        .done();
    assert_undone(&testbed, Step::IsdP).await;
    assert_eq!(testbed.state().await, ProfileState::Available);
}

#[tokio::test]
async fn a_deletion_does_not_free_a_profile_that_another_card_has() {
    let testbed = M2mTestbed::installed().await;
    end_order(&testbed).await;
    let order = json!({"iccid": ICCID, "eid": testbed.other_eid().to_string(), "state": "Installed"});
    admin(&testbed, Method::POST, "/admin/v1/orders", Some(order)).await;
    let notification = es3::HandleProfileDeletedNotification {
        base: Default::default(),
        eid: testbed.eid(),
        iccid: ICCID.parse().unwrap(),
        mno_id: testbed.id(OPERATOR),
        completion_timestamp: testbed.base.now(),
    };
    testbed.notify(SM_SR, &notification).await;
    assert!(testbed.server().isd_ps(testbed.eid()).await.unwrap().is_empty());
    assert_eq!(testbed.state().await, ProfileState::Installed);
}

#[tokio::test]
async fn a_failed_es2plus_order_must_be_cancelled_before_an_es2_order() {
    let testbed = M2mTestbed::new().await;
    let order = json!({"iccid": ICCID, "requester": testbed.id(OPERATOR).to_string(), "matchingId": "A-1", "state": "Error"});
    admin(&testbed, Method::POST, "/admin/v1/orders", Some(order)).await;
    testbed.order(OPERATOR, testbed.request()).await;
    assert_eq!(testbed.download_status(OPERATOR), "FAILED 8.2/3.7");
    testbed.clear_sent();
    end_order(&testbed).await;
    assert_eq!(Tx::begin(&*testbed.base.records).get(&MATCHING_IDS, "A-1").await.unwrap(), None);
    testbed.order(OPERATOR, testbed.request()).await;
    assert_eq!(testbed.last_request().element(), "ES3-CreateISDPRequest");
}

#[tokio::test]
async fn the_type_in_a_request_must_be_that_of_its_profile() {
    let testbed = M2mTestbed::new().await;
    let typed =
        |name: &str| es2::DownloadProfileRequest { profile_type: Some(name.to_owned()), ..testbed.request() };
    testbed.order(OPERATOR, typed("another type")).await;
    assert_eq!(testbed.download_status(OPERATOR), "FAILED 8.2.5/3.9");
    testbed.clear_sent();
    testbed.order(OPERATOR, typed(PROFILE_TYPE)).await;
    assert_eq!(testbed.last_request().element(), "ES3-CreateISDPRequest");
}

#[tokio::test]
async fn a_profile_that_another_operator_has_ordered_is_refused() {
    let testbed = M2mTestbed::new().await;
    let order = json!({"iccid": ICCID, "requester": testbed.id(OPERATOR).to_string(), "state": "Allocated"});
    admin(&testbed, Method::POST, "/admin/v1/orders", Some(order)).await;
    testbed.order(OTHER_OPERATOR, testbed.request()).await;
    assert_eq!(testbed.download_status(OTHER_OPERATOR), "FAILED 8.2.1/1.2");
}

#[tokio::test]
async fn orders_by_type_choose_profiles_at_random() {
    let testbed = M2mTestbed::new().await;
    for number in 10..18 {
        let iccid = Iccid::with_luhn(&format!("8949000000000000{number}")).unwrap().to_string();
        let options = sm_dp::ProfileOptions::default();
        testbed.base.stock(&iccid, &options).await;
    }
    let by_type = es2::DownloadProfileRequest {
        iccid: None,
        profile_type: Some(PROFILE_TYPE.to_owned()),
        ..testbed.request()
    };
    for _ in 0..5 {
        testbed.order(OPERATOR, by_type.clone()).await;
    }
    let taken: Vec<_> =
        testbed.sent::<es3::CreateIsdpRequest>(SM_SR).iter().map(|it| it.iccid.to_string()).collect();
    assert_eq!(taken.len(), 5);
    assert!(!taken.is_sorted(), "each order took the first available profile: {taken:?}");
}

#[tokio::test]
async fn the_records_of_a_removed_profile_are_deleted() {
    let testbed = M2mTestbed::new().await;
    let address = SubscriptionAddress { imsi: None, msisdn: Some("491510000001".parse().unwrap()) };
    testbed.server().set_subscription_address(ICCID.parse().unwrap(), &address).await.unwrap();
    remove_from_stock(&testbed).await;
    assert_eq!(Tx::begin(&*testbed.base.records).get(&SUBSCRIPTION_ADDRESSES, ICCID).await.unwrap(), None);
}
