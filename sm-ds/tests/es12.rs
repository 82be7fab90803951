//! ES12 from outside, function by function: SGP.22 section 5.9.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod support;

use crypto::Curve;
use http::{Method, StatusCode, header};
use rsp::sgp22::{es12, json};
use rsp::status::Status;
use support::{ADDRESS, Bench, Expect, SMDP_ADDRESS};

#[tokio::test]
async fn an_event_is_registered_waits_and_is_deleted() {
    let bench = Bench::new();
    let sm_dp_plus = bench.sm_dp_plus();
    let eid = bench.euicc().eid;
    bench.register("EV-1").await;
    let events = bench.server.registered_events().await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].eid, events[0].event_id.as_str()), (eid, "EV-1"));
    assert_eq!(events[0].rsp_server_address.as_str(), SMDP_ADDRESS);
    assert_eq!(events[0].owner.to_string(), sm_dp_plus.oid);
    sm_dp_plus.delete(&bench.server, &sm_dp_plus.deletion(eid, "EV-1")).await.done();
    assert_eq!(bench.waiting().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_event_id_is_taken_once_per_euicc_whoever_asks() {
    let bench = Bench::new();
    let (own, other) = (bench.sm_dp_plus(), bench.other_sm_dp_plus());
    let eid = bench.euicc().eid;
    bench.register("EV-1").await;
    let mut again = own.registration(eid, "EV-1");
    again.header = own.header("another call");
    assert_eq!(own.register(&bench.server, &again).await.refused(), Status::EventInUse);
    // The same name of the call does not make another's call the same, nor another content.
    let others = other.registration(eid, "EV-1");
    assert_eq!(other.register(&bench.server, &others).await.refused(), Status::EventInUse);
    let mut elsewhere = own.registration(eid, "EV-1");
    elsewhere.rsp_server_address = "elsewhere.landfall.example".parse().unwrap();
    assert_eq!(own.register(&bench.server, &elsewhere).await.refused(), Status::EventInUse);
    // Another eUICC's events are another matter.
    let elsewhere = own.registration(bench.numbered_euicc(Curve::P256, 1).eid, "EV-1");
    own.register(&bench.server, &elsewhere).await.done();
    assert_eq!(bench.waiting().await, ["EV-1", "EV-1"]);
}

#[tokio::test]
async fn a_call_that_comes_twice_is_answered_twice_and_registers_once() {
    let bench = Bench::new();
    bench.register("EV-1").await;
    bench.wait(std::time::Duration::from_secs(60));
    bench.register("EV-1").await;
    assert_eq!(bench.waiting().await, ["EV-1"]);
}

#[tokio::test]
async fn an_event_is_deleted_by_its_owner_alone() {
    let bench = Bench::new();
    let (own, other) = (bench.sm_dp_plus(), bench.other_sm_dp_plus());
    let eid = bench.euicc().eid;
    let other_eid = bench.numbered_euicc(Curve::P256, 1).eid;
    bench.register("EV-1").await;
    for (case, answer) in [
        ("another SM-DP+", other.delete(&bench.server, &other.deletion(eid, "EV-1")).await),
        ("another id", own.delete(&bench.server, &own.deletion(eid, "EV-2")).await),
        ("another eUICC", own.delete(&bench.server, &own.deletion(other_eid, "EV-1")).await),
    ] {
        assert_eq!(answer.refused(), Status::EventUnknown, "{case}");
    }
    assert_eq!(bench.waiting().await, ["EV-1"]);
    own.delete(&bench.server, &own.deletion(eid, "EV-1")).await.done();
    let again = own.delete(&bench.server, &own.deletion(eid, "EV-1")).await;
    assert_eq!(again.refused(), Status::EventUnknown);
}

#[tokio::test]
async fn only_the_tls_certificate_of_an_sm_dp_plus_opens_es12() {
    let bench = Bench::new();
    let eid = bench.euicc().eid;
    let pki = &bench.pki;
    let dp = pki.dp(Curve::P256).unwrap();
    for (case, certificate) in [
        ("none", None),
        ("nonsense", Some(vec![0x30, 0])),
        ("an operator's", Some(pki.operator("Landfall Test Operator").unwrap().certificate.der().to_vec())),
        ("an SM-DS's", Some(pki.ds(Curve::P256).unwrap().tls.certificate.der().to_vec())),
        ("CERT.DPauth", Some(dp.auth.certificate.der().to_vec())),
        ("an eUICC's", Some(bench.euicc().credentials.euicc.certificate.der().to_vec())),
    ] {
        let caller = support::SmDpPlus { certificate, ..bench.sm_dp_plus() };
        let register = caller.request("registerEvent", &caller.registration(eid, "EV-1"));
        assert_eq!(bench.server.handle(register).await.status(), StatusCode::FORBIDDEN, "{case}");
        let delete = caller.request("deleteEvent", &caller.deletion(eid, "EV-1"));
        assert_eq!(bench.server.handle(delete).await.status(), StatusCode::FORBIDDEN, "{case}");
    }
    assert!(bench.waiting().await.is_empty());
}

#[tokio::test]
async fn the_function_requester_is_the_holder_of_the_certificate() {
    let bench = Bench::new();
    let own = bench.sm_dp_plus();
    let eid = bench.euicc().eid;
    bench.register("EV-1").await;
    for name in [bench.other_sm_dp_plus().oid, String::new()] {
        let mut registration = own.registration(eid, "EV-2");
        registration.header.function_requester_identifier = name.clone();
        let answer = own.register(&bench.server, &registration).await;
        assert_eq!(answer.refused(), Status::RequesterNotAllowed, "{name:?}");
        let mut deletion = own.deletion(eid, "EV-1");
        deletion.header.function_requester_identifier = name.clone();
        let answer = own.delete(&bench.server, &deletion).await;
        assert_eq!(answer.refused(), Status::RequesterNotAllowed, "{name:?}");
    }
    assert_eq!(bench.waiting().await, ["EV-1"]);
}

#[tokio::test]
async fn event_ids_have_1_to_255_octets() {
    let bench = Bench::new();
    let own = bench.sm_dp_plus();
    let eid = bench.euicc().eid;
    for id in [String::new(), "X".repeat(256)] {
        let answer = own.register(&bench.server, &own.registration(eid, &id)).await;
        assert_eq!(answer.refused(), Status::FormatInvalid, "{} octets", id.len());
    }
    own.register(&bench.server, &own.registration(eid, &"X".repeat(255))).await.done();
}

#[tokio::test]
async fn no_more_events_of_one_sm_dp_plus_wait_for_one_euicc_than_the_configuration_says() {
    let bench = Bench::with(|config| config.max_events_per_euicc = 2);
    let own = bench.sm_dp_plus();
    let eid = bench.euicc().eid;
    for id in ["EV-1", "EV-2"] {
        bench.register(id).await;
    }
    let answer = own.register(&bench.server, &own.registration(eid, "EV-3")).await;
    assert_eq!(answer.refused(), Status::SmdsExecutionError);
    let other = own.registration(bench.numbered_euicc(Curve::P256, 1).eid, "EV-3");
    own.register(&bench.server, &other).await.done();
    // Another SM-DP+ is not locked out.
    let another = bench.other_sm_dp_plus();
    another.register(&bench.server, &another.registration(eid, "EV-3")).await.done();
    another.delete(&bench.server, &another.deletion(eid, "EV-3")).await.done();
    own.delete(&bench.server, &own.deletion(eid, "EV-1")).await.done();
    own.register(&bench.server, &own.registration(eid, "EV-3")).await.done();
}

/// There is nobody that a root SM-DS could forward to.
#[tokio::test]
async fn a_root_sm_ds_takes_an_event_whether_or_not_it_is_to_be_forwarded() {
    let bench = Bench::new();
    let own = bench.sm_dp_plus();
    let mut registration = own.registration(bench.euicc().eid, "EV-1");
    registration.forwarding_indicator = true;
    own.register(&bench.server, &registration).await.done();
    assert_eq!(bench.waiting().await, ["EV-1"]);
}

#[tokio::test]
async fn what_is_no_call_is_answered_as_such() {
    let bench = Bench::new();
    let own = bench.sm_dp_plus();
    let registration = own.registration(bench.euicc().eid, "EV-1");
    let refused = async |spoil: &dyn Fn(&mut serde_json::Value, &mut http::HeaderMap)| {
        let mut body = serde_json::to_value(&registration).unwrap();
        let mut headers = http::HeaderMap::new();
        spoil(&mut body, &mut headers);
        let mut request = own.request("registerEvent", &body);
        for (name, value) in &headers {
            request.headers_mut().insert(name, value.clone());
        }
        json::answer::<support::Nothing>(&bench.server.handle(request).await).unwrap().refused()
    };
    let missing = refused(&|body, _| drop(body.as_object_mut().unwrap().remove("forwardingIndicator"))).await;
    assert_eq!(missing, Status::ElementMissing);
    let malformed = refused(&|body, _| body["eid"] = "8904".into()).await;
    assert_eq!(malformed, Status::FormatInvalid);
    let address = refused(&|body, _| body["rspServerAddress"] = "no address".into()).await;
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
    assert_eq!(bench.server.handle(get).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    for path in [es12::path("registerevent"), "/".to_owned(), "/gsma/rsp2/es2plus/downloadOrder".to_owned()] {
        let mut elsewhere = own.request("registerEvent", &registration);
        *elsewhere.uri_mut() = path.parse().unwrap();
        assert_eq!(bench.server.handle(elsewhere).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    assert!(bench.waiting().await.is_empty());
}

#[tokio::test]
async fn every_call_tells_one_event() {
    let bench = Bench::new();
    bench.register("EV-1").await;
    bench.euicc().ask(&bench.server, Some("EV-2")).await.refused();
    let told: Vec<String> = bench
        .events
        .all()
        .iter()
        .map(|event| format!("{} {}.{} {:?}", event.peer, event.interface, event.function, event.outcome))
        .collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[0], "SM-DP+ ES12.RegisterEvent Done");
    assert_eq!(told[1], "LPA ES11.InitiateAuthentication Done");
    assert!(told[2].starts_with("LPA ES11.AuthenticateClient Refused("), "{}", told[2]);
    assert!(told[2].contains("8.9.5/3.9"), "{} of {ADDRESS}", told[2]);
}
