//! Enabling and disabling, fall-back, roll-back, and the effects of POL1 and POL2: SGP.02 sections
//! 3.2 to 3.6, 3.15.

use std::time::Duration;

use rsp::sgp02::{
    BaseRequest, BaseResponse, ExecutionStatus, Response,
    eis::{Pol2Action, Pol2Qualification, ProfileState},
    es3, es4,
    notification::NotificationType::{
        EuiccDeclaration, ProfileChangeAfterFallback, ProfileChangeFailed, ProfileChangeSucceeded,
    },
};

use super::{
    card::{OK, apdus},
    testbed::{
        BOOTSTRAP, OPERATOR, OTHER_OPERATOR, OTHER_SM_DP, SM_DP, Testbed, codes, eid, iccid, isd_p, rules,
    },
};
use crate::{
    es5::{CardRefusal, Effect, JobOutcome},
    records::{DEADLINES, PeerRole},
    state::switching::SwitchStep,
};
use ProfileState::{Created, Disabled, Enabled};

/// Creates the standard card with a disabled profile of the other operator besides the enabled one.
pub(super) async fn new_testbed() -> Testbed {
    let testbed = Testbed::new().await;
    testbed.register_with([testbed.profile(2, OTHER_OPERATOR, Disabled, false)]).await;
    testbed.received();
    testbed
}

pub(super) fn base() -> BaseRequest {
    BaseRequest { validity_period: Some(600), ..BaseRequest::new("") }
}

pub(super) async fn enable(testbed: &Testbed, peer_name: &str, number: u8) {
    let request = es4::EnableProfileRequest { base: base(), eid: eid(), iccid: iccid(number) };
    let response = testbed.call::<es4::EnableProfile>(peer_name, request).await;
    assert_eq!(response.status(), http::StatusCode::ACCEPTED);
    assert!(response.body().is_empty());
}

async fn disable(testbed: &Testbed, peer_name: &str, number: u8) {
    let request = es4::DisableProfileRequest { base: base(), eid: eid(), iccid: iccid(number) };
    testbed.call::<es4::DisableProfile>(peer_name, request).await;
}

pub(super) fn status<R: Response>(response: &R) -> ExecutionStatus {
    response.base().function_execution_status.status
}

async fn trail(testbed: &Testbed) -> Vec<String> {
    let records = testbed.server().audit_trail(eid()).await.unwrap();
    records.iter().map(|record| format!("{:04X}", record.operation_type.0)).collect()
}

#[tokio::test]
async fn enabling_is_answered_after_the_card_has_accepted_the_confirmation() {
    let testbed = new_testbed().await;
    enable(&testbed, OTHER_OPERATOR, 2).await;
    let job = testbed.card_executes().await;
    assert_eq!(job.effect, Effect::Enable(isd_p(2)));
    assert_eq!(apdus(&job), ["80E28800153A03124F10A0000005591010FFFFFFFF8900001100"]);
    // There is no response yet, because it is unknown if the new network works.
    assert!(testbed.received().is_empty());
    assert_eq!(testbed.state(2).await, Some(Disabled));
    testbed.card_notifies(5, ProfileChangeSucceeded, &isd_p(2)).await;
    assert!(testbed.received().is_empty());
    testbed.card_accepts_confirmation(5, &[]).await;
    let received = testbed.received();
    assert_eq!(received.len(), 2);
    let answer = received.iter().find(|received| received.to == testbed.authority(OTHER_OPERATOR)).unwrap();
    let answer: es4::EnableProfileResponse = answer.message();
    assert_eq!(status(&answer), ExecutionStatus::ExecutedSuccess);
    assert!(answer.euicc_response_data.is_some());
    let notification = received.iter().find(|received| received.to == testbed.authority(OPERATOR)).unwrap();
    let notification: es4::HandleProfileDisabledNotification = notification.message();
    assert_eq!((notification.eid, notification.iccid), (eid(), iccid(BOOTSTRAP)));
    assert_eq!((testbed.state(2).await, testbed.state(BOOTSTRAP).await), (Some(Enabled), Some(Disabled)));
    assert!(testbed.server().operations(eid()).await.unwrap().is_empty());
    assert_eq!(trail(&testbed).await, ["0002", "0200"]);
}

