//! Tests of ES9+.GetBoundProfilePackage: section 5.6.2.

use super::*;

type CorruptPrepare = fn(&Testbed, &mut Prepare);

const PREPARATIONS: &[(&str, Status, CorruptPrepare)] = &[
    // req: SGP.22-5.6.2-TransactionId
    ("another TransactionID in the envelope", Status::TransactionUnknown, |_, it| {
        it.outer = TransactionId(vec![1; 16])
    }),
    // req: SGP.22-5.6.2-SignedTransactionId
    ("another TransactionID in euiccSigned2", Status::TransactionUnknown, |_, it| {
        it.signed.transaction_id = TransactionId(vec![1; 16]);
    }),
    // req: SGP.22-5.6.2-Signature
    ("a wrong signature", Status::EuiccVerificationFailed, |_, it| it.corrupt_signature = true),
    ("a signature without smdpSignature2", Status::EuiccVerificationFailed, |_, it| {
        it.smdp_signature2.clear()
    }),
    ("another eUICC's key", Status::EuiccVerificationFailed, |testbed, it| {
        it.key = testbed.numbered_euicc(Curve::P256, 1).credentials.euicc.key.clone();
    }),
    ("a one-time key that is not a point of the curve", Status::EuiccVerificationFailed, |_, it| {
        it.signed.euicc_otpk[40] ^= 1
    }),
];

#[tokio::test]
async fn get_bound_profile_package_refuses_each_defect_and_binds_nothing() {
    for (case, status, corrupt) in PREPARATIONS {
        let testbed = Testbed::new();
        let code = testbed.released(&options()).await;
        let euicc = testbed.euicc();
        let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
        let mut prepare = euicc.prepare(&ok, &euicc.one_time_key());
        corrupt(&testbed, &mut prepare);
        assert_eq!(euicc.get(&testbed.server, &prepare).await.refused(), *status, "{case}");
        assert_eq!(testbed.state().await, ProfileState::Released, "{case}");
    }
}

#[tokio::test]
async fn a_confirmation_code_is_required_checked_and_counted() {
    let testbed = Testbed::with(|config| config.max_confirmation_code_attempts = 2);
    testbed.stock(ICCID, &options()).await;
    let code = testbed.order(|confirm| confirm.confirmation_code = Some("1234".to_owned())).await;
    let euicc = testbed.euicc();
    let key = euicc.one_time_key();
    let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
    assert!(ok.smdp_signed2.cc_required_flag);
    let answer = euicc.get(&testbed.server, &euicc.prepare(&ok, &key)).await;
    // req: SGP.22-5.6.2-ConfirmationCodeMissing
    assert_eq!(answer.refused(), Status::ConfirmationCodeMissing);
    let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
    let answer = euicc.get(&testbed.server, &euicc.prepare(&ok, &key).code("1235")).await;
    // req: SGP.22-5.6.2-ConfirmationCode
    assert_eq!(answer.refused(), Status::ConfirmationCodeRefused);
    assert_eq!(testbed.profile().await.order.unwrap().wrong_confirmation_codes, 1);
    let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
    euicc.get(&testbed.server, &euicc.prepare(&ok, &key).code("1234")).await.done();
    assert_eq!(testbed.state().await, ProfileState::Downloaded);
}

#[tokio::test]
async fn the_right_code_in_the_same_session_gets_the_package() {
    let testbed = Testbed::with(|config| config.max_confirmation_code_attempts = 3);
    testbed.stock(ICCID, &options()).await;
    let code = testbed.order(|confirm| confirm.confirmation_code = Some("1234".to_owned())).await;
    let euicc = testbed.euicc();
    let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
    let prepare = |code| {
        let prepare = euicc.prepare(&ok, &euicc.one_time_key());
        if let Some(code) = code { prepare.code(code) } else { prepare }
    };
    for (code, status, wrong) in [
        (None, Status::ConfirmationCodeMissing, 0),
        (Some("9999"), Status::ConfirmationCodeRefused, 1),
        (Some("9998"), Status::ConfirmationCodeRefused, 2),
    ] {
        assert_eq!(euicc.get(&testbed.server, &prepare(code)).await.refused(), status);
        assert_eq!(testbed.profile().await.order.unwrap().wrong_confirmation_codes, wrong);
    }
    euicc.get(&testbed.server, &prepare(Some("1234"))).await.done();
    assert_eq!(testbed.state().await, ProfileState::Downloaded);
    notify(&testbed.server, euicc.signed_result(euicc.result(&ok.transaction_id, iccid(), true))).await;
    assert_eq!(testbed.state().await, ProfileState::Installed);
}

