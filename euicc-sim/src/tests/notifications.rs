//! Notifications from the event to the removal: SGP.22 sections 3.5 and 5.7.9 to 5.7.11.

use crypto::{Curve, Signature};
use rsp::der::{Asn1, BitString};
use rsp::sgp22::es10b::{
    DeleteNotificationStatus, ListNotificationRequest, ListNotificationResponse, NotificationSearch,
    NotificationSentRequest, NotificationSentResponse, NotificationsListResultError,
    RetrieveNotificationsListRequest, RetrieveNotificationsListResponse,
};
use rsp::sgp22::{
    NotificationConfigurationInformation, NotificationMetadata, PendingNotification, notification_event,
};

use super::download::ICCID;
use super::server::{ADDRESS, Server, TestPackage, outcome};
use super::testbed::Testbed;
use crate::notifications::MAX_NOTIFICATIONS;

const EVENTS: [usize; 4] = [
    notification_event::INSTALL,
    notification_event::ENABLE,
    notification_event::DISABLE,
    notification_event::DELETE,
];

fn list(testbed: &mut Testbed, events: Option<&[usize]>) -> Vec<NotificationMetadata> {
    let request = ListNotificationRequest { profile_management_operation: events.map(BitString::of) };
    match testbed.call(&request) {
        ListNotificationResponse::NotificationMetadataList(list) => list.0,
        ListNotificationResponse::ListNotificationsResultError(code) => panic!("error {code}"),
    }
}

fn numbers(testbed: &mut Testbed, events: Option<&[usize]>) -> Vec<i64> {
    list(testbed, events).iter().map(|each| each.seq_number).collect()
}

fn retrieve(
    testbed: &mut Testbed,
    search: Option<NotificationSearch>,
) -> Result<Vec<i64>, NotificationsListResultError> {
    let key = testbed.public_key(Curve::P256);
    match testbed.call(&RetrieveNotificationsListRequest { search_criteria: search }) {
        RetrieveNotificationsListResponse::NotificationList(list) => Ok(list
            .iter()
            .map(|notification| {
                let notification = notification.decode().unwrap();
                let (signed, signature, number) = match &*notification {
                    PendingNotification::ProfileInstallationResult(result) => {
                        let data = &result.profile_installation_result_data;
                        (data.bytes(), &result.euicc_sign_pir, data.notification_metadata.seq_number)
                    }
                    PendingNotification::OtherSignedNotification(other) => {
                        let tbs = &other.tbs_other_notification;
                        (tbs.bytes(), &other.euicc_notification_signature, tbs.seq_number)
                    }
                };
                key.verify(signed, &Signature::from_slice(signature).unwrap()).unwrap();
                number
            })
            .collect()),
        RetrieveNotificationsListResponse::NotificationsListResultError(code) => Err(code),
    }
}

fn remove(testbed: &mut Testbed, seq_number: i64) -> DeleteNotificationStatus {
    testbed
        .call::<NotificationSentResponse>(&NotificationSentRequest { seq_number })
        .delete_notification_status
}

/// A card with the notifications 1 to 4: installed, enabled, disabled and deleted.
fn with_four() -> Testbed {
    let mut testbed = Testbed::new();
    let test_package = TestPackage::small(ICCID);
    assert_eq!(outcome(&Server::new(&testbed, Curve::P256).download(&mut testbed, &test_package)), Ok(()));
    testbed.enable(test_package.iccid(), false);
    testbed.disable(test_package.iccid(), false);
    testbed.delete(test_package.iccid());
    testbed
}

// req: SGP.22-3.5-Receivers
#[test]
fn every_event_creates_notifications_for_its_configured_receivers() {
    for mask in 0..16_usize {
        let chosen: Vec<usize> = EVENTS.into_iter().filter(|event| mask & (1 << event) != 0).collect();
        let mut testbed = Testbed::new();
        let mut test_package = TestPackage::small(ICCID);
        let to = |address: &str, events: &[usize]| NotificationConfigurationInformation {
            profile_management_operation: BitString::of(events),
            notification_address: address.to_owned(),
        };
        test_package.metadata.notification_configuration_info =
            Some(vec![to("a.example.com", &chosen), to("b.example.com", &EVENTS)]);
        let server = Server::new(&testbed, Curve::P256);
        assert_eq!(outcome(&server.download(&mut testbed, &test_package)), Ok(()));
        testbed.enable(test_package.iccid(), false);
        testbed.disable(test_package.iccid(), false);
        testbed.delete(test_package.iccid());
        let mut expected = vec![(notification_event::INSTALL, ADDRESS)];
        for event in EVENTS {
            expected.extend(chosen.contains(&event).then_some((event, "a.example.com")));
            expected.push((event, "b.example.com"));
        }
        let listed = list(&mut testbed, None);
        let found: Vec<_> = listed
            .iter()
            .map(|each| (each.profile_management_operation.ones()[0], each.notification_address.as_str()))
            .collect();
        assert_eq!(found, expected, "{chosen:?}");
        assert!(listed.iter().zip(1..).all(|(each, number)| each.seq_number == number));
        assert!(listed.iter().all(|each| each.iccid == Some(test_package.iccid())));
    }
}

