//! Tests that the records of each release can be read. The folder `tests/stored` of the crate has
//! fixtures for each stored form.

use std::{path::PathBuf, sync::Arc};

use rsp::sgp02::{
    ExecutionStatus, Namespace, eis::ProfileState, es4,
    notification::NotificationType::ProfileChangeSucceeded,
};

use super::{
    handover,
    stored_records::{Fixture, NamedRecords, file},
    switching,
    testbed::{BOOTSTRAP, OPERATOR, OTHER_OPERATOR, Testbed, eid, isd_p},
};
use crate::records::{ADDRESSES, AUDIT, CARDS, DEADLINES, OPERATIONS, PEERS, PREPARED, TAKEOVERS};

fn path(name: &str) -> PathBuf {
    file(env!("CARGO_MANIFEST_DIR"), name)
}

/// The sequence number of the card's notification.
const NOTIFICATION: u16 = 5;

/// A card that has enabled a profile and waits for the confirmation, with another function in the
/// queue.
async fn regenerate_switching(path: &std::path::Path) {
    let records = NamedRecords::default();
    let testbed = Testbed::on_records(Arc::new(records.clone()), Namespace::V3).await;
    testbed.register_with([testbed.profile(2, OTHER_OPERATOR, ProfileState::Disabled, false)]).await;
    switching::enable(&testbed, OTHER_OPERATOR, 2).await;
    let request = es4::AuditEisRequest { base: switching::base(), eid: eid(), iccid: Vec::new() };
    testbed.call::<es4::AuditEis>(OPERATOR, request).await;
    testbed.card_executes().await;
    testbed.card_notifies(NOTIFICATION, ProfileChangeSucceeded, &isd_p(2)).await;
    records.regenerate(path).await;
}

/// An SM-SR that takes a card over. Another operator has also prepared the change.
async fn regenerate_takeover(path: &std::path::Path) {
    let records = NamedRecords::default();
    let first = Testbed::new().await;
    let second = first.another_on_records(Arc::new(records.clone())).await;
    handover::prepare_handover(&first, &second, ProfileState::Disabled).await;
    handover::change(&first).await;
    handover::run_both(&first, &second).await;
    let current_smsr_id = second.id(super::testbed::SM_SR);
    let request = es4::PrepareSmsrChangeRequest { base: handover::base(), eid: eid(), current_smsr_id };
    second.call::<es4::PrepareSmsrChange>(OTHER_OPERATOR, request).await;
    records.regenerate(path).await;
}

#[tokio::test]
async fn the_records_of_each_release_can_be_read() {
    let path = path("0.1.json");
    regenerate_switching(&path).await;
    let mut fixture = Fixture::read(&path);
    let testbed = Testbed::on_records(Arc::new(fixture.records().await), Namespace::V3).await;
    assert_eq!(testbed.server().operations(eid()).await.unwrap().len(), 2);

    // The function from the fixture ends, and its caller gets the response.
    testbed.card_accepts_confirmation(NOTIFICATION, &[]).await;
    let states = (testbed.state(2).await, testbed.state(BOOTSTRAP).await);
    assert_eq!(states, (Some(ProfileState::Enabled), Some(ProfileState::Disabled)));
    let received = testbed.received();
    let answer = received.iter().find(|it| it.to == testbed.authority(OTHER_OPERATOR)).unwrap();
    let answer: es4::EnableProfileResponse = answer.message();
    assert_eq!(switching::status(&answer), ExecutionStatus::ExecutedSuccess);

    fixture.check_kept(&CARDS).await;
    fixture.check_kept(&OPERATIONS).await;
    fixture.check_kept(&ADDRESSES).await;
    fixture.check_kept(&AUDIT).await;
    fixture.check_kept(&DEADLINES).await;
    fixture.check_kept(&PEERS).await;
    fixture.used("es5-");
    fixture.used("soap-");
    fixture.all_checked();
}

#[tokio::test]
async fn the_records_of_a_takeover_of_each_release_can_be_read() {
    let path = path("takeover-0.1.json");
    regenerate_takeover(&path).await;
    let mut fixture = Fixture::read(&path);
    let first = Testbed::new().await;
    let second = first.another_on_records(Arc::new(fixture.records().await)).await;
    assert!(second.server().cards().await.unwrap().is_empty());

    fixture.check_kept(&TAKEOVERS).await;
    fixture.check_kept(&PREPARED).await;
    fixture.check_kept(&DEADLINES).await;
    fixture.check_kept(&PEERS).await;
    fixture.used("es5-");
    fixture.used("soap-");
    fixture.all_checked();
}
