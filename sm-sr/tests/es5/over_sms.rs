//! Scripts over short messages.

use sm_sr::es5::{self, Effect};
use world::{IncomingDelivery, MessageId, MessageState, Receipt, SubmitFault};

use crate::{
    card::{self, Card, CardResponse, State, isd_p},
    testbed::{
        NUMBER, NUMBER_OF_ANOTHER, SM_SR, Testbed, another_eid, data, delete, disable, enable, job, number,
        start,
    },
};

#[tokio::test]
async fn a_command_is_secured_and_answered_by_a_message_of_the_card() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(enable(0x11)).await;
    testbed.exchange_messages(&mut card).await;
    // SPI 16 39, key set 1 with AES for both, TAR of the ISD-R.
    assert_eq!(card.headers, ["16391212000001"]);
    assert_eq!(card.isd_ps[&isd_p(0x11)], State::Enabled);
    assert_eq!(testbed.reports().await, ["enable answered 9000"]);
    assert_eq!((card.counter, testbed.waiting().await), (1, 0));
    assert_eq!(testbed.run().await, None);
}

#[tokio::test]
async fn the_response_can_arrive_in_the_delivery_report() {
    let testbed = Testbed::with(|config| {
        config.por_bearer = Some(rsp::ota::secured_packet::PorBearer::DeliverReport);
    });
    let mut card = Card::new();
    testbed.enqueue(enable(0x11)).await;
    testbed.run().await;
    let response = testbed.pass_to_card(&mut card, testbed.take_submitted());
    assert!(matches!(response[..], [CardResponse::Report(_)]));
    testbed.deliver_response(&response[0]).await;
    assert_eq!(card.headers, ["16191212000001"]);
    assert_eq!(testbed.reports().await, ["enable answered 9000"]);
}

#[tokio::test]
async fn long_scripts_and_responses_have_parts_that_can_arrive_in_any_order() {
    let (testbed, mut card) = (Testbed::with(|config| config.https = None), Card::new());
    card.long_answers = 300;
    testbed.enqueue(data(1000, "data")).await;
    testbed.run().await;
    let mut sent = testbed.take_submitted();
    assert!(sent.len() > 7, "{}", sent.len());
    sent.reverse();
    let again = sent.clone();
    let response = testbed.pass_to_card(&mut card, sent);
    let CardResponse::Submit(mut parts) = response[0].clone() else { panic!("{response:?}") };
    assert!(parts.len() > 10);
    parts.reverse();
    for part in parts {
        testbed.deliver_from(NUMBER, &part).await;
        testbed.deliver_from(NUMBER, &part).await;
    }
    assert_eq!(card.headers, ["16391212000012"], "TAR of the ISD-P");
    assert_eq!(testbed.reports().await, ["data answered 9000 9000 9000 9000 9000"]);
    // The parts arrive again. They form a packet whose counter was used before.
    assert_eq!(testbed.pass_to_card(&mut card, again).len(), 1);
    assert_eq!(card.executed.len(), 5);
}

#[tokio::test]
async fn jobs_are_executed_one_at_a_time_in_order() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(enable(0x11)).await;
    testbed.enqueue(disable(0x11)).await;
    testbed.enqueue(delete(0x11)).await;
    testbed.run().await;
    testbed.run().await;
    let first = testbed.take_submitted();
    assert_eq!(first.len(), 1, "the second waits for the first");
    for response in testbed.pass_to_card(&mut card, first) {
        testbed.deliver_response(&response).await;
    }
    // After the response to the first job, the second is sent at once.
    assert_eq!(testbed.smsc.sent.lock().unwrap().len(), 1);
    testbed.exchange_messages(&mut card).await;
    assert_eq!(
        testbed.reports().await,
        ["enable answered 9000", "disable answered 9000", "delete answered 9000"]
    );
}

#[tokio::test]
async fn a_counter_is_recorded_before_it_is_sent() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    *testbed.smsc.fault.lock().unwrap() = Some(SubmitFault::Unreachable("the power is gone".into()));
    testbed.enqueue(enable(0x11)).await;
    testbed.run().await;
    let stored = testbed.records.read("es5-cards", card::EID).await.unwrap().unwrap();
    let stored: serde_json::Value = serde_json::from_slice(&stored.bytes).unwrap();
    assert_eq!(stored["counters"]["1"], 1, "{stored}");
    *testbed.smsc.fault.lock().unwrap() = None;
    testbed.advance(31).await;
    testbed.exchange_messages(&mut card).await;
    assert_eq!(card.counter, 2, "it is unknown if the first was sent, so its counter is not used again");
    assert_eq!(testbed.reports().await, ["enable answered 9000"]);
}

