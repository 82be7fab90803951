//! Tests of ES11 through the public interface, by function: SGP.22 section 5.8.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a panic fails the test")]

#[path = "../../crates/rsp-server/tests/support/failing_records.rs"]
mod failing_records;
#[path = "../../crates/rsp-server/tests/support/mutual_authentication.rs"]
mod mutual_authentication;
mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use bytes::Bytes;
use crypto::{Curve, Signature};
use failing_records::FailingRecords;
use http::header::CONTENT_TYPE;
use http::{Method, Request, StatusCode};
use mutual_authentication::{DEFECTS, defective_infos};
use rsp::ids::{TransactionId, Version};
use rsp::sgp22::es9plus::{self, CancelSessionRequestEs9};
use rsp::sgp22::es10b::{CancelSessionError, CancelSessionResponse};
use rsp::sgp22::es11::{
    self, AuthenticateClient, AuthenticateClientError, AuthenticateClientOk, InitiateAuthentication,
    InitiateAuthenticationError, InitiateAuthenticationOk, InitiateAuthenticationRequest,
};
use rsp::sgp22::{asn1, json};
use rsp::status::Status;
use sgp23::euicc::authentication_error;
use support::{ADDRESS, Expect, SMDP_ADDRESS, Testbed, VERSION, euicc::call};
use world::Records;

#[tokio::test]
async fn the_sm_ds_authenticates_itself_and_returns_events_on_both_curves() {
    for curve in [Curve::P256, Curve::BrainpoolP256r1] {
        let testbed = Testbed::new();
        let euicc = testbed.euicc_on(curve);
        let sm_dp_plus = testbed.sm_dp_plus();
        sm_dp_plus.register(&testbed.server, &sm_dp_plus.registration(euicc.eid, "EV-1")).await.done();

        let request = euicc.initiation();
        let first = call::<InitiateAuthentication>(&testbed.server, &request).await.done();
        let auth = testbed.pki.ds(curve).unwrap().auth.certificate;
        assert_eq!(first.server_certificate.0, auth.der());
        let signature = Signature::from_slice(&first.server_signature1).unwrap();
        auth.public_key().verify(first.server_signed1.bytes(), &signature).unwrap();
        assert_eq!(first.server_signed1.euicc_challenge, request.euicc_challenge);
        assert_eq!(first.server_signed1.server_address, ADDRESS);
        assert_eq!(first.server_signed1.transaction_id, first.transaction_id);
        assert_eq!(Some(&first.euicc_ci_pk_id_to_be_used), euicc.credentials.ci.subject_key_id());

        let proof = euicc.proof(&first, Some("EV-1"));
        let second = call::<AuthenticateClient>(&testbed.server, &proof.request().unwrap()).await.done();
        assert_eq!(second.transaction_id, first.transaction_id);
        assert_eq!(second.event_entries.len(), 1);
        assert_eq!(second.event_entries[0].event_id, "EV-1");
        assert_eq!(second.event_entries[0].rsp_server_address, SMDP_ADDRESS);
        assert_eq!(testbed.waiting().await, ["EV-1"], "a request does not delete the event");
    }
}

#[tokio::test]
async fn an_empty_event_id_returns_all_events_oldest_first() {
    let testbed = Testbed::new();
    let euicc = testbed.euicc();
    assert_eq!(euicc.events(&testbed.server, None).await, Vec::<String>::new());
    for id in ["EV-2", "EV-1", "EV-3"] {
        testbed.register(id).await;
        testbed.wait(std::time::Duration::from_secs(1));
    }
    assert_eq!(euicc.events(&testbed.server, None).await, ["EV-2", "EV-1", "EV-3"]);
    assert_eq!(euicc.events(&testbed.server, Some("")).await, ["EV-2", "EV-1", "EV-3"]);
    assert_eq!(euicc.events(&testbed.server, Some("EV-1")).await, ["EV-1"]);
}

// req: SGP.22-5.8.2-EventUnknown
#[tokio::test]
async fn an_event_is_returned_to_its_own_euicc_only() {
    let testbed = Testbed::new();
    testbed.register("EV-1").await;
    let other = testbed.numbered_euicc(Curve::P256, 1);
    assert_eq!(other.events(&testbed.server, None).await, Vec::<String>::new());
    assert_eq!(other.try_authenticate(&testbed.server, Some("EV-1")).await.refused(), Status::EventUnknown);
    assert_eq!(
        testbed.euicc().try_authenticate(&testbed.server, Some("EV-")).await.refused(),
        Status::EventUnknown
    );
}

