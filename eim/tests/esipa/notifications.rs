//! HandleNotification and the delivery of notifications to SM-DP+s.

use std::{collections::BTreeSet, time::Duration};

use eim::config::MAX_WAITING_NOTIFICATIONS_PER_DEVICE;
use rsp::{
    der::{Asn1, Opaque, Raw},
    finding::FindingKind,
    sgp22::notification_event,
    sgp32::{
        PendingNotification,
        compact::CompactOtherSignedNotification,
        esipa::{EimPackageResult, EprAndNotifications, HandleNotificationRequest},
        notification::PendingNotificationList,
    },
};

use super::support::*;

// req: SGP.32-3.3.1-Notifications
#[tokio::test]
async fn the_notifications_of_a_result_are_acknowledged_and_delivered() {
    for binding in BINDINGS {
        let testbed = Testbed::new();
        let mut card = testbed.registered().await;
        let (ipa, euicc) = (testbed.ipa(binding), card.sgp22(&testbed));
        let notification = |number, event| {
            PendingNotification::OtherSignedNotification(euicc.notification(number, event, SM_DP, iccid()))
        };
        let mut forged = euicc.notification(9, notification_event::ENABLE, SM_DP, iccid());
        forged.euicc_notification_signature[3] ^= 1;
        let list = [
            notification(7, notification_event::ENABLE),
            PendingNotification::OtherSignedNotification(forged),
            notification(8, notification_event::DISABLE),
        ];
        let list = list.into_iter().map(|notification| Raw::new(notification).into());
        let unreadable = Opaque::new(vec![0x30, 0x02, 0x05, 0x00]);
        let id = testbed.enable(&card).await;
        let result = card.execute(&*ipa.package(card.eid).await);
        let both = EimPackageResult::EprAndNotifications(Box::new(EprAndNotifications {
            euicc_package_result: Raw::new(result),
            notification_list: PendingNotificationList(list.chain([unreadable]).collect()),
        }));
        // The IPA repeats a result whose acknowledgement was lost. Nothing is delivered twice.
        for _ in 0..2 {
            assert_eq!(ipa.provide(card.eid, both.clone()).await, acknowledged(&[1, 7, 8]));
        }
        let findings = testbed.events.all().into_iter().flat_map(|event| event.findings);
        let found = findings.filter(|finding| finding.kind == FindingKind::NotificationUnreadable);
        let found: BTreeSet<_> = found.map(|finding| finding.detail).collect();
        assert_eq!(found.len(), 2, "the forged one and the unreadable one: {found:?}");
        assert!(testbed.state(&id).await.is_ended());
        assert_eq!(testbed.eim.waiting_notifications().await.unwrap().len(), 2);
        assert_eq!(testbed.eim.deliver_due().await.unwrap(), None);
        assert!(testbed.eim.waiting_notifications().await.unwrap().is_empty());
        let received = testbed.events.all().into_iter();
        let received =
            received.filter(|event| event.party == "SM-DP+" && event.function == "HandleNotification");
        assert_eq!(received.count(), 2);
    }
}

// req: SGP.32-5.14.7-Compact
#[tokio::test]
async fn a_compact_notification_is_expanded_with_the_certificates_of_the_device() {
    let testbed = Testbed::new();
    let card = testbed.registered().await;
    let (ipa, euicc) = (testbed.ipa(Binding::Asn1), card.sgp22(&testbed));
    let full = euicc.notification(3, notification_event::DELETE, SM_DP, iccid());
    let compact = CompactOtherSignedNotification::of(&full, Some(card.eid));
    let compact = Raw::new(PendingNotification::CompactOtherSignedNotification(compact));
    let request = HandleNotificationRequest::PendingNotification(Box::new(compact));
    assert_eq!(ipa.notify(&request).await, 204);
    let waiting = testbed.eim.waiting_notifications().await.unwrap();
    assert_eq!(waiting[0].notification.0, full.to_der());
}

#[tokio::test]
async fn a_notification_waits_for_its_recipient_and_is_retried() {
    let testbed = Testbed::new();
    let card = testbed.registered().await;
    let (ipa, euicc) = (testbed.ipa(Binding::Json), card.sgp22(&testbed));
    let full = euicc.notification(3, notification_event::DELETE, "away.example", iccid());
    let full = Raw::new(PendingNotification::OtherSignedNotification(full));
    let request = HandleNotificationRequest::PendingNotification(Box::new(full));
    assert_eq!(ipa.notify(&request).await, 204);
    for seconds in [1, 2, 4] {
        let next = testbed.eim.deliver_due().await.unwrap().unwrap();
        assert_eq!(next.since(world::Clock::now(&testbed.clock)), Duration::from_secs(seconds));
        testbed.wait(Duration::from_secs(seconds));
    }
    testbed.wait(eim::config::DELIVERY_LIFETIME);
    assert_eq!(testbed.eim.deliver_due().await.unwrap(), None);
    assert!(testbed.eim.waiting_notifications().await.unwrap().is_empty());
}

