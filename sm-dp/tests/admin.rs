//! The admin API as the operator of a test bench meets it; whatever is said is held against the OpenAPI document.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod support;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use crypto::Curve;
use http::{Method, Request, StatusCode, header};
use rsp::ids::SmdpAddress;
use rsp::sgp22::{
    es2plus::ConfirmOrderReply,
    json::{self, base64_octets},
};
use rsp::status::Status;
use serde_json::{Value, json};
use sm_dp::admin::preset::{Ensured, NewOrder, NewProfile};
use sm_dp::{Peers, ProfileOptions, ProfileState};
use support::{ADDRESS, Bench, Expect, ICCID, OTHER_ICCID, PROFILE_TYPE, openapi::OpenApi, package};
use world::{Fault, Link, LinkFault, LinkFaultKind, link_from};

/// A client that believes the document.
struct Api {
    link: Link,
    document: OpenApi,
}

impl Api {
    async fn of(bench: &Bench) -> Self {
        let link = bench.server.admin();
        let request = Request::get("/openapi.json").body(Bytes::new()).unwrap();
        let response = world::send(&link, request).await.unwrap();
        let document = OpenApi(serde_json::from_slice(response.body()).unwrap());
        Self { link, document }
    }

    /// Asks for what the document has; the answer must be one that it knows.
    async fn ask(&self, method: Method, target: &str, body: Option<Value>) -> (StatusCode, Value) {
        if let Err(why) = self.document.check_request(&method, target, body.as_ref()) {
            panic!("{method} {target}: the document does not allow the request: {why}");
        }
        let request = Request::builder().method(&method).uri(target);
        let request = match body {
            Some(body) => {
                request.header(header::CONTENT_TYPE, "application/json").body(body.to_string().into())
            }
            None => request.body(Bytes::new()),
        };
        let (status, body) = self.send(request.unwrap()).await;
        if let Err(why) = self.document.check_response(&method, target, status, body.as_ref()) {
            panic!("{method} {target}: {status}, which is not the document's: {why}");
        }
        (status, body.unwrap_or_default())
    }

    async fn send(&self, request: Request<Bytes>) -> (StatusCode, Option<Value>) {
        let response = world::send(&self.link, request).await.unwrap();
        if response.body().is_empty() {
            return (response.status(), None);
        }
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        (response.status(), Some(serde_json::from_slice(response.body()).unwrap()))
    }

