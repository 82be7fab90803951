//! ES5 between our SM-SR's engine and our M2M card, through a terminal of a page: secured packets in short messages, and
//! sessions of the card over TLS on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // A test's helpers may fail the test.

#[allow(dead_code)] // The card of the engine's own tests: here only its keys and its name.
#[path = "../../../sm-sr/tests/es5/card.rs"]
mod card;
#[allow(dead_code)] // The engine's tests need more of it.
#[path = "../../../sm-sr/tests/es5/testbed.rs"]
mod rig;
mod terminal;

use std::{net::SocketAddr, sync::Arc};

use crypto::Secret;
use rsp::{
    ids::Aid,
    ota::{script::Script, secured_packet::PorBearer},
    sgp02::es5 as apdus,
};
use sm_sr::es5::{Bearer, Effect, Engine, Job};
use tokio::task::JoinHandle;
use world::{Arrived, BoxFuture, Fault, LinkFault, MessageId};

use rig::{NUMBER, Testbed as Rig, eid_of_card, enable, job};
use terminal::Terminal;

/// The engine at the door for cards, as a program puts it there.
struct Keys(Engine);

impl net::PskKeys for Keys {
    fn key<'a>(&'a self, identity: &'a str) -> BoxFuture<'a, Result<Option<Secret<Vec<u8>>>, Fault>> {
        Box::pin(self.0.psk(identity))
    }
}

async fn door(rig: &Rig) -> (SocketAddr, JoinHandle<()>) {
    let listener = net::listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let engine = rig.engine.clone();
    let server = tokio::spawn(async move {
        let keys = Arc::new(Keys(engine.clone()));
        let service = tower::service_fn(move |request| {
            let engine = engine.clone();
            async move { Ok::<_, LinkFault>(engine.https(request).await) }
        });
        net::serve_psk(listener, keys, service, std::future::pending()).unwrap().await;
    });
    (address, server)
}

/// Everything that is due reaches the card, and everything that the card says comes back, until neither has anything to say.
async fn pump(rig: &Rig, terminal: &mut Terminal) {
    loop {
        rig.run().await;
        let sent = rig.take();
        let mut said = std::mem::take(&mut terminal.sent);
        if sent.is_empty() && said.is_empty() {
            return;
        }
        for message in sent {
            let report = terminal.message(&message);
            if !report.is_empty() {
                let report = world::ShortMessage {
                    from: NUMBER.parse().unwrap(),
                    to: rig::SM_SR.parse().unwrap(),
                    protocol_identifier: 0x7F,
                    data_coding: 0xF6,
                    has_header: true,
                    user_data: report,
                };
                rig.arrives(Arrived::Report(MessageId("m0".into()), report)).await;
            }
        }
        said.append(&mut terminal.sent);
        for message in said {
            rig.comes_from(NUMBER, &message).await;
        }
    }
}

/// A card that has told its first network, and is confirmed.
async fn settled(rig: &Rig, door: Option<SocketAddr>) -> Terminal {
    let mut terminal = Terminal::new(eid_of_card(), door);
    pump(rig, &mut terminal).await;
    assert_eq!(rig.told().await, ["notified 1 by Sms", "confirm 1 answered 9000"]);
    terminal
}

/// A long answer: every ISD-P, the memory, the certificate.
fn audit() -> Job {
    let script = [
        apdus::get_status(None),
        apdus::get_card_resources(),
        vec![0x80, 0xCA, 0xBF, 0x30, 4, 0x5C, 2, 0x7F, 0x21, 0],
    ];
    Job { script: Script::of_apdus(script), ..job(Effect::Audit, Vec::new(), "audit") }
}

#[tokio::test]
async fn a_profile_is_enabled_over_short_messages_and_the_card_tells_of_it() {
    let rig = Rig::new();
    let mut terminal = settled(&rig, None).await;
    rig.enqueue(enable(0x11)).await;
    pump(&rig, &mut terminal).await;
    assert_eq!(
        rig.told().await[2..],
        ["enable answered 9000", "notified 2 by Sms", "confirm 2 answered 9000"]
    );
    assert!(rig.refused().is_empty());
    // It is enabled already.
    rig.enqueue(enable(0x11)).await;
    pump(&rig, &mut terminal).await;
    assert_eq!(rig.told().await[5..], ["enable answered 6985"]);
}

#[tokio::test]
async fn what_was_enabled_although_the_answer_was_lost_is_found_by_an_audit() {
    let rig = Rig::new();
    let mut terminal = settled(&rig, None).await;
    rig.enqueue(enable(0x11)).await;
    rig.run().await;
    for message in rig.take() {
        terminal.message(&message);
    }
    // The first is the answer; the notification follows after the reset.
    assert_eq!(terminal.sent.len(), 2);
    terminal.sent.remove(0);
    pump(&rig, &mut terminal).await;
    assert_eq!(rig.told().await[2..], ["notified 2 by Sms", "confirm 2 answered 9000"]);
    rig.pass(31).await;
    pump(&rig, &mut terminal).await;
    assert_eq!(rig.told().await[4..], ["enable found done"]);
}

#[tokio::test]
async fn a_long_answer_comes_in_parts_by_messages_and_in_the_report_if_it_fits() {
    for por_bearer in [None, Some(PorBearer::DeliverReport)] {
        let rig = Rig::with(|config| config.por_bearer = por_bearer);
        let mut terminal = settled(&rig, None).await;
        rig.enqueue(Job { via: Some(Bearer::Sms), ..audit() }).await;
        rig.enqueue(enable(0x11)).await;
        pump(&rig, &mut terminal).await;
        assert_eq!(rig.told().await[2..4], ["audit answered 9000 9000 9000", "enable answered 9000"]);
    }
}

