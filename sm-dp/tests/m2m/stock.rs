//! Tests of downloads whose profile or order is removed in the meantime, and of the stock.

use http::{Method, Request, StatusCode};
use rsp::{
    ids::Iccid,
    sgp02::{SubscriptionAddress, es2, es3},
};
use serde_json::{Value, json};
use sm_dp::{ProfileState, m2m::records::ADDRESSES, records::MATCHING_IDS};
use world::Tx;

use crate::{
    rig::{At, OPERATOR, OTHER_OPERATOR, Rig, SM_SR},
    support::{Expect as _, ICCID, PROFILE_TYPE},
};

async fn admin(rig: &Rig, method: Method, target: &str, body: Option<Value>) {
    let request = Request::builder().method(method).uri(target).header("content-type", "application/json");
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    let response = world::send(&rig.bench.server.admin(), request.body(body.into()).unwrap()).await.unwrap();
    assert!(response.status().is_success(), "{}: {:?}", response.status(), response.body());
    assert_ne!(response.status(), StatusCode::ACCEPTED);
}

async fn take_out_of_stock(rig: &Rig) {
    admin(rig, Method::DELETE, &format!("/admin/v1/stock/{ICCID}"), None).await;
}

async fn end_order(rig: &Rig) {
    admin(rig, Method::DELETE, &format!("/admin/v1/orders/{ICCID}"), None).await;
}

/// Executes the next step and the deletion of the ISD-P, and asserts that the download failed.
async fn goes_on(rig: &Rig, at: At) {
    rig.step().await;
    if at == At::Eis {
        assert!(rig.told::<es3::CreateIsdpRequest>(SM_SR).is_empty());
    } else {
        assert_eq!(rig.asked().element(), "ES3-DeleteISDPRequest", "{at:?}");
        rig.step().await;
    }
    assert_eq!(rig.ending(OPERATOR), "FAILED 8.2/3.7", "{at:?}");
    assert!(rig.server().downloads().await.unwrap().is_empty());
    assert!(rig.server().isd_ps(rig.eid()).await.unwrap().is_empty());
}

/// The steps that read the profile.
fn points() -> impl Iterator<Item = At> {
    // The certificate check and the key agreement do not depend on the profile.
    let indifferent = |at: &At| matches!(at, At::RandomChallenge | At::Receipt);
    [At::Eis].into_iter().chain(At::WITH_ISD_P).filter(move |at| !indifferent(at))
}

#[tokio::test]
async fn a_download_whose_profile_is_removed_is_undone_and_blocks_nothing() {
    for at in points() {
        let rig = Rig::new().await;
        let other = rig.stock_another().await;
        rig.up_to(at).await;
        take_out_of_stock(&rig).await;
        goes_on(&rig, at).await;
        assert_eq!(rig.profile().await, None);
        // The next request to this SM-SR is sent.
        rig.order(OTHER_OPERATOR, es2::DownloadProfileRequest { iccid: Some(other), ..rig.request() }).await;
        assert_eq!(rig.asked().element(), "ES3-CreateISDPRequest", "{at:?}");
    }
}

#[tokio::test]
async fn a_download_whose_order_is_ended_is_undone() {
    for at in points() {
        let rig = Rig::new().await;
        rig.up_to(at).await;
        end_order(&rig).await;
        goes_on(&rig, at).await;
        assert_eq!(rig.state().await, ProfileState::Available);
    }
}

#[tokio::test]
async fn a_download_does_not_change_a_later_order_of_its_profile() {
    for at in points() {
        let rig = Rig::new().await;
        rig.up_to(at).await;
        end_order(&rig).await;
        // The new order is for a consumer eUICC.
        let order = json!({"iccid": ICCID, "eid": rig.other_eid().to_string()});
        admin(&rig, Method::POST, "/admin/v1/orders", Some(order)).await;
        let ordered = rig.profile().await.unwrap();
        goes_on(&rig, at).await;
        assert_eq!(rig.profile().await.unwrap(), ordered, "{at:?}");
    }
}

