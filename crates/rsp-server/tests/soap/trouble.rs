//! Lost, duplicated, late and undeliverable messages, and failing records.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use rsp::sgp02::{es3, soap::Envelope, xml::parse};
use rsp_server::due::{MAX_CONCURRENT_TASKS, RETRY_DELAY};
use world::{
    BoxFuture, ChangeSet, Collection, Committed, Fault, KeyRange, LinkFault, MemoryRecords, Records, Stored,
    Tx, link_from,
};

use crate::{
    failing_records::FailingRecords,
    http::{message_text, post},
    testbed::{DONE, Options, Testbed, Wire, create_isdp, enable, get_eis, iccid},
};

#[tokio::test]
async fn a_failed_delivery_is_retried_after_increasing_delays() {
    let testbed = Testbed::new(Options::default());
    testbed.set(Wire::Down);
    testbed.call::<es3::GetEis>(get_eis("g1"), 3600, "eis").await;
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        let next = testbed.start(&testbed.dp).run_due().await.unwrap().unwrap();
        assert_eq!(next.since(testbed.now()).as_secs(), wait);
        // Nothing is sent before the delay is over.
        let tried = testbed.network.posted.lock().unwrap().len();
        assert_eq!(testbed.start(&testbed.dp).run_due().await.unwrap(), Some(next));
        assert_eq!(testbed.network.posted.lock().unwrap().len(), tried);
        testbed.advance(wait);
    }
    testbed.set(Wire::Fine);
    testbed.run().await;
    assert_eq!(testbed.ended("eis").await.len(), 1);
    let posted = testbed.network.posted.lock().unwrap();
    assert_eq!(posted.len(), 9);
    assert!(posted.iter().all(|message| *message == posted[0]), "it is the same message each time");
}

#[tokio::test]
async fn lost_responses_and_duplicated_messages_do_not_change_the_outcome() {
    for wire in [Wire::LosesResponses, Wire::Duplicates] {
        let testbed = Testbed::new(Options::default());
        testbed.set(wire);
        testbed.call::<es3::CreateIsdp>(create_isdp("c1", None), 3600, "isdp").await;
        testbed.call::<es3::GetEis>(get_eis("g1"), 3600, "eis").await;
        testbed.notify().await;
        testbed.run().await;
        testbed.answer("c1").await;
        for _ in 0..5 {
            testbed.run().await;
            testbed.advance(60);
        }
        testbed.set(Wire::Fine);
        testbed.run().await;
        assert_eq!(testbed.ended("isdp").await, [DONE], "{wire:?}");
        assert_eq!(testbed.ended("eis").await.len(), 1, "{wire:?}");
        assert_eq!(testbed.sr.decided("CreateISDP").await, 1, "{wire:?}");
        assert_eq!(testbed.sr.decided("GetEIS").await, 1, "{wire:?}");
        assert_eq!(testbed.dp.decided(&format!("notified {}", iccid())).await, 1, "{wire:?}");
        assert_eq!(
            (testbed.waiting(&testbed.sr).await, testbed.waiting(&testbed.dp).await),
            (0, 0),
            "{wire:?}"
        );
    }
}