#[tokio::test]
async fn a_session_can_be_cancelled_after_a_wrong_code_and_after_too_many() {
    for (max, refused, state) in [
        (2, Status::ConfirmationCodeRefused, ProfileState::Released),
        (1, Status::ConfirmationCodeRetriesExceeded, ProfileState::Error),
    ] {
        let testbed = Testbed::with(|config| config.max_confirmation_code_attempts = max);
        testbed.stock(ICCID, &options()).await;
        let code = testbed.order(|confirm| confirm.confirmation_code = Some("1234".to_owned())).await;
        let euicc = testbed.euicc();
        let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
        let wrong = euicc.prepare(&ok, &euicc.one_time_key()).code("9999");
        assert_eq!(euicc.get(&testbed.server, &wrong).await.refused(), refused);
        let cancel = euicc.cancel(&ok.transaction_id, CancelSessionReason::POSTPONED);
        call::<CancelSession>(&testbed.server, &cancel.request()).await.done();
        assert_eq!(testbed.state().await, state);
        assert!(testbed.server.sessions().await.unwrap().is_empty());
    }
}

// req: SGP.22-5.6.2-ConfirmationCodeRetries
#[tokio::test]
async fn too_many_wrong_confirmation_codes_end_the_order() {
    let testbed = Testbed::with(|config| config.max_confirmation_code_attempts = 2);
    testbed.stock(ICCID, &options()).await;
    let code = testbed.order(|confirm| confirm.confirmation_code = Some("1234".to_owned())).await;
    let euicc = testbed.euicc();
    let key = euicc.one_time_key();
    let early = euicc.try_authenticate(&testbed.server, &code).await.done();
    for status in [Status::ConfirmationCodeRefused, Status::ConfirmationCodeRetriesExceeded] {
        let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
        let answer = euicc.get(&testbed.server, &euicc.prepare(&ok, &key).code("9999")).await;
        assert_eq!(answer.refused(), status);
    }
    assert_eq!(testbed.state().await, ProfileState::Error);
    // A session that was opened before is refused too, even with the right code.
    let answer = euicc.get(&testbed.server, &euicc.prepare(&early, &key).code("1234")).await;
    assert_eq!(answer.refused(), Status::ConfirmationCodeRetriesExceeded);
    assert_eq!(testbed.state().await, ProfileState::Error);
}

#[tokio::test]
async fn the_confirmation_code_is_not_stored() {
    let testbed = Testbed::new();
    testbed.stock(ICCID, &options()).await;
    testbed.order(|confirm| confirm.confirmation_code = Some("SECRET-CODE".to_owned())).await;
    let stored = testbed.records.list("profiles", "").await.unwrap();
    assert!(!stored.is_empty());
    for (_, record) in stored {
        assert!(!String::from_utf8(record.bytes).unwrap().contains("SECRET-CODE"));
    }
}

// req: SGP.22-5.6.2-Repetition
#[tokio::test]
async fn a_repeated_request_in_one_session_returns_the_same_package() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let prepare =
        euicc.prepare(&euicc.try_authenticate(&testbed.server, &code).await.done(), &euicc.one_time_key());
    let once = euicc.get(&testbed.server, &prepare).await.done();
    let twice = euicc.get(&testbed.server, &prepare).await.done();
    assert_eq!(once, twice);
}

/// InitialiseSecureChannel contains the TransactionID, which the card checks, so this part is
/// generated again for a later session. The rest is unchanged and no other key is used up.
#[tokio::test]
async fn a_later_session_with_the_same_one_time_key_gets_the_same_package_with_its_own_transaction_id() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let key = euicc.one_time_key();
    let (_, first) = euicc.download(&testbed.server, &code, &key).await;
    let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
    assert_eq!(ok.smdp_signed2.bpp_euicc_otpk.as_deref(), Some(key.public_key().to_sec1().as_slice()));
    let second = euicc.get(&testbed.server, &euicc.prepare(&ok, &key)).await.done();
    let pb = testbed.pki.dp(Curve::P256).unwrap().pb.certificate;
    let opened = euicc.open(&second.bound_profile_package.0, pb.public_key(), &key);
    assert_eq!(opened.channel.transaction_id, ok.transaction_id);
    let segments = |bpp: &[u8]| {
        let bpp = rsp::sgp22::es8plus::BoundProfilePackage::from_der(bpp).unwrap();
        (bpp.first_sequence_of87, bpp.sequence_of88, bpp.second_sequence_of87, bpp.sequence_of86)
    };
    assert_eq!(segments(&first), segments(&second.bound_profile_package.0));
}

