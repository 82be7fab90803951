//! ES9+.HandleNotification: section 5.6.4.

use super::*;

#[tokio::test]
async fn a_failed_installation_ends_the_order_which_can_then_be_placed_anew() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let (transaction, _) = euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
    let result = euicc.signed_result(euicc.result(&transaction, iccid(), false));
    assert_eq!(notify(&bench.server, result).await, 204);
    assert_eq!(bench.state().await, ProfileState::Error);
    let code = bench.order(|_| {}).await;
    euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
}

type SpoilResult = fn(&Bench, &Euicc, &TransactionId) -> PendingNotification;

/// What is not believed. There is no functional error for it: HTTP 204, an event, and nothing changed.
const RESULTS: &[(&str, SpoilResult)] = &[
    ("an unknown transaction", |_, euicc, _| {
        euicc.signed_result(euicc.result(&TransactionId(vec![1; 16]), iccid(), true))
    }),
    ("a wrong signature", |bench, euicc, transaction| {
        let stranger = bench.numbered_euicc(Curve::P256, 1);
        stranger.signed_result(euicc.result(transaction, iccid(), true))
    }),
    ("another SM-DP+", |_, euicc, transaction| {
        let mut data = euicc.result(transaction, iccid(), true);
        data.smdp_oid = Some("2.999.11".parse().unwrap());
        euicc.signed_result(data)
    }),
    ("no SM-DP+", |_, euicc, transaction| {
        let mut data = euicc.result(transaction, iccid(), true);
        data.smdp_oid = None;
        euicc.signed_result(data)
    }),
    ("no installation", |_, euicc, transaction| {
        let mut data = euicc.result(transaction, iccid(), true);
        data.notification_metadata.profile_management_operation =
            BitString::of(&[notification_event::ENABLE]);
        euicc.signed_result(data)
    }),
    ("another profile", |_, euicc, transaction| {
        euicc.signed_result(euicc.result(transaction, OTHER_ICCID.parse().unwrap(), true))
    }),
];

#[tokio::test]
async fn an_installation_result_that_does_not_verify_is_answered_and_changes_nothing() {
    for (case, spoil) in RESULTS {
        let bench = Bench::new();
        let code = bench.released(&options()).await;
        let euicc = bench.euicc();
        let (transaction, _) = euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
        bench.events.take();
        assert_eq!(notify(&bench.server, spoil(&bench, &euicc, &transaction)).await, 204, "{case}");
        assert_eq!(bench.state().await, ProfileState::Downloaded, "{case}");
        let events = bench.events.take();
        assert!(
            matches!(events[..], [ref e] if matches!(e.outcome, Outcome::Refused(_))),
            "{case}: {events:?}"
        );
        // And the true one still counts.
        notify(&bench.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
        assert_eq!(bench.state().await, ProfileState::Installed, "{case}");
    }
}

#[tokio::test]
async fn a_notification_that_comes_again_is_answered_again_and_has_no_second_effect() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let (transaction, _) = euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
    let taken = async || bench.records.list("notifications", "").await.unwrap();
    for _ in 0..3 {
        let result = euicc.signed_result(euicc.result(&transaction, iccid(), true));
        assert_eq!(notify(&bench.server, result).await, 204);
    }
    assert_eq!((bench.state().await, taken().await.len()), (ProfileState::Installed, 1));
    for _ in 0..3 {
        let enabled = euicc.notification(2, notification_event::ENABLE, iccid());
        assert_eq!(notify(&bench.server, enabled).await, 204);
    }
    let before = taken().await;
    assert_eq!(before.len(), 2);
    assert_eq!(notify(&bench.server, euicc.notification(2, notification_event::ENABLE, iccid())).await, 204);
    assert_eq!(taken().await, before, "not even rewritten");
    assert_eq!(notify(&bench.server, euicc.notification(3, notification_event::DISABLE, iccid())).await, 204);
    assert_eq!(taken().await.len(), 3);
}

