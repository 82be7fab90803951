//! Tests of ES9+.HandleNotification: section 5.6.4.

use super::*;

#[tokio::test]
async fn a_failed_installation_ends_the_order_and_the_profile_can_be_ordered_again() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    let result = euicc.signed_result(euicc.result(&transaction, iccid(), false));
    assert_eq!(notify(&testbed.server, result).await, 204);
    assert_eq!(testbed.state().await, ProfileState::Error);
    let code = testbed.order(|_| {}).await;
    euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
}

#[tokio::test]
async fn an_installed_package_leaves_the_stock_if_the_server_is_configured_so() {
    for is_removed in [false, true] {
        let testbed = Testbed::with(|config| config.remove_installed_packages = is_removed);
        let code = testbed.released(&options()).await;
        let euicc = testbed.euicc();
        let packages = async || testbed.records.list("packages", "").await.unwrap().len();
        for successful in [false, true] {
            let code = if successful { testbed.order(|_| {}).await } else { code.clone() };
            let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
            assert_eq!(packages().await, 1, "it stays until it is installed");
            let result = euicc.signed_result(euicc.result(&transaction, iccid(), successful));
            assert_eq!(notify(&testbed.server, result).await, 204);
        }
        assert_eq!(testbed.state().await, ProfileState::Installed);
        assert_eq!(packages().await, usize::from(!is_removed));
    }
}

type SpoilResult = fn(&Testbed, &Euicc, &TransactionId) -> PendingNotification;

