//! The API of the user. Every request and response is validated against the OpenAPI document.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Method, Request, StatusCode, header};
use rsp::sgp32::{
    EuiccResultData,
    esipa::GetEimPackageResponse,
    result::{EnableProfileResult, EuiccPackageErrorCode},
};
use serde_json::{Value, json};
use world::Link;

use super::{openapi::OpenApi, support::*};

/// A client that validates its requests and the responses against the OpenAPI document.
struct Api {
    link: Link,
    document: OpenApi,
}

impl Api {
    async fn of(testbed: &Testbed) -> Self {
        let link = testbed.eim.admin();
        let request = Request::get("/openapi.json").body(Bytes::new()).unwrap();
        let response = world::send(&link, request).await.unwrap();
        let document = OpenApi(serde_json::from_slice(response.body()).unwrap());
        Self { link, document }
    }

    async fn call(&self, method: Method, target: &str, body: Option<Value>) -> (StatusCode, Value) {
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
        let response = world::send(&self.link, request.unwrap()).await.unwrap();
        let body = (!response.body().is_empty()).then(|| serde_json::from_slice(response.body()).unwrap());
        if let Err(why) = self.document.check_response(&method, target, response.status(), body.as_ref()) {
            panic!("{method} {target}: response {} does not match the document: {why}", response.status());
        }
        (response.status(), body.unwrap_or_default())
    }