#[tokio::test]
async fn other_notifications_are_believed_only_from_the_euicc_that_has_the_profile() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let (transaction, _) = euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
    notify(&bench.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
    let enabled = || euicc.notification(2, notification_event::ENABLE, iccid());
    let spoilt = |spoil: &dyn Fn(&mut rsp::sgp22::OtherSignedNotification)| {
        let PendingNotification::OtherSignedNotification(mut it) = enabled() else { unreachable!() };
        spoil(&mut it);
        PendingNotification::OtherSignedNotification(it)
    };
    let stranger = bench.numbered_euicc(Curve::P256, 1);
    let expired = bench.pki.issue_with(Defect::Expired, Role::Eum, Curve::P256).unwrap().der;
    for (case, notification) in [
        ("another eUICC", stranger.notification(2, notification_event::ENABLE, iccid())),
        ("another profile", euicc.notification(2, notification_event::ENABLE, OTHER_ICCID.parse().unwrap())),
        ("a wrong signature", spoilt(&|it| it.euicc_notification_signature[3] ^= 1)),
        ("an expired EUM", spoilt(&|it| it.eum_certificate.0 = expired.clone())),
        (
            "another sequence number than the signed one",
            spoilt(&|it| {
                let mut metadata = it.tbs_other_notification.clone().into_value();
                metadata.seq_number = 9;
                it.tbs_other_notification = Raw::new(metadata);
            }),
        ),
    ] {
        bench.events.take();
        assert_eq!(notify(&bench.server, notification).await, 204, "{case}");
        assert!(
            matches!(bench.events.take()[..], [ref e] if matches!(e.outcome, Outcome::Refused(_))),
            "{case}"
        );
        assert_eq!(bench.records.list("notifications", "").await.unwrap().len(), 1, "{case}");
    }
    assert_eq!(notify(&bench.server, enabled()).await, 204);
    assert_eq!(bench.records.list("notifications", "").await.unwrap().len(), 2);
}

/// The result of the installation was lost, or not believed and so forgotten by the card.
#[tokio::test]
async fn what_the_euicc_tells_of_a_profile_later_proves_that_it_is_installed() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let stranger = bench.numbered_euicc(Curve::P256, 1);
    let there = async || bench.records.list("installations", "").await.unwrap().len();
    let early = euicc.notification(1, notification_event::ENABLE, iccid());
    assert_eq!(notify(&bench.server, early).await, 204);
    assert_eq!((bench.state().await, there().await), (ProfileState::Released, 0), "nothing was handed out");
    let (transaction, _) = euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
    assert_eq!(
        notify(&bench.server, stranger.notification(2, notification_event::ENABLE, iccid())).await,
        204
    );
    assert_eq!(
        (bench.state().await, there().await),
        (ProfileState::Downloaded, 0),
        "it was handed to another"
    );
    assert_eq!(notify(&bench.server, euicc.notification(3, notification_event::ENABLE, iccid())).await, 204);
    assert_eq!((bench.state().await, there().await), (ProfileState::Installed, 1));
    // The result comes after all.
    notify(&bench.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
    assert_eq!((bench.state().await, there().await), (ProfileState::Installed, 1));

    assert_eq!(notify(&bench.server, euicc.notification(5, notification_event::DELETE, iccid())).await, 204);
    assert_eq!(notify(&bench.server, euicc.notification(4, notification_event::DISABLE, iccid())).await, 204);
    assert_eq!(there().await, 0, "what it told before the deletion proves nothing");
    assert_eq!(notify(&bench.server, euicc.notification(6, notification_event::ENABLE, iccid())).await, 204);
    assert_eq!(there().await, 1, "it was not deleted");
}

