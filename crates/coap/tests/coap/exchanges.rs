//! Exchanges between the client and the server of this crate.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use coap::message::{Code, Message, option};
use coap::{Block, MAX_REQUEST, MAX_RESPONSE, MAX_TRANSMIT_WAIT, SEPARATE_RESPONSE_TIMEOUT, Transmission};
use http::{Request, Response, StatusCode, header};
use rsp::sgp32::esipa::asn1::{CONTENT_TYPE, PATH};
use tokio::time::Instant;
use world::{LinkFault, LinkFaultKind, link_from};

use crate::support::{HOST, Network, Testbed, blocks_of, body, perfect, post};

const AT_ONCE: Duration = Duration::ZERO;

fn reversed(body: &Bytes) -> Bytes {
    body.iter().rev().copied().collect::<Vec<_>>().into()
}

#[tokio::test(start_paused = true)]
async fn bodies_of_all_sizes_arrive_whole_in_blocks_of_all_sizes() {
    for client in [16, 64, 1024] {
        for server in [16, 128, 1024] {
            let testbed = Testbed::new(AT_ONCE, blocks_of(server), perfect());
            let link = testbed.client(blocks_of(client));
            for length in [0, 1, 15, 16, 17, 1023, 1024, 1025, 5000] {
                let sent = body(length);
                let answer = world::send(&link, post(sent.clone())).await.unwrap();
                assert_eq!(answer.body(), &reversed(&sent), "{length} octets, {client} and {server}");
                let expected = if length == 0 { StatusCode::NO_CONTENT } else { StatusCode::OK };
                assert_eq!(answer.status(), expected);
            }
            assert_eq!(testbed.executed(), 9);
            assert_eq!(testbed.dialled.load(Ordering::SeqCst), 1);
            for datagram in testbed.to_server.lock().unwrap().iter() {
                let message = Message::decode(datagram).unwrap();
                let block = Block::read(&message.options, option::BLOCK1).unwrap();
                assert!(message.payload.len() <= client);
                // The first block of a request can be larger than those of the server.
                assert!(block.is_none_or(|block| block.number == 0 || message.payload.len() <= server));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_sees_the_path_the_host_and_the_content_type() {
    let echo = link_from(tower::service_fn(async |request: Request<Bytes>| {
        let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let names = [header::HOST, header::CONTENT_TYPE, "x-admin-protocol".parse().unwrap()];
        let seen = format!("{} {:?}", request.uri(), names.map(header));
        Ok::<_, LinkFault>(Response::new(Bytes::from(seen)))
    }));
    let testbed = Testbed::serving(echo, Arc::default(), Transmission::default(), perfect());
    let link = testbed.client(Transmission::default());
    let answer = world::send(&link, post(body(3))).await.unwrap();
    let protocol = "gsma/rsp/v1.2.0";
    let expected = format!("{PATH} [Some({HOST:?}), Some({CONTENT_TYPE:?}), Some({protocol:?})]");
    assert_eq!(answer.body(), &Bytes::from(expected));
    assert_eq!(answer.headers()[header::CONTENT_TYPE], CONTENT_TYPE);
    let odd = Request::post("/a%2Fb//c%3F?x=%26y&z").body(Bytes::new()).unwrap();
    let answer = world::send(&link, odd).await.unwrap();
    let expected = format!("/a%2Fb//c%3F?x%3D%26y&z [Some({HOST:?}), None, Some({protocol:?})]");
    assert_eq!(answer.body(), &Bytes::from(expected));
    let get = world::send(&link, Request::get(PATH).body(Bytes::new()).unwrap()).await.unwrap_err();
    assert_eq!(get.kind, LinkFaultKind::Protocol);
}

#[tokio::test(start_paused = true)]
async fn statuses_survive_the_way_through_coap() {
    let server = link_from(tower::service_fn(async |request: Request<Bytes>| {
        let status: u16 = std::str::from_utf8(request.body()).unwrap().parse().unwrap();
        let answer = Response::builder().status(status).header(header::RETRY_AFTER, "10");
        Ok::<_, LinkFault>(answer.body(Bytes::new()).unwrap())
    }));
    let testbed = Testbed::serving(server, Arc::default(), Transmission::default(), perfect());
    let link = testbed.client(Transmission::default());
    for (sent, arrives) in [
        (204, 204),
        (400, 400),
        (401, 401),
        (403, 403),
        (404, 404),
        (405, 405),
        (406, 406),
        (408, 408),
        (409, 409),
        (413, 413),
        (415, 415),
        (418, 400),
        (429, 429),
        (500, 500),
        (501, 501),
        (502, 502),
        (503, 503),
        (504, 504),
        (507, 500),
        (302, 500),
    ] {
        let answer = world::send(&link, post(Bytes::from(sent.to_string()))).await.unwrap();
        assert_eq!(answer.status().as_u16(), arrives, "{sent}");
        let waits = answer.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap());
        assert_eq!(waits, (sent >= 300).then_some("10"), "{sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_response_is_separate_and_is_executed_once() {
    for seconds in [1, 2, 30] {
        let testbed = Testbed::new(Duration::from_secs(seconds), Transmission::default(), perfect());
        let link = testbed.client(Transmission::default());
        for _ in 0..3 {
            let answer = world::send(&link, post(body(2000))).await.unwrap();
            assert_eq!(answer.body(), &reversed(&body(2000)));
        }
        assert_eq!(testbed.executed(), 3);
    }
    let started = Instant::now();
    let testbed = Testbed::new(Duration::from_secs(3600), Transmission::default(), perfect());
    let fault = world::send(&testbed.client(Transmission::default()), post(body(1))).await.unwrap_err();
    assert_eq!(fault.kind, LinkFaultKind::Timeout);
    assert!(started.elapsed() < SEPARATE_RESPONSE_TIMEOUT + Duration::from_secs(100));
}

/// Every datagram of an exchange with blocks in both directions is lost once, or arrives twice.
#[tokio::test(start_paused = true)]
async fn a_datagram_that_is_lost_or_arrives_twice_changes_nothing() {
    for takes in [AT_ONCE, Duration::from_secs(5)] {
        for to_server in [true, false] {
            for number in 0..8 {
                for copies in [0, 2, 3] {
                    let network: Network = Arc::new(move |up, at, datagram| {
                        let times = if up == to_server && at == number { copies } else { 1 };
                        vec![datagram; times]
                    });
                    let testbed = Testbed::new(takes, blocks_of(64), network);
                    let link = testbed.client(blocks_of(64));
                    let at = format!("{takes:?}, {copies} copies of {number}, to server {to_server}");
                    for length in [200, 30] {
                        let answer = world::send(&link, post(body(length))).await.expect(&at);
                        assert_eq!(answer.body(), &reversed(&body(length)), "{at}");
                    }
                    assert_eq!(testbed.executed(), 2, "{at}");
                }
            }
        }
    }
}

// req: RFC.7252-4.2-Retransmission
#[tokio::test(start_paused = true)]
async fn a_client_gives_up_after_the_time_of_the_rfc_and_then_dials_again() {
    let network: Network = Arc::new(|up, number, datagram| match up && number < 5 {
        true => Vec::new(),
        false => vec![datagram],
    });
    let testbed = Testbed::new(AT_ONCE, Transmission::default(), network);
    let link = testbed.client(Transmission::default());
    let started = Instant::now();
    let fault = world::send(&link, post(body(10))).await.unwrap_err();
    assert_eq!((fault.kind, fault.peer.as_str()), (LinkFaultKind::Timeout, HOST));
    // The sum of 1, 2, 4, 8 and 16 times the time-out, which is 2 to 3 s.
    let waited = started.elapsed();
    assert!(waited >= Duration::from_secs(62) && waited <= MAX_TRANSMIT_WAIT, "{waited:?}");
    let sent = testbed.to_server.lock().unwrap().clone();
    assert_eq!(sent.len(), 5);
    assert!(sent.iter().all(|datagram| *datagram == sent[0]));
    world::send(&link, post(body(10))).await.unwrap();
    assert_eq!((testbed.dialled.load(Ordering::SeqCst), testbed.executed()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn bodies_over_the_limits_are_refused() {
    let server = link_from(tower::service_fn(async |_: Request<Bytes>| {
        Ok::<_, LinkFault>(Response::new(body(MAX_RESPONSE + 1)))
    }));
    let testbed = Testbed::serving(server, Arc::default(), Transmission::default(), perfect());
    let link = testbed.client(Transmission::default());
    let fault = world::send(&link, post(body(1))).await.unwrap_err();
    assert_eq!(fault.kind, LinkFaultKind::TooLarge);
    let testbed = Testbed::new(AT_ONCE, Transmission::default(), perfect());
    let link = testbed.client(Transmission::default());
    assert_eq!(world::send(&link, post(body(MAX_REQUEST))).await.unwrap().status(), StatusCode::OK);
    let refused = world::send(&link, post(body(MAX_REQUEST + 1))).await.unwrap();
    assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(testbed.executed(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_fails_ends_the_association() {
    let failing = link_from(tower::service_fn(async |_: Request<Bytes>| {
        Err::<Response<Bytes>, _>(LinkFault::new(LinkFaultKind::Reset, HOST, "crashed"))
    }));
    let testbed = Testbed::serving(failing, Arc::default(), Transmission::default(), perfect());
    let fault = world::send(&testbed.client(Transmission::default()), post(body(1))).await.unwrap_err();
    assert_eq!(fault.kind, LinkFaultKind::Reset);
}

// req: RFC.7959-2.4-Block2
/// A response with changed options, as a server must not send it.
#[tokio::test(start_paused = true)]
async fn a_response_that_breaks_the_rules_of_blocks_is_refused() {
    type Change = fn(&mut Message);
    let changes: [(&str, Change); 4] = [
        ("an unknown critical option", |message| message.options.add(65001, Bytes::new())),
        ("another code", |message| message.code = Code::CHANGED),
        ("an ETag", |message| message.options.add(option::ETAG, "x")),
        ("a short block", |message| message.payload.truncate(message.payload.len() - 1)),
    ];
    for (what, change) in changes {
        let network: Network = Arc::new(move |up, number, datagram| {
            // The second block of the response.
            if up || number != 1 {
                return vec![datagram];
            }
            let mut message = Message::decode(&datagram).unwrap();
            change(&mut message);
            vec![message.encode()]
        });
        let server = link_from(tower::service_fn(async |_: Request<Bytes>| {
            Ok::<_, LinkFault>(Response::new(body(64)))
        }));
        let testbed = Testbed::serving(server, Arc::default(), blocks_of(16), network);
        let answer = world::send(&testbed.client(blocks_of(16)), post(body(1))).await;
        assert_eq!(answer.expect_err(what).kind, LinkFaultKind::Protocol, "{what}");
    }
}