// req: SGP.02-5.1.1-Repeated
#[tokio::test]
async fn a_repeated_call_gets_the_same_response_and_its_identifier_cannot_be_reused() {
    let testbed = Testbed::new(Options::default());
    let sr = testbed.start(&testbed.sr);
    let first = sr.handle(post(&testbed.dp, &message_text(&testbed, "m1", &get_eis("g1")))).await;
    testbed.advance(5);
    let second = sr.handle(post(&testbed.dp, &message_text(&testbed, "m2", &get_eis("g1")))).await;
    let body = |response: &http::Response<bytes::Bytes>| {
        let text = String::from_utf8(response.body().to_vec()).unwrap();
        let start = text.find("<soap:Body>").unwrap();
        (text[start..].to_owned(), text.contains("/m2"))
    };
    assert_eq!((first.status(), second.status()), (StatusCode::OK, StatusCode::OK));
    assert_eq!(body(&first).0, body(&second).0);
    assert_eq!(
        (body(&first).1, body(&second).1),
        (false, true),
        "RelatesTo of each response names its request"
    );
    assert_eq!(testbed.sr.decided("GetEIS").await, 1);

    let other = sr.handle(post(&testbed.dp, &message_text(&testbed, "m3", &enable("g1")))).await;
    assert_eq!(other.status(), StatusCode::BAD_REQUEST);
    assert!(String::from_utf8_lossy(other.body()).contains("functionCallIdentifier belongs to another call"));

    // A callback is also repeated. It is sent to the reply address of the latest request.
    for message in ["m4", "m5"] {
        let taken = sr.handle(post(&testbed.dp, &message_text(&testbed, message, &enable("e1")))).await;
        assert_eq!((taken.status(), taken.body().len()), (StatusCode::ACCEPTED, 0));
    }
    let outbox = sr.outbox().await.unwrap();
    assert_eq!((outbox.len(), testbed.sr.decided("EnableProfile").await), (1, 1));
    sr.run_due().await.unwrap();
    let [(_, posted)] = &std::mem::take(&mut *testbed.network.posted.lock().unwrap())[..] else { panic!() };
    assert!(posted.contains("EnableProfileResponse") && posted.contains("/m5"), "{posted}");
    // A callback that was sent already is repeated too.
    sr.handle(post(&testbed.dp, &message_text(&testbed, "m7", &enable("e1")))).await;
    sr.run_due().await.unwrap();
    assert_eq!(testbed.network.posted.lock().unwrap().len(), 1);

    // After a week the response is deleted: the same identifier is a new call.
    testbed.advance(8 * 24 * 3600);
    sr.run_due().await.unwrap();
    sr.handle(post(&testbed.dp, &message_text(&testbed, "m6", &get_eis("g1")))).await;
    assert_eq!(testbed.sr.decided("GetEIS").await, 2);
}

#[tokio::test]
async fn a_call_expires_at_the_end_of_its_validity_period() {
    let testbed = Testbed::new(Options::default());
    testbed.call::<es3::CreateIsdp>(create_isdp("c1", Some(600)), 700, "isdp").await;
    testbed.run().await;
    testbed.advance(599);
    testbed.run().await;
    assert!(testbed.ended("isdp").await.is_empty());
    assert_eq!(
        testbed.start(&testbed.sr).run_due().await.unwrap().unwrap().to_string(),
        "2026-11-22T08:10:00Z"
    );
    testbed.advance(1);
    testbed.start(&testbed.sr).run_due().await.unwrap();
    assert_eq!(
        testbed.ended("isdp").await,
        ["ES3-CreateISDP: EXPIRED 1.6/5.3: the validity period has run out"]
    );
    // A response of the SM-SR after that is too late.
    testbed.answer("c1").await;
    testbed.run().await;
    assert_eq!((testbed.ended("isdp").await.len(), testbed.waiting(&testbed.sr).await), (1, 0));
}

#[tokio::test]
async fn a_party_can_handle_expiry_itself() {
    let testbed = Testbed::new(Options { answers_expired: false, ..Options::default() });
    testbed.call::<es3::CreateIsdp>(create_isdp("c1", Some(600)), 3600, "isdp").await;
    testbed.run().await;
    testbed.advance(601);
    testbed.run().await;
    assert!(testbed.ended("isdp").await.is_empty());
    testbed.answer("c1").await;
    testbed.run().await;
    assert_eq!(testbed.ended("isdp").await, [DONE]);
}

