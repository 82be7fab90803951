//! ES5 between the engine of the SM-SR and the M2M card, through a minimal terminal: secured
//! packets in short messages, and sessions of the card over TLS on the loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[allow(dead_code, reason = "the card of the engine's tests; only its keys and its name are used here")]
#[path = "../../../sm-sr/tests/es5/card.rs"]
mod card;
#[allow(dead_code, reason = "the engine's tests need more of it")]
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
use world::{BoxFuture, Fault, IncomingDelivery, LinkFault, MessageId};

use rig::{NUMBER, Testbed as Rig, eid_of_card, enable, job};
use terminal::Terminal;

/// Pre-shared keys of the engine, for the HTTPS listener.
struct Keys(Engine);

impl net::PskKeys for Keys {
    fn key<'a>(&'a self, identity: &'a str) -> BoxFuture<'a, Result<Option<Secret<Vec<u8>>>, Fault>> {
        Box::pin(self.0.psk(identity))
    }
}

async fn https_server(rig: &Rig) -> (SocketAddr, JoinHandle<()>) {
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

/// Exchanges messages between engine and card until neither has any.
async fn pump(rig: &Rig, terminal: &mut Terminal) {
    loop {
        rig.run().await;
        let sent = rig.take_submitted();
        let mut printed = std::mem::take(&mut terminal.sent);
        if sent.is_empty() && printed.is_empty() {
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
                rig.deliver(IncomingDelivery::Report(MessageId("m0".into()), report)).await;
            }
        }
        printed.append(&mut terminal.sent);
        for message in printed {
            rig.deliver_from(NUMBER, &message).await;
        }
    }
}

/// Creates a card that has sent its first notification, which was confirmed.
async fn settled(rig: &Rig, https_server: Option<SocketAddr>) -> Terminal {
    let mut terminal = Terminal::new(eid_of_card(), https_server);
    pump(rig, &mut terminal).await;
    assert_eq!(rig.reports().await, ["notified 1 by Sms", "confirm 1 answered 9000"]);
    terminal
}

/// Returns a job with a long response: all ISD-Ps, the memory, the certificate.
fn audit() -> Job {
    let script = [
        apdus::get_status(None),
        apdus::get_card_resources(),
        vec![0x80, 0xCA, 0xBF, 0x30, 4, 0x5C, 2, 0x7F, 0x21, 0],
    ];
    Job { script: Script::of_apdus(script), ..job(Effect::Audit, Vec::new(), "audit") }
}

#[tokio::test]
async fn a_profile_is_enabled_over_short_messages_and_the_card_sends_a_notification() {
    let rig = Rig::new();
    let mut terminal = settled(&rig, None).await;
    rig.enqueue(enable(0x11)).await;
    pump(&rig, &mut terminal).await;
    assert_eq!(
        rig.reports().await[2..],
        ["enable answered 9000", "notified 2 by Sms", "confirm 2 answered 9000"]
    );
    assert!(rig.refused().is_empty());
    // The profile is enabled already.
    rig.enqueue(enable(0x11)).await;
    pump(&rig, &mut terminal).await;
    assert_eq!(rig.reports().await[5..], ["enable answered 6985"]);
}

#[tokio::test]
async fn an_audit_detects_an_enabled_profile_after_a_lost_response() {
    let rig = Rig::new();
    let mut terminal = settled(&rig, None).await;
    rig.enqueue(enable(0x11)).await;
    rig.run().await;
    for message in rig.take_submitted() {
        terminal.message(&message);
    }
    // The first message is the response. The notification follows after the reset.
    assert_eq!(terminal.sent.len(), 2);
    terminal.sent.remove(0);
    pump(&rig, &mut terminal).await;
    assert_eq!(rig.reports().await[2..], ["notified 2 by Sms", "confirm 2 answered 9000"]);
    rig.advance(31).await;
    pump(&rig, &mut terminal).await;
    assert_eq!(rig.reports().await[4..], ["enable found done"]);
}

#[tokio::test]
async fn a_long_response_is_split_into_messages_or_sent_in_the_delivery_report() {
    for por_bearer in [None, Some(PorBearer::DeliverReport)] {
        let rig = Rig::with(|config| config.por_bearer = por_bearer);
        let mut terminal = settled(&rig, None).await;
        rig.enqueue(Job { via: Some(Bearer::Sms), ..audit() }).await;
        rig.enqueue(enable(0x11)).await;
        pump(&rig, &mut terminal).await;
        assert_eq!(rig.reports().await[2..4], ["audit answered 9000 9000 9000", "enable answered 9000"]);
    }
}