#[tokio::test]
async fn a_repeated_call_gets_the_same_callback() {
    let testbed = new_testbed().await;
    let request = es4::EnableProfileRequest {
        base: BaseRequest { validity_period: Some(600), ..BaseRequest::new("the same") },
        eid: eid(),
        iccid: iccid(9),
    };
    for _ in 0..2 {
        testbed.call::<es4::EnableProfile>(OPERATOR, request.clone()).await;
        let received = testbed.received();
        let [only] = received.as_slice() else { panic!("{received:?}") };
        assert!(only.header().relates_to.is_some());
        assert_eq!(codes(&only.message::<es4::EnableProfileResponse>()), ("8.2.1".into(), "3.9".into()));
    }
    // Only one function was executed, so the audit trail has one record.
    assert_eq!(trail(&testbed).await, ["0200"]);
}

#[tokio::test]
async fn an_sm_dp_can_enable_its_profile_and_the_other_operator_is_notified() {
    let testbed = new_testbed().await;
    let request = es3::EnableProfileRequest { base: base(), eid: eid(), iccid: iccid(2) };
    testbed.call::<es3::EnableProfile>(SM_DP, request).await;
    testbed.card_executes().await;
    testbed.card_notifies(1, ProfileChangeSucceeded, &isd_p(2)).await;
    testbed.card_accepts_confirmation(1, &[]).await;
    assert_eq!(
        testbed.received_briefly(),
        [
            ("operator.example".into(), "ES4-HandleProfileDisabledNotification".into()),
            ("sm-dp.example".into(), "ES3-EnableProfileResponse".into()),
        ]
    );
}

#[tokio::test]
async fn an_operator_without_endpoint_is_notified_through_its_sm_dp() {
    let testbed = Testbed::new().await;
    testbed.add_peer(OTHER_OPERATOR, PeerRole::Operator, false).await;
    testbed
        .register_with([
            testbed.profile(2, OTHER_OPERATOR, Disabled, false),
            testbed.profile(3, OPERATOR, Disabled, false),
        ])
        .await;
    // The bootstrap profile has no SM-DP, but its operator has an endpoint.
    testbed.card_notifies(1, ProfileChangeSucceeded, &isd_p(2)).await;
    let received = testbed.received();
    let notification = received.iter().find(|received| received.to == testbed.authority(SM_DP)).unwrap();
    let notification: es3::HandleProfileEnabledNotification = notification.message();
    assert_eq!((notification.iccid, &notification.mno_id), (iccid(2), &testbed.id(OTHER_OPERATOR)));
    assert!(received.iter().any(|received| received.to == testbed.authority(OPERATOR)));
}

#[tokio::test]
async fn the_status_code_of_a_refused_enable_profile_tells_the_reason() {
    let testbed = Testbed::new().await;
    let mut locked = testbed.profile(4, OPERATOR, Disabled, false);
    locked.pol2 = rules(&[(Pol2Action::Enable, Pol2Qualification::NotAllowed)]);
    testbed
        .register_with([
            testbed.profile(2, OTHER_OPERATOR, Disabled, false),
            testbed.profile(3, OPERATOR, Created, false),
            locked,
        ])
        .await;
    testbed.received();
    for (number, subject, reason) in [
        // req: SGP.02-5.5-IccidUnknown
        (9, "8.2.1", "3.9"),
        // req: SGP.02-5.5-Owner
        (2, "8.2.1", "1.2"),
        // req: SGP.02-5.5-State
        (3, "8.2.1", "3.5"),
        (BOOTSTRAP, "8.2.1", "3.5"),
        // req: SGP.02-5.5-Pol2
        (4, "8.2.3", "3.8"),
    ] {
        enable(&testbed, OPERATOR, number).await;
        let answer: es4::EnableProfileResponse = testbed.received_only(OPERATOR);
        assert_eq!(codes(&answer), (subject.into(), reason.into()), "{number}");
    }
    // Over ES3 the profile must belong to the SM-DP.
    let request = es3::EnableProfileRequest { base: base(), eid: eid(), iccid: iccid(2) };
    testbed.call::<es3::EnableProfile>(OTHER_SM_DP, request).await;
    let answer: es3::EnableProfileResponse = testbed.received_only(OTHER_SM_DP);
    assert_eq!(codes(&answer), ("8.2.1".into(), "1.2".into()));
    // The card is unknown.
    let request = es4::EnableProfileRequest {
        base: base(),
        eid: "89049032123451234512345123451235".parse().unwrap(),
        iccid: iccid(2),
    };
    // req: SGP.02-5.5-EidUnknown
    testbed.call::<es4::EnableProfile>(OPERATOR, request).await;
    let answer: es4::EnableProfileResponse = testbed.received_only(OPERATOR);
    assert_eq!(codes(&answer), ("8.1.1".into(), "3.9".into()));
    assert!(testbed.jobs().await.is_empty());
}