#[tokio::test]
async fn a_lost_command_is_repeated_with_a_new_counter() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(enable(0x11)).await;
    testbed.run().await;
    assert_eq!(testbed.take_submitted().len(), 1);
    testbed.advance(29).await;
    assert!(testbed.take_submitted().is_empty(), "nothing is sent before the delay is over");
    testbed.advance(1).await;
    testbed.exchange_messages(&mut card).await;
    assert_eq!((card.counter, card.executed.len()), (2, 1));
    assert_eq!(testbed.reports().await, ["enable answered 9000"]);
}

#[tokio::test]
async fn an_audit_finds_an_executed_command_whose_response_was_lost() {
    for (job, before) in [(enable(0x11), None), (disable(0x10), None), (delete(0x11), None)] {
        let (testbed, mut card) = (Testbed::new(), Card::new());
        let name = job.purpose.clone();
        testbed.enqueue(job).await;
        testbed.run().await;
        assert_eq!(
            testbed.pass_to_card(&mut card, testbed.take_submitted()).len(),
            1,
            "its response is lost"
        );
        let state = card.isd_ps.clone();
        testbed.advance(31).await;
        testbed.exchange_messages(&mut card).await;
        assert_eq!(testbed.reports().await, [format!("{name} found done")]);
        assert_eq!(card.executed.len(), 3, "{:?}", card.executed_apdus());
        assert!(card.executed[2].1.starts_with("80f24002"), "{:?}", card.executed);
        assert_eq!((card.isd_ps, before), (state, None::<()>), "nothing was executed twice");
    }
}

#[tokio::test]
async fn a_refused_command_is_not_considered_executed() {
    // The first command is lost, and the card would have refused it because another profile is
    // enabled.
    let (testbed, mut card) = (Testbed::new(), Card::new());
    card.isd_ps.insert(isd_p(0x11), State::Created);
    testbed.enqueue(enable(0x11)).await;
    testbed.run().await;
    testbed.take_submitted();
    testbed.advance(31).await;
    testbed.exchange_messages(&mut card).await;
    assert_eq!(testbed.reports().await, ["enable answered 6985"]);
    assert!(card.executed[1].1.starts_with("80f24002"), "the state was queried");
    // If the card cannot have executed the command before, the refusal is reported at once.
    testbed.enqueue(enable(0x11)).await;
    testbed.exchange_messages(&mut card).await;
    assert_eq!(card.executed.len(), 3);
}

#[tokio::test]
async fn the_first_response_is_the_result_if_the_card_refuses_the_packet_of_the_audit() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(enable(0x11)).await;
    testbed.run().await;
    assert_eq!(testbed.pass_to_card(&mut card, testbed.take_submitted()).len(), 1, "its response is lost");
    testbed.advance(31).await;
    let second = testbed.pass_to_card(&mut card, testbed.take_submitted());
    testbed.deliver_response(&second[0]).await;
    assert_eq!(testbed.take_submitted().len(), 1, "the audit");
    // Insufficient memory for the packet with the third counter.
    let refusal = card::response(&[0, 0, 1], &[0, 0, 0, 0, 3], 0x07, &[]);
    testbed.deliver_from(NUMBER, &card::segments(0x71, &refusal, 1)[0]).await;
    assert_eq!(testbed.reports().await, ["enable answered 6985"]);
}

#[tokio::test]
async fn an_audit_is_repeated_too_and_a_late_response_ends_it() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(enable(0x11)).await;
    testbed.run().await;
    let late = testbed.pass_to_card(&mut card, testbed.take_submitted());
    testbed.advance(31).await;
    let second = testbed.pass_to_card(&mut card, testbed.take_submitted());
    testbed.deliver_response(&second[0]).await;
    // The audit is sent; it is lost and repeated.
    assert_eq!(testbed.take_submitted().len(), 1);
    testbed.advance(31).await;
    let audited = testbed.pass_to_card(&mut card, testbed.take_submitted());
    // Then the first response arrives.
    testbed.deliver_response(&late[0]).await;
    assert_eq!(testbed.reports().await, ["enable answered 9000"]);
    testbed.deliver_response(&audited[0]).await;
    testbed.deliver_response(&second[0]).await;
    assert_eq!(testbed.reports().await.len(), 1);
    assert_eq!(testbed.refused(), ["this response's job has ended", "this response's job has ended"]);
}

