//! The three communication patterns between two well-behaved parties over a reliable network.

use rsp::finding::FindingKind;
use rsp::sgp02::{
    Namespace,
    addressing::MessageId,
    es3,
    soap::{Envelope, envelope},
    xml::parse,
};

use crate::testbed::{DONE, Options, Testbed, create_isdp, enable, get_eis, iccid};

#[tokio::test]
async fn a_synchronous_function_returns_a_refusal_in_its_response() {
    let testbed = Testbed::new(Options::default());
    testbed.call::<es3::GetEis>(get_eis(""), 60, "eis").await;
    assert_eq!(testbed.waiting(&testbed.dp).await, 1);
    testbed.start(&testbed.dp).run_due().await.unwrap();
    assert_eq!(
        testbed.ended("eis").await,
        ["ES3-GetEIS: FAILED 8.1.1/3.9 89001012012341234012345678901224: no such eUICC"]
    );
    assert_eq!((testbed.waiting(&testbed.dp).await, testbed.sr.decided("GetEIS").await), (0, 1));
}

#[tokio::test]
async fn deviations_of_a_response_over_http_are_findings() {
    let testbed = Testbed::new(Options::default());
    testbed.set(crate::testbed::Wire::ResponseDeviates);
    testbed.call::<es3::GetEis>(get_eis(""), 60, "eis").await;
    testbed.run().await;
    assert!(testbed.ended("eis").await[0].contains("no such eUICC"));
    let events = testbed.dp.events.all();
    let event = events.iter().find(|event| event.function == "GetEISRequest").unwrap();
    let mut found: Vec<_> = event.findings.iter().map(|finding| finding.kind).collect();
    found.sort_unstable();
    let expected = [FindingKind::UnknownElement, FindingKind::HttpStatus, FindingKind::ContentType];
    assert_eq!(found, expected, "{:?}", event.findings);
}

#[tokio::test]
async fn an_asynchronous_function_is_answered_by_a_callback_after_both_parties_restart() {
    let testbed = Testbed::new(Options::default());
    testbed.call::<es3::CreateIsdp>(create_isdp("c1", Some(600)), 700, "isdp").await;
    testbed.run().await;
    assert_eq!(testbed.sr.decided("CreateISDP").await, 1);
    assert!(testbed.ended("isdp").await.is_empty());
    assert_eq!(testbed.waiting(&testbed.dp).await, 0, "the SM-SR has accepted it");

    testbed.advance(30);
    testbed.answer("c1").await;
    assert!(testbed.ended("isdp").await.is_empty(), "nothing is sent before the outbox is run");
    testbed.run().await;
    assert_eq!(testbed.ended("isdp").await, [DONE]);
    // A second answer has no effect.
    testbed.answer("c1").await;
    testbed.run().await;
    assert_eq!(testbed.ended("isdp").await, [DONE]);

    let posted = testbed.network.posted.lock().unwrap().clone();
    let [(to_sr, message_text), (to_dp, callback)] = posted.as_slice() else { panic!("{posted:?}") };
    assert_eq!((to_sr.as_str(), to_dp.as_str()), ("sm-sr.example:8443/sgp02", "sm-dp.example:8443/sgp02"));
    let (message_text, callback) = (parse(message_text).unwrap(), parse(callback).unwrap());
    let (message_text, callback) =
        (Envelope::read(&message_text).unwrap(), Envelope::read(&callback).unwrap());
    let (sent, received) = (&message_text.header, &callback.header);
    assert_eq!(sent.action, "http://gsma.com/ES3/ProfileManagement/ES3-CreateISDP");
    assert_eq!(received.action, "http://gsma.com/ES3/ProfileManagementCallBack/ES3-CreateISDP");
    assert_eq!(received.relates_to, Some(sent.message_id.to_uri()));
    assert_eq!(received.message_id.transaction_id, sent.message_id.transaction_id);
    assert_eq!(sent.from.entity_name.as_deref(), Some("SM-DP"));
    assert_eq!(received.to.entity_id, sent.from.entity_id);
    let response: es3::CreateIsdpResponse = callback.message().unwrap();
    assert_eq!(response.base.processing_start.unwrap().to_string(), "2026-11-22T08:00:00Z");
    assert_eq!(response.base.processing_end.unwrap().to_string(), "2026-11-22T08:00:30Z");
}

#[tokio::test]
async fn an_asynchronous_function_can_be_decided_at_once() {
    let testbed = Testbed::new(Options::default());
    testbed.call::<es3::EnableProfile>(enable("e1"), 60, "enable").await;
    testbed.run().await;
    assert_eq!(testbed.ended("enable").await, ["ES3-EnableProfile: EXECUTED_SUCCESS"]);
}

#[tokio::test]
async fn a_repeated_notification_is_processed_once() {
    let testbed = Testbed::new(Options::default());
    testbed.set(crate::testbed::Wire::Duplicates);
    testbed.notify().await;
    testbed.run().await;
    assert_eq!(testbed.dp.decided(&format!("notified {}", iccid())).await, 1);
    testbed.notify().await;
    testbed.run().await;
    assert_eq!(
        testbed.dp.decided(&format!("notified {}", iccid())).await,
        2,
        "another message is another notification"
    );
}