#[tokio::test]
async fn a_call_without_response_ends_at_its_deadline() {
    let testbed = Testbed::new(Options::default());
    testbed.call::<es3::CreateIsdp>(create_isdp("c1", None), 700, "isdp").await;
    testbed.run().await;
    testbed.advance(700);
    testbed.run().await;
    assert_eq!(testbed.ended("isdp").await, ["ES3-CreateISDP: no answer came in time"]);
    testbed.answer("c1").await;
    testbed.run().await;
    assert_eq!(testbed.ended("isdp").await.len(), 1);
    assert_eq!(testbed.waiting(&testbed.sr).await, 0, "the late callback was accepted nevertheless");

    // The same applies to a call that could not be delivered.
    testbed.set(Wire::Down);
    testbed.call::<es3::GetEis>(get_eis("g1"), 10, "eis").await;
    testbed.run().await;
    testbed.advance(10);
    testbed.run().await;
    assert_eq!(testbed.ended("eis").await, ["ES3-GetEIS: no answer came in time"]);
    assert_eq!(testbed.waiting(&testbed.dp).await, 0);
}

#[tokio::test]
async fn an_http_error_status_ends_the_call_or_is_retried() {
    for (status, is_final) in [
        (StatusCode::FORBIDDEN, true),
        (StatusCode::NOT_FOUND, true),
        (StatusCode::TOO_MANY_REQUESTS, false),
        (StatusCode::SERVICE_UNAVAILABLE, false),
    ] {
        let testbed = Testbed::new(Options::default());
        testbed.set(Wire::AnswersWith(status));
        testbed.call::<es3::CreateIsdp>(create_isdp("c1", None), 700, "isdp").await;
        testbed.run().await;
        assert_eq!(testbed.ended("isdp").await.len(), usize::from(is_final), "{status}");
        testbed.set(Wire::Fine);
        testbed.advance(60);
        testbed.run().await;
        assert_eq!(testbed.sr.decided("CreateISDP").await, u32::from(!is_final), "{status}");
    }
}

#[tokio::test]
async fn a_notification_is_retried_until_the_peer_knows_the_sender() {
    let testbed = Testbed::new(Options::default());
    testbed.set(Wire::AnswersWith(StatusCode::FORBIDDEN));
    testbed.notify().await;
    testbed.run().await;
    assert_eq!((testbed.waiting(&testbed.sr).await, testbed.waiting(&testbed.dp).await), (1, 0));
    testbed.set(Wire::Fine);
    testbed.advance(60);
    testbed.run().await;
    assert_eq!(testbed.dp.decided(&format!("notified {}", iccid())).await, 1);
    assert_eq!(testbed.waiting(&testbed.sr).await, 0);
}

const NOTIFICATION: &str = "ES3-HandleProfileEnabledNotification";

#[tokio::test]
async fn a_rejected_notification_delays_only_notifications_of_its_kind() {
    for status in [StatusCode::FORBIDDEN, StatusCode::INTERNAL_SERVER_ERROR] {
        let testbed = Testbed::new(Options::default());
        testbed.call::<es3::CreateIsdp>(create_isdp("c1", None), 3600, "isdp").await;
        testbed.run().await;
        testbed.network.posted.lock().unwrap().clear();
        testbed.set(Wire::Rejects(NOTIFICATION, status));
        testbed.notify().await;
        testbed.advance(1);
        testbed.notify().await;
        testbed.advance(1);
        testbed.answer("c1").await;
        for wait in [1, 2, 4] {
            testbed.run().await;
            assert!(testbed.ended("isdp").await.is_empty(), "{status}: the peer may be rejecting everything");
            testbed.advance(wait);
        }
        testbed.run().await;
        assert_eq!(testbed.ended("isdp").await, [DONE], "{status}");
        // Later calls pass at once or within a minute.
        testbed.call::<es3::CreateIsdp>(create_isdp("c2", None), 3600, "another").await;
        testbed.run().await;
        testbed.answer("c2").await;
        testbed.advance(60);
        testbed.run().await;
        assert_eq!(testbed.ended("another").await, [DONE], "{status}");
        assert_eq!(testbed.waiting(&testbed.sr).await, 2);
        let notifications: Vec<_> = testbed
            .network
            .posted
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, text)| text.contains(NOTIFICATION))
            .cloned()
            .collect();
        assert!(
            notifications.len() > 1 && notifications.iter().all(|it| *it == notifications[0]),
            "{status}: the second notification waits for the first"
        );
        testbed.set(Wire::Fine);
        testbed.advance(60);
        testbed.run().await;
        assert_eq!(testbed.dp.decided(&format!("notified {}", iccid())).await, 2, "{status}");
        assert_eq!(testbed.waiting(&testbed.sr).await, 0);
    }
}