#[tokio::test]
async fn responses_can_arrive_out_of_order() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(enable(0x11)).await;
    testbed.run().await;
    let first = testbed.pass_to_card(&mut card, testbed.take_submitted());
    testbed.advance(31).await;
    let second = testbed.pass_to_card(&mut card, testbed.take_submitted());
    // Both were executed; the response to the first gives the result.
    testbed.deliver_response(&first[0]).await;
    testbed.deliver_response(&second[0]).await;
    assert_eq!(testbed.reports().await, ["enable answered 9000"]);
}

// req: SGP.02-2.4.2-Late
#[tokio::test]
async fn duplicates_count_once_in_both_directions() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(enable(0x11)).await;
    testbed.run().await;
    let sent = testbed.take_submitted();
    let answers =
        [testbed.pass_to_card(&mut card, sent.clone()), testbed.pass_to_card(&mut card, sent)].concat();
    assert_eq!(
        (answers.len(), card.executed.len()),
        (2, 1),
        "the card reports for the second that its counter is too low"
    );
    for response in [&answers[1], &answers[0], &answers[0], &answers[1]] {
        testbed.deliver_response(response).await;
    }
    assert_eq!(testbed.reports().await, ["enable answered 9000"]);
    // The counter of the next packet is accepted by the card.
    testbed.enqueue(disable(0x11)).await;
    testbed.exchange_messages(&mut card).await;
    assert_eq!(testbed.reports().await[1..], ["disable answered 9000"]);
}

#[tokio::test]
async fn a_counter_behind_that_of_the_card_catches_up() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    card.counter = 500;
    testbed.enqueue(enable(0x11)).await;
    for _ in 0..4 {
        testbed.exchange_messages(&mut card).await;
        testbed.advance(130).await;
    }
    assert_eq!(testbed.reports().await, ["enable answered 9000"]);
    assert!(card.counter > 500);
}

#[tokio::test]
async fn a_script_that_cannot_be_executed_twice_is_repeated_unchanged() {
    for answer_lost in [false, true] {
        let (testbed, mut card) = (Testbed::new(), Card::new());
        testbed.enqueue(data(20, "data")).await;
        testbed.run().await;
        let sent = testbed.take_submitted();
        if answer_lost {
            assert_eq!(testbed.pass_to_card(&mut card, sent.clone()).len(), 1);
        }
        testbed.advance(31).await;
        let again = testbed.take_submitted();
        assert_eq!(again, sent, "the same octets");
        for response in testbed.pass_to_card(&mut card, again) {
            testbed.deliver_response(&response).await;
        }
        assert_eq!(card.executed.len(), 1);
        if !answer_lost {
            assert_eq!(testbed.reports().await, ["data answered 9000"]);
            continue;
        }
        assert!(testbed.reports().await.is_empty(), "the response may still come");
        testbed.advance(61).await;
        assert_eq!(
            testbed.reports().await,
            ["data not delivered: the card has executed the script, but its response is lost"]
        );
        assert!(testbed.take_submitted().is_empty());
    }
}

