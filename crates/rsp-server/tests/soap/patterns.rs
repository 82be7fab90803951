//! The three communication patterns between two well-behaved parties over a reliable network.

use rsp::sgp02::{
    Namespace,
    addressing::MessageId,
    es3,
    soap::{Envelope, envelope},
    xml::parse,
};

use crate::bench::{Bench, DONE, Options, create_isdp, enable, get_eis, iccid};

#[tokio::test]
async fn a_synchronous_function_returns_a_refusal_in_its_response() {
    let bench = Bench::new(Options::default());
    bench.ask::<es3::GetEis>(get_eis(""), 60, "eis").await;
    assert_eq!(bench.waiting(&bench.dp).await, 1);
    bench.start(&bench.dp).run_due().await.unwrap();
    assert_eq!(
        bench.ended("eis").await,
        ["ES3-GetEIS: FAILED 8.1.1/3.9 89001012012341234012345678901224: no such eUICC"]
    );
    assert_eq!((bench.waiting(&bench.dp).await, bench.sr.decided("GetEIS").await), (0, 1));
}

#[tokio::test]
async fn an_asynchronous_function_is_answered_by_a_callback_after_both_parties_restart() {
    let bench = Bench::new(Options::default());
    bench.ask::<es3::CreateIsdp>(create_isdp("c1", Some(600)), 700, "isdp").await;
    bench.run().await;
    assert_eq!(bench.sr.decided("CreateISDP").await, 1);
    assert!(bench.ended("isdp").await.is_empty());
    assert_eq!(bench.waiting(&bench.dp).await, 0, "the SM-SR has accepted it");

    bench.advance(30);
    bench.answer("c1").await;
    assert!(bench.ended("isdp").await.is_empty(), "nothing is sent before the outbox is run");
    bench.run().await;
    assert_eq!(bench.ended("isdp").await, [DONE]);
    // A second answer has no effect.
    bench.answer("c1").await;
    bench.run().await;
    assert_eq!(bench.ended("isdp").await, [DONE]);

    let posted = bench.network.posted.lock().unwrap().clone();
    let [(to_sr, question), (to_dp, callback)] = posted.as_slice() else { panic!("{posted:?}") };
    assert_eq!((to_sr.as_str(), to_dp.as_str()), ("sm-sr.example:8443/sgp02", "sm-dp.example:8443/sgp02"));
    let (question, callback) = (parse(question).unwrap(), parse(callback).unwrap());
    let (question, callback) = (Envelope::read(&question).unwrap(), Envelope::read(&callback).unwrap());
    let (asked, said) = (&question.header, &callback.header);
    assert_eq!(asked.action, "http://gsma.com/ES3/ProfileManagement/ES3-CreateISDP");
    assert_eq!(said.action, "http://gsma.com/ES3/ProfileManagementCallBack/ES3-CreateISDP");
    assert_eq!(said.relates_to, Some(asked.message_id.to_uri()));
    assert_eq!(said.message_id.transaction_id, asked.message_id.transaction_id);
    assert_eq!(asked.from.entity_name.as_deref(), Some("SM-DP"));
    assert_eq!(said.to.entity_id, asked.from.entity_id);
    let response: es3::CreateIsdpResponse = callback.message().unwrap();
    assert_eq!(response.base.processing_start.unwrap().to_string(), "2026-11-22T08:00:00Z");
    assert_eq!(response.base.processing_end.unwrap().to_string(), "2026-11-22T08:00:30Z");
}

#[tokio::test]
async fn an_asynchronous_function_can_be_decided_at_once() {
    let bench = Bench::new(Options::default());
    bench.ask::<es3::EnableProfile>(enable("e1"), 60, "enable").await;
    bench.run().await;
    assert_eq!(bench.ended("enable").await, ["ES3-EnableProfile: EXECUTED_SUCCESS"]);
}

#[tokio::test]
async fn a_repeated_notification_is_processed_once() {
    let bench = Bench::new(Options::default());
    bench.set(crate::bench::Wire::Doubles);
    bench.tell().await;
    bench.run().await;
    assert_eq!(bench.dp.decided(&format!("told {}", iccid())).await, 1);
    bench.tell().await;
    bench.run().await;
    assert_eq!(
        bench.dp.decided(&format!("told {}", iccid())).await,
        2,
        "another message is another notification"
    );
}