#[tokio::test]
async fn a_notification_that_was_never_accepted_is_dropped_at_the_end_of_its_validity() {
    for wire in [Wire::Down, Wire::AnswersWith(StatusCode::FORBIDDEN)] {
        let testbed = Testbed::new(Options::default());
        testbed.set(wire);
        testbed.notify().await;
        let (_, message) = testbed.start(&testbed.sr).outbox().await.unwrap().remove(0);
        let validity = message.until.since(testbed.now()).as_secs();
        assert!(validity > 120, "{validity}");
        testbed.run().await;
        testbed.advance(validity - 61);
        testbed.run().await;
        assert_eq!(testbed.waiting(&testbed.sr).await, 1, "{wire:?}: it is retried until then");
        // The next attempt is the last one.
        testbed.advance(61);
        testbed.run().await;
        assert_eq!(testbed.waiting(&testbed.sr).await, 0, "{wire:?}");
        testbed.set(Wire::Fine);
        testbed.advance(60);
        testbed.run().await;
        assert_eq!(testbed.dp.decided(&format!("notified {}", iccid())).await, 0, "{wire:?}");
        assert_eq!(testbed.start(&testbed.sr).run_due().await.unwrap(), None, "{wire:?}: nothing is left");
    }
}

#[tokio::test]
async fn the_delays_start_again_after_a_delivery_that_reached_the_peer() {
    let testbed = Testbed::new(Options::default());
    testbed.call::<es3::CreateIsdp>(create_isdp("c1", None), 3600, "isdp").await;
    testbed.run().await;
    testbed.set(Wire::Down);
    testbed.answer("c1").await;
    testbed.advance(1);
    testbed.notify().await;
    let next_delay = async || {
        let next = testbed.start(&testbed.sr).run_due().await.unwrap().unwrap();
        next.since(testbed.now()).as_secs()
    };
    for wait in [1, 2, 4] {
        assert_eq!(next_delay().await, wait);
        testbed.advance(wait);
    }
    // The peer accepts the first message, but not the second one.
    testbed.set(Wire::Rejects(NOTIFICATION, StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(next_delay().await, 1);
    assert_eq!(testbed.ended("isdp").await, [DONE]);
}

#[tokio::test]
async fn a_rejected_callback_delays_no_other_of_its_function() {
    let testbed = Testbed::new(Options::default());
    for call in ["c1", "c2"] {
        testbed.call::<es3::CreateIsdp>(create_isdp(call, None), 3600, call).await;
    }
    testbed.run().await;
    let (_, first) = testbed.network.posted.lock().unwrap()[0].clone();
    let message_id = Envelope::read(&parse(&first).unwrap()).unwrap().header.message_id.uri;
    testbed.set(Wire::Rejects(message_id.leak(), StatusCode::INTERNAL_SERVER_ERROR));
    testbed.answer("c1").await;
    testbed.advance(1);
    testbed.answer("c2").await;
    for _ in 0..10 {
        testbed.run().await;
        testbed.advance(60);
    }
    assert!(testbed.ended("c1").await.is_empty());
    assert_eq!(testbed.ended("c2").await, [DONE]);
}

#[tokio::test]
async fn an_unavailable_peer_is_sent_no_other_message() {
    let testbed = Testbed::new(Options::default());
    testbed.call::<es3::CreateIsdp>(create_isdp("c1", None), 3600, "isdp").await;
    testbed.run().await;
    testbed.set(Wire::Rejects(NOTIFICATION, StatusCode::SERVICE_UNAVAILABLE));
    testbed.notify().await;
    testbed.advance(1);
    testbed.answer("c1").await;
    for _ in 0..10 {
        testbed.run().await;
        testbed.advance(60);
    }
    assert_eq!((testbed.ended("isdp").await.len(), testbed.waiting(&testbed.sr).await), (0, 2));
}

#[tokio::test]
async fn a_soap_fault_of_the_peer_ends_the_call() {
    let testbed = Testbed::new(Options::default());
    // The SM-SR of the testbed does not have this function.
    let request = es3::DeleteIsdpRequest {
        base: rsp::sgp02::BaseRequest::new("d1"),
        eid: crate::testbed::eid(),
        iccid: iccid(),
    };
    testbed.call::<es3::DeleteIsdp>(request, 700, "delete").await;
    testbed.run().await;
    assert_eq!(
        testbed.ended("delete").await,
        ["ES3-DeleteISDP: SOAP fault Sender: this server does not accept ES3-DeleteISDPRequest"]
    );
}

#[tokio::test]
async fn a_response_of_another_function_ends_the_call() {
    let testbed = Testbed::new(Options::default());
    let other = message_text(&testbed, "m1", &es3::EnableProfileResponse::default());
    testbed.set(Wire::ReplacesBody(other.leak()));
    testbed.call::<es3::GetEis>(get_eis("g1"), 60, "eis").await;
    testbed.run().await;
    let ended = testbed.ended("eis").await;
    let expected = "ES3-EnableProfileResponse instead of ES3-GetEISResponse";
    assert!(ended.len() == 1 && ended[0].contains(expected), "{ended:?}");
}

#[tokio::test]
async fn a_message_in_the_outbox_wakes_the_delivery() {
    let testbed = Testbed::new(Options::default());
    let sr = testbed.start(&testbed.sr);
    let woken = || std::mem::take(&mut *testbed.network.woken.lock().unwrap());
    sr.handle(post(&testbed.dp, &message_text(&testbed, "m1", &get_eis("g1")))).await;
    assert_eq!(woken(), 0, "the response is not in the outbox");
    sr.handle(post(&testbed.dp, &message_text(&testbed, "m2", &enable("e1")))).await;
    assert_eq!(woken(), 1, "the callback is in the outbox");
}

#[tokio::test]
async fn the_deviations_of_a_response_are_an_event() {
    for (element, expected) in [("", 0), ("<new xmlns=\"urn:new\"/>", 1)] {
        let testbed = Testbed::new(Options::default());
        testbed.set(Wire::ExtendsResponse(element));
        testbed.call::<es3::GetEis>(get_eis("g1"), 60, "eis").await;
        testbed.start(&testbed.dp).run_due().await.unwrap();
        assert_eq!(testbed.ended("eis").await.len(), 1);
        let events = testbed.dp.events.all();
        let reported = events.iter().filter(|event| event.function == "response to GetEIS");
        let findings: Vec<usize> = reported.map(|event| event.findings.len()).collect();
        assert_eq!(findings, vec![1; expected], "{events:?}");
    }
}

#[tokio::test]
async fn the_body_of_an_http_202_does_not_end_an_asynchronous_call() {
    for body in ["<html>Accepted</html>", "<soap:Envelope/>", "0"] {
        let testbed = Testbed::new(Options::default());
        testbed.set(Wire::ReplacesBody(body));
        testbed.call::<es3::CreateIsdp>(create_isdp("c1", None), 700, "isdp").await;
        testbed.run().await;
        assert_eq!(testbed.waiting(&testbed.dp).await, 0, "{body}: it was accepted");
        assert!(testbed.ended("isdp").await.is_empty(), "{body}");
        testbed.set(Wire::Fine);
        testbed.answer("c1").await;
        testbed.run().await;
        assert_eq!(testbed.ended("isdp").await, [DONE], "{body}");
    }
}

#[tokio::test]
async fn a_peer_that_does_not_answer_delays_no_other() {
    let testbed = Testbed::new(Options::default());
    let silent = link_from(tower::service_fn(|_: Request<Bytes>| {
        std::future::pending::<Result<Response<Bytes>, LinkFault>>()
    }));
    testbed.network.links.lock().unwrap().insert("dead.example:8443".to_owned(), silent);
    let sr = testbed.start(&testbed.sr);
    testbed.notify_at("https://dead.example:8443/sgp02").await;
    testbed.notify_at("https://dead.example:8443/sgp02").await;
    let due = sr.due().await.unwrap();
    assert_eq!(due.tasks.len(), 1, "messages to one address are sent one after the other");
    let dead = tokio::spawn(due.run());
    tokio::task::yield_now().await;
    testbed.notify().await;
    let due = sr.due().await.unwrap();
    assert_eq!(due.tasks.len(), 1, "the address with a delivery in progress gets no second task");
    due.run().await;
    assert_eq!(testbed.dp.decided(&format!("notified {}", iccid())).await, 1);
    assert!(sr.due().await.unwrap().tasks.is_empty());
    assert!(!dead.is_finished());
    dead.abort();
    assert!(dead.await.unwrap_err().is_cancelled());
    assert_eq!(sr.due().await.unwrap().tasks.len(), 1, "the message of the cancelled delivery waits");
}

#[tokio::test]
async fn many_peers_that_do_not_answer_delay_no_other() {
    let testbed = Testbed::new(Options::default());
    let silent = link_from(tower::service_fn(|_: Request<Bytes>| {
        std::future::pending::<Result<Response<Bytes>, LinkFault>>()
    }));
    testbed.call::<es3::CreateIsdp>(create_isdp("c1", Some(600)), 700, "isdp").await;
    testbed.run().await;
    for number in 0..2 * MAX_CONCURRENT_TASKS {
        let authority = format!("d{number}:1");
        testbed.notify_at(&format!("https://{authority}/")).await;
        testbed.network.links.lock().unwrap().insert(authority, silent.clone());
    }
    testbed.notify().await;
    let sr = testbed.start(&testbed.sr);
    // Their deliveries are cancelled without an answer, twice.
    for _ in 0..2 {
        let due = sr.due().await.unwrap();
        assert_eq!(due.tasks.len(), MAX_CONCURRENT_TASKS);
        let dead = tokio::spawn(due.run());
        tokio::task::yield_now().await;
        dead.abort();
        assert!(dead.await.unwrap_err().is_cancelled());
    }
    let due = sr.due().await.unwrap();
    let dead = tokio::spawn(due.run());
    tokio::task::yield_now().await;
    assert_eq!(testbed.dp.decided(&format!("notified {}", iccid())).await, 1);
    // The handling of deadlines waits for no delivery.
    testbed.advance(600);
    sr.due().await.unwrap();
    assert_eq!(
        sr.outbox().await.unwrap().len(),
        2 * MAX_CONCURRENT_TASKS + 1,
        "the expired call added a callback"
    );
    dead.abort();
}

#[tokio::test]
async fn an_unreadable_record_is_kept_and_delays_no_other() {
    let testbed = Testbed::new(Options::default());
    testbed.notify().await;
    let (message, _) = testbed.start(&testbed.sr).outbox().await.unwrap().remove(0);
    let before = message.replace(message.split_once("sgp02/").unwrap().1, "0");
    let torn = [("soap-outbox", before.as_str()), ("soap-due", "000000000000001/expires/a")];
    world::transact(&*testbed.sr.records, |tx| {
        Box::pin(async move {
            for (collection, key) in torn {
                tx.put(&Collection::<String>::new(collection), key, &"torn".to_owned())?;
            }
            Ok(())
        })
    })
    .await
    .unwrap();
    testbed.call::<es3::CreateIsdp>(create_isdp("c1", Some(600)), 700, "isdp").await;
    testbed.run().await;
    assert_eq!(testbed.dp.decided(&format!("notified {}", iccid())).await, 1);
    testbed.advance(600);
    let sr = testbed.start(&testbed.sr);
    assert_eq!(
        sr.run_due().await.unwrap(),
        Some(testbed.now().plus(RETRY_DELAY)),
        "the unreadable record is retried"
    );
    assert_eq!(testbed.ended("isdp").await.len(), 1, "the other call ended at its deadline");
    for (collection, key) in torn {
        let kept = Tx::begin(&*testbed.sr.records).get(&Collection::<String>::new(collection), key).await;
        assert_eq!(kept.unwrap().as_deref(), Some("torn"));
    }
}

/// Records that count how often the outbox is listed, and how many records are listed in the
/// collections of deadlines and of answered calls.
#[derive(Default)]
struct Counting {
    inner: MemoryRecords,
    reads: AtomicUsize,
    answered: AtomicUsize,
}

impl Records for Counting {
    fn read<'a>(
        &'a self,
        collection: &'static str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Stored>, Fault>> {
        self.inner.read(collection, key)
    }

    fn first<'a>(
        &'a self,
        collection: &'static str,
        keys: KeyRange<'a>,
        most: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Stored)>, Fault>> {
        self.reads.fetch_add(usize::from(collection == "soap-outbox"), Ordering::Relaxed);
        Box::pin(async move {
            let found = self.inner.first(collection, keys, most).await?;
            if ["soap-due", "soap-answered"].contains(&collection) {
                self.answered.fetch_add(found.len(), Ordering::Relaxed);
            }
            Ok(found)
        })
    }

    fn commit(&self, changes: ChangeSet) -> BoxFuture<'_, Result<Committed, Fault>> {
        self.inner.commit(changes)
    }
}

