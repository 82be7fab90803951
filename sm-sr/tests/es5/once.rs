//! Scripts that cannot be executed twice: they are sent once or repeated as the same packet under
//! the same counter, whatever happens in between.

use rsp::{ids::Aid, ota::script::Chaining};
use sm_sr::es5::{Bearer, Job};
use world::SubmitFault;

use crate::{
    card::{self, Card},
    testbed::{NUMBER, Testbed, confirmation, data, eid_of_card, enable, request, run},
};

const UNKNOWN: &str = "data not delivered: the script was sent without a response, and it is unknown if the card has executed it";

fn notification(number: u16) -> Vec<u8> {
    let packet = card::command([0x06, 0], &card::notification(2, number, card::EID));
    card::segments(0x70, &packet, 1).remove(0)
}

#[tokio::test]
async fn an_urgent_job_waits_for_the_response() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(data(20, "data")).await;
    testbed.run().await;
    let first = testbed.take_submitted();
    // Its response is lost; then the card sends a notification, which is to be confirmed at once.
    assert_eq!(testbed.pass_to_card(&mut card, first.clone()).len(), 1);
    testbed.deliver_from(NUMBER, &notification(1)).await;
    testbed.run().await;
    assert!(testbed.take_submitted().is_empty());
    testbed.advance(30).await;
    let again = testbed.take_submitted();
    assert_eq!(again, first, "the same packet: no other counter was used in between");
    for response in testbed.pass_to_card(&mut card, again) {
        testbed.deliver_response(&response).await;
    }
    testbed.advance(60).await;
    testbed.exchange_messages(&mut card).await;
    assert_eq!(
        testbed.reports().await,
        [
            "notified 1 by Sms",
            "data not delivered: the card has executed the script, but its response is lost",
            "confirm 1 answered 9000"
        ]
    );
    assert_eq!(card.executed.len(), 2);
}

/// Creates a job for the ISD-R with this position in a chain of scripts.
fn link(chaining: Chaining, purpose: &str) -> Job {
    let link = data(20, purpose);
    Job { target: Aid(Aid::ISD_R.to_vec()), script: link.script.chained(chaining), ..link }
}

#[tokio::test]
async fn an_urgent_job_waits_for_the_next_script_of_a_chain() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(link(Chaining::FirstKept, "first")).await;
    testbed.run().await;
    // The card sends a notification before its response.
    testbed.deliver_from(NUMBER, &notification(1)).await;
    testbed.exchange_messages(&mut card).await;
    assert_eq!(testbed.reports().await, ["notified 1 by Sms", "first answered 9000"]);
    testbed.enqueue(link(Chaining::Last, "last")).await;
    testbed.exchange_messages(&mut card).await;
    assert_eq!(testbed.reports().await[2..], ["last answered 9000", "confirm 1 answered 9000"]);
}

#[tokio::test]
async fn an_urgent_job_does_not_wait_for_a_chain_of_another_security_domain_or_for_ever() {
    for (target, waits) in [(Aid(Aid::ISD_R.to_vec()), true), (Aid::isd_p(0x12), false)] {
        let (testbed, mut card) = (Testbed::new(), Card::new());
        testbed.enqueue(Job { target, ..link(Chaining::First, "first") }).await;
        testbed.run().await;
        testbed.deliver_from(NUMBER, &notification(1)).await;
        testbed.exchange_messages(&mut card).await;
        assert_eq!(testbed.reports().await.len(), if waits { 2 } else { 3 });
        testbed.advance(299).await;
        assert!(testbed.take_submitted().is_empty());
        testbed.advance(1).await;
        testbed.exchange_messages(&mut card).await;
        assert_eq!(testbed.reports().await[2..], ["confirm 1 answered 9000"]);
    }
}

#[tokio::test]
async fn a_script_that_cannot_be_repeated_any_more_ends_as_unknown() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(data(20, "data")).await;
    testbed.run().await;
    let sent = testbed.take_submitted();
    assert_eq!(testbed.pass_to_card(&mut card, sent.clone()).len(), 1, "its response is lost");
    for _ in 0..100 {
        testbed.advance(20).await;
        assert!(
            testbed.take_submitted().iter().all(|message| *message == sent[0]),
            "the same packet each time"
        );
    }
    // The job waits for a message of the card. An urgent job does not wait, and uses the next
    // counter.
    testbed.enqueue(confirmation(eid_of_card(), 1, Bearer::Sms, testbed.clock_now())).await;
    testbed.exchange_messages(&mut card).await;
    assert_eq!(testbed.reports().await, ["confirm 1 answered 9000", UNKNOWN]);
    assert_eq!((card.executed.len(), testbed.waiting().await), (2, 0));
}

#[tokio::test]
async fn a_session_is_not_given_a_script_that_was_sent_in_another() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(data(1500, "data")).await;
    testbed.enqueue(enable(0x11)).await;
    testbed.run().await;
    testbed.pass_to_card(&mut card, testbed.take_submitted());
    // The card executes the script, and the session is interrupted during the response.
    run(&mut card, &testbed.post("/es5", None).await);
    assert_eq!(testbed.session(&mut card, "/es5").await, 0, "its response may still come");
    testbed.advance(119).await;
    assert!(testbed.reports().await.is_empty());
    testbed.advance(1).await;
    assert_eq!(testbed.reports().await, [UNKNOWN]);
    testbed.exchange_messages(&mut card).await;
    assert_eq!(testbed.reports().await[1..], ["enable answered 9000"], "and the next job begins");
    assert_eq!(card.executed.len(), 9);
}