#[tokio::test]
async fn a_notification_that_nobody_confirms_is_rolled_back_and_told() {
    let rig = Rig::new();
    let mut terminal = settled(&rig, None).await;
    rig.notes.confirms.store(false, std::sync::atomic::Ordering::SeqCst);
    rig.enqueue(enable(0x11)).await;
    pump(&rig, &mut terminal).await;
    assert_eq!(rig.told().await[2..], ["enable answered 9000", "notified 2 by Sms"]);
    // STATUS every 30 seconds; three notifications of 120 seconds each.
    for _ in 0..20 {
        terminal.status();
        pump(&rig, &mut terminal).await;
        if rig.told().await.len() > 4 {
            break;
        }
    }
    assert_eq!(rig.told().await[4..], ["notified 3 by Sms"], "it has gone back, under a number of its own");
    rig.enqueue(enable(0x10)).await;
    pump(&rig, &mut terminal).await;
    assert_eq!(rig.told().await[5..], ["enable answered 6985"], "the first profile is enabled again");
}

/// What the card does with a channel blocks; the server has its own thread.
async fn serve_channel(mut terminal: Terminal) -> Terminal {
    tokio::task::spawn_blocking(move || {
        terminal.serve_channel();
        terminal
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_triggered_card_fetches_its_scripts_over_tls() {
    let rig = Rig::new();
    let (address, server) = door(&rig).await;
    let mut terminal = settled(&rig, Some(address)).await;
    rig.enqueue(Job { via: Some(Bearer::Https), ..audit() }).await;
    let nobody =
        Job { target: Aid::isd_p(0x55), via: Some(Bearer::Https), purpose: "nobody".into(), ..audit() };
    rig.enqueue(nobody).await;
    pump(&rig, &mut terminal).await;
    assert!(terminal.has_channel());
    let terminal = serve_channel(terminal).await;
    assert_eq!(
        rig.told().await[2..],
        ["audit answered 9000 9000 9000", "nobody refused: unknown-application"]
    );
    assert_eq!((terminal.opened, rig.waiting().await), (1, 0));
    assert!(!terminal.has_channel());
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_to_do_keeps_the_session_of_the_card() {
    let rig = Rig::new();
    let (address, server) = door(&rig).await;
    let mut terminal = settled(&rig, Some(address)).await;
    // The next step is asked for only when the first has ended, as an SM-DP's next function call.
    let step = |number| Job { more_to_do: true, purpose: format!("step {number}"), ..audit() };
    rig.notes.follows.lock().unwrap().push(Job { more_to_do: false, ..step(3) });
    rig.enqueue(step(1)).await;
    pump(&rig, &mut terminal).await;
    let session = tokio::spawn(serve_channel(terminal));
    while rig.told().await.len() < 3 {
        tokio::task::yield_now().await;
    }
    rig.enqueue(step(2)).await;
    let terminal = session.await.unwrap();
    let expected = [1, 2, 3].map(|number| format!("step {number} answered 9000 9000 9000"));
    assert_eq!(rig.told().await[2..], expected);
    assert_eq!(terminal.opened, 1);
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_cut_anywhere_is_taken_up_again_and_nothing_is_run_twice() {
    for cut_after in 1..=6 {
        let rig = Rig::new();
        let (address, server) = door(&rig).await;
        let mut terminal = settled(&rig, Some(address)).await;
        rig.enqueue(Job { via: Some(Bearer::Https), ..enable(0x11) }).await;
        terminal.cut_after = Some(cut_after);
        pump(&rig, &mut terminal).await;
        let mut rounds = 0;
        while rig.told().await.len() < 3 && rounds < 12 {
            terminal = serve_channel(terminal).await;
            // 30 seconds are up.
            terminal.status();
            rounds += 1;
        }
        assert_eq!(rig.told().await[2..3], ["enable answered 9000"], "cut after {cut_after}");
        // The answer has left; now the card changes its profile and tells of it.
        while terminal.has_channel() {
            terminal = serve_channel(terminal).await;
        }
        for _ in 0..4 {
            pump(&rig, &mut terminal).await;
            terminal.status();
        }
        assert_eq!(
            rig.told().await[3..],
            ["notified 2 by Sms", "confirm 2 answered 9000"],
            "cut after {cut_after}"
        );
        server.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_with_another_key_is_not_let_in() {
    let rig = Rig::new();
    let (address, server) = door(&rig).await;
    let stranger = rsp::ids::Eid::with_check_digits("890490321234512345123451234599").unwrap();
    let mut terminal = settled(&rig, Some(address)).await;
    rig.enqueue(Job { via: Some(Bearer::Https), ..audit() }).await;
    rig.run().await;
    let triggers = rig.take();
    // The trigger of one card is given to another, which has the same keys under another name.
    let mut other = Terminal::new(stranger, Some(address));
    for trigger in &triggers {
        other.message(trigger);
    }
    assert!(other.has_channel());
    let other = serve_channel(other).await;
    assert!(!other.has_channel());
    assert_eq!(rig.told().await.len(), 2, "it got nothing");
    for trigger in &triggers {
        terminal.message(trigger);
    }
    serve_channel(terminal).await;
    assert_eq!(rig.told().await[2..], ["audit answered 9000 9000 9000"]);
    server.abort();
}
