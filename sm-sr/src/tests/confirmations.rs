//! Confirmations that the card does not accept, or whose responses are lost, and the audits that
//! follow: SGP.02 sections 3.6, 3.15 and 4.1.1.12.

use std::time::Duration;

use rsp::sgp02::{
    ExecutionStatus,
    eis::{Pol2Action, Pol2Qualification, ProfileState},
    es1, es4,
    notification::NotificationType::{ProfileChangeFailed, ProfileChangeSucceeded},
};

use super::{
    card::{OK, response},
    others::{resources, status_of},
    switching::{enable, new_testbed, status},
    testbed::{BOOTSTRAP, EUM, OPERATOR, OTHER_OPERATOR, Testbed, codes, eid, iccid, isd_p, rules},
};
use crate::es5::{Effect, JobOutcome};
use ProfileState::{Disabled, Enabled};

const AN_HOUR: Duration = Duration::from_secs(3601);

/// The card has enabled the second profile on request and has sent a notification. The job with the
/// confirmation waits for the card.
async fn changed(testbed: &Testbed) {
    enable(testbed, OTHER_OPERATOR, 2).await;
    testbed.card_executes().await;
    testbed.card_notifies(1, ProfileChangeSucceeded, &isd_p(2)).await;
    assert_eq!(testbed.job().await.effect, Effect::ConfirmNotification(1));
}

/// Answers an audit that the SM-SR started itself.
async fn audited(testbed: &Testbed, isd_ps: &[(u8, u8)]) {
    let all: Vec<u8> =
        isd_ps.iter().flat_map(|(number, state)| status_of(*number, *state, *number == 1)).collect();
    let job = testbed.card_answers(&[(&resources(1), OK), (&all, OK)]).await;
    assert_eq!(job.effect, Effect::Audit);
}

#[tokio::test]
async fn a_refused_confirmation_does_not_make_the_change_final() {
    let testbed = new_testbed().await;
    changed(&testbed).await;
    testbed.card_answers(&[(&[], 0x6A88)]).await;
    assert!(testbed.received().is_empty(), "neither a response nor a notification");
    // The card rolls back and sends a notification of this.
    testbed.card_notifies(2, ProfileChangeFailed, &isd_p(BOOTSTRAP)).await;
    let answer: es4::EnableProfileResponse = testbed.received_only(OTHER_OPERATOR);
    assert_eq!(codes(&answer), ("8.1".into(), "4.2".into()));
    testbed.card_accepts_confirmation(2, &[]).await;
    assert_eq!((testbed.state(2).await, testbed.state(BOOTSTRAP).await), (Some(Disabled), Some(Enabled)));
}

#[tokio::test]
async fn an_audit_finds_a_change_whose_confirmation_was_not_answered() {
    let testbed = new_testbed().await;
    changed(&testbed).await;
    testbed.job_ends(JobOutcome::NotDelivered("lost".to_owned())).await;
    testbed.advance(Duration::from_secs(601)).await;
    let answer: es4::EnableProfileResponse = testbed.received_only(OTHER_OPERATOR);
    assert_eq!(status(&answer), ExecutionStatus::Expired);
    testbed.advance(AN_HOUR).await;
    // POL1 deleted the profile that was disabled.
    audited(&testbed, &[(2, 0x3F)]).await;
    assert_eq!(
        testbed.received_briefly(),
        [
            ("another-operator.example".into(), "ES4-HandleProfileEnabledNotification".into()),
            ("operator.example".into(), "ES4-HandleProfileDeletedNotification".into()),
        ]
    );
    assert_eq!((testbed.state(2).await, testbed.state(BOOTSTRAP).await), (Some(Enabled), None));
    // The owners are notified only once.
    testbed.advance(AN_HOUR).await;
    assert!(testbed.jobs().await.is_empty() && testbed.received().is_empty());
}

#[tokio::test]
async fn an_audit_finds_a_roll_back_that_was_not_notified() {
    let testbed = new_testbed().await;
    changed(&testbed).await;
    testbed.job_ends(JobOutcome::Expired).await;
    testbed.advance(Duration::from_secs(601)).await;
    testbed.received();
    testbed.advance(AN_HOUR).await;
    audited(&testbed, &[(1, 0x3F), (2, 0x1F)]).await;
    assert!(testbed.received().is_empty(), "from the owners' point of view nothing has changed");
    assert_eq!((testbed.state(2).await, testbed.state(BOOTSTRAP).await), (Some(Disabled), Some(Enabled)));
}

