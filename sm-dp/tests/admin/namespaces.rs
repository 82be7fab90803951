//! Tests of namespaces: jobs share a server and do not see each other.

use http::{Method, Request, StatusCode};
use rsp::sgp22::{es2plus::ConfirmOrderReply, notification_event};
use rsp_server::Namespace;
use serde_json::{Value, json};
use sm_dp::{
    Operator,
    admin::preset::NewOrder,
    records::{AVAILABLE, AVAILABLE_IN_NAMESPACES, OUTBOX, PACKAGES, PROFILES},
};
use world::Tx;

use crate::support::{Expect, ICCID, OTHER_ICCID, PROFILE_TYPE, Testbed, euicc::notify};
use crate::{Api, new_profile, post};

const ORDERS: &str = "/admin/v1/orders";

/// Returns clients of the same server for two namespaces.
async fn two_jobs(testbed: &Testbed) -> (Api, Api) {
    let api = Api::of(testbed).await;
    (api.in_namespace("one"), api.in_namespace("two"))
}

/// Returns the length of a list of a namespace. Events are counted without those of the admin API.
async fn count(api: &Api, list: &str) -> usize {
    let entries = api.get(&format!("/admin/v1/{list}")).await;
    match entries.get("events") {
        Some(events) => {
            let is_protocol = |event: &&Value| event["interface"] != "admin";
            events.as_array().unwrap().iter().filter(is_protocol).count()
        }
        None => entries.as_array().unwrap().len(),
    }
}

const LISTS: [&str; 6] = ["stock", "orders", "sessions", "notifications", "events", "outbox"];

async fn counts(api: &Api) -> [usize; 6] {
    let mut counts = [0; 6];
    for (number, list) in counts.iter_mut().zip(LISTS) {
        *number = count(api, list).await;
    }
    counts
}

/// Orders and installs the profile of a namespace. The order belongs to a registered operator, which
/// is not reachable, so that its messages stay in the outbox.
async fn install(testbed: &Testbed, api: &Api, iccid: &str) {
    let operator = testbed.operator();
    let registered = Operator {
        identifier: operator.identifier.clone(),
        certificate_oid: operator.oid.clone(),
        es2plus_address: Some("bss.operator.example".parse().unwrap()),
        namespace: Namespace::default(),
    };
    testbed.server.register_operator(&registered).await.unwrap();
    api.post("/admin/v1/stock", new_profile(iccid)).await;
    let order = api.post(ORDERS, json!({ "requester": operator.identifier })).await;
    assert_eq!(order["iccid"], iccid);
    let euicc = testbed.euicc();
    let code = order["matchingId"].as_str().unwrap();
    let (transaction, _) = euicc.download(&testbed.server, code, &euicc.one_time_key()).await;
    let result = euicc.signed_result(euicc.result(&transaction, iccid.parse().unwrap(), true));
    notify(&testbed.server, result).await;
    let enabled = euicc.notification(2, notification_event::ENABLE, iccid.parse().unwrap());
    notify(&testbed.server, enabled).await;
}

#[tokio::test(start_paused = true)]
async fn two_namespaces_see_nothing_of_each_other() {
    let testbed = Testbed::new();
    let (one, two) = two_jobs(&testbed).await;
    install(&testbed, &one, ICCID).await;
    let seen = counts(&one).await;
    assert!(seen.iter().all(|number| *number > 0), "{LISTS:?}: {seen:?}");
    assert_eq!(counts(&two).await, [0; 6], "{LISTS:?}");
    let default = Api::of(&testbed).await;
    // InitiateAuthentication and the first message of a session name no profile.
    let [stock, orders, sessions, notifications, events, outbox] = counts(&default).await;
    assert_eq!([stock, orders, sessions, notifications, outbox], [0; 5]);
    let events_without_a_profile = default.get("/admin/v1/events?function=InitiateAuthentication").await;
    assert_eq!(events, events_without_a_profile["events"].as_array().unwrap().len());
    for list in ["orders", "sessions", "notifications", "events"] {
        let wait = |timeout: &str| format!("/admin/v1/{list}/wait?timeout={timeout}");
        let (status, found) = one.call(Method::GET, &wait("0s"), None).await;
        assert_eq!(status, StatusCode::OK, "{list}: {found}");
        let filter = if list == "events" { "&interface=ES9%2B" } else { "" };
        for function in
            [format!("wait?timeout=1s{filter}"), format!("latest?{}", filter.trim_start_matches('&'))]
        {
            let target = format!("/admin/v1/{list}/{function}");
            let (status, found) = two.call(Method::GET, &target, None).await;
            assert_eq!(status, StatusCode::NO_CONTENT, "{target}: {found}");
        }
    }
}

