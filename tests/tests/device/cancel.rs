//! Sessions cancelled by the device for each reason, and the effects on the order (SGP.22 sections
//! 3.0.2, 5.6.5 and 5.7.14).

use device::lpa::{
    Cancelled, Consent, Decision, DownloadError, DownloadOptions, Expected, ServerFlaw, SessionError,
};
use rsp::der::BitString;
use rsp::sgp22::{CancelSessionReason, ppr};
use rsp::status::Status;
use serde_json::Value;
use sm_dp::records::{Awaits, Session};
use sm_dp::{ProfileOptions, ProfileState};

use crate::testbed::{BOOTSTRAP, LOCAL, LinkFailure, Testbed, iccid, package};

fn deciding(decision: Decision) -> DownloadOptions {
    DownloadOptions { consent: Consent::Ask(Box::new(move |_| decision)), ..DownloadOptions::default() }
}

fn expecting(expected: Expected) -> DownloadOptions {
    DownloadOptions { expected, ..DownloadOptions::default() }
}

/// Downloads this profile with these options and failures. Returns the error.
async fn ending(
    testbed: &mut Testbed,
    profile: (&str, &str),
    options: DownloadOptions,
    failures: &[LinkFailure],
) -> DownloadError {
    let code = testbed.order(profile, None).await;
    testbed.inject(failures);
    testbed.device.lpa.download(&code, options).await.unwrap_err()
}

/// Checks that the session was cancelled for `reason`, that the SM-DP+ was notified, and that the
/// order is in the resulting state.
async fn is_cancelled(
    testbed: &mut Testbed,
    profile: (&str, &str),
    reason: CancelSessionReason,
    error: &DownloadError,
) {
    let DownloadError::Cancelled(Cancelled { reason: found, not_told, .. }) = error else {
        panic!("{error}")
    };
    assert_eq!((*found, not_told.as_deref()), (reason, None), "{error}");
    has_its_consequence(testbed, profile, reason).await;
}

async fn has_its_consequence(testbed: &mut Testbed, profile: (&str, &str), reason: CancelSessionReason) {
    // A session whose package was delivered awaits only the installation result, so it counts as
    // ended.
    let sessions = testbed.server.sessions().await.unwrap();
    let is_over = |session: &Session| matches!(session.awaits, Awaits::ProfileInstallationResult { .. });
    assert!(sessions.iter().all(|(_, session)| is_over(session)), "{reason}: {sessions:?}");
    assert_eq!(testbed.profiles().await.0, [], "{reason}");
    let orders = testbed.server.orders().await.unwrap();
    let order = orders.into_iter().find(|order| order.iccid == iccid(profile)).unwrap().order.unwrap();
    let code = rsp::activation_code::ActivationCode {
        smdp_address: crate::testbed::ADDRESS.parse().unwrap(),
        matching_id: order.matching_id.unwrap(),
        smdp_oid: None,
        confirmation_code_required: false,
        findings: Vec::new(),
    };
    let again = testbed.device.lpa.download(&code, DownloadOptions::default()).await;
    match (reason, again) {
        (CancelSessionReason::POSTPONED | CancelSessionReason::TIMEOUT, again) => {
            assert_eq!(again.unwrap().iccid, iccid(profile), "{reason}");
            assert_eq!(testbed.state(profile).await, ProfileState::Installed, "{reason}");
        }
        (_, Err(DownloadError::Session(SessionError::Server(error)))) => {
            assert_eq!(error.status(), Some(Status::MatchingIdRefused), "{reason}");
            assert_eq!(testbed.state(profile).await, ProfileState::Error, "{reason}");
        }
        (_, again) => panic!("{reason}: {again:?}"),
    }
}

// req: SGP.22-3.0.2-User
#[tokio::test]
async fn the_order_depends_on_the_decision_of_the_user() {
    for (decision, reason) in [
        (Decision::Reject, CancelSessionReason::END_USER_REJECTION),
        (Decision::Postpone, CancelSessionReason::POSTPONED),
        (Decision::CallFailure, CancelSessionReason::TIMEOUT),
    ] {
        let mut testbed = Testbed::new().await;
        let error = ending(&mut testbed, LOCAL, deciding(decision), &[]).await;
        assert_eq!(error.is_retryable(), decision != Decision::Reject);
        is_cancelled(&mut testbed, LOCAL, reason, &error).await;
    }
}

// req: SGP.22-3.1.3-Expected
#[tokio::test]
async fn another_profile_or_provider_than_expected_ends_the_order() {
    for expected in [
        Expected { iccid: Some(iccid(BOOTSTRAP)), ..Expected::default() },
        Expected { iccid: Some(iccid(LOCAL)), service_provider_name: Some("Another provider".into()) },
    ] {
        let mut testbed = Testbed::new().await;
        let error = ending(&mut testbed, LOCAL, expecting(expected), &[]).await;
        is_cancelled(&mut testbed, LOCAL, CancelSessionReason::METADATA_MISMATCH, &error).await;
    }
    let mut expected = Expected { iccid: Some(iccid(LOCAL)), ..Expected::default() };
    for _ in 0..2 {
        let mut testbed = Testbed::new().await;
        let code = testbed.order(LOCAL, None).await;
        let installed = testbed.device.lpa.download(&code, expecting(expected.clone())).await.unwrap();
        expected.service_provider_name = Some(installed.metadata.service_provider_name);
    }
}