#[tokio::test]
async fn an_operator_can_cancel_an_es2_order_over_es2plus() {
    let rig = Rig::new().await;
    rig.up_to(At::IsdP).await;
    let operator = crate::support::Operator::new(&rig.bench.pki, OPERATOR);
    let mut cancellation = operator.cancellation(ICCID.parse().unwrap());
    cancellation.eid = Some(rig.eid());
    operator
        .call::<crate::support::operator::Nothing>(&rig.bench.server, "cancelOrder", &cancellation)
        .await
        .done();
    goes_on(&rig, At::IsdP).await;
    assert_eq!(rig.state().await, ProfileState::Available);
}

#[tokio::test]
async fn a_deletion_does_not_free_a_profile_that_another_card_has() {
    let rig = Rig::installed().await;
    end_order(&rig).await;
    let order = json!({"iccid": ICCID, "eid": rig.other_eid().to_string(), "state": "Installed"});
    admin(&rig, Method::POST, "/admin/v1/orders", Some(order)).await;
    let told = es3::HandleProfileDeletedNotification {
        base: Default::default(),
        eid: rig.eid(),
        iccid: ICCID.parse().unwrap(),
        mno_id: rig.id(OPERATOR),
        completion_timestamp: rig.bench.now(),
    };
    rig.tell(SM_SR, &told).await;
    assert!(rig.server().isd_ps(rig.eid()).await.unwrap().is_empty());
    assert_eq!(rig.state().await, ProfileState::Installed);
}

#[tokio::test]
async fn a_failed_es2plus_order_must_be_cancelled_before_an_es2_order() {
    let rig = Rig::new().await;
    let order = json!({"iccid": ICCID, "requester": rig.id(OPERATOR).to_string(), "matchingId": "A-1", "state": "Error"});
    admin(&rig, Method::POST, "/admin/v1/orders", Some(order)).await;
    rig.order(OPERATOR, rig.request()).await;
    assert_eq!(rig.ending(OPERATOR), "FAILED 8.2/3.7");
    rig.forget_told();
    end_order(&rig).await;
    assert_eq!(Tx::begin(&*rig.bench.records).get(&MATCHING_IDS, "A-1").await.unwrap(), None);
    rig.order(OPERATOR, rig.request()).await;
    assert_eq!(rig.asked().element(), "ES3-CreateISDPRequest");
}

#[tokio::test]
async fn orders_by_type_choose_profiles_at_random() {
    let rig = Rig::new().await;
    for number in 10..18 {
        let iccid = Iccid::with_luhn(&format!("8949000000000000{number}")).unwrap().to_string();
        let options = sm_dp::ProfileOptions::default();
        rig.bench.stock(&iccid, &options).await;
    }
    let by_type = es2::DownloadProfileRequest {
        iccid: None,
        profile_type: Some(PROFILE_TYPE.to_owned()),
        ..rig.request()
    };
    for _ in 0..5 {
        rig.order(OPERATOR, by_type.clone()).await;
    }
    let taken: Vec<_> =
        rig.told::<es3::CreateIsdpRequest>(SM_SR).iter().map(|it| it.iccid.to_string()).collect();
    assert_eq!(taken.len(), 5);
    assert!(!taken.is_sorted(), "each order took the first available profile: {taken:?}");
}

#[tokio::test]
async fn the_records_of_a_removed_profile_are_deleted() {
    let rig = Rig::new().await;
    let address = SubscriptionAddress { imsi: None, msisdn: Some("491510000001".parse().unwrap()) };
    rig.server().set_subscription_address(ICCID.parse().unwrap(), &address).await.unwrap();
    take_out_of_stock(&rig).await;
    assert_eq!(Tx::begin(&*rig.bench.records).get(&ADDRESSES, ICCID).await.unwrap(), None);
}
