//! Tests of ES12 through the public interface, by function: SGP.22 section 5.9.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic fails the test")]

mod support;

use crypto::Curve;
use http::{Method, StatusCode, header};
use rsp::sgp22::{es12, json};
use rsp::status::Status;
use support::{ADDRESS, Expect, SMDP_ADDRESS, Testbed};

#[tokio::test]
async fn an_event_is_registered_and_deleted() {
    let testbed = Testbed::new();
    let sm_dp_plus = testbed.sm_dp_plus();
    let eid = testbed.euicc().eid;
    testbed.register("EV-1").await;
    let events = testbed.server.registered_events().await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].eid, events[0].event_id.as_str()), (eid, "EV-1"));
    assert_eq!(events[0].rsp_server_address.as_str(), SMDP_ADDRESS);
    assert_eq!(events[0].owner.to_string(), sm_dp_plus.oid);
    sm_dp_plus.delete(&testbed.server, &sm_dp_plus.deletion(eid, "EV-1")).await.done();
    assert_eq!(testbed.waiting().await, Vec::<String>::new());
}

// req: SGP.22-5.9.1-EventInUse
#[tokio::test]
async fn an_event_id_is_unique_for_each_euicc() {
    let testbed = Testbed::new();
    let (own, other) = (testbed.sm_dp_plus(), testbed.other_sm_dp_plus());
    let eid = testbed.euicc().eid;
    testbed.register("EV-1").await;
    let mut again = own.registration(eid, "EV-1");
    again.header = own.header("another call");
    assert_eq!(own.register(&testbed.server, &again).await.refused(), Status::EventInUse);
    // A call with the same functionCallIdentifier is not a repetition if it comes from another
    // SM-DP+ or has other content.
    let others = other.registration(eid, "EV-1");
    assert_eq!(other.register(&testbed.server, &others).await.refused(), Status::EventInUse);
    let mut elsewhere = own.registration(eid, "EV-1");
    elsewhere.rsp_server_address = "elsewhere.landfall.example".parse().unwrap();
    assert_eq!(own.register(&testbed.server, &elsewhere).await.refused(), Status::EventInUse);
    // The events of another eUICC are independent.
    let elsewhere = own.registration(testbed.numbered_euicc(Curve::P256, 1).eid, "EV-1");
    own.register(&testbed.server, &elsewhere).await.done();
    assert_eq!(testbed.waiting().await, ["EV-1", "EV-1"]);
}

// req: SGP.22-5.9.1-Repetition
#[tokio::test]
async fn a_repeated_call_succeeds_and_registers_once() {
    let testbed = Testbed::new();
    testbed.register("EV-1").await;
    testbed.wait(std::time::Duration::from_secs(60));
    testbed.register("EV-1").await;
    assert_eq!(testbed.waiting().await, ["EV-1"]);
}

// req: SGP.22-5.9.2-Owner
#[tokio::test]
async fn only_the_owner_can_delete_an_event() {
    let testbed = Testbed::new();
    let (own, other) = (testbed.sm_dp_plus(), testbed.other_sm_dp_plus());
    let eid = testbed.euicc().eid;
    let other_eid = testbed.numbered_euicc(Curve::P256, 1).eid;
    testbed.register("EV-1").await;
    for (case, answer) in [
        ("another SM-DP+", other.delete(&testbed.server, &other.deletion(eid, "EV-1")).await),
        ("another id", own.delete(&testbed.server, &own.deletion(eid, "EV-2")).await),
        ("another eUICC", own.delete(&testbed.server, &own.deletion(other_eid, "EV-1")).await),
    ] {
        assert_eq!(answer.refused(), Status::EventUnknown, "{case}");
    }
    assert_eq!(testbed.waiting().await, ["EV-1"]);
    own.delete(&testbed.server, &own.deletion(eid, "EV-1")).await.done();
    let again = own.delete(&testbed.server, &own.deletion(eid, "EV-1")).await;
    assert_eq!(again.refused(), Status::EventUnknown);
}

