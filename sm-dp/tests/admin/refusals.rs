//! Tests of invalid requests and of the protection against web pages.

use bytes::Bytes;
use http::{Request, StatusCode, header};

use crate::support::{ADDRESS, ICCID, Testbed};
use crate::{Api, new_profile, post, put};

#[tokio::test]
async fn invalid_requests_get_a_complete_problem_report() {
    let api = Api::of(&Testbed::new()).await;
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
        let request_line = format!("{} {}", request.method(), request.uri());
        let why = api.refused(request, status).await;
        assert!(why.contains(named), "{request_line}: {why}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_cannot_use_the_api() {
    let testbed = Testbed::new();
    let api = Api::of(&testbed).await;
    let body = new_profile(ICCID).to_string();
    // A form, or a script without CORS permission, can send these.
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
    assert_eq!(testbed.server.orders().await.unwrap(), []);
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
