//! Tests of the order of functions in a session and of its lifetime.

use super::*;

#[tokio::test]
async fn a_session_expires_at_each_step() {
    let lifetime = Duration::from_secs(100);
    let bench = Bench::with(|config| config.session_lifetime = lifetime);
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let first = euicc.initiate(&bench.server).await;
    let request = euicc.authenticate(&first, &code).request();
    bench.wait(lifetime);
    assert_eq!(
        call::<AuthenticateClient>(&bench.server, &request).await.refused(),
        Status::TransactionUnknown
    );
    let ok = euicc.try_authenticate(&bench.server, &code).await.done();
    let prepare = euicc.prepare(&ok, &euicc.one_time_key());
    bench.wait(lifetime);
    assert_eq!(euicc.get(&bench.server, &prepare).await.refused(), Status::TransactionUnknown);
    assert!(bench.server.sessions().await.unwrap().is_empty());

    // A step before the end of the lifetime renews the session.
    let first = euicc.initiate(&bench.server).await;
    bench.wait(lifetime - Duration::from_millis(1));
    let ok =
        call::<AuthenticateClient>(&bench.server, &euicc.authenticate(&first, &code).request()).await.done();
    bench.wait(lifetime - Duration::from_millis(1));
    euicc.get(&bench.server, &euicc.prepare(&ok, &euicc.one_time_key())).await.done();
    // The installation result may take longer.
    bench.wait(lifetime * 10);
    notify(&bench.server, euicc.signed_result(euicc.result(&ok.transaction_id, iccid(), true))).await;
    assert_eq!(bench.state().await, ProfileState::Installed);
}

#[tokio::test]
async fn functions_in_the_wrong_order_are_refused() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let first = euicc.initiate(&bench.server).await;
    let request = euicc.authenticate(&first, &code).request();
    let ok = call::<AuthenticateClient>(&bench.server, &request).await.done();
    // The same function again.
    assert_eq!(
        call::<AuthenticateClient>(&bench.server, &request).await.refused(),
        Status::TransactionUnknown
    );
    // GetBoundProfilePackage before AuthenticateClient.
    let first = euicc.initiate(&bench.server).await;
    let mut early = euicc.prepare(&ok, &euicc.one_time_key());
    early.outer = first.transaction_id.clone();
    early.signed.transaction_id = first.transaction_id;
    assert_eq!(euicc.get(&bench.server, &early).await.refused(), Status::TransactionUnknown);
    // The session with the right order is still valid.
    euicc.get(&bench.server, &euicc.prepare(&ok, &euicc.one_time_key())).await.done();
}