#[tokio::test]
async fn a_caller_is_answered_in_its_own_namespace() {
    for namespace in Namespace::ALL {
        let bench = Bench::new(Options { namespace, ..Options::default() });
        bench.ask::<es3::CreateIsdp>(create_isdp("c1", None), 700, "isdp").await;
        bench.ask::<es3::GetEis>(get_eis("g1"), 700, "eis").await;
        bench.run().await;
        bench.answer("c1").await;
        bench.run().await;
        assert_eq!((bench.ended("isdp").await.len(), bench.ended("eis").await.len()), (1, 1));
        for (_, text) in bench.network.posted.lock().unwrap().iter() {
            let document = parse(text).unwrap();
            assert_eq!(Envelope::read(&document).unwrap().namespace, namespace);
        }
    }
}

#[tokio::test]
async fn a_callback_goes_to_reply_to_or_else_to_the_endpoint_of_the_peer() {
    for (reply_to, expected) in [
        (Some("https://sm-dp.example:8443/elsewhere?x=1"), "sm-dp.example:8443/elsewhere?x=1"),
        (None, "sm-dp.example:8443/sgp02"),
    ] {
        let bench = Bench::new(Options::default());
        bench.ask::<es3::EnableProfile>(enable("e1"), 60, "enable").await;
        let [(_, outgoing)] = &bench.start(&bench.dp).outbox().await.unwrap()[..] else { panic!() };
        assert_eq!(outgoing.element, "ES3-EnableProfileRequest");
        bench.start(&bench.dp).run_due().await.unwrap();
        let text = bench.network.posted.lock().unwrap()[0].1.clone();
        let document = parse(&text).unwrap();
        let received = Envelope::read(&document).unwrap();
        let mut header = received.header.clone();
        header.reply_to = reply_to.map(|uri| rsp::sgp02::addressing::Endpoint::from_uri(uri).unwrap());
        let mut request: es3::EnableProfileRequest = received.message().unwrap();
        request.base.function_call_identifier = "another".to_owned();
        let text = envelope(&header, Namespace::V3, &request);
        let response = bench.start(&bench.sr).handle(crate::http::post(&bench.dp, &text)).await;
        assert_eq!(response.status(), 202);
        let outbox = bench.start(&bench.sr).outbox().await.unwrap();
        let endpoint = &outbox.last().unwrap().1.endpoint;
        assert_eq!(endpoint.strip_prefix("https://"), Some(expected));
    }
}

#[tokio::test]
async fn a_callback_without_relates_to_is_matched_by_its_transaction_id() {
    let bench = Bench::new(Options::default());
    bench.ask::<es3::CreateIsdp>(create_isdp("c1", None), 700, "isdp").await;
    bench.run().await;
    bench.answer("c1").await;
    let sr = bench.start(&bench.sr);
    sr.run_due().await.unwrap();
    // The same callback, as another implementation could have written it.
    let bench = Bench::new(Options::default());
    bench.ask::<es3::CreateIsdp>(create_isdp("c1", None), 700, "isdp").await;
    bench.run().await;
    let question = bench.network.posted.lock().unwrap()[0].1.clone();
    let document = parse(&question).unwrap();
    let asked = Envelope::read(&document).unwrap().header;
    let mut header = asked.clone();
    (header.from, header.to) = (asked.to.clone(), asked.from.clone());
    header.reply_to = None;
    header.message_id = MessageId { uri: "//2.999/other".to_owned(), ..asked.message_id };
    header.action = "http://gsma.com/ES3/ProfileManagentCallBack/ES3-CreateISDP".to_owned();
    let text = envelope(&header, Namespace::V3, &es3::CreateIsdpResponse::default());
    let dp = bench.start(&bench.dp);
    assert_eq!(dp.handle(crate::http::post(&bench.sr, &text)).await.status(), 202);
    assert_eq!(bench.ended("isdp").await, [DONE]);
}

#[tokio::test]
async fn a_synchronous_function_can_be_relayed_without_a_record() {
    let bench = Bench::new(Options::default());
    let peer = rsp_server::soap::Peer {
        id: bench.sr.id.clone(),
        endpoint: bench.sr.endpoint.clone(),
        namespace: Namespace::V1,
    };
    let dp = bench.start(&bench.dp);
    let response = dp.call::<es3::GetEis>(&peer, get_eis("")).await.unwrap();
    assert!(!response.base.is_done());
    bench.set(crate::bench::Wire::Down);
    let why = dp.call::<es3::GetEis>(&peer, get_eis("")).await.unwrap_err();
    assert!(why.to_string().contains("the connection was cut"), "{why}");
}
