//! Tests of ES9+.AuthenticateClient: section 5.6.3.

use super::*;

/// Builds the context parameters of a v3 download.
fn v3(it: &Authenticate, operations: &[usize]) -> CtxParams1 {
    let mut params = it.download_params();
    if let CtxParams1::CtxParamsForCommonAuthentication(params) = &mut params {
        params.operation_type = Some(BitString::of(operations));
        params.iccid = Some(iccid());
        params.matching_id_source = Some(MatchingIdSource::ActivationCode(Null));
    }
    params
}

#[tokio::test]
async fn authenticate_client_refuses_each_defect_with_its_status_and_changes_nothing() {
    // req: SGP.22-v3.1-5.6.3-Operation
    let only_rpm: (_, _, fn(&Pki, &mut Authenticate)) =
        ("remote profile management and nothing else (v3)", Status::MatchingIdRefused, |_, it| {
            it.ctx_params1 = Some(v3(it, &[operation_type::RPM]));
        });
    for (case, status, corrupt) in DEFECTS.iter().chain([&only_rpm]) {
        let testbed = Testbed::new();
        let code = testbed.released(&options()).await;
        let euicc = testbed.euicc();
        let before = testbed.profile().await;
        let first = euicc.initiate(&testbed.server).await;
        let mut proof = euicc.authenticate(&first, &code);
        corrupt(&testbed.pki, &mut proof);
        let answer = call::<AuthenticateClient>(&testbed.server, &proof.request().unwrap()).await;
        assert_eq!(answer.refused(), *status, "{case}");
        assert_eq!(testbed.profile().await, before, "{case}");
    }
}

type Prepared = fn(&mut Euicc, &mut ProfileOptions);

/// Reasons for which the profile is not eligible for the eUICC.
const UNFIT: &[(&str, Status, Prepared)] = &[
    // req: SGP.22-5.6.3-Capability
    ("the eUICC has no Milenage", Status::ProfileNotEligible, |euicc, _| {
        euicc.info2.uicc_capability = BitString::of(&[uicc_capability::USIM]);
    }),
    // req: SGP.22-5.6.3-PolicyRule
    ("the eUICC forbids PPR1, which the profile has", Status::ProfileNotEligible, |euicc, options| {
        options.profile_policy_rules = Some(BitString::of(&[ppr::PPR1]));
        euicc.info2.forbidden_profile_policy_rules = Some(BitString::of(&[ppr::PPR1]));
    }),
    // req: SGP.22-5.6.3-Memory
    ("too little memory", Status::EuiccInsufficientMemory, |euicc, _| {
        euicc.info2.ext_card_resource = vec![0x81, 1, 0, 0x82, 1, 0, 0x83, 1, 0];
    }),
];

#[tokio::test]
async fn authenticate_client_offers_only_eligible_profiles() {
    for (case, status, corrupt) in UNFIT {
        let testbed = Testbed::new();
        let mut euicc = testbed.euicc();
        let mut options = options();
        corrupt(&mut euicc, &mut options);
        let package = package(ICCID, &[Service::USIM, Service::MILENAGE]);
        testbed.server.add_profile(&package, &options).await.unwrap();
        let code = testbed.order(|_| {}).await;
        assert_eq!(euicc.try_authenticate(&testbed.server, &code).await.refused(), *status, "{case}");
    }
    // The same eUICC without the defect gets the profile.
    let testbed = Testbed::new();
    testbed
        .server
        .add_profile(&package(ICCID, &[Service::USIM, Service::MILENAGE]), &options())
        .await
        .unwrap();
    let code = testbed.order(|_| {}).await;
    testbed.euicc().try_authenticate(&testbed.server, &code).await.done();
}