// req: SGP.02-2.4.2-Forged
#[tokio::test]
async fn forged_responses_are_ignored() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(enable(0x11)).await;
    testbed.run().await;
    let CardResponse::Submit(right) = testbed.pass_to_card(&mut card, testbed.take_submitted()).remove(0)
    else {
        panic!()
    };
    for at in 3..right[0].len() {
        let mut forged = right[0].clone();
        forged[at] ^= 0x40;
        testbed.deliver_from(NUMBER, &forged).await;
    }
    // A refusal without a checksum, as anyone can create it; the counter of another command;
    // another TAR.
    testbed.deliver_from(NUMBER, &hex::decode("027100000e0a00000100000000010009").unwrap()).await;
    let counter = [0, 0, 0, 0, 9];
    testbed
        .deliver_from(NUMBER, &card::segments(0x71, &card::response(&[0, 0, 1], &counter, 9, &[]), 1)[0])
        .await;
    let counter = [0, 0, 0, 0, 1];
    testbed
        .deliver_from(NUMBER, &card::segments(0x71, &card::response(&[0, 0, 2], &counter, 9, &[]), 1)[0])
        .await;
    // A sender whose number belongs to no card; an invalid packet.
    testbed.deliver_from("+490000", &right[0]).await;
    testbed.deliver_from(NUMBER, &[2, 0x70, 0, 0, 1]).await;
    testbed.deliver_from(NUMBER, &[5, 0, 3, 1]).await;
    assert!(testbed.reports().await.is_empty());
    testbed.deliver_from(NUMBER, &right[0]).await;
    assert_eq!(testbed.reports().await, ["enable answered 9000"]);
}

#[tokio::test]
async fn refusals_of_the_card_are_reported_with_their_status() {
    let (testbed, _) = (Testbed::new(), Card::new());
    for (status, why) in [
        (0x09, "the TAR is unknown (status 09)"),
        (0x0A, "the security level of the packet is insufficient (status 0A)"),
    ] {
        testbed.enqueue(enable(0x11)).await;
        testbed.run().await;
        let count = u8::try_from(testbed.reports().await.len() + 1).unwrap();
        let refusal = card::response(&[0, 0, 1], &[0, 0, 0, 0, count], status, &[]);
        testbed.deliver_from(NUMBER, &card::segments(0x71, &refusal, 1)[0]).await;
        assert_eq!(testbed.reports().await.last().unwrap(), &format!("enable refused: {why}"));
    }
    testbed.enqueue(enable(0x11)).await;
    testbed.run().await;
    testbed.take_submitted();
    // If the card requests more time, the command is not repeated for a long time.
    let more_time = card::response(&[0, 0, 1], &[0, 0, 0, 0, 3], 0x08, &[]);
    testbed.deliver_from(NUMBER, &card::segments(0x71, &more_time, 1)[0]).await;
    testbed.advance(800).await;
    assert!(testbed.take_submitted().is_empty());
}

#[tokio::test]
async fn a_card_that_does_not_answer_gets_nothing_until_it_sends_a_message() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(enable(0x11)).await;
    let mut sent = 0;
    for _ in 0..100 {
        testbed.run().await;
        sent += testbed.take_submitted().len();
        testbed.advance(20).await;
    }
    assert_eq!(sent, 6);
    testbed.procedures.confirms.store(false, std::sync::atomic::Ordering::SeqCst);
    let packet = card::command([0x06, 0], &card::notification(2, 1, card::EID));
    testbed.deliver_from(NUMBER, &card::segments(0x70, &packet, 1)[0]).await;
    testbed.exchange_messages(&mut card).await;
    assert_eq!(testbed.reports().await, ["notified 1 by Sms", "enable answered 9000"]);
}

#[tokio::test]
async fn only_the_last_transmission_is_stored_by_the_smsc() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(enable(0x11)).await;
    let mut validities = Vec::new();
    for _ in 0..300 {
        testbed.run().await;
        let mut sent = testbed.smsc.sent.lock().unwrap();
        validities.extend(sent.iter().map(|(_, submission)| submission.validity.unwrap().as_secs()));
        if validities.len() < 6 {
            sent.clear();
        }
        drop(sent);
        testbed.clock.advance(std::time::Duration::from_secs(10));
    }
    assert_eq!(validities[..5], [30, 60, 120, 240, 480]);
    assert_eq!(validities[5], 3600 - 30 - 60 - 120 - 240 - 480);
    let response = testbed.pass_to_card(&mut card, testbed.take_submitted());
    testbed.deliver_response(&response[0]).await;
    assert_eq!(testbed.reports().await, ["enable answered 9000"]);
}

