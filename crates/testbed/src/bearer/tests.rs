use std::sync::atomic::{AtomicU64, Ordering};

use fleet::bearers::Bearers;
use rsp::time::Timestamp;
use world::{PhoneNumber, Receipts, ShortMessage};

use super::*;
use crate::time::{Simulation, run};

/// A bearer with 8 bits per millisecond from the device and 16 bits per millisecond to the device.
fn bearer() -> Bearer {
    let text = r#"
        [[bearer]]
        id = "own"
        name = "a bearer with round figures"
        delay_ms = 100
        loss = 0
        tries = 3
        retransmit_ms = 1000
        availability = 1
        window_s = 60
        patience_s = 90
        source = "this test"
        reviewed = "2026-11-22"
        confidence = "high"
        [bearer.packets]
        down_bps = 16000
        up_bps = 8000
        payload = 1000
        overhead = 50
        tls_down = 400
        tls_up = 200
        tls_round_trips = 2
        keep_s = 10
        [bearer.messages]
        payload = 120
        overhead = 20
        message_ms = 500
    "#;
    Bearers::parse(text).unwrap().named("own").unwrap().clone()
}

fn simulate<T>(simulated: impl AsyncFnOnce(Simulation) -> T) -> T {
    run("bearers", Timestamp(1_795_000_000_000), simulated).unwrap()
}

/// A server that answers with 1100 octets, and the number of requests that it received.
fn server() -> (Link, Arc<AtomicU64>) {
    let requests = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&requests);
    let link = link_from(tower::service_fn(move |_: Request<Bytes>| {
        counter.fetch_add(1, Ordering::SeqCst);
        async { Ok::<_, LinkFault>(Response::new(Bytes::from(vec![b'a'; 1100]))) }
    }));
    (link, requests)
}

/// A request of 25 octets, or 75 with the overhead of a packet.
fn request() -> Request<Bytes> {
    Request::post("/a").body(Bytes::from_static(b"hello")).unwrap()
}

async fn timed<T>(of: impl Future<Output = T>) -> (T, u128) {
    let from = Instant::now();
    let result = of.await;
    (result, from.elapsed().as_millis())
}

#[test]
fn an_exchange_takes_its_transmission_time_and_the_first_one_also_that_of_a_handshake() {
    simulate(async |simulation| {
        let carrier = Carrier::new(&bearer(), simulation.random("bearer"));
        let (server, _) = server();
        let link = carrier.link(server).unwrap();
        // Four delays, 200 octets up, 400 octets down.
        let handshake = 4 * 100 + 200 + 200;
        // One delay and 75 octets up; one delay and 1119 octets in two packets down.
        let exchange = 100 + 75 + 100 + 610;
        let (answer, took) = timed(world::send(&link, request())).await;
        assert_eq!((answer.unwrap().body().len(), took), (1100, handshake + exchange));
        assert_eq!(timed(world::send(&link, request())).await.1, exchange);
        sleep(Duration::from_secs(11)).await;
        assert_eq!(timed(world::send(&link, request())).await.1, handshake + exchange);
        let usage = carrier.usage();
        let millis = u64::try_from(2 * handshake + 3 * exchange).unwrap();
        assert_eq!(
            usage,
            Usage {
                requests: 3,
                handshakes: 2,
                octets_up: 2 * 200 + 3 * 75,
                octets_down: 2 * 400 + 3 * 1219,
                busy: Duration::from_millis(millis),
                ..Usage::default()
            }
        );
        assert_eq!(usage - usage, Usage::default());
    });
}

