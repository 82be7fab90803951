//! Invalid messages, and messages of unknown callers.

use http::StatusCode;
use rsp::sgp02::{BaseRequest, Function as _, Namespace, es3, es4};

use super::testbed::{OPERATOR, SM_DP, Testbed, UNKNOWN_PEER, codes, eid, iccid, response_message};
use crate::records::DEADLINES;

#[tokio::test]
async fn an_unreadable_deadline_is_kept_and_delays_nothing_else() {
    let testbed = Testbed::new().await;
    testbed.register().await;
    // Its key sorts before all others.
    let (torn, key) = (world::Collection::<String>::new(DEADLINES.name()), "000000000000001/torn");
    world::transact(testbed.records(), |tx| {
        let put = tx.put(&torn, key, &"torn".to_owned());
        Box::pin(async { put })
    })
    .await
    .unwrap();
    let base = BaseRequest { validity_period: Some(600), ..BaseRequest::new("") };
    testbed.call::<es4::AuditEis>(OPERATOR, es4::AuditEisRequest { base, eid: eid(), iccid: vec![] }).await;
    testbed.advance(std::time::Duration::from_secs(601)).await;
    let answer: es4::AuditEisResponse = testbed.received_only(OPERATOR);
    assert_eq!(answer.base.function_execution_status.status, rsp::sgp02::ExecutionStatus::Expired);
    let kept = world::Tx::begin(testbed.records()).get(&torn, key).await.unwrap();
    assert_eq!(kept.as_deref(), Some("torn"));
}

#[tokio::test]
async fn an_invalid_message_gets_a_fault_and_changes_nothing() {
    let testbed = Testbed::new().await;
    testbed.register().await;
    let entity = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><x>&b;</x>";
    let deep = format!("{}{}", "<a>".repeat(10_000), "</a>".repeat(10_000));
    let soap11 = "<Envelope xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\"><Body/></Envelope>";
    for octets in ["", "x", "<x/>", entity, &deep, soap11, "\u{0}", "<?xml version=\"1.0\"?><soap:Envelope/>"]
    {
        let response = testbed.send(SM_DP, octets.as_bytes().to_vec(), "x").await;
        assert!(response.status().is_client_error() || response.status().is_server_error(), "{octets:.40}");
        let text = String::from_utf8(response.body().to_vec()).unwrap();
        assert!(text.contains("Fault"), "{octets:.40}: {text}");
    }
    let response = testbed.send(SM_DP, vec![0xFF, 0xFE, 0x00], "x").await;
    assert!(response.status().is_client_error());
    testbed.run().await;
    assert!(testbed.received().is_empty() && testbed.jobs().await.is_empty());
}

#[tokio::test]
async fn an_unknown_caller_is_refused() {
    let testbed = Testbed::new().await;
    testbed.register().await;
    let request = es3::GetEisRequest { base: BaseRequest::new("1"), eid: eid() };
    let response = testbed.call::<es3::GetEis>(UNKNOWN_PEER, request.clone()).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(!String::from_utf8(response.body().to_vec()).unwrap().contains("Eis>"));
    // A request without certificate, whatever its From says.
    let mut bare = http::Request::new(bytes::Bytes::from_static(b"<x/>"));
    *bare.method_mut() = http::Method::POST;
    let content_type = http::HeaderValue::from_static("application/soap+xml");
    bare.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
    assert_eq!(testbed.server().handle(bare).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_function_of_another_interface_is_refused() {
    let testbed = Testbed::new().await;
    let request = rsp::sgp02::es2::GetEisRequest {
        base: BaseRequest::new("1"),
        eid: eid(),
        smsr_id: testbed.id(super::testbed::SM_SR),
    };
    let response = testbed.call::<rsp::sgp02::es2::GetEis>(SM_DP, request).await;
    assert!(response.status().is_client_error());
}

#[tokio::test]
async fn every_caller_is_answered_in_its_own_namespace() {
    let testbed = Testbed::new().await;
    testbed.register().await;
    for namespace in [Namespace::V1, Namespace::V3] {
        let request = es3::GetEisRequest { base: BaseRequest::new(namespace.uri()), eid: eid() };
        let response = testbed.post(SM_DP, namespace, &es3::GetEis::request_action(), &request).await;
        let text = String::from_utf8(response.body().to_vec()).unwrap();
        assert!(text.contains(namespace.uri()), "{text}");
        assert!(response_message::<es3::GetEisResponse>(&response).eis.is_some());
        let request = es4::EnableProfileRequest {
            base: BaseRequest::new(namespace.uri()),
            eid: eid(),
            iccid: iccid(9),
        };
        let response =
            testbed.post(OPERATOR, namespace, &es4::EnableProfile::request_action(), &request).await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        testbed.run().await;
        let received = testbed.received();
        let [only] = received.as_slice() else { panic!("{received:?}") };
        assert_eq!(only.namespace(), namespace);
        assert_eq!(codes(&only.message::<es4::EnableProfileResponse>()), ("8.2.1".into(), "3.9".into()));
    }
}
