//! Scripts that cannot be executed twice: they are sent once or repeated as the same packet under
//! the same counter, whatever happens in between.

use sm_sr::es5::{Bearer, Job};
use world::SubmitFault;

use crate::{
    card::{self, Card},
    testbed::{NUMBER, Rig, confirmation, data, eid_of_card, enable, request, run},
};

const UNKNOWN: &str = "data not delivered: the script was sent without a response, and it is unknown if the card has executed it";

fn notification(number: u16) -> Vec<u8> {
    let packet = card::command([0x06, 0], &card::notification(2, number, card::EID));
    card::cut(0x70, &packet, 1).remove(0)
}

#[tokio::test]
async fn an_urgent_job_waits_for_the_response() {
    let (rig, mut card) = (Rig::new(), Card::new());
    rig.enqueue(data(20, "data")).await;
    rig.run().await;
    let first = rig.take();
    // Its response is lost; then the card sends a notification, which is to be confirmed at once.
    assert_eq!(rig.give(&mut card, first.clone()).len(), 1);
    rig.comes_from(NUMBER, &notification(1)).await;
    rig.run().await;
    assert!(rig.take().is_empty());
    rig.pass(30).await;
    let again = rig.take();
    assert_eq!(again, first, "the same packet: no other counter was used in between");
    for says in rig.give(&mut card, again) {
        rig.says(&says).await;
    }
    rig.pass(60).await;
    rig.pump(&mut card).await;
    assert_eq!(
        rig.told().await,
        [
            "notified 1 by Sms",
            "data not delivered: the card has executed the script, but its response is lost",
            "confirm 1 answered 9000"
        ]
    );
    assert_eq!(card.ran.len(), 2);
}

#[tokio::test]
async fn a_script_that_cannot_be_repeated_any_more_ends_as_unknown() {
    let (rig, mut card) = (Rig::new(), Card::new());
    rig.enqueue(data(20, "data")).await;
    rig.run().await;
    let sent = rig.take();
    assert_eq!(rig.give(&mut card, sent.clone()).len(), 1, "its response is lost");
    for _ in 0..100 {
        rig.pass(20).await;
        assert!(rig.take().iter().all(|message| *message == sent[0]), "the same packet each time");
    }
    // It waits for a message of the card. An urgent job does not, and uses the next counter.
    rig.enqueue(confirmation(eid_of_card(), 1, Bearer::Sms, rig.clock_now())).await;
    rig.pump(&mut card).await;
    assert_eq!(rig.told().await, ["confirm 1 answered 9000", UNKNOWN]);
    assert_eq!((card.ran.len(), rig.waiting().await), (2, 0));
}

#[tokio::test]
async fn a_session_is_not_given_a_script_that_was_sent_in_another() {
    let (rig, mut card) = (Rig::new(), Card::new());
    rig.enqueue(data(1500, "data")).await;
    rig.enqueue(enable(0x11)).await;
    rig.run().await;
    rig.give(&mut card, rig.take());
    // It is executed, and the session is interrupted during the response.
    run(&mut card, &rig.post("/es5", None).await);
    assert_eq!(rig.session(&mut card, "/es5").await, 0, "its response may still come");
    rig.pass(119).await;
    assert!(rig.told().await.is_empty());
    rig.pass(1).await;
    assert_eq!(rig.told().await, [UNKNOWN]);
    rig.pump(&mut card).await;
    assert_eq!(rig.told().await[1..], ["enable answered 9000"], "and the next job begins");
    assert_eq!(card.ran.len(), 9);
}

#[tokio::test]
async fn a_resumed_session_is_not_given_a_script_that_was_sent_in_another() {
    let (rig, mut card) = (Rig::new(), Card::new());
    rig.enqueue(data(1500, "data")).await;
    rig.run().await;
    rig.give(&mut card, rig.take());
    // The card has executed the script, given that session up, and failed once to begin another
    // one.
    run(&mut card, &rig.post("/es5", None).await);
    let mut again = request("/es5", None, "ok");
    again.headers_mut().insert("x-admin-resume", "true".parse().unwrap());
    assert_eq!(rig.engine.https(again).await.status(), 204);
    rig.pass(120).await;
    assert_eq!(rig.told().await, [UNKNOWN]);
}