// req: SGP.22-2.9-Rat
#[tokio::test]
async fn a_policy_rule_that_the_card_does_not_allow_ends_the_order() {
    const RULED: (&str, &str) = ("89494200000000000020", "262420123456780");
    let mut testbed = Testbed::new().await;
    // PPR3 of older versions is not in the card's rules authorisation table.
    let options =
        ProfileOptions { profile_policy_rules: Some(BitString::of(&[3])), ..ProfileOptions::default() };
    testbed.server.add_profile(&package(RULED), &options).await.unwrap();
    let error = ending(&mut testbed, RULED, DownloadOptions::default(), &[]).await;
    is_cancelled(&mut testbed, RULED, CancelSessionReason::PPR_NOT_ALLOWED, &error).await;
}

// req: SGP.22-2.9-OnlyOperational
#[tokio::test]
async fn a_profile_with_ppr1_must_be_the_only_operational_one() {
    let mut testbed = Testbed::new().await;
    let options = ProfileOptions {
        profile_policy_rules: Some(BitString::of(&[ppr::PPR1])),
        ..ProfileOptions::default()
    };
    let others = [("89494200000000000020", "262420123456780"), ("89494200000000000038", "262420123456781")];
    for profile in others {
        testbed.server.add_profile(&package(profile), &options).await.unwrap();
    }
    let code = testbed.order(others[0], None).await;
    // The card's rules authorisation table demands the consent of the user.
    let consent = Consent::Ask(Box::new(|offer| {
        assert!(offer.policy_rules_need_consent);
        Decision::Accept
    }));
    let options = DownloadOptions { consent, ..DownloadOptions::default() };
    testbed.device.lpa.download(&code, options).await.unwrap();
    let error = ending(&mut testbed, others[1], DownloadOptions::default(), &[]).await;
    let DownloadError::Cancelled(cancelled) = &error else { panic!("{error}") };
    assert_eq!(cancelled.reason, CancelSessionReason::PPR_NOT_ALLOWED);
    assert_eq!(testbed.state(others[1]).await, ProfileState::Error);
    assert_eq!(testbed.profiles().await.0, [iccid(others[0])]);
}

// req: SGP.22-3.0.2-LoadError
#[tokio::test]
async fn a_package_that_cannot_be_loaded_ends_the_order() {
    let mut testbed = Testbed::new().await;
    let torn = |answer: &mut Value| answer["boundProfilePackage"] = "vzYDvyMF".into();
    let inject = LinkFailure::Modified("getBoundProfilePackage", torn);
    let error = ending(&mut testbed, LOCAL, DownloadOptions::default(), &[inject]).await;
    is_cancelled(&mut testbed, LOCAL, CancelSessionReason::LOAD_BPP_EXECUTION_ERROR, &error).await;
}

// req: SGP.22-3.0.2-TransactionId
#[tokio::test]
async fn a_wrong_transaction_id_cancels_the_session_for_an_undefined_reason() {
    for function in ["authenticateClient", "getBoundProfilePackage"] {
        let mut testbed = Testbed::new().await;
        let other = |answer: &mut Value| answer["transactionId"] = "00".into();
        let inject = LinkFailure::Modified(function, other);
        let error = ending(&mut testbed, LOCAL, DownloadOptions::default(), &[inject]).await;
        assert!(
            matches!(
                error,
                DownloadError::Session(SessionError::ServerFlaw(ServerFlaw::OtherTransaction { .. }))
            ),
            "{function}: {error}"
        );
        has_its_consequence(&mut testbed, LOCAL, CancelSessionReason::UNDEFINED_REASON).await;
    }
}

#[tokio::test]
async fn an_interrupted_cancellation_is_reported() {
    for (cut, state) in [
        (LinkFailure::CutBeforeRequest("cancelSession"), ProfileState::Released),
        (LinkFailure::CutAfterRequest("cancelSession"), ProfileState::Error),
    ] {
        let mut testbed = Testbed::new().await;
        let error = ending(&mut testbed, LOCAL, deciding(Decision::Reject), &[cut]).await;
        let DownloadError::Cancelled(cancelled) = &error else { panic!("{error}") };
        assert_eq!(cancelled.reason, CancelSessionReason::END_USER_REJECTION);
        assert!(cancelled.not_told.is_some(), "{error}");
        assert_eq!(testbed.state(LOCAL).await, state, "{cut:?}");
        testbed.reconnect();
        assert_eq!(testbed.profiles().await.0, []);
    }
}