// req: SGP.22-5.6.2-Rebinding
#[tokio::test]
async fn another_one_time_key_gets_a_new_binding_only_if_rebinding_is_allowed() {
    for (rebinding, allowed) in [(Rebinding::Allowed, true), (Rebinding::Refused, false)] {
        let testbed = Testbed::new();
        let code = testbed.released(&ProfileOptions { rebinding, ..options() }).await;
        let euicc = testbed.euicc();
        let (old, new) = (euicc.one_time_key(), euicc.one_time_key());
        euicc.download(&testbed.server, &code, &old).await;
        let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
        let answer = euicc.get(&testbed.server, &euicc.prepare(&ok, &new)).await;
        if allowed {
            let bpp = answer.done().bound_profile_package.0;
            let pb = testbed.pki.dp(Curve::P256).unwrap().pb.certificate;
            assert_eq!(euicc.open(&bpp, pb.public_key(), &new).package, package(ICCID, &[]));
        } else {
            assert_eq!(answer.refused(), Status::ProfileUnavailable);
        }
    }
}

// req: SGP.22-5.6.2-OrderEnded
#[tokio::test]
async fn an_order_cancelled_after_the_offer_returns_no_package() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
    let operator = testbed.operator();
    operator.cancel(&testbed.server, &operator.cancellation(iccid())).await.done();
    let answer = euicc.get(&testbed.server, &euicc.prepare(&ok, &euicc.one_time_key())).await;
    assert_eq!(answer.refused(), Status::ProfileUnavailable);
    // The request is also refused if the profile was ordered again in the meantime, because the
    // session belongs to the cancelled order.
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
    operator.cancel(&testbed.server, &operator.cancellation(iccid())).await.done();
    testbed.order(|_| {}).await;
    let answer = euicc.get(&testbed.server, &euicc.prepare(&ok, &euicc.one_time_key())).await;
    assert_eq!(answer.refused(), Status::ProfileUnavailable);
}

#[tokio::test]
async fn a_session_does_not_apply_to_a_later_order_with_the_same_matching_id() {
    for matching_id in ["THE-SAME", ""] {
        let testbed = Testbed::new();
        let (first, second) = (testbed.euicc(), testbed.numbered_euicc(Curve::P256, 1));
        let for_euicc = |eid| {
            move |confirm: &mut rsp::sgp22::es2plus::ConfirmOrderRequest| {
                confirm.eid = Some(eid);
                confirm.matching_id = Some(matching_id.to_owned());
            }
        };
        testbed.stock(ICCID, &options()).await;
        testbed.order(for_euicc(first.eid)).await;
        let ok = first.try_authenticate(&testbed.server, matching_id).await.done();
        let operator = testbed.operator();
        let mut cancellation = operator.cancellation(iccid());
        cancellation.eid = Some(first.eid);
        operator.cancel(&testbed.server, &cancellation).await.done();
        testbed.order(for_euicc(second.eid)).await;
        let answer = first.get(&testbed.server, &first.prepare(&ok, &first.one_time_key())).await;
        assert_eq!(answer.refused(), Status::ProfileUnavailable, "{matching_id:?}");
        second.try_authenticate(&testbed.server, matching_id).await.done();
    }
}

#[tokio::test]
async fn cancelling_one_session_ends_the_order_for_a_second_session() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let first = euicc.try_authenticate(&testbed.server, &code).await.done();
    let second = euicc.try_authenticate(&testbed.server, &code).await.done();
    let cancel = euicc.cancel(&first.transaction_id, CancelSessionReason::END_USER_REJECTION);
    call::<CancelSession>(&testbed.server, &cancel.request()).await.done();
    let answer = euicc.get(&testbed.server, &euicc.prepare(&second, &euicc.one_time_key())).await;
    assert_eq!(answer.refused(), Status::ProfileUnavailable);
    assert_eq!(testbed.state().await, ProfileState::Error);
}

#[tokio::test]
async fn an_invalid_request_after_the_package_keeps_the_session_for_the_result() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
    let mut prepare = euicc.prepare(&ok, &euicc.one_time_key());
    euicc.get(&testbed.server, &prepare).await.done();
    prepare.corrupt_signature = true;
    assert_eq!(euicc.get(&testbed.server, &prepare).await.refused(), Status::EuiccVerificationFailed);
    notify(&testbed.server, euicc.signed_result(euicc.result(&ok.transaction_id, iccid(), true))).await;
    assert_eq!(testbed.state().await, ProfileState::Installed);
}