#[tokio::test]
async fn a_late_response_ends_the_job() {
    let (rig, mut card) = (Rig::new(), Card::new());
    rig.enqueue(data(1500, "data")).await;
    rig.run().await;
    rig.give(&mut card, rig.take());
    let (next, answer) = run(&mut card, &rig.post("/es5", None).await);
    assert_eq!(rig.session(&mut card, "/es5").await, 0);
    rig.pass(60).await;
    assert_eq!(rig.post(&next, Some(answer)).await.status(), 204);
    assert!(rig.told().await[0].starts_with("data answered 9000"));
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_script() {
    let (rig, mut card) = (Rig::new(), Card::new());
    rig.enqueue(Job { via: Some(Bearer::Https), ..enable(0x11) }).await;
    rig.enqueue(data(1500, "data")).await;
    rig.run().await;
    rig.give(&mut card, rig.take());
    let (next, answer) = run(&mut card, &rig.post("/es5", None).await);
    // The reply to the card is lost, so the card repeats its request.
    let lost = rig.post(&next, Some(answer.clone())).await;
    let found = rig.post(&next, Some(answer)).await;
    let uri = |response: &http::Response<bytes::Bytes>| response.headers()["x-admin-next-uri"].clone();
    assert_eq!((uri(&lost), lost.body()), (uri(&found), found.body()));
    let (next, answer) = run(&mut card, &found);
    assert_eq!(rig.post(&next, Some(answer)).await.status(), 204);
    assert!(rig.told().await[1].starts_with("data answered 9000"));
}

#[tokio::test]
async fn a_session_is_not_given_a_script_that_was_sent_by_short_messages() {
    let (rig, mut card) = (Rig::new(), Card::new());
    rig.enqueue(data(20, "data")).await;
    rig.run().await;
    let sent = rig.take();
    let lost = rig.give(&mut card, sent.clone());
    for _ in 0..100 {
        rig.pass(20).await;
    }
    assert!(rig.take().iter().all(|message| *message == sent[0]));
    assert_eq!(rig.session(&mut card, "/es5").await, 0);
    rig.says(&lost[0]).await;
    assert_eq!((rig.told().await, card.ran.len()), (vec!["data answered 9000".to_owned()], 1));
}

#[tokio::test]
async fn a_packet_that_no_smsc_accepted_counts_as_not_sent() {
    for fault in [SubmitFault::Unbound, SubmitFault::Throttled] {
        let (rig, mut card) = (Rig::new(), Card::new());
        *rig.centre.fault.lock().unwrap() = Some(fault.clone());
        rig.enqueue(data(20, "data")).await;
        rig.run().await;
        for _ in 0..300 {
            rig.pass(5).await;
        }
        *rig.centre.fault.lock().unwrap() = None;
        // It is submitted more often than it would be sent to a card that does not answer, and
        // without the growing delay of that case.
        rig.pass(30).await;
        rig.pump(&mut card).await;
        assert_eq!(rig.told().await, ["data answered 9000"], "{fault}");
        assert_eq!(card.ran.len(), 1);
    }
}

#[tokio::test]
async fn a_new_smsc_connection_is_used_soon() {
    let (rig, mut card) = (Rig::new(), Card::new());
    *rig.centre.fault.lock().unwrap() = Some(SubmitFault::Unbound);
    rig.enqueue(enable(0x11)).await;
    let next = rig.run().await.unwrap();
    assert_eq!(next.since(rig.clock_now()).as_secs(), 5);
    *rig.centre.fault.lock().unwrap() = None;
    rig.pass(5).await;
    rig.pump(&mut card).await;
    assert_eq!(rig.told().await, ["enable answered 9000"]);
}
