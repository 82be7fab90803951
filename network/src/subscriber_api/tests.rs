//! Tests of the API over a link.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use http::header;
use rsp_server::api::next_page;
use serde_json::{Value, json};
use world::{Link, RamMemory, SeededRandom, World, link_from};

use super::*;
use crate::{AttachRequest, NetworkAnswer, NetworksService, Radio};

const K: &str = "465b5ce8b199b49faa5f0a2ee238a6bc";
const OPC: &str = "cd63cb71954a9f4e48a5994e37a02baf";

fn plmn(text: &str) -> Plmn {
    text.parse().unwrap()
}

fn world() -> World {
    World::new(world::ManualClock::at(rsp::time::Timestamp::from_seconds(0)), SeededRandom::from_text("api"))
}

struct Testbed {
    networks: Arc<Networks>,
    link: Link,
}

impl Testbed {
    /// A network without subscribers, and an API that opens home networks in memory.
    fn new() -> Self {
        let networks = Arc::new(Networks::new(world()));
        networks.put(Network::new(plmn("724-99"), "Local Brasil", "BR"));
        let own = Arc::clone(&networks);
        let subscribers = Subscribers::new(Arc::clone(&networks), move |home| {
            let server = Arc::new(SubscriberServer::open(home, RamMemory::default(), world())?);
            own.put_home(Arc::clone(&server));
            Ok(server)
        });
        let service = NetworksService::new(Arc::clone(&networks)).with_subscribers(subscribers);
        Self { networks, link: link_from(service) }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, String, Option<String>) {
        let sent = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = Request::builder().method(method).uri(path);
        let request = request.header(header::CONTENT_TYPE, "application/json").body(sent).unwrap();
        let response = world::send(&self.link, request).await.unwrap();
        let next = next_page(response.headers()).map(str::to_owned);
        (response.status(), String::from_utf8(response.body().to_vec()).unwrap(), next)
    }

    async fn json(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let (status, text, _) = self.send(method, path, body).await;
        (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() })
    }
}

fn milenage() -> Value {
    json!({ "keys": { "milenage": { "k": K, "opc": OPC } } })
}

fn attach(imsi: &str) -> AttachRequest {
    serde_json::from_value(json!({ "imsi": imsi })).unwrap()
}