    async fn get(&self, target: &str) -> Value {
        let (status, body) = self.ask(Method::GET, target, None).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    async fn post(&self, target: &str, body: Value) -> Value {
        let (status, body) = self.ask(Method::POST, target, Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        body
    }

    async fn delete(&self, target: &str) {
        let (status, body) = self.ask(Method::DELETE, target, None).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
    }

    /// A request that is turned down; what, why and next.
    async fn refused(&self, request: Request<Bytes>, status: StatusCode) -> String {
        let (found, body) = self.send(request).await;
        let body = body.unwrap();
        assert_eq!(found, status, "{body}");
        let words: Vec<_> = ["what", "why", "next"].iter().map(|word| body[word].as_str().unwrap()).collect();
        assert!(words.iter().all(|word| !word.is_empty()), "{body}");
        words.join("; ")
    }
}

fn base64(octets: &[u8]) -> Value {
    base64_octets::serialize(octets, serde_json::value::Serializer).unwrap()
}

fn new_profile(iccid: &str) -> Value {
    json!({ "package": base64(&package(iccid, &[])) })
}

fn put(target: &str, body: &str) -> Request<Bytes> {
    let mut request = post(target, body);
    *request.method_mut() = Method::PUT;
    request
}

fn post(target: &str, body: &str) -> Request<Bytes> {
    Request::post(target)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap()
}

// --- The document --------------------------------------------------------------------------------------------------

#[tokio::test]
async fn the_committed_document_is_the_one_that_is_served() {
    let api = Api::of(&Bench::new()).await;
    let text = format!("{}\n", serde_json::to_string_pretty(&api.document.0).unwrap());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/admin-api.json");
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert_eq!(committed, text, "LANDFALL_REGENERATE=1 cargo test -p sm-dp --test admin writes it anew");
}

/// And nothing else is: a method that the document does not name is answered with 405 and the names of those it does.
#[tokio::test]
async fn every_operation_of_the_document_is_served_and_every_served_one_is_in_the_document() {
    let bench = Bench::new();
    let api = Api::of(&bench).await;
    let operations = api.document.operations();
    for (_, template) in &operations {
        let path = template
            .replace("{iccid}", ICCID)
            .replace("{transactionId}", "00")
            .replace("{identifier}", "ACME");
        assert!(!path.contains('{'), "no value for {path}");
        let of_path = |method: &Method| operations.contains(&(method.clone(), template.clone()));
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS]
        {
            let request = Request::builder().method(&method).uri(&path).body(Bytes::new()).unwrap();
            let response = world::send(&api.link, request).await.unwrap();
            let allowed = response.status() != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(allowed, of_path(&method), "{method} {path}: {}", response.status());
            if let Some(allow) = response.headers().get(header::ALLOW) {
                for name in allow.to_str().unwrap().split(", ") {
                    assert!(of_path(&name.parse().unwrap()), "{name} {path}");
                }
            }
        }
    }
}

#[tokio::test]
async fn nothing_of_it_is_on_the_port_of_es9plus_and_es2plus() {
    let bench = Bench::new();
    let api = Api::of(&bench).await;
    for (method, template) in api.document.operations() {
        let path = template.replace("{iccid}", ICCID);
        let request = Request::builder().method(method).uri(&path);
        let request = request.header(header::CONTENT_TYPE, "application/json").body("{}".into()).unwrap();
        let response = bench.server.handle(request).await;
        assert_eq!((response.status(), response.body().len()), (StatusCode::NOT_FOUND, 0), "{path}");
    }
    let request = Request::post("/gsma/rsp2/es9plus/initiateAuthentication");
    let (status, _) = api.send(request.body(Bytes::new()).unwrap()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

// --- Stock ---------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_profile_goes_into_stock_is_shown_and_taken_out() {
    let bench = Bench::new();
    let api = Api::of(&bench).await;
    assert_eq!(api.get("/admin/v1/stock").await, json!([]));
    let made = api.post("/admin/v1/stock", new_profile(ICCID)).await;
    assert_eq!(made["iccid"], ICCID);
    assert_eq!(made["state"], "Available");
    assert_eq!(made["profileType"], PROFILE_TYPE);
    assert_eq!(api.get("/admin/v1/stock").await, json!([made]));
    assert_eq!(api.get(&format!("/admin/v1/stock/{ICCID}")).await, made);
    // It is in the same stock as any other.
    assert_eq!(bench.profile().await.iccid.to_string(), ICCID);
    let (status, problem) = api.ask(Method::POST, "/admin/v1/stock", Some(new_profile(ICCID))).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem["what"].as_str().unwrap().contains(ICCID), "{problem}");
    api.delete(&format!("/admin/v1/stock/{ICCID}")).await;
    for method in [Method::GET, Method::DELETE] {
        let (status, _) = api.ask(method, &format!("/admin/v1/stock/{ICCID}"), None).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
    }
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
}

#[tokio::test]
async fn what_is_said_of_a_new_profile_stands_in_its_metadata() {
    let bench = Bench::new();
    let api = Api::of(&bench).await;
    let mut new = new_profile(ICCID);
    let said = json!({
        "profileType": "gold",
        "serviceProviderName": "Provider",
        "profileName": "Name",
        "profileClass": "test",
        "profilePolicyRules": ["PPR1", "PPR2"],
        "icon": base64(b"a picture"),
        "iconType": "png",
        "notificationAddress": ["one.example", "two.example"],
        "protection": "ProfileProtectionKeys",
        "rebinding": "Refused",
    });
    new.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
    let made = api.post("/admin/v1/stock", new).await;
    for name in ["profileType", "serviceProviderName", "profileName", "protection", "rebinding"] {
        assert_eq!(made[name], said[name], "{name}");
    }
    let metadata = bench.profile().await.metadata;
    assert_eq!(metadata.profile_class, Some(rsp::sgp22::ProfileClass::TEST));
    assert_eq!(metadata.profile_policy_rules.unwrap().ones(), [1, 2]);
    assert_eq!(metadata.icon_type, Some(rsp::sgp22::IconType::PNG));
    assert_eq!(metadata.icon.as_deref(), Some(b"a picture".as_slice()));
    let told = metadata.notification_configuration_info.unwrap();
    let told: Vec<_> = told.iter().map(|told| told.notification_address.as_str()).collect();
    assert_eq!(told, ["one.example", "two.example"]);
}

#[tokio::test]
async fn a_package_that_is_none_and_an_icon_that_is_too_large_are_refused() {
    let api = Api::of(&Bench::new()).await;
    let add = |body: Value| post("/admin/v1/stock", &body.to_string());
    let why = api.refused(add(json!({ "package": "MAA=" })), StatusCode::BAD_REQUEST).await;
    assert!(why.contains("package"), "{why}");
    let mut new = new_profile(ICCID);
    new["icon"] = base64(&[0; 1025]);
    let why = api.refused(add(new.clone()), StatusCode::BAD_REQUEST).await;
    assert!(why.contains("iconType"), "{why}");
    new["iconType"] = json!("jpg");
    let why = api.refused(add(new.clone()), StatusCode::BAD_REQUEST).await;
    assert!(why.contains("1025") && why.contains("1024"), "{why}");
    new["icon"] = base64(&[0; 1024]);
    api.post("/admin/v1/stock", new).await;
}

// --- Orders --------------------------------------------------------------------------------------------------------

/// The order of the tests' profile, as asked for.
async fn order(api: &Api, body: Value) -> Value {
    let mut order = json!({ "iccid": ICCID });
    order.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    api.post("/admin/v1/orders", order).await
}

#[tokio::test]
async fn an_order_is_released_at_once_found_by_its_code_and_ended() {
    let bench = Bench::new();
    let api = Api::of(&bench).await;
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    let target = format!("/admin/v1/orders/{ICCID}");
    let (status, _) = api.ask(Method::GET, &target, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let placed = order(&api, json!({})).await;
    assert_eq!((&placed["iccid"], &placed["state"]), (&json!(ICCID), &json!("Released")));
    let matching_id = placed["matchingId"].as_str().unwrap();
    assert_eq!(placed["activationCode"], format!("LPA:1${ADDRESS}${matching_id}"));
    assert_eq!(placed["expires"], bench.now().plus(sm_dp::config::ORDER_LIFETIME).to_string());
    assert_eq!(api.get(&target).await, placed);
    assert_eq!(api.get("/admin/v1/orders").await, json!([placed]));
    let shown = &api.get(&format!("/admin/v1/stock/{ICCID}")).await["order"];
    assert_eq!(shown["matchingId"], placed["matchingId"]);
    bench.euicc().try_authenticate(&bench.server, matching_id).await.done();
    assert_eq!(api.get(&target).await["downloadAttempts"], 1);
    api.delete(&target).await;
    assert_eq!(bench.state().await, ProfileState::Available);
    let refused = bench.euicc().try_authenticate(&bench.server, matching_id).await.refused();
    assert_eq!(refused, Status::MatchingIdRefused);
    // The MatchingID is free again.
    order(&api, json!({ "matchingId": matching_id })).await;
    bench.euicc().try_authenticate(&bench.server, matching_id).await.done();
}

#[tokio::test]
async fn an_lpa_meets_the_state_that_was_asked_for() {
    let bench = Bench::new();
    let api = Api::of(&bench).await;
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    let (euicc, other) = (bench.euicc(), bench.numbered_euicc(Curve::P256, 1));
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
        let answer = euicc.try_authenticate(&bench.server, "OF-THE-TEST").await;
        match refusal {
            Some(refusal) => assert_eq!(answer.refused(), refusal, "{body}"),
            None => {
                let asked_for_code = answer.done().smdp_signed2.cc_required_flag;
                assert_eq!(asked_for_code, body.get("confirmationCode").is_some(), "{body}");
            }
        }
        api.delete(&format!("/admin/v1/orders/{ICCID}")).await;
    }
    order(&api, json!({ "eid": eid, "matchingId": "" })).await;
    euicc.try_authenticate(&bench.server, "").await.done();
}

/// An operator goes on where the API has put the order.
#[tokio::test]
async fn an_order_of_an_operator_is_the_operators() {
    let bench = Bench::new();
    let api = Api::of(&bench).await;
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    let operator = bench.operator();
    let iccid = ICCID.parse().unwrap();
    order(&api, json!({ "state": "Allocated", "requester": operator.identifier })).await;
    assert_eq!(bench.state().await, ProfileState::Allocated);
    let mut confirmation = operator.confirmation(iccid);
    confirmation.release_flag = false;
    let confirmed: ConfirmOrderReply =
        operator.call(&bench.server, "confirmOrder", &confirmation).await.done();
    assert_eq!(bench.state().await, ProfileState::Confirmed);
    operator.release(&bench.server, iccid).await.done();
    bench.euicc().try_authenticate(&bench.server, &confirmed.matching_id).await.done();
    api.delete(&format!("/admin/v1/orders/{ICCID}")).await;
    order(&api, json!({})).await;
    let refused = operator.release(&bench.server, iccid).await.refused();
    assert_eq!(refused, Status::IccidNotAllowed);
}

#[tokio::test]
async fn a_reusable_order_is_never_used_up() {
    let bench = Bench::new();
    let api = Api::of(&bench).await;
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    order(&api, json!({ "reusable": true, "matchingId": "AGAIN", "protection": "ProfileProtectionKeys" }))
        .await;
    for number in [0, 1] {
        let euicc = bench.numbered_euicc(Curve::P256, number);
        let one_time = euicc.one_time_key();
        euicc.download(&bench.server, "AGAIN", &one_time).await;
        assert_eq!(api.get(&format!("/admin/v1/orders/{ICCID}")).await["state"], "Released");
    }
}

#[tokio::test]
async fn a_type_gives_each_of_its_profiles_once() {
    let bench = Bench::new();
    let api = Api::of(&bench).await;
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
    let (status, problem) = api.ask(Method::POST, "/admin/v1/orders", Some(by_type)).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
}

#[tokio::test]
async fn an_order_that_contradicts_itself_or_another_is_refused() {
    let bench = Bench::new();
    let api = Api::of(&bench).await;
    for iccid in [ICCID, OTHER_ICCID] {
        api.post("/admin/v1/stock", new_profile(iccid)).await;
    }
    let eid = bench.euicc().eid.to_string();
    let bad = StatusCode::BAD_REQUEST;
    for (body, status, named) in [
        (json!({}), bad, "profileType"),
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
        (json!({ "iccid": ICCID, "matchingId": "a b" }), bad, "a b"),
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
        let (status, problem) = api.ask(Method::POST, "/admin/v1/orders", Some(taken)).await;
        assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    }
}

#[tokio::test]
async fn installations_are_shown_with_the_profile() {
    let bench = Bench::new();
    let api = Api::of(&bench).await;
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    let eid = bench.euicc().eid.to_string();
    order(&api, json!({ "state": "Installed", "eid": eid })).await;
    let shown = api.get(&format!("/admin/v1/stock/{ICCID}")).await;
    assert_eq!((&shown["state"], &shown["installedOn"]), (&json!("Installed"), &json!([eid])));
}

// --- Sessions and events -------------------------------------------------------------------------------------------

#[tokio::test]
async fn sessions_are_listed_and_forgotten() {
    let bench = Bench::new();
    let api = Api::of(&bench).await;
    let matching_id = bench.released(&ProfileOptions::default()).await;
    let euicc = bench.euicc();
    let download = euicc.try_authenticate(&bench.server, &matching_id).await.done().transaction_id;
    let sessions = api.get("/admin/v1/sessions").await;
    let [session] = sessions.as_array().unwrap().as_slice() else { panic!("{sessions}") };
    assert_eq!(session["transactionId"], download.to_string());
    assert_eq!(session["awaits"], "GetBoundProfilePackage");
    assert_eq!(session["iccid"], ICCID);
    assert_eq!(session["eid"], euicc.eid.to_string());
    assert_eq!(session["matchingId"], matching_id);
    let target = format!("/admin/v1/sessions/{download}");
    api.delete(&target).await;
    assert_eq!(api.get("/admin/v1/sessions").await, json!([]));
    let (status, _) = api.ask(Method::DELETE, &target, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn events_are_numbered_and_asked_for_in_pages() {
    let bench = Bench::new();
    let api = Api::of(&bench).await;
    assert_eq!(api.get("/admin/v1/events").await, json!({ "next": 0, "lost": 0, "events": [] }));
    bench.released(&ProfileOptions::default()).await;
    let page = api.get("/admin/v1/events?limit=1").await;
    assert_eq!(page["next"], 1);
    assert_eq!(page["events"][0]["number"], 1);
    assert_eq!(page["events"][0]["function"], "DownloadOrder");
    assert_eq!(page["events"][0]["outcome"], json!({ "result": "done" }));
    let page = api.get("/admin/v1/events?after=1").await;
    assert_eq!((&page["next"], &page["events"][0]["function"]), (&json!(2), &json!("ConfirmOrder")));
    // What the API changes is told as well; that somebody looked is not.
    let (status, _) = api.ask(Method::DELETE, &format!("/admin/v1/stock/{OTHER_ICCID}"), None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let page = api.get("/admin/v1/events?after=2&limit=9").await;
    assert_eq!(page["events"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!(page["events"][0]["interface"], "admin");
    assert_eq!(page["events"][0]["outcome"]["result"], "refused");
    assert_eq!(bench.events.all().len(), 3);
}

// --- What a bench begins with --------------------------------------------------------------------------------------

#[tokio::test]
async fn what_is_there_is_left_in_whatever_state_it_has_come_to() {
    let bench = Bench::new();
    let server = &bench.server;
    let new: NewProfile = serde_json::from_value(new_profile(ICCID)).unwrap();
    assert!(matches!(server.ensure_profile(&new).await.unwrap(), Ensured::Made(_)));
    let order: NewOrder = serde_json::from_value(json!({ "iccid": ICCID, "matchingId": "A" })).unwrap();
    assert!(matches!(server.ensure_order(&order).await.unwrap(), Ensured::Made(_)));
    let by_name = json!({ "profileType": PROFILE_TYPE, "matchingId": "A" });
    let by_name: NewOrder = serde_json::from_value(by_name).unwrap();
    for kept in [
        server.ensure_profile(&new).await.unwrap(),
        server.ensure_order(&order).await.unwrap(),
        server.ensure_order(&by_name).await.unwrap(),
    ] {
        assert_eq!(
            kept.to_string(),
            format!("profile {ICCID} is Released under MatchingID \"A\", left as it was")
        );
    }
    // Somebody has it cancelled for good.
    let api = Api::of(&bench).await;
    api.delete(&format!("/admin/v1/orders/{ICCID}")).await;
    api.post("/admin/v1/orders", json!({ "iccid": ICCID, "state": "Unavailable" })).await;
    let kept = server.ensure_order(&order).await.unwrap();
    assert!(matches!(kept, Ensured::Kept(profile) if profile.state == ProfileState::Unavailable));
    // Or it is free again.
    api.delete(&format!("/admin/v1/orders/{ICCID}")).await;
    assert!(matches!(server.ensure_order(&order).await.unwrap(), Ensured::Made(_)));
}

// --- Operators and notifications ----------------------------------------------------------------------------------

#[tokio::test]
async fn an_operator_is_made_known_by_a_name_that_is_then_its_alone() {
    let bench = Bench::new();
    let api = Api::of(&bench).await;
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    let named = support::Operator { identifier: "ACME & Söhne/1".to_owned(), ..bench.operator() };
    let target = "/admin/v1/operators/ACME%20&%20S%C3%B6hne%2F1";
    let order = || async {
        let iccid = Some(ICCID.parse().unwrap());
        named.download_order(&bench.server, iccid, None, None).await
    };
    assert_eq!(order().await.refused(), Status::RequesterNotAllowed);
    let (status, _) = api.ask(Method::GET, target, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let facts = json!({ "certificateOid": named.oid.to_string(), "es2plusAddress": "acme.example:8443" });
    let (status, made) = api.ask(Method::PUT, target, Some(facts.clone())).await;
    assert_eq!(status, StatusCode::OK, "{made}");
    assert_eq!(
        (&made["identifier"], &made["certificateOid"]),
        (&json!(named.identifier), &facts["certificateOid"])
    );
    assert_eq!(api.get(target).await, made);
    assert_eq!(api.get("/admin/v1/operators").await, json!([made]));
    order().await.done();
    let (_, made) = api.ask(Method::PUT, target, Some(json!({ "certificateOid": "2.999.1" }))).await;
    assert_eq!(made.get("es2plusAddress"), None);
    assert_eq!(order().await.refused(), Status::RequesterNotAllowed);
    api.delete(target).await;
    let (status, _) = api.ask(Method::DELETE, target, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(api.get("/admin/v1/operators").await, json!([]));
}

#[tokio::test]
async fn notifications_are_listed() {
    let bench = Bench::new();
    let api = Api::of(&bench).await;
    assert_eq!(api.get("/admin/v1/notifications").await, json!([]));
    let code = bench.released(&ProfileOptions::default()).await;
    let euicc = bench.euicc();
    let (download, _) = euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
    let result = euicc.result(&download, ICCID.parse().unwrap(), true);
    assert_eq!(support::euicc::notify(&bench.server, euicc.signed_result(result)).await, 204);
    let all = api.get("/admin/v1/notifications").await;
    let [told] = all.as_array().unwrap().as_slice() else { panic!("{all}") };
    assert_eq!((&told["eid"], &told["iccid"]), (&json!(euicc.eid.to_string()), &json!(ICCID)));
    assert_eq!(told["told"], "installation result");
}

// --- Others who are told -------------------------------------------------------------------------------------------

/// An SM-DS that does what it is asked, once it is there.
#[derive(Clone, Default)]
struct SmDs {
    is_there: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Peers for SmDs {
    fn link(&self, address: &SmdpAddress) -> Result<Link, Fault> {
        let (sm_ds, address) = (self.clone(), address.to_string());
        Ok(link_from(tower::service_fn(move |request: Request<Bytes>| {
            let answer = match sm_ds.is_there.load(Ordering::Relaxed) {
                true => Ok(json::response(support::VERSION, Ok(&()))),
                false => Err(LinkFault::new(LinkFaultKind::Refused, address.clone(), "not there")),
            };
            if answer.is_ok() {
                let function = request.uri().path().rsplit('/').next().unwrap().to_owned();
                sm_ds.asked.lock().unwrap().push(function);
            }
            async move { answer }
        })))
    }
}

#[tokio::test]
async fn an_order_with_an_sm_ds_has_its_event_registered_and_deleted() {
    let mut bench = Bench::new();
    let sm_ds = SmDs::default();
    bench.server = bench.server.with_peers(Arc::new(sm_ds.clone()));
    let api = Api::of(&bench).await;
    api.post("/admin/v1/stock", new_profile(ICCID)).await;
    let eid = bench.euicc().eid.to_string();
    let wanted = json!({ "iccid": ICCID, "eid": eid, "matchingId": "EVENT", "smdsAddress": "smds.example" });
    let (status, problem) = api.ask(Method::POST, "/admin/v1/orders", Some(wanted.clone())).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{problem}");
    assert!(problem["why"].as_str().unwrap().contains("not there"), "{problem}");
    assert_eq!(bench.state().await, ProfileState::Available);

    sm_ds.is_there.store(true, Ordering::Relaxed);
    let placed = api.post("/admin/v1/orders", wanted).await;
    assert_eq!((&placed["smdsAddress"], &placed["eventRegistered"]), (&json!("smds.example"), &json!(true)));
    assert_eq!(api.get("/admin/v1/outbox").await, json!([]));

    sm_ds.is_there.store(false, Ordering::Relaxed);
    api.delete(&format!("/admin/v1/orders/{ICCID}")).await;
    bench.server.deliver_due().await.unwrap();
    let waiting = api.get("/admin/v1/outbox").await;
    assert_eq!(waiting[0]["peer"], json!({ "smds": "smds.example" }));
    assert_eq!(waiting[0]["failures"], 1);
    let message = &waiting[0]["messages"][0];
    assert_eq!((&message["function"], &message["eventId"]), (&json!("DeleteEvent"), &json!("EVENT")));
    assert_eq!(message["eid"], eid);

    sm_ds.is_there.store(true, Ordering::Relaxed);
    bench.wait(std::time::Duration::from_secs(3600));
    bench.server.deliver_due().await.unwrap();
    assert_eq!(api.get("/admin/v1/outbox").await, json!([]));
    assert_eq!(*sm_ds.asked.lock().unwrap(), ["registerEvent", "deleteEvent"]);
}

// --- What is turned down -------------------------------------------------------------------------------------------

#[tokio::test]
async fn bad_input_is_answered_with_what_why_and_next() {
    let api = Api::of(&Bench::new()).await;
    let get = |target: &str| Request::get(target).body(Bytes::new()).unwrap();
    let bad = StatusCode::BAD_REQUEST;
    let deep = "[".repeat(100_000);
    for (request, status, named) in [
        (post("/admin/v1/stock", "{"), bad, "EOF"),
        (post("/admin/v1/stock", ""), bad, "EOF"),
        (post("/admin/v1/stock", "[]"), bad, "NewProfile"),
        (post("/admin/v1/stock", &deep), bad, "body"),
        (post("/admin/v1/stock", "{\"package\":\"MAA=\"} {}"), bad, "trailing"),
        (post("/admin/v1/stock", "{}"), bad, "package"),
        (post("/admin/v1/stock", "{\"package\":\"?\"}"), bad, "base64"),
        (post("/admin/v1/stock", "{\"package\":\"MAA=\",\"profileTyp\":\"x\"}"), bad, "profileTyp"),
        (post("/admin/v1/stock", "{\"package\":\"MAA=\",\"package\":\"MAA=\"}"), bad, "duplicate"),
        (post("/admin/v1/stock", "{\"package\":\"MAA=\",\"profileClass\":\"gold\"}"), bad, "gold"),
        (get("/admin/v1/stock/12"), bad, "12"),
        (get("/admin/v1/stock/%FF"), bad, "utf-8"),
        (get("/admin/v1/stock?x=1"), bad, "x"),
        (put("/admin/v1/operators/A", "{}"), bad, "certificateOid"),
        (put("/admin/v1/operators/A", "{\"certificateOid\":\"x\"}"), bad, "x"),
        (put("/admin/v1/operators/", "{}"), StatusCode::NOT_FOUND, "openapi.json"),
        (get("/admin/v1/events?after=-1"), bad, "after"),
        (get("/admin/v1/events?aftr=1"), bad, "aftr"),
        (get("/admin/v1/stocks"), StatusCode::NOT_FOUND, "openapi.json"),
        (get("/"), StatusCode::NOT_FOUND, "openapi.json"),
        (get("/admin/v1/stock/"), StatusCode::NOT_FOUND, "openapi.json"),
        (get("/admin/v1/stock/1/2"), StatusCode::NOT_FOUND, "openapi.json"),
        (post("/admin/v1/sessions", "{}"), StatusCode::METHOD_NOT_ALLOWED, "GET"),
    ] {
        let said = format!("{} {}", request.method(), request.uri());
        let why = api.refused(request, status).await;
        assert!(why.contains(named), "{said}: {why}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_cannot_drive_it() {
    let bench = Bench::new();
    let api = Api::of(&bench).await;
    let body = new_profile(ICCID).to_string();
    // What a form, or a script without permission, can send.
    for form in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let mut request = post("/admin/v1/stock", &body);
        request.headers_mut().insert(header::CONTENT_TYPE, form.parse().unwrap());
        let why = api.refused(request, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
        assert!(why.contains(form) && why.contains("application/json"), "{why}");
    }
    let mut bare = post("/admin/v1/stock", &body);
    bare.headers_mut().remove(header::CONTENT_TYPE);
    api.refused(bare, StatusCode::UNSUPPORTED_MEDIA_TYPE).await;
    for (name, value) in [
        (header::ORIGIN, "https://evil.example"),
        (header::ORIGIN, "null"),
        (header::HOST, "evil.example:8490"),
    ] {
        let mut request = post("/admin/v1/stock", &body);
        request.headers_mut().insert(&name, value.parse().unwrap());
        let why = api.refused(request, StatusCode::FORBIDDEN).await;
        assert!(why.contains(value), "{name}: {why}");
        let mut look = Request::get("/admin/v1/stock").body(Bytes::new()).unwrap();
        look.headers_mut().insert(&name, value.parse().unwrap());
        api.refused(look, StatusCode::FORBIDDEN).await;
    }
    assert_eq!(bench.server.orders().await.unwrap(), []);
    for host in ["127.0.0.1:8490", "localhost", "[::1]:8490", ADDRESS] {
        let mut look = Request::get("/admin/v1/stock").body(Bytes::new()).unwrap();
        look.headers_mut().insert(header::HOST, host.parse().unwrap());
        assert_eq!(api.send(look).await.0, StatusCode::OK, "{host}");
    }
    let mut request = post("/admin/v1/stock", &body);
    let with_charset = "application/json; charset=utf-8".parse().unwrap();
    request.headers_mut().insert(header::CONTENT_TYPE, with_charset);
    assert_eq!(api.send(request).await.0, StatusCode::CREATED);
}
