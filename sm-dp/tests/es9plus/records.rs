//! Tests of transactions, record conflicts and events.

use super::*;

#[tokio::test]
async fn a_conflict_repeats_the_function_and_too_many_conflicts_are_a_fault() {
    use std::sync::atomic::Ordering::SeqCst;
    let records = Arc::new(FailingRecords::default());
    let testbed = Testbed::over(records.clone(), |_: &mut Config| {});
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let first = euicc.initiate(&testbed.server).await;
    let request = euicc.authenticate(&first, &code).request().unwrap();
    records.conflicts.store(5, SeqCst);
    call::<AuthenticateClient>(&testbed.server, &request).await.done();
    assert_eq!(records.conflicts.load(SeqCst), 0);
    assert_eq!(testbed.profile().await.order.unwrap().download_attempts, 1, "counted once, not six times");

    // With endless conflicts or failing records, the reply is a 500 and nothing changes.
    let first = euicc.initiate(&testbed.server).await;
    let request = euicc.authenticate(&first, &code).request().unwrap();
    for (conflicts, is_full) in [(usize::MAX, false), (0, true)] {
        records.conflicts.store(conflicts, SeqCst);
        records.is_full.store(is_full, SeqCst);
        let response = send::<AuthenticateClient>(&testbed.server, &request).await;
        assert_eq!(response.status(), 500);
        // The body names the failure.
        let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert!(["what", "why", "next"].iter().all(|member| body[*member].is_string()), "{body}");
        assert_eq!(testbed.profile().await.order.unwrap().download_attempts, 1);
    }
    records.is_full.store(false, SeqCst);
    call::<AuthenticateClient>(&testbed.server, &request).await.done();
}

#[tokio::test]
async fn expired_sessions_are_deleted() {
    let testbed = Testbed::with(|config| config.server.session_lifetime = Duration::from_secs(10));
    let euicc = testbed.euicc();
    for _ in 0..50 {
        euicc.initiate(&testbed.server).await;
        testbed.wait(Duration::from_secs(3600));
    }
    let left = testbed.records.list("sessions", "").await.unwrap().len();
    assert!(left < 10, "{left} sessions are kept");
}

#[tokio::test]
async fn every_call_logs_one_event() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    testbed.events.take();
    euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    euicc.try_authenticate(&testbed.server, "WRONG").await.refused();
    let events = testbed.events.take();
    let functions: Vec<_> = events.iter().map(|event| (&*event.interface, &*event.function)).collect();
    assert_eq!(
        functions,
        [
            ("ES9+", "InitiateAuthentication"),
            ("ES9+", "AuthenticateClient"),
            ("ES9+", "GetBoundProfilePackage"),
            ("ES9+", "InitiateAuthentication"),
            ("ES9+", "AuthenticateClient"),
        ]
    );
    assert!(events.iter().all(|event| event.bytes_received > 0 && event.bytes_sent > 0));
    // In ASN.1 too, the event contains the status that the error code stands for.
    assert!(matches!(&events[4].outcome, Outcome::Refused(why) if why.contains("8.2.6/3.8")));
}
