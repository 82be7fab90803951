//! Tests of invalid requests, which get an HTTP status and a SOAP fault, and of the identification
//! of callers.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use rsp::sgp02::soap::{Envelope, Received};
use rsp::sgp02::{
    Message, Namespace,
    addressing::{Endpoint, Header, MessageId},
    soap::{SoapFault, content_type, envelope},
    xml::parse,
};
use world::PeerCertificate;

use crate::testbed::{DONE, Options, PartyState, Testbed, Wire, get_eis, pki};

/// Returns a request with a message from a party, with the certificate that TLS reports.
pub(crate) fn post(from: &PartyState, text: &str) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from(text.to_owned()));
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(header::CONTENT_TYPE, content_type("http://gsma.com/x").parse().unwrap());
    request.extensions_mut().insert(PeerCertificate(from.certificate.clone()));
    request
}

/// Returns a message from the SM-DP to the SM-SR.
pub(crate) fn message_text<M: Message>(testbed: &Testbed, message: &str, body: &M) -> String {
    let header = Header {
        from: Endpoint::new("https://sm-dp.example", Some(testbed.dp.id.clone())),
        to: Endpoint::new("https://sm-sr.example", Some(testbed.sr.id.clone())),
        message_id: MessageId {
            uri: format!("//2.999/{message}"),
            transaction_id: None,
            context_id: None,
            message_date: None,
        },
        action: "http://gsma.com/ES3/Misspelt/ES3-Whatever".to_owned(),
        relates_to: None,
        reply_to: None,
    };
    envelope(&header, Namespace::V3, body)
}

fn fault(body: &Bytes) -> SoapFault {
    let text = std::str::from_utf8(body).unwrap();
    let document = parse(text).unwrap();
    match Envelope::receive(&document).unwrap() {
        Received::Fault(fault) => fault,
        Received::Message(_) => panic!("not a fault: {text}"),
    }
}