#[tokio::test]
async fn pol2_of_the_enabled_profile_prevents_another_from_being_enabled() {
    let testbed = Testbed::new().await;
    let mut eis = testbed.eis();
    eis.profile_info[0].pol2 = rules(&[(Pol2Action::Disable, Pol2Qualification::NotAllowed)]);
    eis.profile_info.push(testbed.profile(2, OTHER_OPERATOR, Disabled, false));
    testbed.call::<rsp::sgp02::es1::RegisterEis>(super::testbed::EUM, testbed.register_request(eis)).await;
    enable(&testbed, OTHER_OPERATOR, 2).await;
    let answer: es4::EnableProfileResponse = testbed.received_only(OTHER_OPERATOR);
    assert_eq!(codes(&answer), ("8.2.3".into(), "3.8".into()));
}

#[tokio::test]
async fn a_refusal_of_the_card_is_returned_with_its_response() {
    let testbed = new_testbed().await;
    for (status_word, subject, reason) in
        [(0x69E1, "8.2.2", "3.8"), (0x6985, "8.2.1", "3.5"), (0x6A88, "8.3.1", "3.9"), (0x6581, "8.4", "4.2")]
    {
        enable(&testbed, OTHER_OPERATOR, 2).await;
        testbed.card_answers(&[(&[], status_word)]).await;
        let answer: es4::EnableProfileResponse = testbed.received_only(OTHER_OPERATOR);
        assert_eq!(codes(&answer), (subject.into(), reason.into()), "{status_word:04X}");
        let data = answer.euicc_response_data.unwrap();
        assert!(data.to_string().ends_with(&format!("{status_word:04X}")));
    }
    assert_eq!(testbed.state(2).await, Some(Disabled));
}

#[tokio::test]
async fn a_failed_delivery_or_execution_is_returned() {
    let testbed = new_testbed().await;
    for (outcome, subject, reason) in [
        (JobOutcome::NotDelivered("no number".to_owned()), "8.1", "5.1"),
        (
            JobOutcome::Refused(CardRefusal::Packet(rsp::ota::secured_packet::ResponseStatus::CounterLow)),
            "8.4",
            "4.2",
        ),
    ] {
        enable(&testbed, OTHER_OPERATOR, 2).await;
        testbed.job_ends(outcome).await;
        let answer: es4::EnableProfileResponse = testbed.received_only(OTHER_OPERATOR);
        assert_eq!(codes(&answer), (subject.into(), reason.into()));
    }
}

#[tokio::test]
async fn a_roll_back_makes_the_function_fail() {
    for confirming in [false, true] {
        let testbed = new_testbed().await;
        enable(&testbed, OTHER_OPERATOR, 2).await;
        testbed.card_executes().await;
        if confirming {
            // The confirmation never arrives.
            testbed.card_notifies(1, ProfileChangeSucceeded, &isd_p(2)).await;
            assert_eq!(testbed.state(2).await, Some(Enabled));
            testbed.job_ends(JobOutcome::NotDelivered("lost".to_owned())).await;
            assert!(testbed.received().is_empty());
        }
        testbed.card_notifies(2, ProfileChangeFailed, &isd_p(BOOTSTRAP)).await;
        let answer: es4::EnableProfileResponse = testbed.received_only(OTHER_OPERATOR);
        assert_eq!(codes(&answer), ("8.1".into(), "4.2".into()), "{confirming}");
        testbed.card_accepts_confirmation(2, &[]).await;
        assert!(testbed.received().is_empty());
        assert_eq!((testbed.state(2).await, testbed.state(BOOTSTRAP).await), (Some(Disabled), Some(Enabled)));
    }
}

