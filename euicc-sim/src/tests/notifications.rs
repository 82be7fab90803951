//! Notifications from the event to the removal: SGP.22 sections 3.5 and 5.7.9 to 5.7.11.

use crypto::{Curve, Signature};
use rsp::der::{Asn1, BitString};
use rsp::sgp22::es10b::{
    DeleteNotificationStatus, ListNotificationRequest, ListNotificationResponse, NotificationSearch,
    NotificationSentRequest, NotificationSentResponse, RetrieveNotificationsListRequest,
    RetrieveNotificationsListResponse,
};
use rsp::sgp22::{
    NotificationConfigurationInformation, NotificationMetadata, PendingNotification, notification_event,
};

use super::bench::Bench;
use super::download::ICCID;
use super::server::{ADDRESS, Goods, Server, outcome};
use crate::notifications::MAX_NOTIFICATIONS;

const EVENTS: [usize; 4] = [
    notification_event::INSTALL,
    notification_event::ENABLE,
    notification_event::DISABLE,
    notification_event::DELETE,
];

fn list(bench: &mut Bench, events: Option<&[usize]>) -> Vec<NotificationMetadata> {
    let request = ListNotificationRequest { profile_management_operation: events.map(BitString::of) };
    match bench.call(&request) {
        ListNotificationResponse::NotificationMetadataList(list) => list,
        ListNotificationResponse::ListNotificationsResultError(code) => panic!("error {code}"),
    }
}

fn numbers(bench: &mut Bench, events: Option<&[usize]>) -> Vec<i64> {
    list(bench, events).iter().map(|each| each.seq_number).collect()
}

fn retrieve(bench: &mut Bench, search: Option<NotificationSearch>) -> Result<Vec<i64>, i64> {
    let key = bench.public_key(Curve::P256);
    match bench.call(&RetrieveNotificationsListRequest { search_criteria: search }) {
        RetrieveNotificationsListResponse::NotificationList(list) => Ok(list
            .iter()
            .map(|notification| {
                let (signed, signature, number) = match &**notification {
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

fn remove(bench: &mut Bench, seq_number: i64) -> DeleteNotificationStatus {
    bench.call::<NotificationSentResponse>(&NotificationSentRequest { seq_number }).delete_notification_status
}

/// A card with the notifications 1 to 4: installed, enabled, disabled and deleted.
fn with_four() -> Bench {
    let mut bench = Bench::new();
    let goods = Goods::small(ICCID);
    assert_eq!(outcome(&Server::new(&bench, Curve::P256).download(&mut bench, &goods)), Ok(()));
    bench.enable(goods.iccid(), false);
    bench.disable(goods.iccid(), false);
    bench.delete(goods.iccid());
    bench
}

#[test]
fn every_event_creates_notifications_for_its_configured_receivers() {
    for mask in 0..16_usize {
        let chosen: Vec<usize> = EVENTS.into_iter().filter(|event| mask & (1 << event) != 0).collect();
        let mut bench = Bench::new();
        let mut goods = Goods::small(ICCID);
        let to = |address: &str, events: &[usize]| NotificationConfigurationInformation {
            profile_management_operation: BitString::of(events),
            notification_address: address.to_owned(),
        };
        goods.metadata.notification_configuration_info =
            Some(vec![to("a.example.com", &chosen), to("b.example.com", &EVENTS)]);
        let server = Server::new(&bench, Curve::P256);
        assert_eq!(outcome(&server.download(&mut bench, &goods)), Ok(()));
        bench.enable(goods.iccid(), false);
        bench.disable(goods.iccid(), false);
        bench.delete(goods.iccid());
        let mut expected = vec![(notification_event::INSTALL, ADDRESS)];
        for event in EVENTS {
            expected.extend(chosen.contains(&event).then_some((event, "a.example.com")));
            expected.push((event, "b.example.com"));
        }
        let listed = list(&mut bench, None);
        let found: Vec<_> = listed
            .iter()
            .map(|each| (each.profile_management_operation.ones()[0], each.notification_address.as_str()))
            .collect();
        assert_eq!(found, expected, "{chosen:?}");
        assert!(listed.iter().zip(1..).all(|(each, number)| each.seq_number == number));
        assert!(listed.iter().all(|each| each.iccid == Some(goods.iccid())));
    }
}

#[test]
fn notifications_are_found_by_event_and_by_number() {
    let mut bench = with_four();
    assert_eq!(numbers(&mut bench, None), [1, 2, 3, 4]);
    for (event, number) in EVENTS.into_iter().zip(1..) {
        assert_eq!(numbers(&mut bench, Some(&[event])), [number]);
        let by_event = NotificationSearch::ProfileManagementOperation(BitString::of(&[event]));
        assert_eq!(retrieve(&mut bench, Some(by_event)), Ok(vec![number]));
        assert_eq!(retrieve(&mut bench, Some(NotificationSearch::SeqNumber(number))), Ok(vec![number]));
    }
    assert_eq!(numbers(&mut bench, Some(&[0, 3])), [1, 4]);
    // An empty set of events and an event of v3 match nothing.
    assert!(numbers(&mut bench, Some(&[])).is_empty());
    assert!(numbers(&mut bench, Some(&[7])).is_empty());
    assert_eq!(retrieve(&mut bench, None), Ok(vec![1, 2, 3, 4]));
    assert_eq!(retrieve(&mut bench, Some(NotificationSearch::SeqNumber(5))), Err(1));
}

#[test]
fn a_notification_stays_until_it_is_removed() {
    let mut bench = with_four();
    // A repeated retrieval returns the same octets, even after a reset.
    let search = RetrieveNotificationsListRequest { search_criteria: Some(NotificationSearch::SeqNumber(2)) };
    let first = bench.es10(&search.to_der()).unwrap();
    bench.reset();
    assert_eq!(bench.es10(&search.to_der()).unwrap(), first);
    // Notifications can be removed in any order and before they were retrieved, but only once.
    for number in [3, 1] {
        assert_eq!(remove(&mut bench, number), DeleteNotificationStatus::OK);
        assert_eq!(remove(&mut bench, number), DeleteNotificationStatus::NOTHING_TO_DELETE);
    }
    for nothing in [0, -1, 5, i64::MAX] {
        assert_eq!(remove(&mut bench, nothing), DeleteNotificationStatus::NOTHING_TO_DELETE);
    }
    assert_eq!(numbers(&mut bench, None), [2, 4]);
}

#[test]
fn sequence_numbers_are_never_reused() {
    let mut bench = with_four();
    for number in 1..=4 {
        remove(&mut bench, number);
    }
    bench.reset();
    let goods = Goods::small(ICCID);
    Server::new(&bench, Curve::P256).download(&mut bench, &goods);
    assert_eq!(numbers(&mut bench, None), [5]);
}

#[test]
fn a_full_list_discards_its_oldest_notification() {
    let mut bench = Bench::new();
    let goods = Goods::small(ICCID);
    Server::new(&bench, Curve::P256).download(&mut bench, &goods);
    for _ in 0..MAX_NOTIFICATIONS / 2 {
        bench.enable(goods.iccid(), false);
        bench.disable(goods.iccid(), false);
    }
    let last = i64::try_from(MAX_NOTIFICATIONS).unwrap() + 1;
    assert_eq!(numbers(&mut bench, None), (2..=last).collect::<Vec<_>>());
}