#[tokio::test]
async fn initiate_authentication_refuses_each_defect_with_its_status() {
    let testbed = Testbed::new();
    let valid = testbed.euicc().initiation();
    let other_address = "other.landfall.example".to_owned();
    // req: SGP.22-5.8.1-Address
    let request = InitiateAuthenticationRequest { smds_address: other_address, ..valid.clone() };
    let answer = call::<InitiateAuthentication>(&testbed.server, &request).await;
    assert_eq!(answer.refused(), Status::SmdsAddressRefused);
    let statuses = [
        Status::SmdsSvnUnsupported,
        Status::SmdsCiForVerificationUnavailable,
        Status::SmdsCiForSigningUnsupported,
    ];
    for (case, euicc_info1, status) in defective_infos(&valid.euicc_info1, statuses) {
        let request = InitiateAuthenticationRequest { euicc_info1, ..valid.clone() };
        let answer = call::<InitiateAuthentication>(&testbed.server, &request).await;
        assert_eq!(answer.refused(), status, "{case}");
    }
    assert!(testbed.server.sessions().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_server_address_is_case_insensitive_and_can_be_one_of_several() {
    let testbed =
        Testbed::with(|config| config.server.other_addresses.push("smds.other.example".parse().unwrap()));
    let euicc = testbed.euicc();
    for address in ["SMDS.Landfall.EXAMPLE", "Smds.Other.Example"] {
        let mut request = euicc.initiation();
        request.smds_address = address.to_owned();
        let reply = call::<InitiateAuthentication>(&testbed.server, &request).await.done();
        assert_eq!(reply.server_signed1.server_address, address);
    }
}

/// Deployed LPAs use the paths of ES9+ and its name for the address field; some use the names of
/// ES11.
#[tokio::test]
async fn both_paths_and_both_names_of_the_address_field_are_accepted() {
    let testbed = Testbed::new();
    testbed.register("EV-1").await;
    let euicc = testbed.euicc();
    let mut body = serde_json::to_value(euicc.initiation()).unwrap();
    let address = body.as_object_mut().unwrap().remove("smdpAddress").unwrap();
    body["smdsAddress"] = address;
    let request = json::request(&es11::path("initiateAuthentication"), VERSION, &body);
    let first: InitiateAuthenticationOk = json::answer(&testbed.server.handle(request).await).unwrap().done();
    let body = euicc.proof(&first, None).request().unwrap();
    let request = json::request(&es11::path("authenticateClient"), VERSION, &body);
    let second: AuthenticateClientOk = json::answer(&testbed.server.handle(request).await).unwrap().done();
    assert_eq!(second.event_entries.len(), 1);
}

#[tokio::test]
async fn the_asn1_binding_returns_the_same_results() {
    let testbed = Testbed::new();
    testbed.register("EV-1").await;
    let euicc = testbed.euicc();
    // An LPA sends the same request as in ES9+, because the tags do not identify the kind of
    // server.
    let request = asn1::request(VERSION, &euicc.initiation());
    let response = testbed.server.handle(request).await;
    assert_eq!(response.headers()["content-type"], asn1::CONTENT_TYPE);
    let Ok(asn1::Answer::Done(first)) = asn1::answer::<InitiateAuthentication>(&response) else { panic!() };
    let request = asn1::request(VERSION, &euicc.proof(&first, Some("EV-1")).request().unwrap());
    let response = testbed.server.handle(request).await;
    let Ok(asn1::Answer::Done(second)) = asn1::answer::<AuthenticateClient>(&response) else { panic!() };
    assert_eq!(second.event_entries[0].event_id, "EV-1");

    let mut elsewhere = euicc.initiation();
    elsewhere.smds_address = "other.landfall.example".to_owned();
    let response = testbed.server.handle(asn1::request(VERSION, &elsewhere)).await;
    let refused = asn1::answer::<InitiateAuthentication>(&response).unwrap();
    assert_eq!(refused, asn1::Answer::Refused(InitiateAuthenticationError::INVALID_DP_ADDRESS));
    let first = euicc.initiate(&testbed.server).await;
    let request = asn1::request(VERSION, &euicc.proof(&first, Some("EV-2")).request().unwrap());
    let refused = asn1::answer::<AuthenticateClient>(&testbed.server.handle(request).await).unwrap();
    assert_eq!(refused, asn1::Answer::Refused(AuthenticateClientError::EVENT_ID_UNKNOWN));
}

#[tokio::test]
async fn errors_without_an_asn1_status_code_are_http_statuses() {
    let testbed = Testbed::new();
    let with = |corrupt: &dyn Fn(&mut Request<Bytes>)| {
        let mut request = asn1::request(VERSION, &testbed.euicc().initiation());
        corrupt(&mut request);
        request
    };
    let json_type = with(&|request| {
        drop(request.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap()))
    });
    let no_version = with(&|request| drop(request.headers_mut().remove(json::X_ADMIN_PROTOCOL)));
    let nonsense = with(&|request| *request.body_mut() = Bytes::from_static(&[0xA2, 1]));
    let not_of_an_sm_ds = with(&|request| {
        let cancel = CancelSessionRequestEs9 {
            transaction_id: TransactionId(vec![1; 16]),
            cancel_session_response: CancelSessionResponse::CancelSessionResponseError(
                CancelSessionError::UNDEFINED_ERROR,
            ),
        };
        *request = asn1::request(VERSION, &cancel);
    });
    let get = with(&|request| *request.method_mut() = Method::GET);
    testbed.events.take();
    for (case, request, status) in [
        ("JSON's Content-Type", json_type, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("no X-Admin-Protocol", no_version, StatusCode::BAD_REQUEST),
        ("nonsense", nonsense, StatusCode::BAD_REQUEST),
        ("a function of an SM-DP+", not_of_an_sm_ds, StatusCode::BAD_REQUEST),
        ("GET", get, StatusCode::METHOD_NOT_ALLOWED),
    ] {
        assert_eq!(testbed.server.handle(request).await.status(), status, "{case}");
        assert_eq!(testbed.events.take().len(), 1, "{case}: a rejected request appears in the timeline");
    }
}

#[tokio::test]
async fn the_response_has_the_older_of_the_versions_of_client_and_server() {
    let testbed = Testbed::new();
    for (client, expected) in [([2, 2, 0], "gsma/rsp/v2.2.0"), ([3, 1, 0], "gsma/rsp/v2.6.0")] {
        let path = es9plus::path("initiateAuthentication");
        let request = json::request(&path, Version(client), &testbed.euicc().initiation());
        let response = testbed.server.handle(request).await;
        assert_eq!(response.headers()[json::X_ADMIN_PROTOCOL], expected);
    }
}

#[tokio::test]
async fn authenticate_client_refuses_each_defect_with_its_status() {
    for (case, status, corrupt) in DEFECTS {
        let testbed = Testbed::new();
        testbed.register("EV-1").await;
        let euicc = testbed.euicc();
        let mut proof = euicc.proof(&euicc.initiate(&testbed.server).await, None);
        corrupt(&testbed.pki, &mut proof);
        let answer = call::<AuthenticateClient>(&testbed.server, &proof.request().unwrap()).await;
        assert_eq!(answer.refused(), *status, "{case}");
    }
}

// req: SGP.22-5.8.2-EuiccError
#[tokio::test]
async fn an_error_response_of_the_euicc_ends_the_session() {
    let testbed = Testbed::new();
    let euicc = testbed.euicc();
    let another = TransactionId(vec![1; 16]);
    for (inner, status) in
        [(None, Status::EuiccVerificationFailed), (Some(&another), Status::TransactionUnknown)]
    {
        let first = euicc.initiate(&testbed.server).await;
        let request = authentication_error(&first.transaction_id, inner.unwrap_or(&first.transaction_id));
        assert_eq!(call::<AuthenticateClient>(&testbed.server, &request).await.refused(), status);
        assert!(testbed.server.sessions().await.unwrap().is_empty());
    }
}

// req: SGP.22-5.8.2-Once
#[tokio::test]
async fn a_challenge_can_be_answered_only_once() {
    let testbed = Testbed::new();
    let euicc = testbed.euicc();
    for is_corrupt in [false, true] {
        let first = euicc.initiate(&testbed.server).await;
        let mut proof = euicc.proof(&first, None);
        proof.corrupt_signature = is_corrupt;
        let answer = call::<AuthenticateClient>(&testbed.server, &proof.request().unwrap()).await;
        assert_eq!(matches!(answer, json::Answer::Done(_)), !is_corrupt);
        proof.corrupt_signature = false;
        let again = call::<AuthenticateClient>(&testbed.server, &proof.request().unwrap()).await;
        assert_eq!(again.refused(), Status::TransactionUnknown);
    }
}

// req: SGP.22-5.8.2-TransactionId
#[tokio::test]
async fn an_expired_session_is_refused_and_deleted() {
    let testbed = Testbed::new();
    let euicc = testbed.euicc();
    let first = euicc.initiate(&testbed.server).await;
    euicc.initiate(&testbed.server).await;
    testbed.wait(sm_ds::config::SESSION_LIFETIME);
    let late =
        call::<AuthenticateClient>(&testbed.server, &euicc.proof(&first, None).request().unwrap()).await;
    assert_eq!(late.refused(), Status::TransactionUnknown);
    assert!(testbed.server.sessions().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_conflict_repeats_the_decision_and_too_many_conflicts_are_a_fault() {
    let records = Arc::new(FailingRecords::default());
    let testbed = Testbed::over(Arc::clone(&records) as Arc<dyn Records>, |_| {});
    testbed.register("EV-1").await;
    records.conflicts.store(3, SeqCst);
    assert_eq!(testbed.euicc().events(&testbed.server, None).await, ["EV-1"]);
    records.conflicts.store(usize::MAX, SeqCst);
    let own = testbed.sm_dp_plus();
    let request = own.request("registerEvent", &own.registration(testbed.euicc().eid, "EV-2"));
    assert_eq!(testbed.server.handle(request).await.status(), 500);
    records.conflicts.store(0, SeqCst);
    assert_eq!(testbed.waiting().await, ["EV-1"]);
}