/// The second notification arrives while the first one waits for its next attempt.
#[tokio::test]
async fn a_later_notification_waits_behind_the_earlier_one() {
    let testbed = Testbed::new();
    let card = testbed.registered().await;
    let (ipa, euicc) = (testbed.ipa(Binding::Json), card.sgp22(&testbed));
    for number in [3, 4] {
        let full = euicc.notification(number, notification_event::DELETE, "away.example", iccid());
        let full = Raw::new(PendingNotification::OtherSignedNotification(full));
        let request = HandleNotificationRequest::PendingNotification(Box::new(full));
        assert_eq!(ipa.notify(&request).await, 204);
        let next = testbed.eim.deliver_due().await.unwrap().unwrap();
        assert_eq!(next.since(world::Clock::now(&testbed.clock)), Duration::from_secs(1));
    }
    let failures: Vec<_> = testbed.eim.waiting_notifications().await.unwrap();
    assert_eq!(failures.iter().map(|waiting| waiting.failures).collect::<Vec<_>>(), [1, 0]);
}

#[tokio::test]
async fn a_notification_of_an_unknown_or_another_card_is_refused() {
    let testbed = Testbed::new();
    let card = testbed.registered().await;
    let ipa = testbed.ipa(Binding::Asn1);
    let eid = testbed.pki.eids(crypto::Curve::P256)[1];
    let credentials = testbed.pki.euicc(crypto::Curve::P256, eid).unwrap();
    let other = sgp23::euicc::Euicc::new(credentials, testbed.random.branch("other")).unwrap();
    let unknown = other.notification(3, notification_event::DELETE, SM_DP, iccid());
    // The signature of another card under the certificate of this one.
    let mut forged = unknown.clone();
    let own = card.sgp22(&testbed).notification(3, notification_event::DELETE, SM_DP, iccid());
    forged.euicc_certificate = own.euicc_certificate;
    for refused in [unknown, forged] {
        let refused = Raw::new(PendingNotification::OtherSignedNotification(refused));
        let request = HandleNotificationRequest::PendingNotification(Box::new(refused));
        assert_eq!(ipa.notify(&request).await, 400);
    }
    assert!(testbed.eim.waiting_notifications().await.unwrap().is_empty());
}

/// The notifications over the limit stay on the card until others have been delivered.
#[tokio::test]
async fn a_device_has_a_limited_number_of_waiting_notifications() {
    let testbed = Testbed::new();
    let card = testbed.registered().await;
    let (ipa, euicc) = (testbed.ipa(Binding::Json), card.sgp22(&testbed));
    let notify = async |number: i64, address: &str| {
        let full = euicc.notification(number, notification_event::DELETE, address, iccid());
        let full = Raw::new(PendingNotification::OtherSignedNotification(full));
        ipa.notify(&HandleNotificationRequest::PendingNotification(Box::new(full))).await
    };
    let limit = i64::try_from(MAX_WAITING_NOTIFICATIONS_PER_DEVICE).unwrap();
    for number in 2..=limit {
        assert_eq!(notify(number, "away.example").await, 204);
    }
    assert_eq!(notify(1, SM_DP).await, 204);
    assert_eq!(notify(limit + 1, "another.example").await, 503);
    assert!(testbed.has_finding(FindingKind::NotificationOverLimit));
    assert_eq!(notify(limit, "away.example").await, 204, "a repetition is not another notification");
    assert_eq!(
        testbed.eim.waiting_notifications().await.unwrap().len(),
        MAX_WAITING_NOTIFICATIONS_PER_DEVICE
    );
    testbed.eim.deliver_due().await.unwrap();
    assert_eq!(notify(limit + 1, "another.example").await, 204);
    assert_eq!(notify(limit + 2, "another.example").await, 503);
}

/// In a result, the notifications over the limit are not acknowledged.
#[tokio::test]
async fn the_acknowledgements_of_a_result_leave_out_the_notifications_over_the_limit() {
    let testbed = Testbed::new();
    let mut card = testbed.registered().await;
    let (ipa, euicc) = (testbed.ipa(Binding::Asn1), card.sgp22(&testbed));
    let limit = i64::try_from(MAX_WAITING_NOTIFICATIONS_PER_DEVICE).unwrap();
    let notification = |number| {
        let full = euicc.notification(number, notification_event::DELETE, "away.example", iccid());
        Raw::new(PendingNotification::OtherSignedNotification(full))
    };
    for number in 2..=limit {
        let request = HandleNotificationRequest::PendingNotification(Box::new(notification(number)));
        assert_eq!(ipa.notify(&request).await, 204);
    }
    testbed.enable(&card).await;
    let result = card.execute(&*ipa.package(card.eid).await);
    let both = EimPackageResult::EprAndNotifications(Box::new(EprAndNotifications {
        euicc_package_result: Raw::new(result),
        notification_list: PendingNotificationList(
            [limit + 1, limit + 2].map(|number| notification(number).into()).to_vec(),
        ),
    }));
    assert_eq!(ipa.provide(card.eid, both).await, acknowledged(&[1, limit + 1]));
    assert!(testbed.has_finding(FindingKind::NotificationOverLimit));
    assert!(!testbed.has_finding(FindingKind::NotificationUnreadable));
}