/// Bits 8 and 19 to 25 of UICCCapability were reserved in v2.2, so that an eUICC of v2.2 cannot set
/// them, whatever it supports.
#[tokio::test]
async fn a_capability_is_missing_only_if_the_version_of_the_euicc_defines_its_bit() {
    for (service, name, bit) in [
        (Service::GET_IDENTITY, "getIdentity", uicc_capability::GET_IDENTITY),
        (Service::USIM_TEST_ALGORITHM, "usimTestAlgorithm", uicc_capability::USIM_TEST_ALGORITHM),
        (Service::BER_TLV, "berTlvFileSupport", uicc_capability::BER_TLV),
    ] {
        for (svn, accepted) in [([2, 2, 0], true), ([2, 2, 2], true), ([2, 3, 0], false), ([2, 6, 0], false)]
        {
            let testbed = Testbed::new();
            testbed.server.add_profile(&package(ICCID, &[service]), &options()).await.unwrap();
            let code = testbed.order(|_| {}).await;
            let mut euicc = testbed.euicc();
            euicc.info2.svn = Version(svn);
            let others = euicc.info2.uicc_capability.ones();
            let others: Vec<_> = others.into_iter().filter(|other| *other != bit).collect();
            euicc.info2.uicc_capability = BitString::of(&others);
            let answer = euicc.try_authenticate(&testbed.server, &code).await;
            let event = testbed.events.take().into_iter().last().unwrap();
            if accepted {
                answer.done();
                let detail = format!("{name}, SVN {}", Version(svn));
                assert_eq!(event.findings, [Finding::new(FindingKind::CapabilityReserved, detail)]);
            } else {
                assert_eq!(answer.refused(), Status::ProfileNotEligible);
                assert!(matches!(&event.outcome, Outcome::Refused(why) if why.contains(name)), "{event}");
            }
        }
    }
    // A bit of v2.2 is never reserved.
    let testbed = Testbed::new();
    testbed.server.add_profile(&package(ICCID, &[Service::MILENAGE]), &options()).await.unwrap();
    let code = testbed.order(|_| {}).await;
    let mut euicc = testbed.euicc();
    euicc.info2.svn = Version([2, 2, 0]);
    euicc.info2.uicc_capability = BitString::of(&[uicc_capability::USIM]);
    assert_eq!(euicc.try_authenticate(&testbed.server, &code).await.refused(), Status::ProfileNotEligible);
}

/// EUICCInfo2.extCardResource is an OCTET STRING (section 5.7.8). Section 5.6.3 refuses a known lack
/// of memory, not unknown memory.
#[tokio::test]
async fn card_resources_that_cannot_be_read_are_a_finding_and_not_a_lack_of_memory() {
    let unreadable: [&[u8]; 6] =
        [&[], &[0], &[0x81, 1, 0], &[0x82, 9], &[0x81, 1, 0, 0x82, 0x84, 0xFF, 0xFF, 0xFF, 0xFF], &[0x82, 0]];
    for resources in unreadable {
        let testbed = Testbed::new();
        let code = testbed.released(&options()).await;
        let mut euicc = testbed.euicc();
        euicc.info2.ext_card_resource = resources.to_vec();
        euicc.try_authenticate(&testbed.server, &code).await.done();
        let events = testbed.events.take();
        let event = events.iter().find(|event| event.function == "AuthenticateClient").unwrap();
        let finding = Finding::new(FindingKind::CardResourcesUnreadable, hex::encode_upper(resources));
        assert_eq!(event.findings, [finding], "{resources:02x?}");
    }
}

// req: SGP.22-5.6.3-MatchingId
#[tokio::test]
async fn a_matching_id_must_belong_to_a_pending_order() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    assert_eq!(euicc.try_authenticate(&testbed.server, "UNKNOWN").await.refused(), Status::MatchingIdRefused);
    // In the default SM-DP+ case without an order, the EID is refused (SGP.23 4.3.14.2.2 #14).
    assert_eq!(euicc.try_authenticate(&testbed.server, "").await.refused(), Status::EidNotAllowed);
    // A missing MatchingID is treated as an empty one.
    let first = euicc.initiate(&testbed.server).await;
    let mut proof = euicc.authenticate(&first, &code);
    proof.matching_id = None;
    let answer = call::<AuthenticateClient>(&testbed.server, &proof.request().unwrap()).await;
    assert_eq!(answer.refused(), Status::EidNotAllowed);
}

// req: SGP.22-5.6.3-NoOrderForEid
#[tokio::test]
async fn an_order_without_matching_id_is_found_by_its_eid_only() {
    let testbed = Testbed::new();
    let (right, wrong) = (testbed.euicc(), testbed.numbered_euicc(Curve::P256, 1));
    testbed.stock(ICCID, &options()).await;
    testbed
        .order(|confirm| {
            confirm.eid = Some(right.eid);
            confirm.matching_id = Some(String::new());
        })
        .await;
    assert_eq!(wrong.try_authenticate(&testbed.server, "").await.refused(), Status::EidNotAllowed);
    assert_eq!(right.try_authenticate(&testbed.server, "").await.done().profile_metadata.iccid, iccid());
}

