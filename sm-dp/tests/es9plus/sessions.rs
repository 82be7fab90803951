//! Tests of the order of functions in a session and of its lifetime.

use super::*;

#[tokio::test]
async fn a_session_expires_at_each_step() {
    let lifetime = Duration::from_secs(100);
    let testbed = Testbed::with(|config| config.server.session_lifetime = lifetime);
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let first = euicc.initiate(&testbed.server).await;
    let request = euicc.authenticate(&first, &code).request().unwrap();
    testbed.wait(lifetime);
    assert_eq!(
        call::<AuthenticateClient>(&testbed.server, &request).await.refused(),
        Status::TransactionUnknown
    );
    let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
    let prepare = euicc.prepare(&ok, &euicc.one_time_key());
    testbed.wait(lifetime);
    assert_eq!(euicc.get(&testbed.server, &prepare).await.refused(), Status::TransactionUnknown);
    assert!(testbed.server.sessions().await.unwrap().is_empty());

    // A step before the end of the lifetime renews the session.
    let first = euicc.initiate(&testbed.server).await;
    testbed.wait(lifetime - Duration::from_millis(1));
    let ok =
        call::<AuthenticateClient>(&testbed.server, &euicc.authenticate(&first, &code).request().unwrap())
            .await
            .done();
    testbed.wait(lifetime - Duration::from_millis(1));
    euicc.get(&testbed.server, &euicc.prepare(&ok, &euicc.one_time_key())).await.done();
    // The installation result may take longer.
    testbed.wait(lifetime * 10);
    notify(&testbed.server, euicc.signed_result(euicc.result(&ok.transaction_id, iccid(), true))).await;
    assert_eq!(testbed.state().await, ProfileState::Installed);
}

#[tokio::test]
async fn functions_in_the_wrong_order_are_refused() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let first = euicc.initiate(&testbed.server).await;
    let request = euicc.authenticate(&first, &code).request().unwrap();
    let ok = call::<AuthenticateClient>(&testbed.server, &request).await.done();
    // The same function is called again.
    assert_eq!(
        call::<AuthenticateClient>(&testbed.server, &request).await.refused(),
        Status::TransactionUnknown
    );
    // GetBoundProfilePackage is called before AuthenticateClient.
    let first = euicc.initiate(&testbed.server).await;
    let mut early = euicc.prepare(&ok, &euicc.one_time_key());
    early.outer = first.transaction_id.clone();
    early.signed.transaction_id = first.transaction_id;
    assert_eq!(euicc.get(&testbed.server, &early).await.refused(), Status::TransactionUnknown);
    // The session with the right order is still valid.
    euicc.get(&testbed.server, &euicc.prepare(&ok, &euicc.one_time_key())).await.done();
}

#[tokio::test]
async fn sessions_over_the_limit_are_refused_at_once_until_others_end() {
    let lifetime = Duration::from_secs(100);
    let testbed = Testbed::with(|config| {
        config.server.max_unauthenticated_sessions = 4;
        config.server.session_lifetime = lifetime;
    });
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let first = euicc.initiate(&testbed.server).await;
    for _ in 1..4 {
        euicc.initiate(&testbed.server).await;
    }
    let refused = send::<InitiateAuthentication>(&testbed.server, &euicc.initiation()).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key(http::header::RETRY_AFTER));
    // Nothing is stored for a refused request, and open sessions continue.
    assert_eq!(testbed.server.sessions().await.unwrap().len(), 4);
    let request = euicc.authenticate(&first, &code).request().unwrap();
    call::<AuthenticateClient>(&testbed.server, &request).await.done();
    euicc.initiate(&testbed.server).await;
    let refused = send::<InitiateAuthentication>(&testbed.server, &euicc.initiation()).await;
    assert_eq!(refused.status(), 503);
    testbed.wait(lifetime);
    euicc.initiate(&testbed.server).await;
}

#[tokio::test]
async fn an_euicc_that_guesses_matching_ids_is_stopped_for_a_while() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    for guess in 0..world::MAX_FAILED_ATTEMPTS {
        let refused = euicc.try_authenticate(&testbed.server, &format!("GUESS-{guess}")).await;
        assert_eq!(refused.refused(), Status::MatchingIdRefused);
    }
    let refused = euicc.try_authenticate(&testbed.server, &code).await;
    assert_eq!(refused.refused(), Status::MatchingIdRefused);
    testbed.wait(world::FAILED_ATTEMPTS_WINDOW);
    euicc.try_authenticate(&testbed.server, &code).await.done();
}