#[tokio::test]
async fn es12_requires_the_tls_certificate_of_an_sm_dp_plus() {
    let testbed = Testbed::new();
    let eid = testbed.euicc().eid;
    let pki = &testbed.pki;
    let dp = pki.dp(Curve::P256).unwrap();
    for (case, certificate) in [
        ("none", None),
        ("nonsense", Some(vec![0x30, 0])),
        ("an operator's", Some(pki.operator("Landfall Test Operator").unwrap().certificate.der().to_vec())),
        ("an SM-DS's", Some(pki.ds(Curve::P256).unwrap().tls.certificate.der().to_vec())),
        ("CERT.DPauth", Some(dp.auth.certificate.der().to_vec())),
        ("an eUICC's", Some(testbed.euicc().credentials.euicc.certificate.der().to_vec())),
    ] {
        let caller = support::SmDpPlus { certificate, ..testbed.sm_dp_plus() };
        let register = caller.request("registerEvent", &caller.registration(eid, "EV-1"));
        assert_eq!(testbed.server.handle(register).await.status(), StatusCode::FORBIDDEN, "{case}");
        let delete = caller.request("deleteEvent", &caller.deletion(eid, "EV-1"));
        assert_eq!(testbed.server.handle(delete).await.status(), StatusCode::FORBIDDEN, "{case}");
    }
    assert!(testbed.waiting().await.is_empty());
}

// req: SGP.22-5.9.1-Requester
#[tokio::test]
async fn the_function_requester_must_be_the_holder_of_the_certificate() {
    let testbed = Testbed::new();
    let own = testbed.sm_dp_plus();
    let eid = testbed.euicc().eid;
    testbed.register("EV-1").await;
    for name in [testbed.other_sm_dp_plus().oid, String::new()] {
        let mut registration = own.registration(eid, "EV-2");
        registration.header.function_requester_identifier = name.clone();
        let answer = own.register(&testbed.server, &registration).await;
        assert_eq!(answer.refused(), Status::RequesterNotAllowed, "{name:?}");
        let mut deletion = own.deletion(eid, "EV-1");
        deletion.header.function_requester_identifier = name.clone();
        let answer = own.delete(&testbed.server, &deletion).await;
        assert_eq!(answer.refused(), Status::RequesterNotAllowed, "{name:?}");
    }
    assert_eq!(testbed.waiting().await, ["EV-1"]);
}

// req: SGP.22-5.9.1-EventIdLength
#[tokio::test]
async fn event_ids_have_1_to_255_octets() {
    let testbed = Testbed::new();
    let own = testbed.sm_dp_plus();
    let eid = testbed.euicc().eid;
    for id in [String::new(), "X".repeat(256)] {
        let answer = own.register(&testbed.server, &own.registration(eid, &id)).await;
        assert_eq!(answer.refused(), Status::FormatInvalid, "{} octets", id.len());
    }
    own.register(&testbed.server, &own.registration(eid, &"X".repeat(255))).await.done();
}

// req: SGP.22-5.9.1-Limit
#[tokio::test]
async fn the_events_of_one_sm_dp_plus_for_one_euicc_are_limited() {
    let testbed = Testbed::with(|config| config.max_events_per_euicc = 2);
    let own = testbed.sm_dp_plus();
    let eid = testbed.euicc().eid;
    for id in ["EV-1", "EV-2"] {
        testbed.register(id).await;
    }
    let answer = own.register(&testbed.server, &own.registration(eid, "EV-3")).await;
    assert_eq!(answer.refused(), Status::SmdsExecutionError);
    let other = own.registration(testbed.numbered_euicc(Curve::P256, 1).eid, "EV-3");
    own.register(&testbed.server, &other).await.done();
    // Another SM-DP+ can still register events.
    let another = testbed.other_sm_dp_plus();
    another.register(&testbed.server, &another.registration(eid, "EV-3")).await.done();
    another.delete(&testbed.server, &another.deletion(eid, "EV-3")).await.done();
    own.delete(&testbed.server, &own.deletion(eid, "EV-1")).await.done();
    own.register(&testbed.server, &own.registration(eid, "EV-3")).await.done();
}