#[test]
fn packets_take_their_transmission_time_and_need_a_packet_bearer() {
    simulate(async |simulation| {
        let carrier = Carrier::new(&bearer(), simulation.random("bearer"));
        // Each transmission takes one delay and the time for its octets. 100 octets of data are 150
        // octets with overhead. The rate to the device is twice the rate from it. A segment without
        // data is also a packet.
        for (octets, is_to_device, millis) in [(100, false, 250), (100, true, 175), (0, false, 151)] {
            let (carried, took) = timed(carrier.packets(octets, is_to_device)).await;
            assert_eq!((carried, took), (Ok(()), millis), "{octets}");
        }
        let Usage { octets_up, octets_down, messages, .. } = carrier.usage();
        assert_eq!((octets_up, octets_down, messages), (150 + 51, 150, 0));
        let lossy = Carrier::new(&Bearer { loss: 1.0, ..bearer() }, simulation.random("lossy"));
        assert!(lossy.packets(1, true).await.unwrap_err().contains("lost 3 times"));
        let messages = Carrier::new(&Bearer { packets: None, ..bearer() }, simulation.random("messages"));
        assert!(messages.packets(1, true).await.unwrap_err().contains("carries no packets"));
    });
}

#[test]
fn a_request_that_is_always_lost_is_abandoned_before_the_server_gets_it() {
    simulate(async |simulation| {
        let carrier = Carrier::new(&Bearer { loss: 1.0, ..bearer() }, simulation.random("bearer"));
        let (server, requests) = server();
        let link = carrier.link(server).unwrap();
        let (answer, took) = timed(world::send(&link, request())).await;
        let fault = answer.unwrap_err();
        assert_eq!((fault.kind, took), (LinkFaultKind::Timeout, 800 + 3 * 1000), "{fault}");
        assert_eq!(requests.load(Ordering::SeqCst), 0);
        let usage = carrier.usage();
        assert_eq!((usage.retransmissions, usage.given_up, usage.octets_up), (2, 1, 200 + 3 * 75));
    });
}

#[test]
fn losses_follow_from_the_seed_and_can_affect_the_answer() {
    let lossy = || {
        simulate(async |simulation| {
            let carrier = Carrier::new(&Bearer { loss: 0.5, ..bearer() }, simulation.random("bearer"));
            let (server, requests) = server();
            let link = carrier.link(server).unwrap();
            let mut answered = 0;
            for _ in 0..100 {
                answered += u64::from(world::send(&link, request()).await.is_ok());
            }
            (answered, requests.load(Ordering::SeqCst), carrier.usage())
        })
    };
    let (answered, requests, usage) = lossy();
    assert!(0 < answered && answered < requests && requests < 100, "{answered} of {requests}");
    assert_eq!(usage.given_up, 100 - answered);
    assert_eq!(lossy(), (answered, requests, usage));
}

#[test]
fn a_request_fails_when_the_bearer_is_unavailable_for_too_long() {
    simulate(async |simulation| {
        let away = Bearer { availability: 0.0, ..bearer() };
        let carrier = Carrier::new(&away, simulation.random("bearer"));
        let (server, requests) = server();
        let (answer, took) = timed(world::send(&carrier.link(server).unwrap(), request())).await;
        assert_eq!((answer.unwrap_err().kind, took), (LinkFaultKind::Unreachable, 90_000));
        assert_eq!(requests.load(Ordering::SeqCst), 0);
        assert_eq!(carrier.usage().given_up, 1);
    });
}

#[test]
fn a_request_waits_for_a_bearer_that_comes_back_in_time() {
    simulate(async |simulation| {
        let at_times = Bearer { availability: 0.5, patience_s: 86_400, ..bearer() };
        let carrier = Carrier::new(&at_times, simulation.random("bearer"));
        let (server, _) = server();
        let link = carrier.link(server).unwrap();
        let mut waited = 0;
        for _ in 0..50 {
            let (answer, took) = timed(world::send(&link, request())).await;
            assert!(answer.is_ok());
            waited += u32::from(took > 1685);
            sleep(Duration::from_secs(61)).await;
        }
        assert!((10..=40).contains(&waited), "{waited} of 50 had to wait");
    });
}

/// An SMSC that accepts every message.
#[derive(Clone, Default)]
struct Centre(Arc<AtomicU64>);

impl ShortMessages for Centre {
    fn submit(&self, _: Submission) -> BoxFuture<'_, Result<MessageId, SubmitFault>> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move { Ok(MessageId(number.to_string())) })
    }
}