#[tokio::test]
async fn a_resumed_session_is_not_given_a_script_that_was_sent_in_another() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(data(1500, "data")).await;
    testbed.run().await;
    testbed.pass_to_card(&mut card, testbed.take_submitted());
    // The card has executed the script, given that session up, and failed once to begin another
    // one.
    run(&mut card, &testbed.post("/es5", None).await);
    let mut again = request("/es5", None, "ok");
    again.headers_mut().insert("x-admin-resume", "true".parse().unwrap());
    assert_eq!(testbed.engine.https(again).await.status(), 204);
    testbed.advance(120).await;
    assert_eq!(testbed.reports().await, [UNKNOWN]);
}

#[tokio::test]
async fn a_late_response_ends_the_job() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(data(1500, "data")).await;
    testbed.run().await;
    testbed.pass_to_card(&mut card, testbed.take_submitted());
    let (next, answer) = run(&mut card, &testbed.post("/es5", None).await);
    assert_eq!(testbed.session(&mut card, "/es5").await, 0);
    testbed.advance(60).await;
    assert_eq!(testbed.post(&next, Some(answer)).await.status(), 204);
    assert!(testbed.reports().await[0].starts_with("data answered 9000"));
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_script() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(Job { via: Some(Bearer::Https), ..enable(0x11) }).await;
    testbed.enqueue(data(1500, "data")).await;
    testbed.run().await;
    testbed.pass_to_card(&mut card, testbed.take_submitted());
    let (next, answer) = run(&mut card, &testbed.post("/es5", None).await);
    // The reply to the card is lost, so the card repeats its request.
    let lost = testbed.post(&next, Some(answer.clone())).await;
    let found = testbed.post(&next, Some(answer)).await;
    let uri = |response: &http::Response<bytes::Bytes>| response.headers()["x-admin-next-uri"].clone();
    assert_eq!((uri(&lost), lost.body()), (uri(&found), found.body()));
    let (next, answer) = run(&mut card, &found);
    assert_eq!(testbed.post(&next, Some(answer)).await.status(), 204);
    assert!(testbed.reports().await[1].starts_with("data answered 9000"));
}

#[tokio::test]
async fn a_session_is_not_given_a_script_that_was_sent_by_short_messages() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(data(20, "data")).await;
    testbed.run().await;
    let sent = testbed.take_submitted();
    let lost = testbed.pass_to_card(&mut card, sent.clone());
    for _ in 0..100 {
        testbed.advance(20).await;
    }
    assert!(testbed.take_submitted().iter().all(|message| *message == sent[0]));
    assert_eq!(testbed.session(&mut card, "/es5").await, 0);
    testbed.deliver_response(&lost[0]).await;
    assert_eq!((testbed.reports().await, card.executed.len()), (vec!["data answered 9000".to_owned()], 1));
}

#[tokio::test]
async fn an_urgent_job_does_not_wait_for_a_script_that_no_smsc_accepted() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    *testbed.smsc.fault.lock().unwrap() = Some(SubmitFault::Unbound);
    testbed.enqueue(data(20, "data")).await;
    testbed.run().await;
    testbed.enqueue(confirmation(eid_of_card(), 1, Bearer::Sms, testbed.clock_now())).await;
    *testbed.smsc.fault.lock().unwrap() = None;
    for _ in 0..2 {
        testbed.advance(30).await;
        testbed.exchange_messages(&mut card).await;
    }
    assert_eq!(testbed.reports().await, ["confirm 1 answered 9000", "data answered 9000"]);
    assert_eq!(card.executed.len(), 2);
}

#[tokio::test]
async fn a_packet_that_no_smsc_accepted_counts_as_not_sent() {
    for fault in [SubmitFault::Unbound, SubmitFault::Throttled] {
        let (testbed, mut card) = (Testbed::new(), Card::new());
        *testbed.smsc.fault.lock().unwrap() = Some(fault.clone());
        testbed.enqueue(data(20, "data")).await;
        testbed.run().await;
        for _ in 0..300 {
            testbed.advance(5).await;
        }
        *testbed.smsc.fault.lock().unwrap() = None;
        // The packet is submitted more often than it would be sent to a card that does not answer,
        // and the delay does not grow.
        testbed.advance(30).await;
        testbed.exchange_messages(&mut card).await;
        assert_eq!(testbed.reports().await, ["data answered 9000"], "{fault}");
        assert_eq!(card.executed.len(), 1);
    }
}

#[tokio::test]
async fn a_repetition_that_no_smsc_accepted_does_not_count() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(data(20, "data")).await;
    testbed.run().await;
    let sent = testbed.take_submitted();
    // The network delivers the packet twice. The response to the first copy is lost.
    assert_eq!(testbed.pass_to_card(&mut card, sent.clone()).len(), 1);
    let low = testbed.pass_to_card(&mut card, sent);
    *testbed.smsc.fault.lock().unwrap() = Some(SubmitFault::Unbound);
    testbed.advance(31).await;
    testbed.deliver_response(&low[0]).await;
    *testbed.smsc.fault.lock().unwrap() = None;
    testbed.advance(120).await;
    assert_eq!(testbed.reports().await, [UNKNOWN], "the packet was sent once");
}

#[tokio::test]
async fn a_new_smsc_connection_is_used_soon() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    *testbed.smsc.fault.lock().unwrap() = Some(SubmitFault::Unbound);
    testbed.enqueue(enable(0x11)).await;
    let next = testbed.run().await.unwrap();
    assert_eq!(next.since(testbed.clock_now()).as_secs(), 5);
    *testbed.smsc.fault.lock().unwrap() = None;
    testbed.advance(5).await;
    testbed.exchange_messages(&mut card).await;
    assert_eq!(testbed.reports().await, ["enable answered 9000"]);
}
