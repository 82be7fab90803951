//! Tests that the records of each release can be read. `tests/stored` has a fixture for each stored
//! form.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a panic fails the test")]

#[path = "../../crates/world/tests/support/stored.rs"]
mod stored_records;
mod support;

use std::{path::PathBuf, sync::Arc};

use http::Request;
use rsp::sgp22::{json::base64_octets, notification_event};
use rsp_server::Namespace;
use serde_json::{Value, json};
use sm_dp::{
    Operator as RegisteredOperator, ProfileOptions, ProfileState,
    records::{
        ADDRESSEES, AVAILABLE, AVAILABLE_IN_NAMESPACES, Awaits, BINDINGS, CALLS, INSTALLATIONS, MATCHING_IDS,
        NOTIFICATIONS, OPERATORS, ORDERS_BY_EID, OUTBOX, PACKAGES, PROFILE_TYPES, PROFILES, SERIES, SESSIONS,
        TEMPLATES,
    },
};
use stored_records::{Fixture, NamedRecords, file};
use support::{Expect, ICCID, OTHER_ICCID, PROFILE_TYPE, Testbed, euicc::notify, package};
use world::Tx;

/// The ICCID of a profile without an order.
const THIRD_ICCID: &str = "8949000000000000035";
/// The ICCID of a profile with an order that is not confirmed.
const FOURTH_ICCID: &str = "8949000000000000043";
/// The ICCID of a profile that was downloaded, without a result so far.
const FIFTH_ICCID: &str = "8949000000000000050";

fn path() -> PathBuf {
    file(env!("CARGO_MANIFEST_DIR"), "0.1.json")
}

/// The fixture with records of namespaces and templates. The records of the other fixture have no
/// namespace.
fn namespaces_path() -> PathBuf {
    file(env!("CARGO_MANIFEST_DIR"), "0.1-namespaces.json")
}

/// Sends a request to the admin API in a namespace. Returns its reply.
async fn post(testbed: &Testbed, target: &str, body: &Value) -> Value {
    let request = Request::post(target)
        .header(Namespace::HEADER, "job")
        .header("Content-Type", "application/json")
        .body(body.to_string().into());
    let response = world::send(&testbed.server.admin(), request.unwrap()).await.unwrap();
    assert!(response.status().is_success(), "{response:?}");
    serde_json::from_slice(response.body()).unwrap()
}

/// A template, an available profile, and a profile that a device has installed.
async fn regenerate_namespaces() {
    let records = NamedRecords::default();
    let testbed = Testbed::over(Arc::new(records.clone()), |_| {});
    let operator = testbed.operator();
    let registered = RegisteredOperator {
        identifier: operator.identifier.clone(),
        certificate_oid: operator.oid.clone(),
        es2plus_address: Some("bss.operator.example:8443".parse().unwrap()),
        namespace: rsp_server::Namespace::default(),
    };
    testbed.server.register_operator(&registered).await.unwrap();
    post(&testbed, "/admin/v1/templates", &json!({ "description": { "usim": { "spn": "Meters" } } })).await;
    let order =
        post(&testbed, "/admin/v1/orders", &json!({ "requester": operator.identifier.as_str() })).await;
    let package = base64_octets::serialize(&package(ICCID, &[]), serde_json::value::Serializer).unwrap();
    post(&testbed, "/admin/v1/stock", &json!({ "package": package })).await;
    let (euicc, iccid) = (testbed.euicc(), order["iccid"].as_str().unwrap().parse().unwrap());
    let code = order["matchingId"].as_str().unwrap();
    let (transaction, _) = euicc.download(&testbed.server, code, &euicc.one_time_key()).await;
    notify(&testbed.server, euicc.signed_result(euicc.result(&transaction, iccid, true))).await;
    records.regenerate(&namespaces_path()).await;
}

#[tokio::test]
async fn the_records_of_namespaces_and_templates_can_be_read() {
    regenerate_namespaces().await;
    let mut fixture = Fixture::read(&namespaces_path());
    let testbed = Testbed::over(Arc::new(fixture.records().await), |_| {});
    let job: Namespace = "job".parse().unwrap();
    let profiles = testbed.server.orders().await.unwrap();
    assert!(profiles.len() == 2 && profiles.iter().all(|profile| profile.namespace == job), "{profiles:?}");
    let available = post(&testbed, "/admin/v1/orders", &json!({})).await;
    assert_eq!(available["iccid"], ICCID);
    let next = post(&testbed, "/admin/v1/orders", &json!({})).await;
    assert_eq!(next["subscriber"]["imsi"], "724990000100001", "the template continues");

    fixture.check(&PROFILES).await;
    fixture.check(&PACKAGES).await;
    fixture.check(&AVAILABLE_IN_NAMESPACES).await;
    fixture.check(&PROFILE_TYPES).await;
    fixture.check(&TEMPLATES).await;
    fixture.check(&SERIES).await;
    fixture.check(&MATCHING_IDS).await;
    fixture.check(&SESSIONS).await;
    fixture.check(&INSTALLATIONS).await;
    fixture.check(&OPERATORS).await;
    fixture.check(&OUTBOX).await;
    fixture.check(&ADDRESSEES).await;
    fixture.check(&NOTIFICATIONS).await;
    fixture.all_checked();
}