fn message(octets: usize) -> Submission {
    let number = |text: &str| text.parse::<PhoneNumber>().unwrap();
    let message = ShortMessage::to_card(number("+491"), number("+492"), vec![0; octets]);
    Submission { message, validity: None, receipts: Receipts::None }
}

#[test]
fn a_short_message_takes_its_transmission_time_and_can_be_lost() {
    simulate(async |simulation| {
        let carrier = Carrier::new(&bearer(), simulation.random("bearer"));
        let centre = Centre::default();
        let carried = carrier.messages(centre.clone()).unwrap();
        let (id, took) = timed(carried.submit(message(140))).await;
        assert_eq!((id.unwrap().0.as_str(), took), ("0", 100 + 500));
        let usage = carrier.usage();
        assert_eq!((usage.messages, usage.octets_down), (1, 140));

        let lossy = Carrier::new(&Bearer { loss: 1.0, ..bearer() }, simulation.random("bearer"));
        let (fault, took) = timed(lossy.messages(centre.clone()).unwrap().submit(message(10))).await;
        assert_eq!(took, 3 * 1000);
        assert_eq!(fault.unwrap_err(), SubmitFault::Unreachable("lost 3 times on own".into()));
        assert_eq!(centre.0.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_bearer_of_short_messages_carries_no_packets() {
    simulate(async |simulation| {
        let bearers = Bearers::built_in().unwrap();
        let carrier = Carrier::new(bearers.named("2g-sms").unwrap(), simulation.random("bearer"));
        let fault = carrier.link(server().0).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "cannot use the bearer 2g-sms (2G, short messages only): it carries no packets; choose another bearer"
        );
    });
}

/// A CoAP client of the server over a bearer.
fn coap_client(simulation: &Simulation, carrier: &Carrier) -> (Link, Arc<AtomicU64>) {
    let (server, requests) = server();
    let world = simulation.world("CoAP");
    let ack_timeout = ack_timeout(carrier.bearer());
    let transmission = coap::Transmission { ack_timeout, ..coap::Transmission::default() };
    let server = coap::InProcess::new("127.0.0.1", server, world.clone(), transmission);
    let dial = carrier.datagrams(Arc::new(server)).unwrap();
    (coap::Client::new(dial, "127.0.0.1", world, transmission).link(), requests)
}

#[test]
fn each_coap_message_takes_its_transmission_time() {
    simulate(async |simulation| {
        let carrier = Carrier::new(&bearer(), simulation.random("bearer"));
        let (link, requests) = coap_client(&simulation, &carrier);
        let (answer, took) = timed(world::send(&link, request())).await;
        assert_eq!((answer.unwrap().body().len(), requests.load(Ordering::SeqCst)), (1100, 1));
        let usage = carrier.usage();
        // The answer has two blocks. The handshake has 200 octets up and 400 down.
        assert_eq!((usage.handshakes, usage.requests, usage.retransmissions), (1, 2, 0));
        assert!(usage.octets_up > 200 + 2 * 65 && usage.octets_down > 400 + 1100 + 2 * 65, "{usage:?}");
        let airtime = u128::from(usage.octets_up + usage.octets_down / 2);
        // Four delays of the handshake, and two of each exchange.
        let expected = airtime + 8 * 100;
        assert!((expected..expected + 3).contains(&took), "{took} ms, {usage:?}");
    });
}

#[test]
fn coap_repeats_what_a_bearer_loses() {
    simulate(async |simulation| {
        let lossy = Bearer { loss: 0.1, ..bearer() };
        let carrier = Carrier::new(&lossy, simulation.random("bearer"));
        let (link, requests) = coap_client(&simulation, &carrier);
        for number in 1..=20 {
            assert_eq!(world::send(&link, request()).await.unwrap().body().len(), 1100);
            assert_eq!(requests.load(Ordering::SeqCst), number, "a request was executed once");
        }
        let usage = carrier.usage();
        assert!(usage.retransmissions > 3 && usage.requests > 43, "{usage:?}");
        assert_eq!(usage.handshakes, 1);
    });
}