#[tokio::test]
async fn two_engines_on_the_same_records_send_a_job_once() {
    let (mut testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(enable(0x11)).await;
    let one = testbed.engine.clone();
    testbed.restart();
    let (first, second) = tokio::join!(one.run_due(), testbed.engine.run_due());
    first.unwrap();
    second.unwrap();
    let sent = testbed.take_submitted();
    assert_eq!(sent.len(), 1);
    let response = testbed.pass_to_card(&mut card, sent);
    let card::CardResponse::Submit(parts) = &response[0] else { panic!() };
    // Both receive the response.
    testbed.deliver_from(NUMBER, &parts[0]).await;
    testbed.engine = one;
    testbed.deliver_from(NUMBER, &parts[0]).await;
    assert_eq!(testbed.reports().await, ["enable answered 9000"]);
}

#[tokio::test]
async fn an_smsc_that_does_not_answer_delays_no_other_card() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    *testbed.smsc.silent_for.lock().unwrap() = Some(number(NUMBER_OF_ANOTHER));
    testbed.enqueue(sm_sr::es5::Job { eid: another_eid(), ..enable(0x11) }).await;
    let due = testbed.engine.due().await.unwrap();
    assert_eq!(due.tasks.len(), 1);
    let silent = tokio::spawn(due.run());
    tokio::task::yield_now().await;
    testbed.enqueue(enable(0x11)).await;
    let due = testbed.engine.due().await.unwrap();
    assert_eq!(due.tasks.len(), 1);
    due.run().await;
    let response = testbed.pass_to_card(&mut card, testbed.take_submitted());
    testbed.deliver_response(&response[0]).await;
    assert_eq!(testbed.reports().await, ["enable answered 9000"]);
    assert!(!silent.is_finished());
    silent.abort();
}

#[tokio::test]
async fn an_unreadable_record_delays_no_other_card() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    let another = another_eid().to_string();
    let torn = [("es5-due", "0"), ("es5-due", card::EID), ("es5-cards", another.as_str())];
    testbed.enqueue(sm_sr::es5::Job { eid: another_eid(), ..enable(0x11) }).await;
    testbed.enqueue(enable(0x11)).await;
    world::transact(&*testbed.records, |tx| {
        Box::pin(async move {
            for (collection, key) in torn {
                tx.put(&world::Collection::<String>::new(collection), key, &"torn".to_owned())?;
            }
            Ok(())
        })
    })
    .await
    .unwrap();
    let next = testbed.run().await;
    assert_eq!(next, Some(testbed.clock_now().plus(std::time::Duration::from_secs(30))));
    testbed.exchange_messages(&mut card).await;
    assert_eq!(testbed.reports().await, ["enable answered 9000"]);
    let kept = testbed.records.read("es5-cards", &another).await.unwrap().unwrap();
    assert_eq!(kept.bytes, b"\"torn\"");
}

#[tokio::test]
async fn a_deleted_card_is_a_new_one_when_it_comes_back() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    let packet = |number| {
        let packet = card::command([0x06, 0], &card::notification(2, number, card::EID));
        card::segments(0x70, &packet, 1).remove(0)
    };
    testbed.deliver_from(NUMBER, &packet(9)).await;
    testbed.enqueue(enable(0x11)).await;
    world::transact(&*testbed.records, |tx| Box::pin(es5::forget(tx, card::EID.parse().unwrap())))
        .await
        .unwrap();
    testbed.take_submitted();
    assert_eq!((testbed.waiting().await, testbed.run().await), (0, None));
    testbed.deliver_from(NUMBER, &packet(1)).await;
    testbed.exchange_messages(&mut card).await;
    assert_eq!(
        testbed.reports().await,
        ["notified 9 by Sms", "notified 1 by Sms", "confirm 1 answered 9000"]
    );
}

#[tokio::test]
async fn an_unanswered_job_expires_and_the_next_begins() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(enable(0x11)).await;
    let mut later = disable(0x10);
    later.valid_until = later.valid_until.plus(std::time::Duration::from_secs(600));
    testbed.enqueue(later).await;
    testbed.run().await;
    let late = testbed.pass_to_card(&mut card, testbed.take_submitted());
    testbed.advance(3599).await;
    assert!(testbed.reports().await.is_empty());
    testbed.take_submitted();
    testbed.advance(1).await;
    assert_eq!(testbed.reports().await, ["enable expired"]);
    assert_eq!(testbed.take_submitted().len(), 1, "the next one");
    testbed.deliver_response(&late[0]).await;
    assert_eq!(testbed.reports().await.len(), 1);
    assert!(testbed.refused().contains(&"this response's job has ended".to_owned()));
}