#[tokio::test]
async fn an_order_picks_from_its_namespace_only() {
    let testbed = Testbed::new();
    let (one, two) = two_jobs(&testbed).await;
    one.post("/admin/v1/stock", new_profile(ICCID)).await;
    let default = Api::of(&testbed).await;
    for other in [&two, &default] {
        for body in [json!({}), json!({ "profileType": PROFILE_TYPE })] {
            let refused = other.refused(post(ORDERS, &body.to_string()), StatusCode::CONFLICT).await;
            assert!(refused.contains("Available"), "{refused}");
        }
    }
    // The template belongs to all namespaces, and its profiles to that of the order.
    default.post("/admin/v1/templates", json!({ "profileType": PROFILE_TYPE })).await;
    let made = two.post(ORDERS, json!({ "profileType": PROFILE_TYPE })).await;
    assert_ne!(made["iccid"], ICCID);
    assert_eq!(two.get(ORDERS).await[0]["iccid"], made["iccid"]);
    let own = one.post(ORDERS, json!({ "profileType": PROFILE_TYPE })).await;
    assert_eq!(own["iccid"], ICCID);
    // A template can belong to one namespace.
    let template = json!({ "profileType": "own", "namespace": "one", "iccid": "8972499000000300000" });
    default.post("/admin/v1/templates", template).await;
    two.refused(post(ORDERS, &json!({ "profileType": "own" }).to_string()), StatusCode::CONFLICT).await;
    one.post(ORDERS, json!({ "profileType": "own" })).await;
    let next = one.post(ORDERS, json!({ "profileType": PROFILE_TYPE })).await;
    assert!(next["iccid"] != made["iccid"] && next["iccid"] != own["iccid"]);
}

#[tokio::test]
async fn an_iccid_or_matching_id_of_another_namespace_is_refused() {
    let testbed = Testbed::new();
    let (one, two) = two_jobs(&testbed).await;
    one.post("/admin/v1/stock", new_profile(ICCID)).await;
    two.post("/admin/v1/stock", new_profile(OTHER_ICCID)).await;
    one.post(ORDERS, json!({ "matchingId": "TAKEN" })).await;
    let again = post("/admin/v1/stock", &new_profile(ICCID).to_string());
    let refused = two.refused(again, StatusCode::CONFLICT).await;
    assert!(refused.contains("already in stock, in namespace one"), "{refused}");
    let order = post(ORDERS, &json!({ "iccid": ICCID }).to_string());
    let refused = two.refused(order, StatusCode::NOT_FOUND).await;
    assert!(refused.contains("is in namespace one, and the request is for namespace two"), "{refused}");
    let order = post(ORDERS, &json!({ "matchingId": "TAKEN" }).to_string());
    let refused = two.refused(order, StatusCode::CONFLICT).await;
    assert!(refused.contains("another order in namespace one has MatchingID TAKEN"), "{refused}");
    for target in [format!("/admin/v1/stock/{ICCID}"), format!("{ORDERS}/{ICCID}")] {
        for method in [Method::GET, Method::DELETE] {
            let (status, _) = two.call(method.clone(), &target, None).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{method} {target}");
        }
    }
    assert_eq!(one.get(&format!("{ORDERS}/{ICCID}")).await["state"], "Released");
    let preset: NewOrder = serde_json::from_value(json!({ "iccid": ICCID })).unwrap();
    let refused = testbed.server.ensure_order(&preset).await.unwrap_err();
    assert!(refused.why.contains("in namespace one"), "{refused}");
}

#[tokio::test]
async fn an_invalid_namespace_is_refused() {
    let api = Api::of(&Testbed::new()).await;
    for name in ["", "a b", "a/b", &"x".repeat(65)] {
        let request = Request::get(ORDERS).header(Namespace::HEADER, name).body(Default::default()).unwrap();
        let refused = api.refused(request, StatusCode::BAD_REQUEST).await;
        assert!(refused.contains("1 to 64 characters"), "{refused}");
    }
    let request = Request::delete("/admin/v1/namespaces/a%20b").body(Default::default()).unwrap();
    let refused = api.refused(request, StatusCode::BAD_REQUEST).await;
    assert!(refused.contains("1 to 64 characters"), "{refused}");
}