#[tokio::test]
async fn a_notification_replaces_a_lost_response() {
    let testbed = new_testbed().await;
    enable(&testbed, OTHER_OPERATOR, 2).await;
    assert_eq!(testbed.job().await.effect, Effect::Enable(isd_p(2)));
    testbed.card_notifies(1, ProfileChangeSucceeded, &isd_p(2)).await;
    // The job is cancelled; only the confirmation is left.
    assert_eq!(testbed.job().await.effect, Effect::ConfirmNotification(1));
    testbed.card_accepts_confirmation(1, &[]).await;
    assert_eq!(testbed.received().len(), 2);
    assert_eq!(testbed.state(2).await, Some(Enabled));
}

#[tokio::test]
async fn a_repeated_notification_is_confirmed_again_and_changes_nothing() {
    let testbed = new_testbed().await;
    enable(&testbed, OTHER_OPERATOR, 2).await;
    testbed.card_executes().await;
    testbed.card_notifies(1, ProfileChangeSucceeded, &isd_p(2)).await;
    testbed.job_ends(JobOutcome::NotDelivered("lost".to_owned())).await;
    testbed.card_notifies(1, ProfileChangeSucceeded, &isd_p(2)).await;
    testbed.card_accepts_confirmation(1, &[]).await;
    assert_eq!(testbed.received().len(), 2);
    testbed.card_notifies(1, ProfileChangeSucceeded, &isd_p(2)).await;
    testbed.card_accepts_confirmation(1, &[]).await;
    assert!(testbed.received().is_empty());
    assert_eq!(trail(&testbed).await, ["0002", "0200"]);
}

#[tokio::test]
async fn an_expired_change_is_not_confirmed_and_the_card_rolls_back() {
    let testbed = new_testbed().await;
    enable(&testbed, OTHER_OPERATOR, 2).await;
    testbed.card_executes().await;
    testbed.advance(Duration::from_secs(601)).await;
    let answer: es4::EnableProfileResponse = testbed.received_only(OTHER_OPERATOR);
    assert_eq!(status(&answer), ExecutionStatus::Expired);
    for _ in 0..2 {
        testbed.card_notifies(1, ProfileChangeSucceeded, &isd_p(2)).await;
        assert!(testbed.jobs().await.is_empty());
    }
    assert_eq!(testbed.state(2).await, Some(Disabled));
    testbed.card_notifies(2, ProfileChangeFailed, &isd_p(BOOTSTRAP)).await;
    testbed.card_accepts_confirmation(2, &[]).await;
    assert!(testbed.received().is_empty());
    // The result is known without an audit.
    testbed.advance(Duration::from_secs(3601)).await;
    assert!(testbed.jobs().await.is_empty());
    // A new call is a new function. The expired function does not affect it.
    enable(&testbed, OTHER_OPERATOR, 2).await;
    testbed.card_executes().await;
    testbed.card_notifies(3, ProfileChangeSucceeded, &isd_p(2)).await;
    testbed.card_accepts_confirmation(3, &[]).await;
    assert_eq!(testbed.state(2).await, Some(Enabled));
}

// req: SGP.02-5.5-Expiry
#[tokio::test]
async fn a_waiting_function_expires_too() {
    let testbed = new_testbed().await;
    enable(&testbed, OTHER_OPERATOR, 2).await;
    let request = es4::AuditEisRequest {
        base: BaseRequest { validity_period: Some(10), ..BaseRequest::new("") },
        eid: eid(),
        iccid: vec![],
    };
    testbed.call::<es4::AuditEis>(OPERATOR, request).await;
    assert_eq!(testbed.jobs().await.len(), 1);
    testbed.advance(Duration::from_secs(11)).await;
    let answer: es4::AuditEisResponse = testbed.received_only(OPERATOR);
    assert_eq!(status(&answer), ExecutionStatus::Expired);
    let left = testbed.server().operations(eid()).await.unwrap();
    let [only] = left.as_slice() else { panic!("{left:?}") };
    assert!(matches!(&only.step,
        crate::procedures::Step::Switching(switching) if matches!(switching.at, SwitchStep::Answer(_))));
}

