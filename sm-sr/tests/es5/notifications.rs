//! Notifications that cards send on their own.

use std::sync::atomic::Ordering;

use crate::{
    card::{self, Card, CardResponse, EID, notification},
    testbed::{NUMBER, OTHER_NUMBER, Testbed, enable, run},
};

/// Creates a message with a cryptographic checksum and ciphering. It has no counter and requests no
/// response.
fn message(octets: &[u8]) -> Vec<u8> {
    card::segments(0x70, &card::command([0x06, 0x00], octets), 1).remove(0)
}

#[tokio::test]
async fn a_notification_by_short_message_is_confirmed_to_its_sender() {
    for spi in [[0x06, 0x00], [0x02, 0x00]] {
        let (testbed, mut card) = (Testbed::new(), Card::new());
        let packet = card::command(spi, &notification(2, 7, EID));
        testbed.deliver_from(OTHER_NUMBER, &card::segments(0x70, &packet, 1)[0]).await;
        let to: Vec<String> =
            testbed.smsc.sent.lock().unwrap().iter().map(|(_, sent)| sent.message.to.to_string()).collect();
        assert_eq!(to, [OTHER_NUMBER], "the number of the currently enabled profile");
        testbed.exchange_messages(&mut card).await;
        assert_eq!(card.executed_apdus(), ["80e28900073a08044e02000700"]);
        assert_eq!(testbed.reports().await, ["notified 7 by Sms", "confirm 7 answered 9000"]);
    }
}

// req: SGP.02-4.1.1.11-Repetition
#[tokio::test]
async fn a_repeated_notification_is_confirmed_again_and_reported_once() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    let message = message(&notification(2, 7, EID));
    testbed.deliver_from(NUMBER, &message).await;
    // The confirmation is lost; the card repeats the notification and gets the confirmation at
    // once.
    assert_eq!(testbed.take_submitted().len(), 1);
    testbed.deliver_from(NUMBER, &message).await;
    testbed.exchange_messages(&mut card).await;
    // The response to the first confirmation may have been lost with its data.
    assert_eq!(testbed.reports().await, ["notified 7 by Sms", "confirm 7 answered again 9000"]);
    // The notification is confirmed again even after its confirmation job has ended, because the
    // repetition shows that the card needs a confirmation.
    testbed.deliver_from(NUMBER, &message).await;
    testbed.exchange_messages(&mut card).await;
    assert_eq!(card.executed.len(), 2);
    assert_eq!(testbed.reports().await[2..], ["confirm 7 answered 9000"]);
}

// req: SGP.02-4.1.1.11-Sequence, SGP.02-4.1.1.11-Eid
#[tokio::test]
async fn an_old_notification_or_one_of_another_card_is_refused() {
    let testbed = Testbed::new();
    testbed.procedures.confirms.store(false, Ordering::SeqCst);
    testbed.deliver_from(NUMBER, &message(&notification(2, 7, EID))).await;
    testbed.deliver_from(NUMBER, &message(&notification(2, 6, EID))).await;
    testbed.deliver_from(NUMBER, &message(&notification(2, 9, "89049032123451234512345123451299"))).await;
    testbed.deliver_from(NUMBER, &message(&[0xE1, 0])).await;
    // This message has no checksum.
    let bare = [&[0, 13 + 10, 13, 0, 0, 0x12, 0x12, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &[0xE1; 10]].concat();
    testbed.deliver_from(NUMBER, &[&[2, 0x70, 0][..], &bare].concat()).await;
    assert_eq!(testbed.reports().await, ["notified 7 by Sms"]);
    assert_eq!(testbed.refused().len(), 4);
    assert!(testbed.take_submitted().is_empty());
    // No confirmation was requested, and none is sent.
    testbed.deliver_from(NUMBER, &message(&notification(2, 7, EID))).await;
    assert!(testbed.take_submitted().is_empty());
}

#[tokio::test]
async fn a_notification_in_a_session_is_confirmed_there() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    let uri = format!("/es5?msg={}", hex::encode_upper(notification(1, 0, EID)));
    let confirmation = testbed.post(&uri, None).await;
    let (next, answer) = run(&mut card, &confirmation);
    assert_eq!(testbed.post(&next, Some(answer)).await.status(), 204);
    assert_eq!(card.executed_apdus(), ["80e28900073a08044e02000000"]);
    assert_eq!(testbed.reports().await, ["notified 0 by Https", "confirm 0 answered 9000"]);
    // A repetition.
    assert_eq!(testbed.session(&mut card, &uri).await, 1);
    assert_eq!(testbed.reports().await[2..], ["confirm 0 answered 9000"]);
    assert!(testbed.take_submitted().is_empty(), "no short message is sent");
}

#[tokio::test]
async fn a_session_with_a_notification_is_given_waiting_jobs() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(enable(0x11)).await;
    // The card does not answer short messages.
    for _ in 0..12 {
        testbed.advance(900).await;
        testbed.take_submitted();
        if testbed.reports().await.len() == 1 {
            break;
        }
    }
    assert_eq!(testbed.reports().await, ["enable expired"]);
    let mut again = enable(0x11);
    again.valid_until = testbed.clock_now().plus(std::time::Duration::from_secs(7200));
    testbed.enqueue(again).await;
    for _ in 0..7 {
        testbed.advance(901).await;
        testbed.take_submitted();
    }
    let uri = format!("/es5?msg={}", hex::encode(notification(5, 3, EID)));
    assert_eq!(testbed.session(&mut card, &uri).await, 2);
    assert_eq!(
        testbed.reports().await[1..],
        ["notified 3 by Https", "confirm 3 answered 9000", "enable answered 9000"]
    );
}

#[tokio::test]
async fn a_confirmation_precedes_a_job_that_waits_for_its_response() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(enable(0x11)).await;
    testbed.run().await;
    // The card executes the command, the response is lost, and the card sends a notification of the
    // new profile.
    let late = testbed.pass_to_card(&mut card, testbed.take_submitted());
    testbed.deliver_from(OTHER_NUMBER, &message(&notification(2, 1, EID))).await;
    let sent = testbed.take_submitted();
    assert_eq!(sent.len(), 1, "at once");
    for response in testbed.pass_to_card(&mut card, sent) {
        testbed.deliver_response(&response).await;
    }
    assert_eq!(testbed.reports().await, ["notified 1 by Sms", "confirm 1 answered 9000"]);
    let CardResponse::Submit(parts) = &late[0] else { panic!() };
    testbed.deliver_from(NUMBER, &parts[0]).await;
    assert_eq!(testbed.reports().await[2..], ["enable answered 9000"]);
}