#[tokio::test]
async fn a_request_without_the_header_is_in_the_default_namespace() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    let request = Request::get("/admin/v1/stock").header(Namespace::HEADER, "default");
    let (_, stock) = api.send(request.body(Default::default()).unwrap()).await;
    assert_eq!(stock.unwrap()[0]["iccid"], ICCID);
    let tx = Tx::begin(&*testbed.records);
    let stored: Value = serde_json::to_value(&tx.peek_list(&PROFILES, "").await.unwrap()[0].1).unwrap();
    assert!(stored.get("namespace").is_none(), "records of earlier versions have no namespace: {stored}");
}

#[tokio::test]
async fn es2plus_uses_the_namespace_of_the_profile_that_it_names() {
    let testbed = Testbed::new();
    let (one, _) = two_jobs(&testbed).await;
    one.post("/admin/v1/stock", new_profile(ICCID)).await;
    let operator = testbed.operator();
    operator.download_order(&testbed.server, None, Some(PROFILE_TYPE), None).await.refused();
    let iccid = ICCID.parse().unwrap();
    operator.download_order(&testbed.server, Some(iccid), None, None).await.done();
    let confirmation = operator.confirmation(iccid);
    let _: ConfirmOrderReply = operator.call(&testbed.server, "confirmOrder", &confirmation).await.done();
    assert_eq!(one.get(ORDERS).await[0]["state"], "Released");
    let called = one.get("/admin/v1/events?interface=ES2%2B").await;
    let called: Vec<_> =
        called["events"].as_array().unwrap().iter().map(|event| &event["function"]).collect();
    assert_eq!(called, ["DownloadOrder", "ConfirmOrder"]);
}

#[tokio::test]
async fn a_deleted_namespace_leaves_nothing_behind() {
    let testbed = Testbed::new();
    let (one, two) = two_jobs(&testbed).await;
    install(&testbed, &one, ICCID).await;
    one.post("/admin/v1/templates", json!({ "profileType": "meters" })).await;
    for job in [&one, &two] {
        let available = job.post(ORDERS, json!({ "profileType": "meters" })).await;
        job.delete(&format!("{ORDERS}/{}", available["iccid"].as_str().unwrap())).await;
        let matching_id = format!("OF-{}", job.namespace);
        let requester = testbed.operator().identifier;
        job.post(ORDERS, json!({ "matchingId": matching_id, "requester": requester })).await;
        testbed.euicc().try_authenticate(&testbed.server, &matching_id).await.done();
    }
    let before = counts(&two).await;
    let default = Api::of(&testbed).await;
    default.delete("/admin/v1/namespaces/one").await;
    assert_eq!(counts(&one).await, [0; 6], "{LISTS:?}");
    assert_eq!(counts(&two).await, before, "{LISTS:?}");
    let tx = Tx::begin(&*testbed.records);
    assert_eq!(tx.peek_list(&PROFILES, "").await.unwrap().len(), before[0]);
    assert_eq!(tx.peek_list(&PACKAGES, "").await.unwrap().len(), before[0]);
    assert!(tx.peek_list(&AVAILABLE, "").await.unwrap().is_empty());
    let available = tx.peek_list(&AVAILABLE_IN_NAMESPACES, "").await.unwrap();
    assert!(available.iter().all(|(key, _)| key.starts_with("two/")), "{available:?}");
    let posted = tx.peek_list(&OUTBOX, "").await.unwrap();
    assert!(!posted.is_empty() && posted.iter().all(|(_, message)| message.namespace == two.namespace));
    // Its MatchingID is free again, and its ICCIDs are not reused.
    let order = two.post(ORDERS, json!({ "matchingId": "OF-one" })).await;
    assert_eq!(order["subscriber"]["imsi"], "724990000100002");
    one.post("/admin/v1/stock", new_profile(ICCID)).await;
    // Deleting an empty namespace does nothing.
    default.delete("/admin/v1/namespaces/none").await;
}