#[tokio::test]
async fn a_subscriber_that_is_added_can_attach_until_it_is_removed() {
    let testbed = Testbed::new();
    let imsi = "724990000000001";
    let path = format!("/v1/subscribers/{imsi}");
    let challenge = async || testbed.networks.attach(plmn("724-99"), attach(imsi)).await.unwrap();
    assert!(matches!(challenge().await, NetworkAnswer::AttachReject(_)));
    let (status, added) = testbed.json("PUT", &path, Some(milenage())).await;
    assert_eq!(
        (status, &added["home"], &added["algorithm"]),
        (StatusCode::OK, &json!("724-99"), &json!("milenage"))
    );
    assert!(matches!(challenge().await, NetworkAnswer::AuthenticationRequest(_)));
    let last_seq =
        || testbed.networks.home_of(imsi.parse().unwrap()).unwrap().subscriber(imsi.parse().unwrap());
    let before = last_seq().unwrap().last_seq;
    testbed.json("PUT", &path, Some(milenage())).await;
    assert_eq!(last_seq().unwrap().last_seq, before, "the sequence number is kept");
    assert_eq!(testbed.json("DELETE", &path, None).await.0, StatusCode::NO_CONTENT);
    assert!(matches!(challenge().await, NetworkAnswer::AttachReject(_)));
    let (status, problem) = testbed.json("DELETE", &path, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(problem["next"].as_str().unwrap().contains("landfall network add"), "{problem}");
}

#[tokio::test]
async fn replies_and_debug_output_have_no_keys() {
    let testbed = Testbed::new();
    let path = "/v1/subscribers/724990000000001";
    for (method, path, body) in
        [("PUT", path, Some(milenage())), ("GET", path, None), ("GET", "/v1/subscribers", None)]
    {
        let (status, text, _) = testbed.send(method, path, body).await;
        assert_eq!(status, StatusCode::OK);
        assert!(!text.contains(&K[..8]) && !text.contains(&OPC[..8]), "{text}");
    }
    let new: NewSubscriber = serde_json::from_value(milenage()).unwrap();
    assert!(!format!("{new:?}").contains("70"), "{new:?}");
}

#[tokio::test]
async fn the_list_has_pages_and_a_filter() {
    let testbed = Testbed::new();
    for imsi in ["724990000000003", "724990000000001", "310410000000002"] {
        let mut body = milenage();
        if imsi.starts_with("310") {
            body["home"] = json!("310-410");
        }
        assert_eq!(
            testbed.json("PUT", &format!("/v1/subscribers/{imsi}"), Some(body)).await.0,
            StatusCode::OK
        );
    }
    let (mut found, mut path) = (Vec::new(), Some("/v1/subscribers?limit=2".to_owned()));
    while let Some(page) = path {
        let (_, text, next) = testbed.send("GET", &page, None).await;
        found.extend(serde_json::from_str::<Vec<ListedSubscriber>>(&text).unwrap());
        path = next;
    }
    let imsis: Vec<_> = found.iter().map(|subscriber| subscriber.imsi.to_string()).collect();
    assert_eq!(imsis, ["310410000000002", "724990000000001", "724990000000003"]);
    let (_, american) = testbed.json("GET", "/v1/subscribers?home=310-410", None).await;
    assert_eq!(american.as_array().unwrap().len(), 1);
    let (_, networks) = testbed.json("GET", "/v1/networks", None).await;
    assert_eq!(
        networks[0],
        json!({ "plmn": "724-99", "name": "Local Brasil", "country": "BR", "coverage": true })
    );
}

#[tokio::test]
async fn an_invalid_subscriber_is_refused_with_advice() {
    let testbed = Testbed::new();
    let with = |home: &str| json!({ "home": home, "keys": milenage()["keys"] });
    let tuak = json!({ "keys": { "tuak": { "k": "00", "topc": format!("{K}{OPC}"), "res_length": 8, "iterations": 1 } } });
    for (imsi, body, word) in [
        ("262010000000001", milenage(), "give the home network"),
        ("724990000000001", with("262-01"), "does not begin with"),
        ("724990000000001", tuak, "does not support these keys"),
        ("724990000000001", json!({ "keys": { "milenage": { "k": "00", "opc": OPC } } }), "octets"),
        ("724990000000001", json!({ "keys": milenage()["keys"], "colour": 1 }), "colour"),
        ("x", milenage(), "path"),
    ] {
        let (status, text, _) = testbed.send("PUT", &format!("/v1/subscribers/{imsi}"), Some(body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
        assert!(text.contains(word), "{word}: {text}");
    }
    assert_eq!(
        testbed.json("PUT", "/v1/subscribers/310410000000001", Some(with("310-410"))).await.0,
        StatusCode::OK
    );
    let (status, problem) =
        testbed.json("PUT", "/v1/subscribers/310410000000001", Some(with("310-41"))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{problem}");
}

#[tokio::test]
async fn a_web_page_cannot_use_the_api() {
    let testbed = Testbed::new();
    let request = Request::get("/v1/subscribers").header(header::ORIGIN, "http://evil.example");
    let response = world::send(&testbed.link, request.body(Bytes::new()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_committed_document_matches_the_served_one() {
    let (_, document) = Testbed::new().json("GET", "/openapi.json", None).await;
    let text = format!("{}\n", serde_json::to_string_pretty(&document).unwrap());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/network-api.json");
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(committed, text, "LANDFALL_REGENERATE=1 cargo test -p network regenerates it");
}
