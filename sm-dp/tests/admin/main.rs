//! Tests of the admin API. Every request and response is validated against the OpenAPI document.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a panic fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod lists;
mod namespaces;
mod orders;
mod refusals;
mod resources;
mod stock;
mod templates;
mod waits;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use rsp::sgp22::json::base64_octets;
use rsp_server::{Namespace, api::next_page};
use serde_json::{Value, json};
use support::{ICCID, Testbed, openapi::OpenApi, package};
use world::Link;

/// A client that validates its requests and the responses against the OpenAPI document.
struct Api {
    link: Link,
    document: OpenApi,
    /// The namespace of the requests.
    namespace: Namespace,
}

impl Api {
    async fn of(testbed: &Testbed) -> Self {
        let link = testbed.server.admin();
        let request = Request::get("/openapi.json").body(Bytes::new()).unwrap();
        let response = world::send(&link, request).await.unwrap();
        let document = OpenApi(serde_json::from_slice(response.body()).unwrap());
        Self { link, document, namespace: Namespace::default() }
    }

    /// Returns a client of the same server for another namespace.
    fn in_namespace(&self, name: &str) -> Self {
        let document = OpenApi(self.document.0.clone());
        Self { link: self.link.clone(), document, namespace: name.parse().unwrap() }
    }

    /// Sends a request that the document describes. The response must match the document.
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
        let (status, body) = self.send(request.unwrap()).await;
        if let Err(why) = self.document.check_response(&method, target, status, body.as_ref()) {
            panic!("{method} {target}: response {status} does not match the document: {why}");
        }
        (status, body.unwrap_or_default())
    }

    async fn send(&self, mut request: Request<Bytes>) -> (StatusCode, Option<Value>) {
        if !self.namespace.is_default() {
            let namespace = self.namespace.as_str().parse().unwrap();
            request.headers_mut().insert(Namespace::HEADER, namespace);
        }
        let response = world::send(&self.link, request).await.unwrap();
        if response.body().is_empty() {
            return (response.status(), None);
        }
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        (response.status(), Some(serde_json::from_slice(response.body()).unwrap()))
    }

    async fn get(&self, target: &str) -> Value {
        let (status, body) = self.call(Method::GET, target, None).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body
    }

    /// Returns a page of a list, and the target of the next page.
    async fn page(&self, target: &str) -> (Value, Option<String>) {
        let request = Request::get(target).body(Bytes::new()).unwrap();
        let response = world::send(&self.link, request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{target}");
        (serde_json::from_slice(response.body()).unwrap(), next_page(response.headers()).map(str::to_owned))
    }

    async fn post(&self, target: &str, body: Value) -> Value {
        let (status, body) = self.call(Method::POST, target, Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        body
    }

    async fn delete(&self, target: &str) {
        let (status, body) = self.call(Method::DELETE, target, None).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
    }

    /// Sends a request that is refused, and returns the description, reason and next step.
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

#[tokio::test]
async fn the_committed_document_matches_the_served_one() {
    let api = Api::of(&Testbed::new()).await;
    let text = format!("{}\n", serde_json::to_string_pretty(&api.document.0).unwrap());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/admin-api.json");
    if std::env::var_os("LANDFALL_REGENERATE").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap();
    assert_eq!(committed, text, "LANDFALL_REGENERATE=1 cargo test -p sm-dp --test admin regenerates it");
}

/// Also checks that no other operation is served: a method that the document does not list must be
/// answered with 405 and an Allow header with the listed methods.
#[tokio::test(start_paused = true)]
async fn served_operations_match_the_document() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    let operations = api.document.operations();
    for (_, template) in &operations {
        let path = template
            .replace("{iccid}", ICCID)
            .replace("{transactionId}", "00")
            .replace("{identifier}", "ACME")
            .replace("{profileType}", "meters")
            .replace("{namespace}", "job");
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
async fn the_protocol_port_does_not_serve_the_admin_api() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    for (method, template) in api.document.operations() {
        let path = template.replace("{iccid}", ICCID);
        let request = Request::builder().method(method).uri(&path);
        let request = request.header(header::CONTENT_TYPE, "application/json").body("{}".into()).unwrap();
        let response = testbed.server.handle(request).await;
        assert_eq!((response.status(), response.body().len()), (StatusCode::NOT_FOUND, 0), "{path}");
    }
    let request = Request::post("/gsma/rsp2/es9plus/initiateAuthentication");
    let (status, _) = api.send(request.body(Bytes::new()).unwrap()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}