#[tokio::test]
async fn an_unconfirmed_notification_causes_a_rollback_and_another_notification() {
    let rig = Rig::new();
    let mut terminal = settled(&rig, None).await;
    rig.procedures.confirms.store(false, std::sync::atomic::Ordering::SeqCst);
    rig.enqueue(enable(0x11)).await;
    pump(&rig, &mut terminal).await;
    assert_eq!(rig.reports().await[2..], ["enable answered 9000", "notified 2 by Sms"]);
    // STATUS is sent every 30 seconds. The card sends three notifications and waits for 120 seconds
    // after each.
    for _ in 0..20 {
        terminal.status();
        pump(&rig, &mut terminal).await;
        if rig.reports().await.len() > 4 {
            break;
        }
    }
    assert_eq!(
        rig.reports().await[4..],
        ["notified 3 by Sms"],
        "the card has rolled back and notifies with a new number"
    );
    rig.enqueue(enable(0x10)).await;
    pump(&rig, &mut terminal).await;
    assert_eq!(rig.reports().await[5..], ["enable answered 6985"], "the first profile is enabled again");
}

/// Serves the card's channel on another thread, because it blocks.
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
    let (address, server) = https_server(&rig).await;
    let mut terminal = settled(&rig, Some(address)).await;
    rig.enqueue(Job { via: Some(Bearer::Https), ..audit() }).await;
    let nobody =
        Job { target: Aid::isd_p(0x55), via: Some(Bearer::Https), purpose: "nobody".into(), ..audit() };
    rig.enqueue(nobody).await;
    pump(&rig, &mut terminal).await;
    assert!(terminal.has_channel());
    let terminal = serve_channel(terminal).await;
    assert_eq!(
        rig.reports().await[2..],
        ["audit answered 9000 9000 9000", "nobody refused: unknown-application"]
    );
    assert_eq!((terminal.opened, rig.waiting().await), (1, 0));
    assert!(!terminal.has_channel());
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_to_do_keeps_the_session_of_the_card() {
    let rig = Rig::new();
    let (address, server) = https_server(&rig).await;
    let mut terminal = settled(&rig, Some(address)).await;
    // Each further step is requested after the end of the previous one, like the next function
    // call of an SM-DP.
    let step = |number| Job { more_to_do: true, purpose: format!("step {number}"), ..audit() };
    rig.procedures.next_jobs.lock().unwrap().push(Job { more_to_do: false, ..step(3) });
    rig.enqueue(step(1)).await;
    pump(&rig, &mut terminal).await;
    let session = tokio::spawn(serve_channel(terminal));
    while rig.reports().await.len() < 3 {
        tokio::task::yield_now().await;
    }
    rig.enqueue(step(2)).await;
    let terminal = session.await.unwrap();
    let expected = [1, 2, 3].map(|number| format!("step {number} answered 9000 9000 9000"));
    assert_eq!(rig.reports().await[2..], expected);
    assert_eq!(terminal.opened, 1);
    server.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_session_is_resumed_and_no_script_runs_twice() {
    for cut_after in 1..=6 {
        let rig = Rig::new();
        let (address, server) = https_server(&rig).await;
        let mut terminal = settled(&rig, Some(address)).await;
        rig.enqueue(Job { via: Some(Bearer::Https), ..enable(0x11) }).await;
        terminal.cut_after = Some(cut_after);
        pump(&rig, &mut terminal).await;
        let mut rounds = 0;
        while rig.reports().await.len() < 3 && rounds < 12 {
            terminal = serve_channel(terminal).await;
            // 30 seconds have passed.
            terminal.status();
            rounds += 1;
        }
        assert_eq!(rig.reports().await[2..3], ["enable answered 9000"], "cut after {cut_after}");
        // The response has been sent. The card now changes the profile and sends its
        // notification.
        while terminal.has_channel() {
            terminal = serve_channel(terminal).await;
        }
        for _ in 0..4 {
            pump(&rig, &mut terminal).await;
            terminal.status();
        }
        assert_eq!(
            rig.reports().await[3..],
            ["notified 2 by Sms", "confirm 2 answered 9000"],
            "cut after {cut_after}"
        );
        server.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_with_an_unknown_identity_is_refused() {
    let rig = Rig::new();
    let (address, server) = https_server(&rig).await;
    let stranger = rsp::ids::Eid::with_check_digits("890490321234512345123451234599").unwrap();
    let mut terminal = settled(&rig, Some(address)).await;
    rig.enqueue(Job { via: Some(Bearer::Https), ..audit() }).await;
    rig.run().await;
    let triggers = rig.take_submitted();
    // The trigger of one card is delivered to another one, which has the same keys and another
    // identity.
    let mut other = Terminal::new(stranger, Some(address));
    for trigger in &triggers {
        other.message(trigger);
    }
    assert!(other.has_channel());
    let other = serve_channel(other).await;
    assert!(!other.has_channel());
    assert_eq!(rig.reports().await.len(), 2, "the other card received nothing");
    for trigger in &triggers {
        terminal.message(trigger);
    }
    serve_channel(terminal).await;
    assert_eq!(rig.reports().await[2..], ["audit answered 9000 9000 9000"]);
    server.abort();
}