#[tokio::test]
async fn every_reason_for_a_failed_installation_is_taken_and_ends_the_order() {
    let reasons = (1..=32).chain([127, 200]);
    let commands = (0..=5).cycle();
    for (reason, command) in reasons.zip(commands) {
        let bench = Bench::new();
        let code = bench.released(&options()).await;
        let euicc = bench.euicc();
        let (transaction, _) = euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
        let mut data = euicc.result(&transaction, iccid(), false);
        data.final_result = FinalResult::ErrorResult(ErrorResult {
            bpp_command_id: BppCommandId(command),
            error_reason: ErrorReason(reason),
            sima_response: None,
        });
        bench.events.take();
        assert_eq!(notify(&bench.server, euicc.signed_result(data)).await, 204, "{reason}");
        assert_eq!(bench.events.take()[0].outcome, Outcome::Done, "{reason}");
        assert_eq!(bench.state().await, ProfileState::Error, "{reason}");
        assert!(bench.server.installations(iccid()).await.unwrap().is_empty(), "{reason}");
    }
}

#[tokio::test]
async fn an_installation_that_failed_before_the_metadata_has_no_iccid_to_name() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let (transaction, _) = euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
    for (success, state) in [(true, ProfileState::Downloaded), (false, ProfileState::Error)] {
        let mut data = euicc.result(&transaction, iccid(), success);
        data.notification_metadata.iccid = None;
        assert_eq!(notify(&bench.server, euicc.signed_result(data)).await, 204);
        assert_eq!(bench.state().await, state, "success: {success}");
    }
}

#[tokio::test]
async fn a_success_that_comes_late_is_taken_whatever_became_of_the_order() {
    // A retry was given up while the message of the first installation was on its way.
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let (transaction, _) = euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
    let retry = euicc.try_authenticate(&bench.server, &code).await.done();
    let gone = euicc.cancellation(&retry.transaction_id, CancelSessionReason::END_USER_REJECTION);
    call::<CancelSession>(&bench.server, &euicc.signed_cancellation(gone, false)).await.done();
    assert_eq!(bench.state().await, ProfileState::Error);
    bench.wait(Duration::from_secs(60 * 24 * 3600));
    notify(&bench.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
    assert_eq!(bench.state().await, ProfileState::Installed);

    // And even the order was placed anew: that one stays, and the eUICC is known to have the profile.
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let (transaction, _) = euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
    let retry = euicc.try_authenticate(&bench.server, &code).await.done();
    let gone = euicc.cancellation(&retry.transaction_id, CancelSessionReason::END_USER_REJECTION);
    call::<CancelSession>(&bench.server, &euicc.signed_cancellation(gone, false)).await.done();
    bench.order(|_| {}).await;
    notify(&bench.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
    assert_eq!(bench.state().await, ProfileState::Released);
    assert_eq!(bench.server.installations(iccid()).await.unwrap()[0].eid, euicc.eid);
    notify(&bench.server, euicc.notification(2, notification_event::ENABLE, iccid())).await;
    assert_eq!(bench.records.list("notifications", "").await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_card_that_was_made_anew_and_counts_from_one_again_is_believed() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let (transaction, _) = euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
    notify(&bench.server, euicc.signed_result(euicc.result(&transaction, iccid(), false))).await;
    let code = bench.order(|_| {}).await;
    let (transaction, _) = euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
    notify(&bench.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
    assert_eq!(bench.state().await, ProfileState::Installed);
}

#[tokio::test]
async fn a_deleted_profile_is_no_longer_known_to_be_there() {
    let bench = Bench::new();
    let code = bench.released(&options()).await;
    let euicc = bench.euicc();
    let (transaction, _) = euicc.download(&bench.server, &code, &euicc.one_time_key()).await;
    notify(&bench.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
    assert_eq!(bench.server.installations(iccid()).await.unwrap().len(), 1);
    for _ in 0..2 {
        let deleted = euicc.notification(2, notification_event::DELETE, iccid());
        bench.events.take();
        assert_eq!(notify(&bench.server, deleted).await, 204);
        assert_eq!(bench.events.take()[0].outcome, Outcome::Done);
        assert!(bench.server.installations(iccid()).await.unwrap().is_empty());
    }
    assert_eq!(notify(&bench.server, euicc.notification(1, notification_event::ENABLE, iccid())).await, 204);
    assert_eq!(
        bench.records.list("notifications", "").await.unwrap().len(),
        2,
        "enabled before it was deleted"
    );
}