// req: SGP.02-B-Certificate, SGP.02-B-EntityId, SGP.02-B-To, SGP.02-5.1.1-CallIdentifier
#[tokio::test]
async fn an_invalid_request_gets_a_fault_with_the_reason() {
    let testbed = Testbed::new(Options::default());
    let sr = testbed.start(&testbed.sr);
    let right = message_text(&testbed, "m1", &get_eis("g1"));
    let right = &right;
    let unregistered = pki().operator("an unregistered operator").unwrap().certificate;
    let (unregistered_id, dp_id, sr_id) =
        (unregistered.registered_ids()[0].to_string(), testbed.dp.id.to_string(), testbed.sr.id.to_string());
    let text = |from: &str, to: &str| post(&testbed.dp, &right.replace(from, to));
    let mut get = post(&testbed.dp, right);
    *get.method_mut() = Method::GET;
    let mut json = post(&testbed.dp, right);
    json.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    let mut nobody = post(&testbed.dp, right);
    nobody.extensions_mut().remove::<PeerCertificate>();
    let mut other = post(&testbed.dp, right);
    other.extensions_mut().insert(PeerCertificate(unregistered.der().to_vec()));
    let mut unknown = post(&testbed.dp, &right.replace(&dp_id, &unregistered_id));
    unknown.extensions_mut().insert(PeerCertificate(unregistered.der().to_vec()));
    let mut octets = post(&testbed.dp, right);
    *octets.body_mut() = Bytes::from_static(&[0xFF, 0xFE]);
    for (request, status, code, expected_text) in [
        (get, StatusCode::METHOD_NOT_ALLOWED, "Sender", "by POST"),
        (json, StatusCode::UNSUPPORTED_MEDIA_TYPE, "Sender", "application/soap+xml"),
        (nobody, StatusCode::FORBIDDEN, "Sender", "no certificate"),
        (other, StatusCode::FORBIDDEN, "Sender", "does not contain the EntityId"),
        (unknown, StatusCode::FORBIDDEN, "Sender", "is not known here"),
        (octets, StatusCode::BAD_REQUEST, "Sender", "not UTF-8"),
        (post(&testbed.dp, ""), StatusCode::BAD_REQUEST, "Sender", "not well-formed XML"),
        (text("</soap:Envelope>", ""), StatusCode::BAD_REQUEST, "Sender", "not well-formed XML"),
        (text(&sr_id, "2.999.1.2.3"), StatusCode::BAD_REQUEST, "Sender", "the message is for 2.999.1.2.3"),
        (text("g1<", "<"), StatusCode::BAD_REQUEST, "Sender", "1 to 255 octets"),
        (text("g1<", &format!("{}<", "x".repeat(256))), StatusCode::BAD_REQUEST, "Sender", "1 to 255 octets"),
        (text("ES3-GetEIS", "ES3-GetLost"), StatusCode::BAD_REQUEST, "Sender", "this server does not accept"),
        (text("8900101", "890010x"), StatusCode::BAD_REQUEST, "Sender", "ES3-GetEISRequest/Eid: "),
        (
            text("http://www.w3.org/2003/05/soap-envelope", "urn:envelope"),
            StatusCode::BAD_REQUEST,
            "Sender",
            "expected the Envelope of SOAP 1.2",
        ),
        (
            text("http://www.w3.org/2003/05/soap-envelope", "http://schemas.xmlsoap.org/soap/envelope/"),
            StatusCode::INTERNAL_SERVER_ERROR,
            "VersionMismatch",
            "SOAP version 1.1",
        ),
        (
            text(
                "</soap:Header>",
                "<w:Security xmlns:w=\"urn:wss\" soap:mustUnderstand=\"true\"/></soap:Header>",
            ),
            StatusCode::INTERNAL_SERVER_ERROR,
            "MustUnderstand",
            "Security is marked mustUnderstand",
        ),
    ] {
        let response = sr.handle(request).await;
        let fault = fault(response.body());
        assert_eq!((response.status(), fault.code.name()), (status, code), "{}", fault.reason);
        assert!(fault.reason.contains(expected_text), "{} does not contain {expected_text:?}", fault.reason);
    }
    assert_eq!(testbed.sr.decided("GetEIS").await, 0);
    assert_eq!(sr.handle(post(&testbed.dp, right)).await.status(), StatusCode::OK);
    let longest = text("g1<", &format!("{}<", "x".repeat(255)));
    assert_eq!(sr.handle(longest).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_event_has_the_lengths_of_the_message_and_of_its_response() {
    let testbed = Testbed::new(Options::default());
    let text = message_text(&testbed, "m1", &get_eis("g1"));
    let response = testbed.start(&testbed.sr).handle(post(&testbed.dp, &text)).await;
    let events = testbed.sr.events.all();
    let [event] = &events[..] else { panic!("{events:?}") };
    let lengths = (event.bytes_sent, event.bytes_received);
    assert_eq!(lengths, (response.body().len() as u64, text.len() as u64));
}

#[tokio::test]
async fn an_invalid_call_is_not_recorded() {
    let testbed = Testbed::new(Options::default());
    let sr = testbed.start(&testbed.sr);
    let right = message_text(&testbed, "m1", &get_eis("g1"));
    let wrong = sr.handle(post(&testbed.dp, &right.replace("8900101", "890010x"))).await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    assert_eq!(sr.handle(post(&testbed.dp, &right)).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_caller_whose_certificate_has_one_oid_can_omit_its_entity_id() {
    let testbed = Testbed::new(Options::default());
    let text =
        message_text(&testbed, "m1", &get_eis("g1")).replace(&format!("?EntityId={}", testbed.dp.id), "");
    let response = testbed.start(&testbed.sr).handle(post(&testbed.dp, &text)).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_invalid_callback_is_refused_and_its_call_waits_for_a_valid_one() {
    let testbed = Testbed::new(Options::default());
    testbed.call::<rsp::sgp02::es3::CreateIsdp>(crate::testbed::create_isdp("c1", None), 700, "isdp").await;
    testbed.run().await;
    testbed.answer("c1").await;
    testbed.set(Wire::Rejects("CreateISDPResponse", StatusCode::SERVICE_UNAVAILABLE));
    testbed.start(&testbed.sr).run_due().await.unwrap();
    let (_, valid) = testbed.network.posted.lock().unwrap().pop().unwrap();
    let invalid = valid.replace("EXECUTED_SUCCESS", "EXECUTED_SOMEHOW");
    assert_ne!(valid, invalid);
    let dp = testbed.start(&testbed.dp);
    let response = dp.handle(post(&testbed.sr, &invalid)).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(testbed.ended("isdp").await.is_empty());
    assert_eq!(dp.handle(post(&testbed.sr, &valid)).await.status(), StatusCode::ACCEPTED);
    assert_eq!(testbed.ended("isdp").await, [DONE]);
}

#[tokio::test]
async fn a_callback_from_another_party_than_the_one_called_is_ignored() {
    let testbed = Testbed::new(Options::default());
    testbed.call::<rsp::sgp02::es3::CreateIsdp>(crate::testbed::create_isdp("c1", None), 700, "isdp").await;
    testbed.run().await;
    let sent = testbed.network.posted.lock().unwrap()[0].1.clone();
    let document = parse(&sent).unwrap();
    let message_id = Envelope::read(&document).unwrap().header.message_id;
    // The SM-DP sends this response to the SM-SR, which has not called the SM-DP.
    let response = message_text(&testbed, "m1", &rsp::sgp02::es3::CreateIsdpResponse::default()).replace(
        "</soap:Header>",
        &format!("<wsa:RelatesTo xmlns:wsa=\"http://www.w3.org/2005/08/addressing\">{}</wsa:RelatesTo></soap:Header>", message_id.uri),
    );
    let response = testbed.start(&testbed.sr).handle(post(&testbed.dp, &response)).await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert!(testbed.ended("isdp").await.is_empty());
}
