//! Scripts in sessions that the card opens.

use std::{pin::pin, sync::atomic::Ordering, task::Poll, time::Duration};

use http::StatusCode;
use rsp::{
    ids::Aid,
    sgp02::keys::{KeyVersion, PskIdentity},
};
use sm_sr::es5::{Bearer, Effect, Job};

use crate::{
    card::{Card, State, isd_p},
    testbed::{PSK, Testbed, data, disable, eid_of_card, enable, identity, job, request, run},
};

#[tokio::test]
async fn a_long_script_is_fetched_in_a_session_triggered_by_short_message() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(data(1500, "data")).await;
    testbed.run().await;
    assert!(
        testbed.pass_to_card(&mut card, testbed.take_submitted()).is_empty(),
        "a trigger is not answered"
    );
    // The trigger requests no response and is addressed to the ISD-R.
    assert_eq!((card.triggers, card.headers.as_slice()), (1, &["16001212000001".to_owned()][..]));
    assert_eq!(testbed.session(&mut card, "/es5").await, 1);
    let (target, _) = &card.executed[0];
    assert_eq!((target, card.executed.len()), (&isd_p(0x12), 8), "Targeted-Application is the ISD-P");
    assert_eq!(testbed.reports().await, ["data answered 9000 9000 9000 9000 9000 9000 9000 9000"]);
    assert_eq!(testbed.run().await, None);
}

#[tokio::test]
async fn a_session_is_given_all_waiting_jobs_in_order() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(data(1500, "data")).await;
    testbed.enqueue(enable(0x11)).await;
    testbed.enqueue(Job { via: Some(Bearer::Sms), ..disable(0x11) }).await;
    testbed.run().await;
    testbed.pass_to_card(&mut card, testbed.take_submitted());
    assert_eq!(testbed.session(&mut card, "/es5").await, 2, "the job for short messages is not given");
    assert_eq!(card.executed[8].0, "a0000005591010ffffffff8900000100");
    assert_eq!(card.isd_ps[&isd_p(0x11)], State::Enabled);
    testbed.exchange_messages(&mut card).await;
    assert_eq!(testbed.reports().await[1..], ["enable answered 9000", "disable answered 9000"]);
    // Nothing is left: another session ends at once.
    assert_eq!(testbed.session(&mut card, "/es5").await, 0);
}

#[tokio::test]
async fn a_lost_trigger_is_repeated() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(data(1500, "data")).await;
    testbed.run().await;
    assert_eq!(testbed.take_submitted().len(), 1);
    testbed.advance(59).await;
    assert!(testbed.take_submitted().is_empty());
    testbed.advance(1).await;
    testbed.pass_to_card(&mut card, testbed.take_submitted());
    assert_eq!((card.triggers, card.counter), (1, 2));
    assert_eq!(testbed.session(&mut card, "/es5").await, 1);
    assert_eq!(testbed.reports().await.len(), 1);
}

#[tokio::test]
async fn a_duplicated_trigger_opens_one_session() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(data(1500, "data")).await;
    testbed.run().await;
    let trigger = testbed.take_submitted();
    testbed.pass_to_card(&mut card, trigger.clone());
    testbed.pass_to_card(&mut card, trigger);
    assert_eq!(card.triggers, 1, "the counter is too low the second time");
    assert_eq!(testbed.session(&mut card, "/es5").await, 1);
    assert_eq!(testbed.session(&mut card, "/es5").await, 0);
    assert_eq!(testbed.reports().await.len(), 1);
}

#[tokio::test]
async fn a_script_that_did_not_reach_the_card_is_given_in_the_next_session() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(Job { via: Some(Bearer::Https), ..enable(0x11) }).await;
    testbed.run().await;
    testbed.take_submitted();
    let lost = testbed.post("/es5", None).await;
    assert_eq!(lost.status(), 200);
    testbed.advance(119).await;
    assert!(testbed.take_submitted().is_empty());
    testbed.advance(1).await;
    testbed.pass_to_card(&mut card, testbed.take_submitted());
    assert_eq!(card.triggers, 1, "it is triggered again");
    assert_eq!(testbed.session(&mut card, "/es5").await, 1);
    assert_eq!((testbed.reports().await.len(), card.executed.len()), (1, 1));
}

#[tokio::test]
async fn a_repeated_response_counts_once_and_gets_the_next_script() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(data(1500, "data")).await;
    testbed.enqueue(enable(0x11)).await;
    testbed.run().await;
    testbed.take_submitted();
    let (next, answer) = run(&mut card, &testbed.post("/es5", None).await);
    let first = testbed.post(&next, Some(answer.clone())).await;
    assert_eq!(first.status(), 200);
    // The server's reply is lost; the card resumes and repeats its response.
    let mut again = request(&next, Some(answer), "ok");
    again.headers_mut().insert("x-admin-resume", "true".parse().unwrap());
    let second = testbed.engine.https(again).await;
    let (next, answer) = run(&mut card, &second);
    assert_eq!(testbed.post(&next, Some(answer)).await.status(), 204);
    assert_eq!(testbed.reports().await[1..], ["enable answered 9000"]);
    assert!(testbed.refused().contains(&"this response's job has ended".to_owned()));
}