/// Simulates a torn write: the function exists without its deadline.
#[tokio::test]
async fn a_function_without_deadline_ends_when_the_next_one_is_submitted() {
    let testbed = new_testbed().await;
    enable(&testbed, OTHER_OPERATOR, 2).await;
    testbed.card_executes().await;
    world::transact(testbed.records(), |tx| {
        Box::pin(async move {
            let lost = tx.list(&DEADLINES, "").await?;
            assert!(!lost.is_empty());
            lost.iter().for_each(|(key, _)| tx.delete(&DEADLINES, key));
            Ok(())
        })
    })
    .await
    .unwrap();
    testbed.advance(Duration::from_secs(601)).await;
    assert!(testbed.received().is_empty(), "there is no deadline that would end it");
    let request = es4::AuditEisRequest { base: base(), eid: eid(), iccid: vec![] };
    testbed.call::<es4::AuditEis>(OPERATOR, request).await;
    testbed.run().await;
    let answer: es4::EnableProfileResponse = testbed.received_only(OTHER_OPERATOR);
    assert_eq!(status(&answer), ExecutionStatus::Expired);
    let left = testbed.server().operations(eid()).await.unwrap();
    let [only] = left.as_slice() else { panic!("{left:?}") };
    assert!(
        matches!(only.step, crate::procedures::Step::AtCard(_)),
        "the next operation was not sent to the card"
    );
}

#[tokio::test]
async fn disabling_enables_the_fall_back_profile() {
    let testbed = Testbed::new().await;
    let mut eis = testbed.eis();
    eis.profile_info[0].state = Disabled;
    eis.profile_info.push(testbed.profile(2, OTHER_OPERATOR, Enabled, false));
    testbed.call::<rsp::sgp02::es1::RegisterEis>(super::testbed::EUM, testbed.register_request(eis)).await;
    disable(&testbed, OTHER_OPERATOR, 2).await;
    let job = testbed.card_executes().await;
    assert_eq!(job.effect, Effect::Disable(isd_p(2)));
    testbed.card_notifies(1, ProfileChangeSucceeded, &isd_p(BOOTSTRAP)).await;
    testbed.card_accepts_confirmation(1, &[]).await;
    assert_eq!(
        testbed.received_briefly(),
        [
            ("another-operator.example".into(), "ES4-DisableProfileResponse".into()),
            ("operator.example".into(), "ES4-HandleProfileEnabledNotification".into()),
        ]
    );
    // Now profile 2 is disabled and the fall-back profile is enabled.
    disable(&testbed, OTHER_OPERATOR, 2).await;
    assert_eq!(codes(&testbed.received_only::<es4::DisableProfileResponse>(OTHER_OPERATOR)).1, "3.5");
    disable(&testbed, OPERATOR, BOOTSTRAP).await;
    let answer: es4::DisableProfileResponse = testbed.received_only(OPERATOR);
    assert_eq!(codes(&answer), ("8.2.1".into(), "3.8".into()));
}

// req: SGP.02-5.5-FallBack
#[tokio::test]
async fn disabling_requires_a_fall_back_profile_and_permission_by_pol2() {
    let testbed = Testbed::new().await;
    let mut eis = testbed.eis();
    eis.profile_info[0].fallback_attribute = false;
    testbed.call::<rsp::sgp02::es1::RegisterEis>(super::testbed::EUM, testbed.register_request(eis)).await;
    disable(&testbed, OPERATOR, BOOTSTRAP).await;
    assert_eq!(
        codes(&testbed.received_only::<es4::DisableProfileResponse>(OPERATOR)),
        ("8.2.1".into(), "3.5".into())
    );
    let request = es4::UpdatePolicyRulesRequest {
        base: base(),
        eid: eid(),
        iccid: iccid(BOOTSTRAP),
        pol2: Some(rules(&[(Pol2Action::Disable, Pol2Qualification::NotAllowed)])),
    };
    testbed.call::<es4::UpdatePolicyRules>(OPERATOR, request).await;
    disable(&testbed, OPERATOR, BOOTSTRAP).await;
    assert_eq!(
        codes(&testbed.received_only::<es4::DisableProfileResponse>(OPERATOR)),
        ("8.2.3".into(), "3.8".into())
    );
}