#[tokio::test]
async fn a_job_that_expired_before_it_was_sent_is_never_sent() {
    let testbed = Testbed::new();
    testbed.enqueue(enable(0x11)).await;
    testbed.advance(3600).await;
    assert!(testbed.take_submitted().is_empty());
    assert_eq!(testbed.reports().await, ["enable expired"]);
}

#[tokio::test]
async fn a_receipt_for_a_lost_message_causes_an_earlier_repetition() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.enqueue(enable(0x11)).await;
    testbed.run().await;
    testbed.take_submitted();
    testbed.advance(31).await;
    testbed.advance(1).await;
    let sent: Vec<_> = testbed.smsc.sent.lock().unwrap().iter().map(|(id, _)| id.clone()).collect();
    let receipt = |id: MessageId, state| {
        let (to, from, why) = (number(NUMBER), number(SM_SR), String::new());
        IncomingDelivery::Receipt(Receipt { id, to, from, state, why, submitted: start(), ended: start() })
    };
    let last = sent.last().unwrap().clone();
    testbed.take_submitted();
    // The delay after the second transmission would be 60 s.
    testbed.deliver(receipt(last.clone(), MessageState::Undeliverable)).await;
    testbed.deliver(receipt(last, MessageState::Undeliverable)).await;
    testbed.deliver(receipt(MessageId("m99".into()), MessageState::Undeliverable)).await;
    testbed.advance(31).await;
    testbed.exchange_messages(&mut card).await;
    assert_eq!(testbed.reports().await, ["enable answered 9000"]);
}

#[tokio::test]
async fn an_undeliverable_job_is_reported_at_once() {
    let testbed = Testbed::with(|config| config.https = None);
    testbed.enqueue(data(5000, "data")).await;
    testbed.run().await;
    assert_eq!(
        testbed.reports().await,
        ["data not delivered: the script needs 40 short messages, and this SM-SR has no HTTPS endpoint"]
    );
    *testbed.smsc.fault.lock().unwrap() = Some(SubmitFault::Refused("no such network".into()));
    testbed.enqueue(enable(0x11)).await;
    testbed.run().await;
    assert_eq!(
        testbed.reports().await[1..],
        ["enable not delivered: the message centre refused the message: no such network"]
    );
    let mut unknown = enable(0x11);
    unknown.eid = rsp::ids::Eid([0x89; 16]);
    testbed.enqueue(unknown).await;
    testbed.run().await;
    assert_eq!(
        testbed.reports().await[2..],
        ["enable not delivered: this SM-SR does not manage the card any more"]
    );
}

#[tokio::test]
async fn a_cancelled_job_is_not_reported() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    let id = testbed.enqueue(enable(0x11)).await;
    testbed.enqueue(job(Effect::Audit, vec![0x80, 0xCA, 0xFF, 0x21, 0], "audit")).await;
    testbed.run().await;
    let late = testbed.pass_to_card(&mut card, testbed.take_submitted());
    let now = testbed.clock_now();
    for _ in 0..2 {
        world::transact(&*testbed.records, |tx| Box::pin(es5::cancel(tx, now, &id))).await.unwrap();
    }
    testbed.exchange_messages(&mut card).await;
    testbed.deliver_response(&late[0]).await;
    assert_eq!(testbed.reports().await, ["audit answered 9000"]);
}

#[tokio::test]
async fn a_job_for_a_card_without_a_number_waits_for_one() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    testbed.procedures.has_number.store(false, std::sync::atomic::Ordering::SeqCst);
    testbed.enqueue(enable(0x11)).await;
    testbed.run().await;
    assert!(testbed.take_submitted().is_empty());
    testbed.procedures.has_number.store(true, std::sync::atomic::Ordering::SeqCst);
    let packet = card::command([0x06, 0], &card::notification(1, 1, card::EID));
    testbed.deliver_from(NUMBER, &card::segments(0x70, &packet, 1)[0]).await;
    testbed.exchange_messages(&mut card).await;
    assert_eq!(testbed.reports().await[..2], ["notified 1 by Sms", "confirm 1 answered 9000"]);
    assert_eq!(testbed.reports().await[2..], ["enable answered 9000"]);
}