#[tokio::test]
async fn a_caller_is_answered_in_its_own_namespace() {
    for namespace in Namespace::ALL {
        let testbed = Testbed::new(Options { namespace, ..Options::default() });
        testbed.call::<es3::CreateIsdp>(create_isdp("c1", None), 700, "isdp").await;
        testbed.call::<es3::GetEis>(get_eis("g1"), 700, "eis").await;
        testbed.run().await;
        testbed.answer("c1").await;
        testbed.run().await;
        assert_eq!((testbed.ended("isdp").await.len(), testbed.ended("eis").await.len()), (1, 1));
        for (_, text) in testbed.network.posted.lock().unwrap().iter() {
            let document = parse(text).unwrap();
            assert_eq!(Envelope::read(&document).unwrap().namespace, namespace);
        }
    }
}

#[tokio::test]
async fn a_callback_goes_to_reply_to_or_else_to_the_endpoint_of_the_peer() {
    for (reply_to, expected) in [
        (Some("https://sm-dp.example:8443/elsewhere?x=1"), Some("sm-dp.example:8443/elsewhere?x=1")),
        (None, Some("sm-dp.example:8443/sgp02")),
        (Some("https://listed.example/callback"), Some("listed.example/callback")),
        // The server connects to no other address on the word of a peer.
        (Some("https://127.0.0.1:22/"), None),
        (Some("https://sm-dp.example:22/"), None),
        (Some("https://sm-dp.example:8443@127.0.0.1/"), None),
    ] {
        let testbed = Testbed::new(Options::default());
        testbed.call::<es3::EnableProfile>(enable("e1"), 60, "enable").await;
        let [(_, outgoing)] = &testbed.start(&testbed.dp).outbox().await.unwrap()[..] else { panic!() };
        assert_eq!(outgoing.element, "ES3-EnableProfileRequest");
        testbed.start(&testbed.dp).run_due().await.unwrap();
        let text = testbed.network.posted.lock().unwrap()[0].1.clone();
        let document = parse(&text).unwrap();
        let received = Envelope::read(&document).unwrap();
        let mut header = received.header.clone();
        header.reply_to = reply_to.map(|uri| rsp::sgp02::addressing::Endpoint::from_uri(uri).unwrap());
        let mut request: es3::EnableProfileRequest = received.message().unwrap();
        request.base.function_call_identifier = "another".to_owned();
        let text = envelope(&header, Namespace::V3, &request);
        let response = testbed.start(&testbed.sr).handle(crate::http::post(&testbed.dp, &text)).await;
        let Some(expected) = expected else {
            assert_eq!(response.status(), 403, "{reply_to:?}");
            let text = String::from_utf8(response.into_body().to_vec()).unwrap();
            assert!(text.contains("ReplyTo is not an address"), "{text}");
            let outbox = testbed.start(&testbed.sr).outbox().await.unwrap();
            assert!(outbox.iter().all(|(_, message)| message.endpoint == testbed.dp.endpoint));
            continue;
        };
        assert_eq!(response.status(), 202);
        let outbox = testbed.start(&testbed.sr).outbox().await.unwrap();
        let mut endpoints = outbox.iter().map(|(_, message)| message.endpoint.strip_prefix("https://"));
        assert!(endpoints.any(|endpoint| endpoint == Some(expected)), "{expected}");
    }
}

#[tokio::test]
async fn a_callback_without_relates_to_is_matched_by_its_transaction_id() {
    let testbed = Testbed::new(Options::default());
    testbed.call::<es3::CreateIsdp>(create_isdp("c1", None), 700, "isdp").await;
    testbed.run().await;
    testbed.answer("c1").await;
    let sr = testbed.start(&testbed.sr);
    sr.run_due().await.unwrap();
    // The same callback, as another implementation could have written it.
    let testbed = Testbed::new(Options::default());
    testbed.call::<es3::CreateIsdp>(create_isdp("c1", None), 700, "isdp").await;
    testbed.run().await;
    let message_text = testbed.network.posted.lock().unwrap()[0].1.clone();
    let document = parse(&message_text).unwrap();
    let sent = Envelope::read(&document).unwrap().header;
    let mut header = sent.clone();
    (header.from, header.to) = (sent.to.clone(), sent.from.clone());
    header.reply_to = None;
    header.message_id = MessageId { uri: "//2.999/other".to_owned(), ..sent.message_id };
    header.action = "http://gsma.com/ES3/ProfileManagentCallBack/ES3-CreateISDP".to_owned();
    let text = envelope(&header, Namespace::V3, &es3::CreateIsdpResponse::default());
    let dp = testbed.start(&testbed.dp);
    assert_eq!(dp.handle(crate::http::post(&testbed.sr, &text)).await.status(), 202);
    assert_eq!(testbed.ended("isdp").await, [DONE]);
}

#[tokio::test]
async fn a_synchronous_function_can_be_relayed_without_a_record() {
    let testbed = Testbed::new(Options::default());
    let peer = rsp_server::soap::Peer {
        id: testbed.sr.id.clone(),
        endpoint: testbed.sr.endpoint.clone(),
        namespace: Namespace::V1,
    };
    let dp = testbed.start(&testbed.dp);
    let response = dp.call::<es3::GetEis>(&peer, get_eis("")).await.unwrap();
    assert!(!response.base.is_done());
    testbed.set(crate::testbed::Wire::Down);
    let why = dp.call::<es3::GetEis>(&peer, get_eis("")).await.unwrap_err();
    assert!(why.to_string().contains("the connection was cut"), "{why}");
}