#[tokio::test]
async fn both_owners_are_notified_of_a_fall_back() {
    let testbed = Testbed::new().await;
    let mut eis = testbed.eis();
    eis.profile_info[0].state = Disabled;
    let mut enabled = testbed.profile(2, OTHER_OPERATOR, Enabled, false);
    // POL2 does not apply during a fall-back.
    enabled.pol2 = rules(&[(Pol2Action::Disable, Pol2Qualification::AutoDelete)]);
    eis.profile_info.push(enabled);
    testbed.call::<rsp::sgp02::es1::RegisterEis>(super::testbed::EUM, testbed.register_request(eis)).await;
    testbed.card_notifies(9, ProfileChangeAfterFallback, &isd_p(BOOTSTRAP)).await;
    assert_eq!(
        testbed.received_briefly(),
        [
            ("another-operator.example".into(), "ES4-HandleProfileDisabledNotification".into()),
            ("operator.example".into(), "ES4-HandleProfileEnabledNotification".into()),
        ]
    );
    testbed.card_accepts_confirmation(9, &[]).await;
    assert!(testbed.jobs().await.is_empty());
    assert_eq!((testbed.state(2).await, testbed.state(BOOTSTRAP).await), (Some(Disabled), Some(Enabled)));
}

#[tokio::test]
async fn a_fall_back_ends_the_function_in_progress() {
    let testbed = new_testbed().await;
    enable(&testbed, OTHER_OPERATOR, 2).await;
    testbed.card_executes().await;
    testbed.card_notifies(1, ProfileChangeAfterFallback, &isd_p(BOOTSTRAP)).await;
    let answer: es4::EnableProfileResponse = testbed.received_only(OTHER_OPERATOR);
    assert_eq!(codes(&answer), ("8.1".into(), "4.2".into()));
}

#[tokio::test]
async fn a_notification_that_ends_a_function_begins_the_next_one() {
    for (kind, enabled) in [
        (ProfileChangeFailed, BOOTSTRAP),
        (ProfileChangeAfterFallback, BOOTSTRAP),
        // The card has enabled another profile than the requested one.
        (ProfileChangeSucceeded, BOOTSTRAP),
    ] {
        let testbed = new_testbed().await;
        enable(&testbed, OTHER_OPERATOR, 2).await;
        let request = es4::AuditEisRequest { base: base(), eid: eid(), iccid: vec![] };
        testbed.call::<es4::AuditEis>(OPERATOR, request).await;
        testbed.card_executes().await;
        assert!(testbed.jobs().await.is_empty(), "{kind:?}: the audit waits");
        testbed.card_notifies(1, kind, &isd_p(enabled)).await;
        let answer: es4::EnableProfileResponse = testbed.received_only(OTHER_OPERATOR);
        assert_eq!(codes(&answer), ("8.1".into(), "4.2".into()), "{kind:?}");
        let jobs = testbed.jobs().await;
        let has = |effect| jobs.iter().any(|(_, job)| job.effect == effect);
        assert!(has(Effect::ConfirmNotification(1)) && has(Effect::Audit), "{kind:?}");
        assert_eq!(jobs.len(), 2, "{kind:?}");
    }
}

#[tokio::test]
async fn the_step_of_a_function_has_a_name() {
    let testbed = new_testbed().await;
    let steps = async || {
        let operations = testbed.server().operations(eid()).await.unwrap();
        operations.iter().map(|operation| operation.step.name()).collect::<Vec<_>>()
    };
    enable(&testbed, OTHER_OPERATOR, 2).await;
    let request = es4::AuditEisRequest { base: base(), eid: eid(), iccid: vec![] };
    testbed.call::<es4::AuditEis>(OPERATOR, request).await;
    assert_eq!(steps().await, ["at the card", "waiting"]);
    testbed.card_executes().await;
    assert_eq!(steps().await, ["waiting for the card's notification", "waiting"]);
    testbed.card_notifies(1, ProfileChangeSucceeded, &isd_p(2)).await;
    assert_eq!(steps().await, ["waiting for the card to accept the confirmation", "waiting"]);
    testbed.card_accepts_confirmation(1, &[]).await;
    assert_eq!(steps().await, ["at the card"]);
}

// req: SGP.02-5.5-AutoDelete
#[tokio::test]
async fn pol2_deletes_a_disabled_profile() {
    for status_word in [OK, 0x6A88] {
        let testbed = Testbed::new().await;
        let mut eis = testbed.eis();
        eis.profile_info[0].state = Disabled;
        let mut enabled = testbed.profile(2, OTHER_OPERATOR, Enabled, false);
        enabled.pol2 = rules(&[(Pol2Action::Disable, Pol2Qualification::AutoDelete)]);
        eis.profile_info.push(enabled);
        testbed
            .call::<rsp::sgp02::es1::RegisterEis>(super::testbed::EUM, testbed.register_request(eis))
            .await;
        disable(&testbed, OTHER_OPERATOR, 2).await;
        testbed.card_executes().await;
        testbed.card_notifies(1, ProfileChangeSucceeded, &isd_p(BOOTSTRAP)).await;
        testbed.card_accepts_confirmation(1, &[]).await;
        testbed.received();
        let job = testbed.card_answers(&[(&[], status_word)]).await;
        assert_eq!(job.effect, Effect::Delete(isd_p(2)));
        let notification: es4::HandleProfileDeletedNotification = testbed.received_only(OTHER_OPERATOR);
        assert_eq!(notification.iccid, iccid(2));
        assert_eq!(testbed.state(2).await, None);
        assert_eq!(trail(&testbed).await, ["0002", "0300", "0400"]);
    }
}