#[tokio::test]
async fn a_response_to_a_repeated_confirmation_is_followed_by_an_audit() {
    let testbed = new_testbed().await;
    changed(&testbed).await;
    testbed.job_ends(JobOutcome::AnsweredAgain(response(&[(&[], OK)]))).await;
    // The change is final; the audit shows whether POL1 deleted the disabled profile.
    let received = testbed.received();
    assert!(received.iter().any(|received| received.element() == "ES4-EnableProfileResponse"));
    audited(&testbed, &[(2, 0x3F)]).await;
    let notification: es4::HandleProfileDeletedNotification = testbed.received_only(OPERATOR);
    assert_eq!((notification.eid, notification.iccid), (eid(), iccid(BOOTSTRAP)));
    assert_eq!(testbed.state(BOOTSTRAP).await, None);
}

/// The second profile is enabled, and POL2 deletes it when it is disabled.
async fn with_auto_delete() -> Testbed {
    let testbed = Testbed::new().await;
    let mut eis = testbed.eis();
    eis.profile_info[0].state = Disabled;
    let mut enabled = testbed.profile(2, OTHER_OPERATOR, Enabled, false);
    enabled.pol2 = rules(&[(Pol2Action::Disable, Pol2Qualification::AutoDelete)]);
    eis.profile_info.push(enabled);
    testbed.call::<es1::RegisterEis>(EUM, testbed.register_request(eis)).await;
    testbed
}

#[tokio::test]
async fn pol2_applies_after_an_audit_if_the_confirmation_was_not_answered() {
    let testbed = with_auto_delete().await;
    // No function is in progress here.
    testbed.card_notifies(1, ProfileChangeSucceeded, &isd_p(BOOTSTRAP)).await;
    testbed.job_ends(JobOutcome::NotDelivered("lost".to_owned())).await;
    assert!(testbed.jobs().await.is_empty(), "the card may still roll back");
    testbed.advance(AN_HOUR).await;
    audited(&testbed, &[(1, 0x3F), (2, 0x1F)]).await;
    testbed.received();
    let job = testbed.card_executes().await;
    assert_eq!(job.effect, Effect::Delete(isd_p(2)));
    let notification: es4::HandleProfileDeletedNotification = testbed.received_only(OTHER_OPERATOR);
    assert_eq!(notification.iccid, iccid(2));
}

#[tokio::test]
async fn a_deletion_refused_by_pol1_is_not_retried() {
    let testbed = with_auto_delete().await;
    testbed.card_notifies(1, ProfileChangeSucceeded, &isd_p(BOOTSTRAP)).await;
    testbed.card_accepts_confirmation(1, &[]).await;
    testbed.job_ends(JobOutcome::NotDelivered("off".to_owned())).await;
    testbed.advance(Duration::from_secs(24 * 3600)).await;
    testbed.card_answers(&[(&[], 0x69E1)]).await;
    testbed.advance(Duration::from_secs(48 * 3600)).await;
    assert!(testbed.jobs().await.is_empty());
    assert_eq!(testbed.state(2).await, Some(Disabled));
}

#[tokio::test]
async fn a_profile_is_not_deleted_after_a_change_of_its_rules() {
    let testbed = with_auto_delete().await;
    testbed.card_notifies(1, ProfileChangeSucceeded, &isd_p(BOOTSTRAP)).await;
    testbed.card_accepts_confirmation(1, &[]).await;
    testbed.job_ends(JobOutcome::NotDelivered("off".to_owned())).await;
    let request = es4::UpdatePolicyRulesRequest {
        base: super::switching::base(),
        eid: eid(),
        iccid: iccid(2),
        pol2: Some(rules(&[(Pol2Action::Delete, Pol2Qualification::NotAllowed)])),
    };
    testbed.call::<es4::UpdatePolicyRules>(OTHER_OPERATOR, request).await;
    testbed.advance(Duration::from_secs(48 * 3600)).await;
    assert!(testbed.jobs().await.is_empty());
    assert_eq!(testbed.state(2).await, Some(Disabled));
}