#[tokio::test]
async fn an_audit_finds_a_command_executed_in_an_interrupted_session() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(Job { via: Some(Bearer::Https), ..enable(0x11) }).await;
    testbed.run().await;
    testbed.take_submitted();
    let (_, lost) = run(&mut card, &testbed.post("/es5", None).await);
    assert!(!lost.is_empty());
    assert_eq!(testbed.session(&mut card, "/es5").await, 2, "the script again, and an audit");
    assert_eq!(testbed.reports().await, ["enable found done"]);
}

#[tokio::test]
async fn a_late_response_from_an_earlier_session_counts() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(Job { via: Some(Bearer::Https), ..enable(0x11) }).await;
    testbed.run().await;
    let (first, answer) = run(&mut card, &testbed.post("/es5", None).await);
    let (second, _) = run(&mut card, &testbed.post("/es5", None).await);
    assert_ne!(first, second);
    assert_eq!(testbed.post(&first, Some(answer)).await.status(), 204);
    assert_eq!(testbed.reports().await, ["enable answered 9000"]);
}

#[tokio::test]
async fn refusals_of_the_card_are_reported_with_the_script_status() {
    for status in ["unknown-application", "not-a-security-domain", "security-error"] {
        let testbed = Testbed::new();
        testbed.enqueue(data(1500, "data")).await;
        testbed.run().await;
        let script = testbed.post("/es5", None).await;
        let next = script.headers()["x-admin-next-uri"].to_str().unwrap().to_owned();
        assert_eq!(testbed.engine.https(request(&next, Some(Vec::new()), status)).await.status(), 204);
        assert_eq!(testbed.reports().await, [format!("data refused: {status}")]);
    }
}

// req: SGP.02-2.4.4-Identity
#[tokio::test]
async fn a_request_with_a_false_identity_gets_nothing() {
    let testbed = Testbed::new();
    testbed.enqueue(data(1500, "data")).await;
    testbed.run().await;
    let send_request = |change: &dyn Fn(&mut http::Request<bytes::Bytes>)| {
        let mut request = request("/es5", None, "ok");
        change(&mut request);
        testbed.engine.https(request)
    };
    let unknown = rsp::ids::Eid::with_check_digits("890490321234512345123451234599").unwrap();
    let theirs = PskIdentity { eid: unknown, ..identity() };
    let agent = format!("//se-id/eid/{unknown};//aa-id/aid/A000000559/1010FFFFFFFF8900000100");
    assert_eq!(send_request(&|_| {}).await.status(), StatusCode::OK);
    assert_eq!(
        send_request(&|request| {
            request.extensions_mut().clear();
        })
        .await
        .status(),
        StatusCode::FORBIDDEN
    );
    let status = send_request(&|request| {
        request.extensions_mut().insert(world::PskIdentity("Client".into()));
    })
    .await
    .status();
    assert_eq!(status, StatusCode::FORBIDDEN);
    // The key of one card with the EID of another; and a card that this SM-SR does not manage.
    let status = send_request(&|request| {
        request.headers_mut().insert("x-admin-from", agent.parse().unwrap());
    });
    assert_eq!(status.await.status(), StatusCode::FORBIDDEN);
    let status = send_request(&|request| {
        request.extensions_mut().insert(world::PskIdentity(theirs.to_string()));
    });
    assert_eq!(status.await.status(), StatusCode::FORBIDDEN);
    let status = send_request(&|request| {
        request.headers_mut().insert("x-admin-from", agent.parse().unwrap());
        request.extensions_mut().insert(world::PskIdentity(theirs.to_string()));
    });
    assert_eq!(status.await.status(), StatusCode::NO_CONTENT, "no job waits for it");
    let status = send_request(&|request| {
        request.headers_mut().remove("x-admin-protocol");
    })
    .await
    .status();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let status = send_request(&|request| *request.method_mut() = http::Method::GET).await.status();
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(testbed.post("/other", Some(vec![0xAF, 0x80, 0, 0])).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(testbed.post("/es5/next/1", Some(vec![1])).await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(testbed.post("/es5?msg=E1x", None).await.status(), StatusCode::BAD_REQUEST);
    assert!(testbed.reports().await.is_empty());
}

#[tokio::test]
async fn a_key_is_found_by_its_complete_identity() {
    let testbed = Testbed::new();
    let known = testbed.engine.psk(&identity().to_string()).await.unwrap();
    assert_eq!(known.unwrap().expose(), &PSK);
    let other = rsp::ids::Eid([0x89; 16]);
    let unknown = [
        PskIdentity { key_version: KeyVersion(0x41), ..identity() },
        PskIdentity { key_identifier: 2, ..identity() },
        PskIdentity { eid: other, ..identity() },
    ];
    for identity in unknown {
        assert!(testbed.engine.psk(&identity.to_string()).await.unwrap().is_none());
    }
    assert!(testbed.engine.psk("Client").await.unwrap().is_none());
}

/// Polls once and returns true if the future is pending.
async fn is_waiting(future: &mut (impl Future + Unpin)) -> bool {
    std::future::poll_fn(|cx| Poll::Ready(pin!(&mut *future).poll(cx).is_pending())).await
}

#[tokio::test]
async fn more_to_do_keeps_the_session_until_the_next_script_is_there() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(Job { more_to_do: true, ..data(20, "data 1") }).await;
    testbed.run().await;
    testbed.pass_to_card(&mut card, testbed.take_submitted());
    assert_eq!(card.triggers, 1, "a short script also uses HTTPS if another script follows");
    let (next, answer) = run(&mut card, &testbed.post("/es5", None).await);
    let mut held = Box::pin(testbed.post(&next, Some(answer)));
    assert!(is_waiting(&mut held).await);
    assert_eq!(testbed.reports().await, ["data 1 answered 9000"]);
    // Another event occurs meanwhile.
    testbed.engine.wake();
    assert!(is_waiting(&mut held).await);
    testbed.enqueue(data(20, "data 2")).await;
    testbed.run().await;
    assert!(testbed.take_submitted().is_empty(), "no trigger is sent: the session is open");
    let (next, answer) = run(&mut card, &held.await);
    assert_eq!(testbed.post(&next, Some(answer)).await.status(), 204);
    assert_eq!(testbed.reports().await[1..], ["data 2 answered 9000"]);
}

#[tokio::test]
async fn a_session_is_kept_open_for_a_limited_time() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(Job { more_to_do: true, ..data(20, "data 1") }).await;
    testbed.run().await;
    testbed.pass_to_card(&mut card, testbed.take_submitted());
    let (next, answer) = run(&mut card, &testbed.post("/es5", None).await);
    let mut held = Box::pin(testbed.post(&next, Some(answer)));
    assert!(is_waiting(&mut held).await);
    let until = testbed.run().await.unwrap();
    assert_eq!(until, testbed.clock_now().plus(Duration::from_secs(20)));
    testbed.advance(20).await;
    assert_eq!(held.await.status(), 204);
    assert_eq!(testbed.run().await, None);
    // A later job needs a trigger.
    testbed.enqueue(data(1500, "data 2")).await;
    testbed.run().await;
    testbed.pass_to_card(&mut card, testbed.take_submitted());
    assert_eq!(card.triggers, 2);
}