/// A root SM-DS has no SM-DS to forward events to.
#[tokio::test]
async fn a_root_sm_ds_ignores_the_forwarding_indicator() {
    let testbed = Testbed::new();
    let own = testbed.sm_dp_plus();
    let mut registration = own.registration(testbed.euicc().eid, "EV-1");
    registration.forwarding_indicator = true;
    own.register(&testbed.server, &registration).await.done();
    assert_eq!(testbed.waiting().await, ["EV-1"]);
}

#[tokio::test]
async fn an_invalid_call_gets_a_status_code_or_an_http_status() {
    let testbed = Testbed::new();
    let own = testbed.sm_dp_plus();
    let registration = own.registration(testbed.euicc().eid, "EV-1");
    let refused = async |corrupt: &dyn Fn(&mut serde_json::Value, &mut http::HeaderMap)| {
        let mut body = serde_json::to_value(&registration).unwrap();
        let mut headers = http::HeaderMap::new();
        corrupt(&mut body, &mut headers);
        let mut request = own.request("registerEvent", &body);
        for (name, value) in &headers {
            request.headers_mut().insert(name, value.clone());
        }
        json::answer::<support::EmptyReply>(&testbed.server.handle(request).await).unwrap().refused()
    };
    let missing = refused(&|body, _| drop(body.as_object_mut().unwrap().remove("forwardingIndicator"))).await;
    assert_eq!(missing, Status::ElementMissing);
    let malformed = refused(&|body, _| body["eid"] = "8904".into()).await;
    assert_eq!(malformed, Status::FormatInvalid);
    let address = refused(&|body, _| body["rspServerAddress"] = "not an address".into()).await;
    assert_eq!(address, Status::FormatInvalid);
    let content = refused(&|_, headers| {
        headers.insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    })
    .await;
    assert_eq!(content, Status::ContentTypeInvalid);
    for version in ["gsma/rsp/v1.0.0", "v2.2.0"] {
        let protocol = refused(&|_, headers| {
            headers.insert(json::X_ADMIN_PROTOCOL, version.parse().unwrap());
        })
        .await;
        assert_eq!(protocol, Status::ProtocolInvalid, "{version}");
    }

    let mut get = own.request("registerEvent", &registration);
    *get.method_mut() = Method::GET;
    assert_eq!(testbed.server.handle(get).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    for path in [es12::path("registerevent"), "/".to_owned(), "/gsma/rsp2/es2plus/downloadOrder".to_owned()] {
        let mut elsewhere = own.request("registerEvent", &registration);
        *elsewhere.uri_mut() = path.parse().unwrap();
        assert_eq!(testbed.server.handle(elsewhere).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    assert!(testbed.waiting().await.is_empty());
}

#[tokio::test]
async fn every_call_reports_one_event() {
    let testbed = Testbed::new();
    testbed.register("EV-1").await;
    testbed.euicc().try_authenticate(&testbed.server, Some("EV-2")).await.refused();
    let reported: Vec<String> = testbed
        .events
        .all()
        .iter()
        .map(|event| format!("{} {}.{} {:?}", event.peer, event.interface, event.function, event.outcome))
        .collect();
    assert_eq!(reported.len(), 3, "{reported:?}");
    assert_eq!(reported[0], "SM-DP+ ES12.RegisterEvent Done");
    assert_eq!(reported[1], "LPA ES11.InitiateAuthentication Done");
    assert!(reported[2].starts_with("LPA ES11.AuthenticateClient Refused("), "{}", reported[2]);
    assert!(reported[2].contains("8.9.5/3.9"), "{} of {ADDRESS}", reported[2]);
}
