//! Unique numbers and limits: MSISDNs, the queue, the audit trail.

use rsp::sgp02::{BaseRequest, SubscriptionAddress, eis::ProfileState, es1, es3, es4};
use world::{PhoneNumber, Tx};

use super::testbed::{
    BOOTSTRAP, EUM, OPERATOR, OTHER_OPERATOR, SM_DP, Testbed, codes, eid, iccid, response_message,
};
use crate::{
    config::{MAX_QUEUE_LENGTH, MAX_TRAIL_RECORDS},
    es5::JobOutcome,
    records::{ADDRESSES, CARDS, Card},
};

/// MSISDNs of the bootstrap profile and of the second profile.
const FIRST: &str = "491510000001";
const SECOND: &str = "491510000002";
/// MSISDN of a profile on another card.
const NUMBER_OF_OTHER_CARD: &str = "4915777777777";

fn base() -> BaseRequest {
    BaseRequest::new("")
}

/// Creates the bootstrap profile, profile 2 of the other operator, profile 3 of the operator, and
/// another card.
async fn new_testbed() -> Testbed {
    let testbed = Testbed::new().await;
    testbed
        .register_with([
            testbed.profile(2, OTHER_OPERATOR, ProfileState::Disabled, false),
            testbed.profile(3, OPERATOR, ProfileState::Disabled, false),
        ])
        .await;
    let mut other = testbed.card().await;
    other.eis.profile_info.truncate(1);
    set_number(&testbed, &mut other, Some(NUMBER_OF_OTHER_CARD)).await;
    testbed
}

/// Sets the number of the other card.
async fn set_number(testbed: &Testbed, other: &mut Card, number: Option<&str>) {
    let other_eid = testbed.pki.eids(crypto::Curve::P256)[1];
    other.eis.profile_info[0].subscription_address.msisdn = number.map(|number| number.parse().unwrap());
    world::transact(testbed.records(), |tx| {
        let put = tx.put(&CARDS, &other_eid.to_string(), other);
        let put = put.and_then(|()| tx.put(&ADDRESSES, NUMBER_OF_OTHER_CARD, &other_eid));
        Box::pin(async { put })
    })
    .await
    .unwrap();
}

fn address(number: &str) -> SubscriptionAddress {
    SubscriptionAddress { imsi: None, msisdn: Some(number.parse().unwrap()) }
}

async fn update(testbed: &Testbed, number: &str) -> es4::UpdateSubscriptionAddressResponse {
    let request = es4::UpdateSubscriptionAddressRequest {
        base: base(),
        eid: eid(),
        iccid: iccid(3),
        new_subscription_address: address(number),
    };
    response_message(&testbed.call::<es4::UpdateSubscriptionAddress>(OPERATOR, request).await)
}

fn in_use() -> (String, String) {
    ("8.2.6".to_owned(), "3.3".to_owned())
}

#[tokio::test]
async fn a_number_in_use_by_another_profile_is_refused() {
    let testbed = new_testbed().await;
    assert_eq!(codes(&update(&testbed, NUMBER_OF_OTHER_CARD).await), in_use());
    // Another operator on the same card cannot use it; a profile of the same operator can.
    assert_eq!(codes(&update(&testbed, SECOND).await), in_use());
    assert!(update(&testbed, FIRST).await.base.is_done());
    // The same applies when a download is completed.
    let mut created = testbed.card().await;
    created.eis.profile_info[2].state = ProfileState::Created;
    created.eis.profile_info[2].subscription_address.msisdn = None;
    testbed.replace_card(&created).await;
    let request = es3::ProfileDownloadCompletedRequest {
        base: base(),
        eid: eid(),
        iccid: iccid(3),
        profile_type: None,
        subscription_address: Some(address(NUMBER_OF_OTHER_CARD)),
        pol2: None,
    };
    let response = testbed.call::<es3::ProfileDownloadCompleted>(SM_DP, request).await;
    assert_eq!(codes(&response_message::<es3::ProfileDownloadCompletedResponse>(&response)), in_use());
    assert_eq!(testbed.state(3).await, Some(ProfileState::Created));
    // The number still belongs to the other card.
    let number = PhoneNumber::international(NUMBER_OF_OTHER_CARD).unwrap();
    let found =
        testbed.server().procedures().card_at(&mut Tx::begin(testbed.records()), &number).await.unwrap();
    assert_eq!(found, Some(testbed.pki.eids(crypto::Curve::P256)[1]));
}