#[tokio::test]
async fn a_card_that_leaves_an_open_session_is_triggered_for_later_jobs() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(Job { more_to_do: true, ..data(20, "data 1") }).await;
    testbed.run().await;
    testbed.pass_to_card(&mut card, testbed.take_submitted());
    let (next, answer) = run(&mut card, &testbed.post("/es5", None).await);
    let mut held = Box::pin(testbed.post(&next, Some(answer)));
    assert!(is_waiting(&mut held).await);
    drop(held);
    testbed.enqueue(data(1500, "data 2")).await;
    testbed.run().await;
    assert!(testbed.take_submitted().is_empty());
    testbed.advance(20).await;
    testbed.pass_to_card(&mut card, testbed.take_submitted());
    assert_eq!(card.triggers, 2);
    assert_eq!(testbed.session(&mut card, "/es5").await, 1);
    assert_eq!(testbed.reports().await.len(), 2);
}

#[tokio::test]
async fn the_next_job_of_a_procedure_is_given_in_the_same_session() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.procedures.next_jobs.lock().unwrap().push(enable_called("step 2"));
    testbed.enqueue(data(1500, "step 1")).await;
    testbed.run().await;
    testbed.pass_to_card(&mut card, testbed.take_submitted());
    assert_eq!(testbed.session(&mut card, "/es5").await, 2);
    assert_eq!(testbed.reports().await[1..], ["step 2 answered 9000"]);
}

fn enable_called(purpose: &str) -> Job {
    Job { purpose: purpose.into(), ..enable(0x11) }
}

#[tokio::test]
async fn a_script_that_expires_in_a_session_is_not_given() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(data(1500, "data")).await;
    testbed.run().await;
    testbed.clock.advance(Duration::from_secs(3600));
    assert_eq!(testbed.session(&mut card, "/es5").await, 0);
    assert_eq!(testbed.reports().await, ["data expired"]);
}

#[tokio::test]
async fn a_card_without_https_gets_jobs_by_short_messages() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.procedures.https.store(false, Ordering::SeqCst);
    testbed.enqueue(data(1500, "data")).await;
    testbed.exchange_messages(&mut card).await;
    assert_eq!((card.triggers, testbed.reports().await.len()), (0, 1));
    let target = Aid(Aid::ISD_R.to_vec());
    let over_https = Job {
        via: Some(Bearer::Https),
        target,
        ..job(Effect::Audit, vec![0x80, 0xCA, 0xFF, 0x21, 0], "audit")
    };
    assert_eq!(over_https.eid, eid_of_card());
    testbed.enqueue(over_https).await;
    testbed.run().await;
    assert_eq!(testbed.reports().await[1..], ["audit not delivered: the card does not support HTTPS"]);
}