#[tokio::test]
async fn answered_calls_are_not_read_on_every_run() {
    let records = Arc::new(Counting::default());
    let testbed =
        Testbed::new(Options { sr_records: Arc::clone(&records) as Arc<dyn Records>, ..Options::default() });
    let sr = testbed.start(&testbed.sr);
    for number in 0..10 {
        let call = get_eis(&format!("g{number}"));
        sr.handle(post(&testbed.dp, &message_text(&testbed, &format!("m{number}"), &call))).await;
    }
    for _ in 0..10 {
        testbed.advance(1);
        assert_eq!(sr.run_due().await.unwrap(), None);
    }
    assert_eq!(
        records.answered.load(Ordering::Relaxed),
        10,
        "each is read once, to see whether it can be deleted"
    );
    testbed.advance(8 * 24 * 3600);
    sr.run_due().await.unwrap();
    assert!(
        Tx::begin(&*records)
            .peek_list(&Collection::<String>::new("soap-answered"), "")
            .await
            .unwrap()
            .is_empty()
    );
    assert!(records.inner.list("soap-calls", "").await.unwrap().is_empty());
}

#[tokio::test]
async fn the_outbox_is_not_listed_once_per_message() {
    let records = Arc::new(Counting::default());
    let testbed =
        Testbed::new(Options { sr_records: Arc::clone(&records) as Arc<dyn Records>, ..Options::default() });
    for _ in 0..20 {
        testbed.notify().await;
    }
    testbed.run().await;
    assert_eq!(testbed.dp.decided(&format!("notified {}", iccid())).await, 20);
    let reads = records.reads.load(Ordering::Relaxed);
    assert!(
        reads <= 3,
        "{reads}: one listing for the messages, one for new messages, one for the final check"
    );
    testbed.run().await;
    assert_eq!(records.reads.load(Ordering::Relaxed), reads, "no address has a message");
}

#[tokio::test]
async fn nothing_is_sent_if_the_commit_fails() {
    let records = Arc::new(FailingRecords::default());
    records.is_full.store(true, Ordering::Relaxed);
    let testbed =
        Testbed::new(Options { sr_records: Arc::clone(&records) as Arc<dyn Records>, ..Options::default() });
    testbed.call::<es3::GetEis>(get_eis("g1"), 700, "eis").await;
    testbed.call::<es3::CreateIsdp>(create_isdp("c1", None), 700, "isdp").await;
    testbed.start(&testbed.dp).run_due().await.unwrap();
    assert!(testbed.ended("eis").await.is_empty());
    assert_eq!((testbed.sr.decided("GetEIS").await, testbed.waiting(&testbed.dp).await), (0, 2));
    records.is_full.store(false, Ordering::Relaxed);
    testbed.advance(60);
    testbed.run().await;
    assert_eq!((testbed.ended("eis").await.len(), testbed.sr.decided("CreateISDP").await), (1, 1));
}