    async fn get(&self, target: &str) -> Value {
        let (status, body) = self.call(Method::GET, target, None).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    async fn post(&self, target: &str, body: Value) -> Value {
        let (status, body) = self.call(Method::POST, target, Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        body
    }
}

#[tokio::test]
async fn the_committed_document_matches_the_served_one() {
    let api = Api::of(&Testbed::new()).await;
    let text = format!("{}\n", serde_json::to_string_pretty(&api.document.0).unwrap());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/eim-api.json");
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(committed, text, "LANDFALL_REGENERATE=1 cargo test -p eim --test esipa regenerates it");
}

#[tokio::test]
async fn an_order_goes_from_queued_to_its_result() {
    let testbed = Testbed::new();
    let mut card = testbed.registered().await;
    let api = Api::of(&testbed).await;
    let package = json!({ "profileOperations": [
        { "listProfileInfo": {} }, { "enable": { "iccid": ICCID, "rollback": true } },
    ] });
    let order = api.post("/admin/v1/orders", json!({ "eid": card.eid, "package": package })).await;
    assert_eq!((&order["state"], &order["package"]), (&json!("Queued"), &package));
    let id = order["transactionId"].as_str().unwrap();
    let ipa = testbed.ipa(Binding::Asn1);
    let sent = ipa.package(card.eid).await;
    let delivered = api.get(&format!("/admin/v1/orders/{id}")).await;
    assert_eq!((&delivered["state"], &delivered["counter"]), (&json!("Delivered"), &json!(1)));
    assert_eq!(delivered["sent"], hex::encode_upper(sent.bytes()));
    let result = card.execute(&sent);
    let target = format!("/admin/v1/orders/wait?transactionId={id}&progress=Ended&timeout=60s");
    let (ended, _) = tokio::join!(api.get(&target), ipa.provide_result(card.eid, result));
    assert_eq!(ended["state"], "Result");
    let result = &ended["result"];
    assert_eq!(result["succeeded"], true, "{result}");
    assert_eq!(result["operations"][0]["profiles"][0]["iccid"], ICCID);
    assert_eq!(result["operations"][1]["operation"], "enable");
    assert_eq!(result["operations"][1]["code"]["number"], 0);
    assert_eq!(api.get("/admin/v1/orders?state=Queued").await, json!([]));
    assert_eq!(api.get("/admin/v1/orders/latest?progress=Ended").await["transactionId"], id);
    // The request for the data of the device is an order, too.
    let all = api.get(&format!("/admin/v1/orders?eid={}", card.eid)).await;
    let automatic = all.as_array().unwrap().iter().filter(|order| order["automatic"] == true);
    assert_eq!((all.as_array().unwrap().len(), automatic.count()), (2, 1));
}

#[tokio::test]
async fn a_web_page_cannot_use_the_api() {
    let testbed = Testbed::new();
    let link = testbed.eim.admin();
    let eid = testbed.card().eid;
    let body = json!({ "eid": eid }).to_string();
    let status = async |headers: &[(HeaderName, &str)], body: &str| {
        let method = if body.is_empty() { Method::GET } else { Method::POST };
        let mut request = Request::builder().method(method).uri("/admin/v1/devices");
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let request = request.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
        world::send(&link, request).await.unwrap().status()
    };
    let own = (header::HOST, "127.0.0.1:8491");
    let json = (header::CONTENT_TYPE, "application/json");
    let foreign = [
        (header::HOST, "evil.example:8491"),
        (header::ORIGIN, "https://evil.example"),
        (header::ORIGIN, "null"),
    ];
    for (name, value) in foreign {
        let headers = [(name, value), json.clone()];
        assert_eq!(status(&headers, &body).await, StatusCode::FORBIDDEN, "{headers:?}");
        assert_eq!(status(&headers, "").await, StatusCode::FORBIDDEN, "{headers:?}");
    }
    // A form of another site can have these types.
    for form in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let headers = [own.clone(), (header::CONTENT_TYPE, form)];
        assert_eq!(status(&headers, &body).await, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{form}");
    }
    assert_eq!(testbed.eim.device(eid).await.unwrap(), None, "a refused request has an effect");
    for host in [own.1, "localhost", EIM_ID] {
        assert_eq!(status(&[(header::HOST, host)], "").await, StatusCode::OK, "{host}");
    }
    assert_eq!(status(&[own, json], &body).await, StatusCode::CREATED);
}

#[tokio::test]
async fn failures_have_a_code_a_meaning_and_advice() {
    let testbed = Testbed::new();
    let mut card = testbed.registered().await;
    let (api, ipa) = (Api::of(&testbed).await, testbed.ipa(Binding::Asn1));
    card.answers = vec![EuiccResultData::EnableResult(EnableProfileResult::DISALLOWED_BY_POLICY)];
    let id = testbed.enable(&card).await;
    let result = card.execute(&*ipa.package(card.eid).await);
    ipa.provide_result(card.eid, result).await;
    let failed = api.get(&format!("/admin/v1/orders/{id}")).await;
    assert_eq!(failed["result"]["succeeded"], false);
    assert_eq!(failed["result"]["operations"][0]["code"]["number"], 3);
    let id = testbed.enable(&card).await;
    let refusal = card.refuse(&*ipa.package(card.eid).await, EuiccPackageErrorCode::ECALL_ACTIVE);
    ipa.provide_result(card.eid, refusal).await;
    let refused = api.get(&format!("/admin/v1/orders/{id}")).await;
    let error = &refused["result"]["error"];
    assert_eq!((&error["number"], &refused["result"]["succeeded"]), (&json!(104), &json!(false)));
    assert!(error["meaning"].is_string() && error["next"].is_string(), "{error}");
}

#[tokio::test]
async fn a_device_is_registered_shown_and_deleted_with_its_orders() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    let card = testbed.card();
    let device = api.post("/admin/v1/devices", json!({ "eid": card.eid, "associationToken": 1 })).await;
    assert_eq!((&device["counter"], &device["certificatesKnown"]), (&json!(0), &json!(false)));
    let reply = testbed.ipa(Binding::Json).poll(card.eid).await;
    assert!(matches!(reply, GetEimPackageResponse::IpaEuiccDataRequest(_)));
    let target = format!("/admin/v1/devices/{}", card.eid);
    assert_eq!(api.get(&target).await["openOrders"].as_array().unwrap().len(), 1);
    assert_eq!(api.get("/admin/v1/devices").await.as_array().unwrap().len(), 1);
    let (status, _) = api.call(Method::DELETE, &target, None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(api.get("/admin/v1/orders").await, json!([]));
    let (status, _) = api.call(Method::GET, &target, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let euicc = hex::encode(testbed.card().credentials.euicc.certificate.der());
    for wrong in [
        json!({ "eid": card.eid, "euiccCertificate": euicc }),
        json!({ "eid": card.eid, "euiccCertificate": euicc, "eumCertificate": euicc }),
    ] {
        let (status, _) = api.call(Method::POST, "/admin/v1/devices", Some(wrong)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn a_deleted_order_is_not_sent() {
    let testbed = Testbed::new();
    let card = testbed.registered().await;
    let api = Api::of(&testbed).await;
    let id = testbed.enable(&card).await;
    let target = format!("/admin/v1/orders/{id}");
    assert_eq!(api.call(Method::DELETE, &target, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(api.call(Method::DELETE, &target, None).await.0, StatusCode::NOT_FOUND);
    let reply = testbed.ipa(Binding::Asn1).poll(card.eid).await;
    assert!(matches!(reply, GetEimPackageResponse::EimPackageError(_)), "{reply:?}");
    let order = json!({ "eid": card.eid, "package": { "profileOperations": [] } });
    let (status, problem) = api.call(Method::POST, "/admin/v1/orders", Some(order)).await;
    assert_eq!((status, &problem["why"]), (StatusCode::BAD_REQUEST, &json!("the package has no operation")));
}

#[tokio::test]
async fn old_orders_of_a_device_are_deleted_and_open_ones_limited() {
    let testbed = Testbed::new();
    let mut card = testbed.registered().await;
    let ipa = testbed.ipa(Binding::Asn1);
    let first = testbed.enable(&card).await;
    for number in 0..=eim::config::MAX_ORDERS_PER_DEVICE {
        if number > 0 {
            testbed.enable(&card).await;
        }
        let result = card.execute(&*ipa.package(card.eid).await);
        ipa.provide_result(card.eid, result).await;
        testbed.wait(Duration::from_secs(1));
    }
    assert_eq!(testbed.eim.order_of(&first).await.unwrap(), None);
    for _ in 0..eim::config::MAX_ORDERS_PER_DEVICE {
        testbed.enable(&card).await;
    }
    let further = eim::NewOrder::new(card.eid, eim::records::Package::Data(Default::default()));
    let fault = testbed.eim.order(&further).await.unwrap_err();
    assert!(fault.why.contains("100 orders"), "{fault}");
}

#[tokio::test]
async fn the_configuration_contains_what_a_card_needs() {
    use rsp::{der::Asn1, sgp32::es10b::AddInitialEimRequest};
    let testbed = Testbed::new();
    let shown = Api::of(&testbed).await.get("/admin/v1/configuration").await;
    assert_eq!(shown["configuration"]["eimId"], EIM_ID);
    let der = hex::decode(shown["addInitialEim"].as_str().unwrap()).unwrap();
    let request = AddInitialEimRequest::from_der(&der).unwrap();
    let eim = &request.eim_configuration_data_list[0];
    assert_eq!((eim.eim_id.as_str(), eim.counter_value, eim.association_token), (EIM_ID, Some(0), Some(-1)));
    // Another eIM can add the same configuration.
    let card = testbed.registered().await;
    let package = json!({ "eimOperations": [{ "addEim": shown["configuration"] }] });
    let order = json!({ "eid": card.eid, "package": package });
    Api::of(&testbed).await.post("/admin/v1/orders", order).await;
}

#[tokio::test]
async fn events_are_listed_and_the_api_is_not_served_to_ipas() {
    let testbed = Testbed::new();
    let card = testbed.registered().await;
    let api = Api::of(&testbed).await;
    testbed.ipa(Binding::Asn1).poll(card.eid).await;
    let latest = api.get("/admin/v1/events/latest").await;
    assert_eq!((&latest["function"], &latest["interface"]), (&json!("GetEimPackage"), &json!("ESipa")));
    assert_eq!(api.get("/admin/v1/notifications").await, json!([]));
    let request = Request::get("/admin/v1/orders").body(Bytes::new()).unwrap();
    assert_eq!(testbed.eim.handle(request).await.status(), StatusCode::NOT_FOUND);
}

/// Also checks that no other operation is served.
#[tokio::test(start_paused = true)]
async fn served_operations_match_the_document() {
    let api = Api::of(&Testbed::new()).await;
    let operations = api.document.operations();
    for (_, template) in &operations {
        let eid = certs::numbered_eid("89049032", 1).unwrap().to_string();
        let path = template.replace("{eid}", &eid).replace("{transactionId}", "00");
        assert!(!path.contains('{'), "no value for {path}");
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let request = Request::builder().method(&method).uri(&path).body(Bytes::new()).unwrap();
            let response = world::send(&api.link, request).await.unwrap();
            let is_served = response.status() != StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(
                is_served,
                operations.contains(&(method.clone(), template.clone())),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn an_order_with_a_chosen_identifier_is_placed_once() {
    let testbed = Testbed::new();
    let card = testbed.registered().await;
    let api = Api::of(&testbed).await;
    let list = json!({ "profileOperations": [{ "listProfileInfo": {} }] });
    let order = json!({ "eid": card.eid, "transactionId": "0102030405060708A0", "package": list });
    let first = api.post("/admin/v1/orders", order.clone()).await;
    assert_eq!(first["transactionId"], "0102030405060708A0");
    assert_eq!(api.post("/admin/v1/orders", order.clone()).await, first);
    let orders = api.get("/admin/v1/orders").await;
    let all = orders.as_array().unwrap().iter();
    assert_eq!(all.filter(|order| order["transactionId"] == first["transactionId"]).count(), 1);

    let mut other = order;
    other["package"] = json!({ "profileOperations": [{ "getRat": {} }] });
    let (status, problem) = api.call(Method::POST, "/admin/v1/orders", Some(other)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
}
