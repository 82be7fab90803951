//! Invalid messages at both entry points: they are reported and have no effect.

use world::{Random, SeededRandom};

use crate::{
    card::{self, Card, CardResponse, EID, notification},
    testbed::{NUMBER, Testbed, data, enable, request, run},
};

fn below(random: &SeededRandom, limit: usize) -> usize {
    let mut octets = [0; 4];
    random.fill(&mut octets);
    u32::from_be_bytes(octets) as usize % limit.max(1)
}

/// Returns the octets with one defect: an octet changed, octets removed, or octets inserted.
fn damaged(random: &SeededRandom, octets: &[u8]) -> Vec<u8> {
    let mut octets = octets.to_vec();
    let at = below(random, octets.len());
    match below(random, 4) {
        0 => octets.truncate(at),
        1 => octets.insert(at, below(random, 256) as u8),
        2 => octets.extend_from_within(at..),
        _ if octets.is_empty() => {}
        _ => octets[at] ^= 1 << below(random, 8),
    }
    octets.truncate(140);
    octets
}

#[tokio::test]
async fn damaged_messages_change_nothing() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    card.long_answers = 200;
    testbed.enqueue(enable(0x11)).await;
    testbed.run().await;
    let CardResponse::Submit(parts) = testbed.pass_to_card(&mut card, testbed.take_submitted()).remove(0)
    else {
        panic!()
    };
    let reports = card::segments(0x70, &card::command([0x06, 0], &notification(2, 1, EID)), 1);
    let originals = [parts.clone(), reports.clone()].concat();
    let random = SeededRandom::from_text("damaged messages");
    for _ in 0..3000 {
        let original = &originals[below(&random, originals.len())];
        let message = damaged(&random, original);
        // A copy that happens to be unchanged is not damaged.
        if !originals.contains(&message) {
            testbed.deliver_from(NUMBER, &message).await;
        }
    }
    assert!(testbed.reports().await.is_empty());
    for part in parts {
        testbed.deliver_from(NUMBER, &part).await;
    }
    testbed.deliver_from(NUMBER, &reports[0]).await;
    assert_eq!(testbed.reports().await, ["enable answered 9000", "notified 1 by Sms"]);
}

#[tokio::test]
async fn a_damaged_response_in_a_session_is_a_bad_request_or_a_response() {
    let (testbed, mut card) = (Testbed::new(), Card::new());
    let answer = [&[0xAF, 0x80, 0x80, 1, 8][..], &[0x23, 2, 0x90, 0].repeat(8), &[0, 0]].concat();
    let random = SeededRandom::from_text("damaged answers");
    for _ in 0..1000 {
        let body = damaged(&random, &answer);
        let response = testbed.post("/es5/next/999", Some(body)).await;
        assert!([200, 204, 400].contains(&response.status().as_u16()), "{}", response.status());
    }
    for uri in
        ["/es5/next/", "/es5/next/99999999999", "/es5/next/-1", "/es5/next/1/2", "/?msg=", "/?msg=E1&msg=zz"]
    {
        let response = testbed.engine.https(request(uri, None, "ok")).await;
        assert!([200, 204, 400].contains(&response.status().as_u16()), "{uri}: {}", response.status());
    }
    assert!(testbed.reports().await.is_empty());
    testbed.enqueue(data(1500, "data")).await;
    let (next, expected) = run(&mut card, &testbed.post("/es5", None).await);
    assert_eq!(expected, answer);
    let cut = expected[..9].to_vec();
    assert_eq!(testbed.post(&next, Some(cut)).await.status(), 400, "the card can repeat it");
    assert_eq!(testbed.post(&next, Some(expected)).await.status(), 204);
    assert_eq!(testbed.reports().await.len(), 1);
}
