//! Tests of reusable orders, which many test eUICCs can download from concurrently.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic fails the test")]

mod support;

use crypto::Curve;
use rsp::sgp22::{CancelSessionReason, es9plus::CancelSession, notification_event};
use rsp::status::Status;
use sm_dp::{ProfileOptions, ProfileState, records};
use support::euicc::notify;
use support::{Expect, ICCID, Testbed, call};
use world::Tx;

fn iccid() -> rsp::ids::Iccid {
    ICCID.parse().unwrap()
}

/// Releases the profile under a reusable order, which `choose` modifies further.
async fn reusable(testbed: &Testbed, choose: impl FnOnce(&mut records::Order)) -> String {
    let code = testbed.released(&ProfileOptions::default()).await;
    change(testbed, |order| {
        order.reusable = true;
        choose(order);
    })
    .await;
    code
}

/// Modifies the order in its record.
async fn change(testbed: &Testbed, choose: impl FnOnce(&mut records::Order)) {
    let mut tx = Tx::begin(&*testbed.records);
    let profile = tx.get(&records::PROFILES, ICCID).await.unwrap().unwrap();
    let mut record = records::ProfileRecord::from(profile);
    choose(record.order.as_mut().unwrap());
    tx.put(&records::PROFILES, ICCID, &record.try_into().unwrap()).unwrap();
    assert_eq!(tx.commit().await.unwrap(), world::Committed::Yes);
}

/// Returns the version of the profile's record. It only changes when the record is written.
async fn version(testbed: &Testbed) -> world::Version {
    testbed.records.read("profiles", ICCID).await.unwrap().unwrap().version
}

#[tokio::test]
async fn concurrent_downloads_do_not_write_the_profile() {
    let testbed = Testbed::new();
    let code = reusable(&testbed, |_| {}).await;
    let before = version(&testbed).await;
    let euiccs: Vec<_> = (0..4).map(|number| testbed.fresh_euicc(Curve::P256, number)).collect();
    let mut offers = Vec::new();
    for euicc in &euiccs {
        offers.push(euicc.try_authenticate(&testbed.server, &code).await.done());
    }
    let keys: Vec<_> = euiccs.iter().map(|euicc| euicc.one_time_key()).collect();
    for ((euicc, offer), key) in euiccs.iter().zip(&offers).zip(&keys) {
        let got = euicc.get(&testbed.server, &euicc.prepare(offer, key)).await.done();
        let pb = testbed.pki.dp(Curve::P256).unwrap().pb.certificate;
        let opened = euicc.open(&got.bound_profile_package.0, pb.public_key(), key);
        assert_eq!(opened.metadata.iccid, iccid());
    }
    // After an interruption, each eUICC gets the package for its own one-time key again.
    let again = euiccs[1].try_authenticate(&testbed.server, &code).await.done();
    assert_eq!(again.smdp_signed2.bpp_euicc_otpk.as_deref(), Some(&keys[1].public_key().to_sec1()[..]));
    for (euicc, offer) in euiccs.iter().zip(&offers) {
        let result = euicc.signed_result(euicc.result(&offer.transaction_id, iccid(), true));
        assert_eq!(notify(&testbed.server, result).await, 204);
    }
    let mut installed: Vec<_> =
        testbed.server.installations(iccid()).await.unwrap().into_iter().map(|it| it.eid).collect();
    installed.sort();
    let mut eids: Vec<_> = euiccs.iter().map(|euicc| euicc.eid).collect();
    eids.sort();
    assert_eq!(installed, eids);
    assert_eq!(version(&testbed).await, before);
    assert_eq!(testbed.state().await, ProfileState::Released);
    assert!(
        testbed.records.list("bindings", "").await.unwrap().is_empty(),
        "the bindings are deleted with their one-time keys"
    );

    // One eUICC deletes the profile. The others still have it.
    assert_eq!(
        notify(&testbed.server, euiccs[0].notification(2, notification_event::DELETE, iccid())).await,
        204
    );
    assert_eq!(testbed.server.installations(iccid()).await.unwrap().len(), 3);
}

#[tokio::test]
async fn no_download_result_ends_a_reusable_order() {
    let testbed = Testbed::with(|config| config.max_download_attempts = 1);
    let code = reusable(&testbed, |_| {}).await;
    let before = version(&testbed).await;
    let euicc = testbed.euicc();
    for success in [true, false, true] {
        let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
        let result = euicc.signed_result(euicc.result(&transaction, iccid(), success));
        assert_eq!(notify(&testbed.server, result).await, 204);
    }
    let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
    let cancel = euicc.cancel(&ok.transaction_id, CancelSessionReason::END_USER_REJECTION);
    call::<CancelSession>(&testbed.server, &cancel.request()).await.done();
    assert_eq!(version(&testbed).await, before);
    euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
}

#[tokio::test]
async fn refusals_under_a_reusable_order_are_not_counted() {
    let testbed = Testbed::new();
    let hash = crypto::ConfirmationCodeHash::of("1234").expose().to_vec();
    let code = reusable(&testbed, |order| order.confirmation_code_hash = Some(records::Octets(hash))).await;
    let before = version(&testbed).await;
    let euicc = testbed.euicc();
    for _ in 0..5 {
        let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
        let wrong = euicc.prepare(&ok, &euicc.one_time_key()).code("9999");
        assert_eq!(euicc.get(&testbed.server, &wrong).await.refused(), Status::ConfirmationCodeRefused);
    }
    assert_eq!(version(&testbed).await, before);
    // Counters that a test sets in the record stay, so that the refusals themselves can be tested.
    change(&testbed, |order| order.wrong_confirmation_codes = 3).await;
    for _ in 0..2 {
        let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
        let right = euicc.prepare(&ok, &euicc.one_time_key()).code("1234");
        assert_eq!(
            euicc.get(&testbed.server, &right).await.refused(),
            Status::ConfirmationCodeRetriesExceeded
        );
    }
    change(&testbed, |order| {
        order.max_download_attempts = Some(2);
        order.download_attempts = 3;
    })
    .await;
    for _ in 0..2 {
        let answer = euicc.try_authenticate(&testbed.server, &code).await;
        assert_eq!(answer.refused(), Status::DownloadAttemptsExceeded);
    }
    change(&testbed, |order| {
        order.max_download_attempts = None;
        order.expires = Some(testbed.now());
    })
    .await;
    for _ in 0..2 {
        assert_eq!(euicc.try_authenticate(&testbed.server, &code).await.refused(), Status::OrderExpired);
    }
}

#[tokio::test]
async fn cancelling_a_reusable_order_deletes_its_bindings() {
    let testbed = Testbed::new();
    let code = reusable(&testbed, |_| {}).await;
    for number in 0..2 {
        let euicc = testbed.fresh_euicc(Curve::P256, number);
        euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    }
    assert_eq!(testbed.records.list("bindings", "").await.unwrap().len(), 2);
    let operator = testbed.operator();
    operator.cancel(&testbed.server, &operator.cancellation(iccid())).await.done();
    assert!(testbed.records.list("bindings", "").await.unwrap().is_empty());
    assert_eq!(
        testbed.euicc().try_authenticate(&testbed.server, &code).await.refused(),
        Status::MatchingIdRefused
    );
}
