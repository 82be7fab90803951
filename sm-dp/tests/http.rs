//! Tests of the HTTP layer of ES9+ in both bindings: SGP.22 sections 6.2 to 6.6. The tests of ES2+
//! are in `es2plus.rs`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a panic fails the test")]

mod support;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use rsp::ids::Version;
use rsp::sgp22::asn1::{self, Answer};
use rsp::sgp22::es9plus::{InitiateAuthentication, path};
use rsp::sgp22::json::{self, X_ADMIN_PROTOCOL};
use rsp::status::Status;
use serde_json::{Value, json};
use sm_dp::ProfileOptions;
use support::{Testbed, VERSION, raw};
use world::Outcome;

fn asn1_request(testbed: &Testbed) -> Request<Bytes> {
    asn1::request(VERSION, &testbed.euicc().initiation())
}

fn json_request(body: impl Into<Bytes>) -> Request<Bytes> {
    let mut request = json::request(&path("initiateAuthentication"), VERSION, &());
    *request.body_mut() = body.into();
    request
}

fn set(headers: &mut HeaderMap, name: &'static str, value: Option<&'static str>) {
    match value {
        Some(value) => drop(headers.insert(name, HeaderValue::from_static(value))),
        None => drop(headers.remove(name)),
    }
}

async fn json_status(testbed: &Testbed, request: Request<Bytes>) -> Option<Status> {
    match json::answer::<Value>(&raw(&testbed.server, request).await).unwrap() {
        json::Answer::Done(_) => None,
        json::Answer::Refused(why) => Some(why.status().unwrap()),
    }
}

// --- The ASN.1 binding ---------------------------------------------------------------------------

#[tokio::test]
async fn the_asn1_binding_reports_header_errors_as_http_status() {
    let testbed = Testbed::new();
    let with = async |name: &'static str, value: Option<&'static str>| {
        let mut request = asn1_request(&testbed);
        set(request.headers_mut(), name, value);
        let response = raw(&testbed.server, request).await;
        let version = response.headers()[X_ADMIN_PROTOCOL].to_str().unwrap().to_owned();
        if response.status() == StatusCode::OK {
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/x-gsma-rsp-asn1");
            let answer = asn1::answer::<InitiateAuthentication>(&response).unwrap();
            assert!(matches!(answer, Answer::Done(_)), "{name}: {value:?}");
        }
        (response.status(), version)
    };
    for good in [
        "application/x-gsma-rsp-asn1",
        "Application/X-GSMA-RSP-ASN1",
        "application/x-gsma-rsp-asn1; charset=UTF-8",
    ] {
        assert_eq!(with("content-type", Some(good)).await.0, StatusCode::OK, "{good}");
    }
    for bad in [None, Some(""), Some("application/json"), Some("application/x-gsma-rsp-asn1x")] {
        let (status, _) = with("content-type", bad).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{bad:?}");
    }
    for (good, answered) in [
        ("gsma/rsp/v2.0.0", "gsma/rsp/v2.0.0"),
        ("gsma/rsp/v2.2", "gsma/rsp/v2.2.0"),
        ("gsma/rsp/v2.2.1", "gsma/rsp/v2.2.1"),
        ("gsma/rsp/v2.5.0", "gsma/rsp/v2.5.0"),
        ("gsma/rsp/v2.6.1", "gsma/rsp/v2.6.0"),
        ("gsma/rsp/v3.0.0", "gsma/rsp/v2.6.0"),
        ("gsma/rsp/v3.1.0", "gsma/rsp/v2.6.0"),
    ] {
        let expected = (StatusCode::OK, answered.to_owned());
        assert_eq!(with(X_ADMIN_PROTOCOL, Some(good)).await, expected, "{good}");
    }
    for bad in [None, Some(""), Some("gsma/rsp/v1.9.0"), Some("gsma/rsp/vx.y.z")] {
        assert_eq!(with(X_ADMIN_PROTOCOL, bad).await.0, StatusCode::BAD_REQUEST, "{bad:?}");
    }
}