#[tokio::test]
async fn an_expired_order_without_matching_id_does_not_hide_a_valid_one() {
    let testbed = Testbed::new();
    let euicc = testbed.euicc();
    let operator = testbed.operator();
    let order = async |iccid: &str| {
        let iccid = testbed.stock(iccid, &options()).await;
        operator.download_order(&testbed.server, Some(iccid), None, None).await.done();
        let mut confirm = operator.confirmation(iccid);
        confirm.eid = Some(euicc.eid);
        confirm.matching_id = Some(String::new());
        operator
            .call::<rsp::sgp22::es2plus::ConfirmOrderReply>(&testbed.server, "confirmOrder", &confirm)
            .await
            .done();
    };
    order(ICCID).await;
    testbed.wait(sm_dp::config::ORDER_LIFETIME);
    assert_eq!(euicc.try_authenticate(&testbed.server, "").await.refused(), Status::OrderExpired);
    order(OTHER_ICCID).await;
    let ok = euicc.try_authenticate(&testbed.server, "").await.done();
    assert_eq!(ok.profile_metadata.iccid.to_string(), OTHER_ICCID);
}

// req: SGP.22-5.6.3-Eid
#[tokio::test]
async fn an_order_for_one_eid_is_refused_for_another() {
    let testbed = Testbed::new();
    let (right, wrong) = (testbed.euicc(), testbed.numbered_euicc(Curve::P256, 1));
    testbed.stock(ICCID, &options()).await;
    let code = testbed.order(|confirm| confirm.eid = Some(right.eid)).await;
    assert_eq!(wrong.try_authenticate(&testbed.server, &code).await.refused(), Status::EidNotAllowed);
    right.try_authenticate(&testbed.server, &code).await.done();
}

#[tokio::test]
async fn a_delivered_profile_is_refused_for_another_euicc_even_without_an_eid_in_the_order() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let (first, second) = (testbed.euicc(), testbed.numbered_euicc(Curve::P256, 1));
    first.download(&testbed.server, &code, &first.one_time_key()).await;
    assert_eq!(second.try_authenticate(&testbed.server, &code).await.refused(), Status::EidNotAllowed);
    // The profile is also refused if both eUICCs had been offered the profile before either
    // downloaded it.
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let late = second.try_authenticate(&testbed.server, &code).await.done();
    first.download(&testbed.server, &code, &first.one_time_key()).await;
    let answer = second.get(&testbed.server, &second.prepare(&late, &second.one_time_key())).await;
    // req: SGP.22-5.6.2-OtherEuicc
    assert_eq!(answer.refused(), Status::ProfileUnavailable);
}

// req: SGP.22-5.6.3-NotReleased
#[tokio::test]
async fn a_profile_is_refused_until_it_is_released() {
    let testbed = Testbed::new();
    testbed.stock(ICCID, &options()).await;
    let code = testbed.order(|confirm| confirm.release_flag = false).await;
    let euicc = testbed.euicc();
    assert_eq!(euicc.try_authenticate(&testbed.server, &code).await.refused(), Status::ProfileNotReleased);
    testbed.operator().release(&testbed.server, iccid()).await.done();
    euicc.try_authenticate(&testbed.server, &code).await.done();
}

// req: SGP.22-5.6.3-Expired
#[tokio::test]
async fn an_order_expires() {
    let testbed = Testbed::with(|config| config.order_lifetime = Duration::from_secs(60));
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    testbed.wait(Duration::from_secs(59));
    euicc.try_authenticate(&testbed.server, &code).await.done();
    testbed.wait(Duration::from_secs(1));
    assert_eq!(euicc.try_authenticate(&testbed.server, &code).await.refused(), Status::OrderExpired);
}

// req: SGP.22-5.6.3-Attempts
#[tokio::test]
async fn an_order_ends_when_the_download_limit_is_exceeded() {
    let testbed = Testbed::with(|config| config.max_download_attempts = 2);
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    for _ in 0..2 {
        euicc.try_authenticate(&testbed.server, &code).await.done();
    }
    for _ in 0..2 {
        let answer = euicc.try_authenticate(&testbed.server, &code).await;
        assert_eq!(answer.refused(), Status::DownloadAttemptsExceeded);
        assert_eq!(testbed.state().await, ProfileState::Error);
    }
}

#[tokio::test]
async fn an_order_that_the_user_rejected_at_the_last_attempt_has_ended() {
    let testbed = Testbed::with(|config| config.max_download_attempts = 1);
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let ok = euicc.try_authenticate(&testbed.server, &code).await.done();
    let request = euicc.cancel(&ok.transaction_id, CancelSessionReason::END_USER_REJECTION).request();
    call::<CancelSession>(&testbed.server, &request).await.done();
    testbed.events.take();
    assert_eq!(euicc.try_authenticate(&testbed.server, &code).await.refused(), Status::MatchingIdRefused);
    let events = testbed.events.take();
    let why = &events.last().unwrap().outcome;
    assert!(matches!(why, Outcome::Refused(why) if why.contains("the order has ended")), "{why:?}");
}