#[test]
fn notifications_are_found_by_event_and_by_number() {
    let mut testbed = with_four();
    assert_eq!(numbers(&mut testbed, None), [1, 2, 3, 4]);
    for (event, number) in EVENTS.into_iter().zip(1..) {
        assert_eq!(numbers(&mut testbed, Some(&[event])), [number]);
        let by_event = NotificationSearch::ProfileManagementOperation(BitString::of(&[event]));
        assert_eq!(retrieve(&mut testbed, Some(by_event)), Ok(vec![number]));
        assert_eq!(retrieve(&mut testbed, Some(NotificationSearch::SeqNumber(number))), Ok(vec![number]));
    }
    assert_eq!(numbers(&mut testbed, Some(&[0, 3])), [1, 4]);
    // An empty set of events and an event of v3 match nothing.
    assert!(numbers(&mut testbed, Some(&[])).is_empty());
    assert!(numbers(&mut testbed, Some(&[7])).is_empty());
    assert_eq!(retrieve(&mut testbed, None), Ok(vec![1, 2, 3, 4]));
    assert_eq!(retrieve(&mut testbed, Some(NotificationSearch::SeqNumber(5))), Ok(vec![]));
}

/// As other cards answer: an empty list, not an error.
#[test]
fn a_card_without_notifications_returns_an_empty_list() {
    let mut testbed = Testbed::new();
    assert_eq!(retrieve(&mut testbed, None), Ok(vec![]));
    let request = RetrieveNotificationsListRequest { search_criteria: None };
    let answer: RetrieveNotificationsListResponse = testbed.call(&request);
    assert_eq!(hex::encode(answer.to_der()), "bf2b02a000");
}

#[test]
fn a_notification_stays_until_it_is_removed() {
    let mut testbed = with_four();
    // A repeated retrieval returns the same octets, even after a reset.
    let search = RetrieveNotificationsListRequest { search_criteria: Some(NotificationSearch::SeqNumber(2)) };
    let first = testbed.es10(&search.to_der()).unwrap();
    testbed.reset();
    assert_eq!(testbed.es10(&search.to_der()).unwrap(), first);
    // Notifications can be removed in any order and before they were retrieved, but only once.
    for number in [3, 1] {
        assert_eq!(remove(&mut testbed, number), DeleteNotificationStatus::OK);
        assert_eq!(remove(&mut testbed, number), DeleteNotificationStatus::NOTHING_TO_DELETE);
    }
    for nothing in [0, -1, 5, i64::MAX] {
        assert_eq!(remove(&mut testbed, nothing), DeleteNotificationStatus::NOTHING_TO_DELETE);
    }
    assert_eq!(numbers(&mut testbed, None), [2, 4]);
}

// req: SGP.22-3.5-SequenceNumber
#[test]
fn sequence_numbers_are_never_reused() {
    let mut testbed = with_four();
    for number in 1..=4 {
        remove(&mut testbed, number);
    }
    testbed.reset();
    let test_package = TestPackage::small(ICCID);
    Server::new(&testbed, Curve::P256).download(&mut testbed, &test_package);
    assert_eq!(numbers(&mut testbed, None), [5]);
}

// req: SGP.22-3.5-Full
#[test]
fn a_full_list_discards_its_oldest_notification() {
    let mut testbed = Testbed::new();
    let test_package = TestPackage::small(ICCID);
    Server::new(&testbed, Curve::P256).download(&mut testbed, &test_package);
    for _ in 0..MAX_NOTIFICATIONS / 2 {
        testbed.enable(test_package.iccid(), false);
        testbed.disable(test_package.iccid(), false);
    }
    let last = i64::try_from(MAX_NOTIFICATIONS).unwrap() + 1;
    assert_eq!(numbers(&mut testbed, None), (2..=last).collect::<Vec<_>>());
}