#[tokio::test]
async fn a_profile_deleted_by_pol1_is_removed_and_its_owner_is_notified() {
    let testbed = new_testbed().await;
    enable(&testbed, OTHER_OPERATOR, 2).await;
    testbed.card_executes().await;
    testbed.card_notifies(1, ProfileChangeSucceeded, &isd_p(2)).await;
    testbed.card_accepts_confirmation(1, &[isd_p(BOOTSTRAP)]).await;
    assert_eq!(
        testbed.received_briefly(),
        [
            ("another-operator.example".into(), "ES4-EnableProfileResponse".into()),
            ("operator.example".into(), "ES4-HandleProfileDeletedNotification".into()),
        ]
    );
    assert_eq!(testbed.state(BOOTSTRAP).await, None);
}

// req: SGP.02-3.15-Confirm
#[tokio::test]
async fn the_first_notification_of_a_card_is_confirmed_and_recorded() {
    let testbed = new_testbed().await;
    testbed.card_notifies(1, EuiccDeclaration, &isd_p(BOOTSTRAP)).await;
    testbed.card_accepts_confirmation(1, &[]).await;
    assert!(testbed.received().is_empty());
    let records = testbed.server().audit_trail(eid()).await.unwrap();
    assert_eq!(records[0].operation_type.0, 0x0001);
    assert_eq!(records[0].imei.as_ref().unwrap().0, [0x35; 8]);
    assert_eq!(records[0].iccid, Some(iccid(BOOTSTRAP)));
}

#[tokio::test]
async fn functions_are_executed_one_at_a_time_in_order() {
    let testbed = new_testbed().await;
    enable(&testbed, OTHER_OPERATOR, 2).await;
    for _ in 0..2 {
        let request = es4::AuditEisRequest { base: base(), eid: eid(), iccid: vec![] };
        testbed.call::<es4::AuditEis>(OPERATOR, request).await;
    }
    assert_eq!(testbed.server().operations(eid()).await.unwrap().len(), 3);
    testbed.card_answers(&[(&[], 0x6985)]).await;
    assert_eq!(testbed.job().await.effect, Effect::Audit);
    testbed.job_ends(JobOutcome::NotDelivered("gone".to_owned())).await;
    assert_eq!(testbed.job().await.effect, Effect::Audit);
}

// req: SGP.02-5.5-Queue
#[tokio::test]
async fn the_length_of_the_queue_is_limited() {
    let testbed = new_testbed().await;
    for _ in 0..crate::config::MAX_QUEUE_LENGTH {
        enable(&testbed, OTHER_OPERATOR, 2).await;
    }
    assert!(testbed.received().is_empty());
    enable(&testbed, OTHER_OPERATOR, 2).await;
    let answer: es4::EnableProfileResponse = testbed.received_only(OTHER_OPERATOR);
    assert_eq!(codes(&answer), ("8.1".into(), "3.7".into()));
}

#[tokio::test]
async fn an_undelivered_response_is_sent_later() {
    let testbed = new_testbed().await;
    testbed.lose_messages(OTHER_OPERATOR, true);
    enable(&testbed, OTHER_OPERATOR, 9).await;
    assert!(testbed.received().is_empty());
    testbed.lose_messages(OTHER_OPERATOR, false);
    testbed.advance(Duration::from_secs(120)).await;
    let answer: es4::EnableProfileResponse = testbed.received_only(OTHER_OPERATOR);
    assert_eq!(
        answer.base.function_execution_status,
        BaseResponse::failed(
            &rsp::sgp02::status::Status::IccidUnknown
                .because("the card has no profile with this ICCID")
                .about(iccid(9))
        )
        .function_execution_status
    );
}