#[tokio::test]
async fn a_released_number_can_be_used_again() {
    let testbed = new_testbed().await;
    let mut other = testbed.card().await;
    other.eis.profile_info.truncate(1);
    set_number(&testbed, &mut other, None).await;
    assert!(update(&testbed, NUMBER_OF_OTHER_CARD).await.base.is_done());
    let number = PhoneNumber::international(NUMBER_OF_OTHER_CARD).unwrap();
    let found =
        testbed.server().procedures().card_at(&mut Tx::begin(testbed.records()), &number).await.unwrap();
    assert_eq!(found, Some(eid()));
}

#[tokio::test]
async fn a_card_with_the_number_of_another_is_refused() {
    let testbed = Testbed::new().await;
    let mut other = Card::new(testbed.eis());
    set_number(&testbed, &mut other, Some(NUMBER_OF_OTHER_CARD)).await;
    let mut eis = testbed.eis();
    eis.profile_info[0].subscription_address = address(NUMBER_OF_OTHER_CARD);
    let response = testbed.call::<es1::RegisterEis>(EUM, testbed.register_request(eis)).await;
    assert_eq!(codes(&response_message::<es1::RegisterEisResponse>(&response)), in_use());
    assert_eq!(testbed.state(BOOTSTRAP).await, None);
}

#[tokio::test]
async fn the_length_of_the_queue_is_limited() {
    let testbed = new_testbed().await;
    for _ in 0..MAX_QUEUE_LENGTH {
        audit(&testbed).await;
    }
    assert!(testbed.received().is_empty());
    for _ in 0..2 {
        audit(&testbed).await;
        let refused: es4::AuditEisResponse = testbed.received_only(OPERATOR);
        assert_eq!(codes(&refused), ("8.1".to_owned(), "3.7".to_owned()));
        // After one function has ended, another one is accepted.
        testbed.job_ends(JobOutcome::NotDelivered("off".to_owned())).await;
        testbed.received();
        audit(&testbed).await;
        assert!(testbed.received().is_empty());
    }
    assert_eq!(testbed.server().operations(eid()).await.unwrap().len(), MAX_QUEUE_LENGTH);
}

async fn audit(testbed: &Testbed) {
    let request = es4::AuditEisRequest { base: base(), eid: eid(), iccid: vec![] };
    testbed.call::<es4::AuditEis>(OPERATOR, request).await;
}

#[tokio::test]
async fn the_audit_trail_is_limited_to_the_latest_records() {
    let testbed = new_testbed().await;
    delete_unknown_profile(&testbed).await;
    let mut card = testbed.card().await;
    card.next_record = MAX_TRAIL_RECORDS;
    testbed.replace_card(&card).await;
    let count = async || testbed.server().audit_trail(eid()).await.unwrap().len();
    delete_unknown_profile(&testbed).await;
    assert_eq!(count().await, 2);
    for _ in 0..3 {
        delete_unknown_profile(&testbed).await;
    }
    // The first record has been deleted.
    assert_eq!(count().await, 4);
}

/// Adds one record to the audit trail.
async fn delete_unknown_profile(testbed: &Testbed) {
    let request = es4::DeleteProfileRequest { base: base(), eid: eid(), iccid: iccid(9) };
    testbed.call::<es4::DeleteProfile>(OPERATOR, request).await;
}
