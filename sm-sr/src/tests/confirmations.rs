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
    switching::{bench, enable, status},
    testbed::{BOOTSTRAP, EUM, OPERATOR, OTHER_OPERATOR, Rig, codes, eid, iccid, isd_p, rules},
};
use crate::es5::{Effect, JobOutcome};
use ProfileState::{Disabled, Enabled};

const AN_HOUR: Duration = Duration::from_secs(3601);

/// The card has enabled the second profile on request and notified it; the confirmation is at the
/// card.
async fn changed(rig: &Rig) {
    enable(rig, OTHER_OPERATOR, 2).await;
    rig.card_does_it().await;
    rig.card_tells(1, ProfileChangeSucceeded, &isd_p(2)).await;
    assert_eq!(rig.job().await.effect, Effect::ConfirmNotification(1));
}

/// Answers an audit that the SM-SR started itself.
async fn audited(rig: &Rig, isd_ps: &[(u8, u8)]) {
    let all: Vec<u8> =
        isd_ps.iter().flat_map(|(number, state)| status_of(*number, *state, *number == 1)).collect();
    let job = rig.card_answers(&[(&resources(1), OK), (&all, OK)]).await;
    assert_eq!(job.effect, Effect::Audit);
}

#[tokio::test]
async fn a_refused_confirmation_does_not_make_the_change_final() {
    let rig = bench().await;
    changed(&rig).await;
    rig.card_answers(&[(&[], 0x6A88)]).await;
    assert!(rig.told().is_empty(), "neither a response nor a notification");
    // The card rolls back and notifies it.
    rig.card_tells(2, ProfileChangeFailed, &isd_p(BOOTSTRAP)).await;
    let answer: es4::EnableProfileResponse = rig.told_only(OTHER_OPERATOR);
    assert_eq!(codes(&answer), ("8.1".into(), "4.2".into()));
    rig.card_takes_confirmation(2, &[]).await;
    assert_eq!((rig.state(2).await, rig.state(BOOTSTRAP).await), (Some(Disabled), Some(Enabled)));
}

#[tokio::test]
async fn an_audit_finds_a_change_whose_confirmation_was_not_answered() {
    let rig = bench().await;
    changed(&rig).await;
    rig.job_ends(JobOutcome::NotDelivered("lost".to_owned())).await;
    rig.pass(Duration::from_secs(601)).await;
    let answer: es4::EnableProfileResponse = rig.told_only(OTHER_OPERATOR);
    assert_eq!(status(&answer), ExecutionStatus::Expired);
    rig.pass(AN_HOUR).await;
    // POL1 deleted the profile that was disabled.
    audited(&rig, &[(2, 0x3F)]).await;
    assert_eq!(
        rig.told_briefly(),
        [
            ("another-operator.example".into(), "ES4-HandleProfileEnabledNotification".into()),
            ("operator.example".into(), "ES4-HandleProfileDeletedNotification".into()),
        ]
    );
    assert_eq!((rig.state(2).await, rig.state(BOOTSTRAP).await), (Some(Enabled), None));
    // It is notified only once.
    rig.pass(AN_HOUR).await;
    assert!(rig.jobs().await.is_empty() && rig.told().is_empty());
}

#[tokio::test]
async fn an_audit_finds_a_roll_back_that_was_not_notified() {
    let rig = bench().await;
    changed(&rig).await;
    rig.job_ends(JobOutcome::Expired).await;
    rig.pass(Duration::from_secs(601)).await;
    rig.told();
    rig.pass(AN_HOUR).await;
    audited(&rig, &[(1, 0x3F), (2, 0x1F)]).await;
    assert!(rig.told().is_empty(), "from the owners' point of view nothing has changed");
    assert_eq!((rig.state(2).await, rig.state(BOOTSTRAP).await), (Some(Disabled), Some(Enabled)));
}

#[tokio::test]
async fn a_response_to_a_repeated_confirmation_is_followed_by_an_audit() {
    let rig = bench().await;
    changed(&rig).await;
    rig.job_ends(JobOutcome::AnsweredAgain(response(&[(&[], OK)]))).await;
    // The change is final; the audit shows whether POL1 deleted the disabled profile.
    let told = rig.told();
    assert!(told.iter().any(|told| told.element() == "ES4-EnableProfileResponse"));
    audited(&rig, &[(2, 0x3F)]).await;
    let news: es4::HandleProfileDeletedNotification = rig.told_only(OPERATOR);
    assert_eq!((news.eid, news.iccid), (eid(), iccid(BOOTSTRAP)));
    assert_eq!(rig.state(BOOTSTRAP).await, None);
}

#[tokio::test]
async fn pol2_applies_after_an_audit_if_the_confirmation_was_not_answered() {
    let rig = Rig::new().await;
    let mut eis = rig.eis();
    eis.profile_info[0].state = Disabled;
    let mut enabled = rig.profile(2, OTHER_OPERATOR, Enabled, false);
    enabled.pol2 = rules(&[(Pol2Action::Disable, Pol2Qualification::AutoDelete)]);
    eis.profile_info.push(enabled);
    rig.ask::<es1::RegisterEis>(EUM, rig.register_request(eis)).await;
    // No function is in progress here.
    rig.card_tells(1, ProfileChangeSucceeded, &isd_p(BOOTSTRAP)).await;
    rig.job_ends(JobOutcome::NotDelivered("lost".to_owned())).await;
    assert!(rig.jobs().await.is_empty(), "the card may still roll back");
    rig.pass(AN_HOUR).await;
    audited(&rig, &[(1, 0x3F), (2, 0x1F)]).await;
    rig.told();
    let job = rig.card_does_it().await;
    assert_eq!(job.effect, Effect::Delete(isd_p(2)));
    let news: es4::HandleProfileDeletedNotification = rig.told_only(OTHER_OPERATOR);
    assert_eq!(news.iccid, iccid(2));
}

#[tokio::test]
async fn a_deletion_refused_by_pol1_is_not_retried() {
    let rig = Rig::new().await;
    let mut eis = rig.eis();
    eis.profile_info[0].state = Disabled;
    let mut enabled = rig.profile(2, OTHER_OPERATOR, Enabled, false);
    enabled.pol2 = rules(&[(Pol2Action::Disable, Pol2Qualification::AutoDelete)]);
    eis.profile_info.push(enabled);
    rig.ask::<es1::RegisterEis>(EUM, rig.register_request(eis)).await;
    rig.card_tells(1, ProfileChangeSucceeded, &isd_p(BOOTSTRAP)).await;
    rig.card_takes_confirmation(1, &[]).await;
    rig.job_ends(JobOutcome::NotDelivered("off".to_owned())).await;
    rig.pass(Duration::from_secs(24 * 3600)).await;
    rig.card_answers(&[(&[], 0x69E1)]).await;
    rig.pass(Duration::from_secs(48 * 3600)).await;
    assert!(rig.jobs().await.is_empty());
    assert_eq!(rig.state(2).await, Some(Disabled));
}