/// Invalid installation results. The function has no error status for them: the reply is HTTP 204,
/// an event is logged, and nothing changes.
const RESULTS: &[(&str, SpoilResult)] = &[
    ("an unknown transaction", |_, euicc, _| {
        euicc.signed_result(euicc.result(&TransactionId(vec![1; 16]), iccid(), true))
    }),
    ("a wrong signature", |testbed, euicc, transaction| {
        let other_euicc = testbed.numbered_euicc(Curve::P256, 1);
        other_euicc.signed_result(euicc.result(transaction, iccid(), true))
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
    ("not an installation event", |_, euicc, transaction| {
        let mut data = euicc.result(transaction, iccid(), true);
        data.notification_metadata.profile_management_operation =
            BitString::of(&[notification_event::ENABLE]);
        euicc.signed_result(data)
    }),
    ("another profile", |_, euicc, transaction| {
        euicc.signed_result(euicc.result(transaction, OTHER_ICCID.parse().unwrap(), true))
    }),
];

// req: SGP.22-5.6.4-InvalidResult
#[tokio::test]
async fn an_invalid_installation_result_is_acknowledged_and_changes_nothing() {
    for (case, corrupt) in RESULTS {
        let testbed = Testbed::new();
        let code = testbed.released(&options()).await;
        let euicc = testbed.euicc();
        let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
        testbed.events.take();
        assert_eq!(notify(&testbed.server, corrupt(&testbed, &euicc, &transaction)).await, 204, "{case}");
        assert_eq!(testbed.state().await, ProfileState::Downloaded, "{case}");
        let events = testbed.events.take();
        assert!(
            matches!(events[..], [ref e] if matches!(e.outcome, Outcome::Refused(_))),
            "{case}: {events:?}"
        );
        // The valid result is still accepted afterwards.
        notify(&testbed.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
        assert_eq!(testbed.state().await, ProfileState::Installed, "{case}");
    }
}

/// An LPA repeats a notification until it gets a 2xx status (section 3.5), so a status of 400 would
/// make it repeat an unreadable one for ever.
#[tokio::test]
async fn an_unreadable_notification_is_acknowledged_with_a_finding() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    notify(&testbed.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
    let good = euicc.notification(2, notification_event::ENABLE, iccid()).to_der();
    // The mandatory element seqNumber has another tag.
    let at = good.windows(2).position(|octets| octets == [0xBF, 0x2F]).unwrap();
    let mut unreadable = good;
    unreadable[at + 3] = 0x8F;
    testbed.events.take();
    assert_eq!(notify_octets(&testbed.server, &unreadable).await, 204);
    let events = testbed.events.take();
    let [event] = &events[..] else { panic!("{events:?}") };
    assert!(matches!(event.outcome, Outcome::Refused(_)), "{event}");
    assert_eq!(event.findings[0].kind, FindingKind::NotificationUnreadable);
    assert_eq!(testbed.records.list("notifications", "").await.unwrap().len(), 1);
}

/// Third-party cards send ICCIDs that are not coded as in EF.ICCID.
#[tokio::test]
async fn a_notification_with_an_iccid_in_another_coding_is_processed_with_a_finding() {
    let testbed = Testbed::new();
    let euicc = testbed.euicc();
    // An ICCID in hexadecimal, and an ICCID that is not nibble-swapped and has its padding at the
    // wrong end.
    for (number, iccid) in [(2, "98680040A0B0C0D0E0F0"), (3, "F8980102030405060708")] {
        let odd = Iccid(hex::decode(iccid).unwrap().try_into().unwrap());
        let notification = euicc.notification(number, notification_event::ENABLE, odd);
        testbed.events.take();
        assert_eq!(notify_octets(&testbed.server, &notification.to_der()).await, 204, "{iccid}");
        let events = testbed.events.take();
        let [event] = &events[..] else { panic!("{events:?}") };
        assert_eq!(event.findings, [Finding::new(FindingKind::IccidCoding, iccid)], "{event}");
    }
}

// req: SGP.22-5.6.4-Repetition
#[tokio::test]
async fn a_repeated_notification_is_acknowledged_and_changes_nothing() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    let taken = async || testbed.records.list("notifications", "").await.unwrap();
    for _ in 0..3 {
        let result = euicc.signed_result(euicc.result(&transaction, iccid(), true));
        assert_eq!(notify(&testbed.server, result).await, 204);
    }
    assert_eq!((testbed.state().await, taken().await.len()), (ProfileState::Installed, 1));
    for _ in 0..3 {
        let enabled = euicc.notification(2, notification_event::ENABLE, iccid());
        assert_eq!(notify(&testbed.server, enabled).await, 204);
    }
    let before = taken().await;
    assert_eq!(before.len(), 2);
    assert_eq!(
        notify(&testbed.server, euicc.notification(2, notification_event::ENABLE, iccid())).await,
        204
    );
    assert_eq!(taken().await, before, "a repeated notification must not rewrite the record");
    assert_eq!(
        notify(&testbed.server, euicc.notification(3, notification_event::DISABLE, iccid())).await,
        204
    );
    assert_eq!(taken().await.len(), 3);
}

// req: SGP.22-5.6.4-Owner
#[tokio::test]
async fn other_notifications_are_accepted_only_from_the_euicc_with_the_profile() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    notify(&testbed.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
    let enabled = || euicc.notification(2, notification_event::ENABLE, iccid());
    let corrupted = |corrupt: &dyn Fn(&mut rsp::sgp22::OtherSignedNotification)| {
        let PendingNotification::OtherSignedNotification(mut it) = enabled() else { unreachable!() };
        corrupt(&mut it);
        PendingNotification::OtherSignedNotification(it)
    };
    let other_euicc = testbed.numbered_euicc(Curve::P256, 1);
    let expired = testbed.pki.issue_with(Defect::Expired, Role::Eum, Curve::P256).unwrap().der;
    for (case, notification) in [
        ("another eUICC", other_euicc.notification(2, notification_event::ENABLE, iccid())),
        ("another profile", euicc.notification(2, notification_event::ENABLE, OTHER_ICCID.parse().unwrap())),
        ("a wrong signature", corrupted(&|it| it.euicc_notification_signature[3] ^= 1)),
        ("an expired EUM", corrupted(&|it| it.eum_certificate.0 = expired.clone())),
        (
            "a sequence number that differs from the signed one",
            corrupted(&|it| {
                let mut metadata = it.tbs_other_notification.clone().into_value();
                metadata.seq_number = 9;
                it.tbs_other_notification = Raw::new(metadata);
            }),
        ),
    ] {
        testbed.events.take();
        assert_eq!(notify(&testbed.server, notification).await, 204, "{case}");
        assert!(
            matches!(testbed.events.take()[..], [ref e] if matches!(e.outcome, Outcome::Refused(_))),
            "{case}"
        );
        assert_eq!(testbed.records.list("notifications", "").await.unwrap().len(), 1, "{case}");
    }
    assert_eq!(notify(&testbed.server, enabled()).await, 204);
    assert_eq!(testbed.records.list("notifications", "").await.unwrap().len(), 2);
}

/// The installation result was lost, or it was rejected and the card has deleted it.
#[tokio::test]
async fn a_later_notification_proves_that_the_profile_is_installed() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let other_euicc = testbed.numbered_euicc(Curve::P256, 1);
    let installation_count = async || testbed.records.list("installations", "").await.unwrap().len();
    let early = euicc.notification(1, notification_event::ENABLE, iccid());
    assert_eq!(notify(&testbed.server, early).await, 204);
    assert_eq!(
        (testbed.state().await, installation_count().await),
        (ProfileState::Released, 0),
        "no package was delivered yet"
    );
    let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    assert_eq!(
        notify(&testbed.server, other_euicc.notification(2, notification_event::ENABLE, iccid())).await,
        204
    );
    assert_eq!(
        (testbed.state().await, installation_count().await),
        (ProfileState::Downloaded, 0),
        "the package was delivered to another eUICC"
    );
    assert_eq!(
        notify(&testbed.server, euicc.notification(3, notification_event::ENABLE, iccid())).await,
        204
    );
    assert_eq!((testbed.state().await, installation_count().await), (ProfileState::Installed, 1));
    // The installation result arrives after all.
    notify(&testbed.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
    assert_eq!((testbed.state().await, installation_count().await), (ProfileState::Installed, 1));

    assert_eq!(
        notify(&testbed.server, euicc.notification(5, notification_event::DELETE, iccid())).await,
        204
    );
    assert_eq!(
        notify(&testbed.server, euicc.notification(4, notification_event::DISABLE, iccid())).await,
        204
    );
    assert_eq!(installation_count().await, 0, "a notification from before the deletion proves nothing");
    assert_eq!(
        notify(&testbed.server, euicc.notification(6, notification_event::ENABLE, iccid())).await,
        204
    );
    assert_eq!(installation_count().await, 1, "a later notification proves that the profile was not deleted");
}

// req: SGP.22-5.6.4-Failure
#[tokio::test]
async fn every_installation_error_is_accepted_and_ends_the_order() {
    let reasons = (1..=32).chain([127, 200]);
    let commands = (0..=5).cycle();
    for (reason, command) in reasons.zip(commands) {
        let testbed = Testbed::new();
        let code = testbed.released(&options()).await;
        let euicc = testbed.euicc();
        let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
        let mut data = euicc.result(&transaction, iccid(), false);
        data.final_result = FinalResult::ErrorResult(ErrorResult {
            bpp_command_id: BppCommandId(command),
            error_reason: ErrorReason(reason),
            sima_response: None,
        });
        testbed.events.take();
        assert_eq!(notify(&testbed.server, euicc.signed_result(data)).await, 204, "{reason}");
        assert_eq!(testbed.events.take()[0].outcome, Outcome::Done, "{reason}");
        assert_eq!(testbed.state().await, ProfileState::Error, "{reason}");
        assert!(testbed.server.installations(iccid()).await.unwrap().is_empty(), "{reason}");
    }
}

// req: SGP.22-5.6.4-Iccid
#[tokio::test]
async fn only_a_failed_installation_result_may_omit_the_iccid() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    for (success, state) in [(true, ProfileState::Downloaded), (false, ProfileState::Error)] {
        let mut data = euicc.result(&transaction, iccid(), success);
        data.notification_metadata.iccid = None;
        assert_eq!(notify(&testbed.server, euicc.signed_result(data)).await, 204);
        assert_eq!(testbed.state().await, state, "success: {success}");
    }
}

#[tokio::test]
async fn a_late_success_is_recorded_even_if_the_order_has_ended() {
    // A retry was cancelled while the result of the first installation was in transit.
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    let retry = euicc.try_authenticate(&testbed.server, &code).await.done();
    let cancel = euicc.cancel(&retry.transaction_id, CancelSessionReason::END_USER_REJECTION);
    call::<CancelSession>(&testbed.server, &cancel.request()).await.done();
    assert_eq!(testbed.state().await, ProfileState::Error);
    testbed.wait(Duration::from_secs(60 * 24 * 3600));
    notify(&testbed.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
    assert_eq!(testbed.state().await, ProfileState::Installed);

    // The profile was ordered again in the meantime. The new order stays, and the installation is
    // recorded.
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    let retry = euicc.try_authenticate(&testbed.server, &code).await.done();
    let cancel = euicc.cancel(&retry.transaction_id, CancelSessionReason::END_USER_REJECTION);
    call::<CancelSession>(&testbed.server, &cancel.request()).await.done();
    testbed.order(|_| {}).await;
    notify(&testbed.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
    assert_eq!(testbed.state().await, ProfileState::Released);
    assert_eq!(testbed.server.installations(iccid()).await.unwrap()[0].eid, euicc.eid);
    notify(&testbed.server, euicc.notification(2, notification_event::ENABLE, iccid())).await;
    assert_eq!(testbed.records.list("notifications", "").await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_reset_card_that_restarts_its_sequence_numbers_is_accepted() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    notify(&testbed.server, euicc.signed_result(euicc.result(&transaction, iccid(), false))).await;
    let code = testbed.order(|_| {}).await;
    let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    notify(&testbed.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
    assert_eq!(testbed.state().await, ProfileState::Installed);
}

#[tokio::test]
async fn a_deletion_removes_the_installation_record() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    notify(&testbed.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
    assert_eq!(testbed.server.installations(iccid()).await.unwrap().len(), 1);
    for _ in 0..2 {
        let deleted = euicc.notification(2, notification_event::DELETE, iccid());
        testbed.events.take();
        assert_eq!(notify(&testbed.server, deleted).await, 204);
        assert_eq!(testbed.events.take()[0].outcome, Outcome::Done);
        assert!(testbed.server.installations(iccid()).await.unwrap().is_empty());
    }
    assert_eq!(
        notify(&testbed.server, euicc.notification(1, notification_event::ENABLE, iccid())).await,
        204
    );
    assert_eq!(
        testbed.records.list("notifications", "").await.unwrap().len(),
        2,
        "the profile was enabled before it was deleted"
    );
}