// req: SGP.22-6.6-Body
#[tokio::test]
async fn an_invalid_body_of_the_asn1_binding_is_a_bad_request() {
    let testbed = Testbed::new();
    let good = asn1_request(&testbed).into_body().to_vec();
    let inner = good[2..].to_vec();
    for (case, body) in [
        ("an empty body", vec![]),
        ("a truncated request", good[..good.len() - 1].to_vec()),
        ("without the outer tag", inner),
        ("an unsupported function of v3: ConfirmDeviceChange", vec![0xA2, 3, 0xBF, 0x4C, 0]),
        ("a request without its elements", vec![0xA2, 3, 0xBF, 0x39, 0]),
        ("a truncated notification", vec![0xA2, 5, 0xBF, 0x3D, 2, 0xA0]),
        ("JSON", b"{}".to_vec()),
    ] {
        let mut request = asn1_request(&testbed);
        *request.body_mut() = body.into();
        let response = raw(&testbed.server, request).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{case}");
        assert!(response.body().is_empty(), "{case}");
    }
    assert!(testbed.server.sessions().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_asn1_binding_ignores_elements_of_later_versions() {
    let testbed = Testbed::new();
    let good = asn1_request(&testbed).into_body().to_vec();
    let lpa_rsp_capability = [0x85, 2, 4, 0x10];
    let contents = [&good[5..], &lpa_rsp_capability].concat();
    let length = |octets: usize| u8::try_from(octets).unwrap();
    let mut request = asn1_request(&testbed);
    assert!(
        good.starts_with(&[0xA2, length(good.len() - 2), 0xBF, 0x39]),
        "all lengths are in the short form"
    );
    let header = [0xA2, length(contents.len() + 3), 0xBF, 0x39, length(contents.len())];
    *request.body_mut() = [&header[..], &contents].concat().into();
    let answer = asn1::answer::<InitiateAuthentication>(&raw(&testbed.server, request).await).unwrap();
    assert!(matches!(answer, Answer::Done(_)));
}

// --- The JSON binding ----------------------------------------------------------------------------

#[tokio::test]
async fn a_charset_other_than_utf_8_is_refused() {
    let testbed = Testbed::new();
    for (content_type, status) in [
        ("application/json; charset=\"utf-8\"", None),
        ("application/json;version=1", None),
        ("application/json;charset=iso-8859-1", Some(Status::ContentTypeInvalid)),
    ] {
        let mut request = json_request(serde_json::to_vec(&testbed.euicc().initiation()).unwrap());
        set(request.headers_mut(), "content-type", Some(content_type));
        assert_eq!(json_status(&testbed, request).await, status, "{content_type}");
    }
}

// req: SGP.22-6.5-Elements
#[tokio::test]
async fn invalid_elements_and_missing_elements_have_different_statuses() {
    let testbed = Testbed::new();
    let good = serde_json::to_value(testbed.euicc().initiation()).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut body = good.clone();
        change(&mut body);
        body.to_string()
    };
    let twice = good.to_string().replacen('{', r#"{"smdpAddress":"other.landfall.example","#, 1);
    let positional = json!([good["euiccChallenge"], good["smdpAddress"], good["euiccInfo1"]]).to_string();
    for (case, body, status) in [
        ("null", with(&|it| it["smdpAddress"] = Value::Null), Status::FormatInvalid),
        ("a list", with(&|it| it["euiccInfo1"] = json!([])), Status::FormatInvalid),
        ("twice", twice, Status::FormatInvalid),
        ("an array instead of an object", positional, Status::FormatInvalid),
        (
            "the words of an error message",
            with(&|it| it["euiccChallenge"] = json!("missing field")),
            Status::FormatInvalid,
        ),
        (
            "absent",
            with(&|it| drop(it.as_object_mut().unwrap().remove("euiccChallenge"))),
            Status::ElementMissing,
        ),
    ] {
        assert_eq!(json_status(&testbed, json_request(body)).await, Some(status), "{case}");
    }
}

#[tokio::test]
async fn unknown_fields_of_later_versions_are_ignored() {
    let testbed = Testbed::new();
    let code = testbed.released(&ProfileOptions::default()).await;
    let euicc = testbed.euicc();
    let proof = euicc.authenticate(&euicc.initiate(&testbed.server).await, &code).request().unwrap();
    let mut body = serde_json::to_value(&proof).unwrap();
    body["useMatchingIdForAcr"] = json!(true);
    body["deleteNotificationForDc"] = json!("v2MA");
    let mut request = json::request(&path("authenticateClient"), Version([3, 1, 0]), &body);
    set(request.headers_mut(), "user-agent", Some("gsma-rsp-lpad"));
    assert_eq!(json_status(&testbed, request).await, None);
}

// --- Both ----------------------------------------------------------------------------------------

#[tokio::test]
async fn every_rejected_request_is_logged() {
    let testbed = Testbed::new();
    let get = |mut request: Request<Bytes>| {
        *request.method_mut() = Method::GET;
        request
    };
    let text = |mut request: Request<Bytes>| {
        set(request.headers_mut(), "content-type", Some("text/plain"));
        request
    };
    let garbage = |mut request: Request<Bytes>| {
        *request.body_mut() = Bytes::from_static(b"garbage");
        request
    };
    let download_order = json::request("/gsma/rsp2/es2plus/downloadOrder", VERSION, &());
    for (request, status, interface, function) in [
        (json::request("/gsma/rsp2/es9plus/unknown", VERSION, &()), StatusCode::NOT_FOUND, "HTTP", "request"),
        (json::request("/gsma/rsp2/asn1/", VERSION, &()), StatusCode::NOT_FOUND, "HTTP", "request"),
        (get(json_request("")), StatusCode::METHOD_NOT_ALLOWED, "ES9+", "InitiateAuthentication"),
        (get(asn1_request(&testbed)), StatusCode::METHOD_NOT_ALLOWED, "ES9+", "asn1"),
        (download_order, StatusCode::FORBIDDEN, "ES2+", "DownloadOrder"),
        (text(asn1_request(&testbed)), StatusCode::UNSUPPORTED_MEDIA_TYPE, "ES9+", "asn1"),
        (garbage(asn1_request(&testbed)), StatusCode::BAD_REQUEST, "ES9+", "asn1"),
    ] {
        let request_line = format!("{} {}", request.method(), request.uri());
        let response = raw(&testbed.server, request).await;
        assert_eq!(response.status(), status, "{request_line}");
        let events = testbed.events.take();
        let [event] = &events[..] else { panic!("{request_line}: {events:?}") };
        assert_eq!((&*event.interface, &*event.function), (interface, function), "{request_line}");
        assert!(
            matches!(&event.outcome, Outcome::Refused(why) if why.starts_with(&format!("HTTP {status}"))),
            "{request_line}: {:?}",
            event.outcome
        );
    }
}

#[tokio::test]
async fn a_client_of_each_supported_version_gets_a_session_in_its_version() {
    let testbed = Testbed::new();
    for (svn, expected) in [
        ([2, 2, 1], [2, 2, 1]),
        ([2, 3, 0], [2, 3, 0]),
        ([2, 4, 0], [2, 4, 0]),
        ([2, 5, 0], [2, 5, 0]),
        ([2, 6, 0], [2, 6, 0]),
        ([3, 1, 0], [2, 6, 0]),
    ] {
        let euicc = testbed.euicc();
        let mut initiation = euicc.initiation();
        // A v3 eUICC reports its lowest version here, and its highest version in another element.
        initiation.euicc_info1.svn = Version(if svn[0] == 3 { [2, 2, 2] } else { svn });
        for request in [
            asn1::request(Version(svn), &initiation),
            json::request(&path("initiateAuthentication"), Version(svn), &initiation),
        ] {
            let response = raw(&testbed.server, request).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(json::protocol_version(response.headers()), Some(Version(expected)), "{svn:?}");
        }
    }
    assert_eq!(testbed.server.sessions().await.unwrap().len(), 12);
}