// req: SGP.22-5.6.3-Installed
#[tokio::test]
async fn an_installed_profile_is_not_offered_again() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let (transaction, _) = euicc.download(&testbed.server, &code, &euicc.one_time_key()).await;
    notify(&testbed.server, euicc.signed_result(euicc.result(&transaction, iccid(), true))).await;
    assert_eq!(euicc.try_authenticate(&testbed.server, &code).await.refused(), Status::MatchingIdRefused);
}

// req: SGP.22-5.6.3-OrderEnded
#[tokio::test]
async fn an_activation_code_is_invalid_after_its_order_has_ended() {
    let testbed = Testbed::with(|config| config.max_download_attempts = 0);
    let old = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    euicc.try_authenticate(&testbed.server, &old).await.refused();
    assert_eq!(testbed.state().await, ProfileState::Error);
    // After a new order, the old code is refused.
    let new = testbed.order(|_| {}).await;
    assert_ne!(old, new);
    assert_eq!(euicc.try_authenticate(&testbed.server, &old).await.refused(), Status::MatchingIdRefused);
}

#[tokio::test]
async fn an_error_response_of_the_euicc_ends_the_session() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let another = TransactionId(vec![1; 16]);
    for (inner, status) in
        [(None, Status::EuiccVerificationFailed), (Some(&another), Status::TransactionUnknown)]
    {
        let first = euicc.initiate(&testbed.server).await;
        let refusal = authentication_error(&first.transaction_id, inner.unwrap_or(&first.transaction_id));
        // req: SGP.22-5.6.3-EuiccError
        assert_eq!(call::<AuthenticateClient>(&testbed.server, &refusal).await.refused(), status);
        let late = euicc.authenticate(&first, &code).request().unwrap();
        let answer = call::<AuthenticateClient>(&testbed.server, &late).await;
        assert_eq!(answer.refused(), Status::TransactionUnknown);
        assert_eq!(testbed.state().await, ProfileState::Released);

        let second = euicc.try_authenticate(&testbed.server, &code).await.done();
        let refusal = GetBoundProfilePackageRequest {
            transaction_id: second.transaction_id.clone(),
            prepare_download_response: PrepareDownloadResponse::DownloadResponseError(
                PrepareDownloadResponseError {
                    transaction_id: inner.unwrap_or(&second.transaction_id).clone(),
                    download_error_code: DownloadErrorCode::INVALID_CERTIFICATE,
                },
            ),
        };
        // req: SGP.22-5.6.2-EuiccError
        assert_eq!(call::<GetBoundProfilePackage>(&testbed.server, &refusal).await.refused(), status);
        let late = euicc.prepare(&second, &euicc.one_time_key());
        assert_eq!(euicc.get(&testbed.server, &late).await.refused(), Status::TransactionUnknown);
    }
}

// req: SGP.22-5.6.3-Once
#[tokio::test]
async fn a_challenge_can_be_answered_only_once() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    let first = euicc.initiate(&testbed.server).await;
    let wrong = euicc.authenticate(&first, "GUESSED").request().unwrap();
    call::<AuthenticateClient>(&testbed.server, &wrong).await.refused();
    let right = euicc.authenticate(&first, &code).request().unwrap();
    assert_eq!(
        call::<AuthenticateClient>(&testbed.server, &right).await.refused(),
        Status::TransactionUnknown
    );
}

#[tokio::test]
async fn a_v3_download_request_is_accepted() {
    let testbed = Testbed::new();
    let code = testbed.released(&options()).await;
    let euicc = testbed.euicc();
    for operations in
        [&[operation_type::PROFILE_DOWNLOAD][..], &[operation_type::PROFILE_DOWNLOAD, operation_type::RPM]]
    {
        let mut proof = euicc.authenticate(&euicc.initiate(&testbed.server).await, &code);
        proof.ctx_params1 = Some(v3(&proof, operations));
        call::<AuthenticateClient>(&testbed.server, &proof.request().unwrap()).await.done();
    }
}

// req: SGP.22-5.6.3-MatchingIdLength
#[tokio::test]
async fn an_overlong_matching_id_is_refused_and_not_echoed() {
    let testbed = Testbed::new();
    let euicc = testbed.euicc();
    let absurd =
        euicc.authenticate(&euicc.initiate(&testbed.server).await, &"A".repeat(4096)).request().unwrap();
    let response = send::<AuthenticateClient>(&testbed.server, &absurd).await;
    assert_eq!(response.status(), 200);
    assert!(response.body().len() < 400, "{:?}", response.body());
    let events = testbed.events.take();
    assert!(
        matches!(&events[1].outcome, Outcome::Refused(why) if why.contains("8.2.6/3.8") && why.len() < 200)
    );
}