/// One installed profile, one ordered for an eUICC, one in stock, one with an unconfirmed order,
/// one that was downloaded, and one session in each state.
async fn regenerate() {
    let records = NamedRecords::default();
    let testbed = Testbed::over(Arc::new(records.clone()), |_| {});
    let operator = testbed.operator();
    let registered = RegisteredOperator {
        identifier: operator.identifier.clone(),
        certificate_oid: operator.oid.clone(),
        es2plus_address: Some("bss.operator.example:8443".parse().unwrap()),
        namespace: rsp_server::Namespace::default(),
    };
    testbed.server.register_operator(&registered).await.unwrap();
    let euicc = testbed.euicc();
    let code = testbed.released(&ProfileOptions::default()).await;
    let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    let result = euicc.signed_result(euicc.result(&transaction, ICCID.parse().unwrap(), true));
    notify(&testbed.server, result).await;
    let enabled = euicc.notification(2, notification_event::ENABLE, ICCID.parse().unwrap());
    notify(&testbed.server, enabled).await;

    testbed.stock(OTHER_ICCID, &ProfileOptions::default()).await;
    let ordered = operator.download_order(&testbed.server, None, Some(PROFILE_TYPE), Some(euicc.eid)).await;
    let mut confirm = operator.confirmation(ordered.done().iccid);
    confirm.eid = Some(euicc.eid);
    confirm.confirmation_code = Some("1234".to_owned());
    let confirmed = operator
        .call::<rsp::sgp22::es2plus::ConfirmOrderReply>(&testbed.server, "confirmOrder", &confirm)
        .await
        .done();
    euicc.try_authenticate(&testbed.server, &confirmed.matching_id).await.done();
    euicc.initiate(&testbed.server).await;

    testbed.stock(FOURTH_ICCID, &ProfileOptions::default()).await;
    operator.download_order(&testbed.server, None, Some(PROFILE_TYPE), None).await.done();
    let fifth = testbed.stock(FIFTH_ICCID, &ProfileOptions::default()).await;
    operator.download_order(&testbed.server, Some(fifth), None, None).await.done();
    let confirmed = operator
        .call::<rsp::sgp22::es2plus::ConfirmOrderReply>(
            &testbed.server,
            "confirmOrder",
            &operator.confirmation(fifth),
        )
        .await
        .done();
    euicc.download(&testbed.server, &confirmed.matching_id, &euicc.one_time_key()).await;
    let options = ProfileOptions::default();
    testbed.server.add_profile(&package(THIRD_ICCID, &[]), &options).await.unwrap();
    records.regenerate(&path()).await;
}

#[tokio::test]
async fn the_records_of_each_release_can_be_read() {
    regenerate().await;
    let mut fixture = Fixture::read(&path());
    let testbed = Testbed::over(Arc::new(fixture.records().await), |_| {});

    let profiles = testbed.server.orders().await.unwrap();
    let states: Vec<_> = profiles.iter().map(|it| (it.iccid.to_string(), it.state)).collect();
    let expected = [
        (ICCID, ProfileState::Installed),
        (OTHER_ICCID, ProfileState::Released),
        (THIRD_ICCID, ProfileState::Available),
        (FOURTH_ICCID, ProfileState::Allocated),
        (FIFTH_ICCID, ProfileState::Downloaded),
    ];
    for (iccid, state) in expected {
        assert!(states.contains(&(iccid.to_owned(), state)), "{iccid} is not {state}: {states:?}");
    }
    let ordered = profiles.iter().find(|it| it.iccid.to_string() == OTHER_ICCID).unwrap();
    let order = ordered.order.as_ref().unwrap();
    assert_eq!(order.eid, Some(testbed.euicc().eid));
    assert!(order.confirmation_code_hash.is_some() && order.matching_id.is_some());
    let tx = Tx::begin(&*testbed.records);
    let sessions = tx.peek_list(&SESSIONS, "").await.unwrap();
    for is_next in [
        (|awaits| matches!(awaits, Awaits::AuthenticateClient { .. })) as fn(&Awaits) -> bool,
        |awaits| matches!(awaits, Awaits::GetBoundProfilePackage { .. }),
        |awaits| matches!(awaits, Awaits::ProfileInstallationResult { .. }),
    ] {
        assert!(sessions.iter().any(|(_, session)| is_next(&session.awaits)), "{sessions:?}");
    }

    // The order from the fixture can be used.
    let euicc = testbed.euicc();
    let code = order.matching_id.as_ref().unwrap();
    let ok = euicc.try_authenticate(&testbed.server, code).await.done();
    let prepared = euicc.prepare(&ok, &euicc.one_time_key()).code("1234");
    euicc.get(&testbed.server, &prepared).await.done();

    fixture.check(&PROFILES).await;
    fixture.check(&PACKAGES).await;
    fixture.check(&AVAILABLE).await;
    fixture.check(&PROFILE_TYPES).await;
    fixture.check(&MATCHING_IDS).await;
    fixture.check(&ORDERS_BY_EID).await;
    fixture.check(&SESSIONS).await;
    fixture.check(&BINDINGS).await;
    fixture.check(&INSTALLATIONS).await;
    fixture.check(&OPERATORS).await;
    fixture.check(&CALLS).await;
    fixture.check(&OUTBOX).await;
    fixture.check(&ADDRESSEES).await;
    fixture.check(&NOTIFICATIONS).await;
    fixture.all_checked();
}
