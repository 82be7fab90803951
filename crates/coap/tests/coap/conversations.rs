//! Conversations of RFC 7252 and RFC 7959 between a peer written by hand and the server.

use std::time::Duration;

use bytes::Bytes;
use coap::message::{Code, Kind, Message, Token, option};
use coap::{Block, BlockSize, Datagrams, MemoryDatagrams, Transmission, memory_pair, serve};
use tokio::time::timeout;

use crate::support::{Testbed, blocks_of, body, perfect, world};

/// A client that sends exactly what a test tells it to.
struct Peer(MemoryDatagrams);

impl Peer {
    fn of(testbed: &Testbed, transmission: Transmission) -> Self {
        let (client, server) = memory_pair("server");
        let link = testbed.server.clone();
        tokio::spawn(async move { serve(&server, &link, &world("server"), transmission).await });
        Self(client)
    }

    async fn send(&self, message: &Message) {
        self.0.send(message.encode()).await.unwrap();
    }

    async fn receive(&self) -> Message {
        let received = timeout(Duration::from_secs(600), self.0.receive()).await;
        Message::decode(&received.unwrap().unwrap()).unwrap()
    }

    async fn receives_nothing(&self) {
        assert!(timeout(Duration::from_secs(300), self.0.receive()).await.is_err());
    }

    async fn ask(&self, message: &Message) -> Message {
        self.send(message).await;
        self.receive().await
    }
}

fn request(id: u16, payload: Bytes) -> Message {
    let mut message = Message::new(Kind::Confirmable, Code::POST, id, Token::of(id));
    message.options.add(option::URI_PATH, "soap");
    message.payload = payload;
    message
}

fn with_block(mut message: Message, number: u16, block: (u32, u32, usize)) -> Message {
    let size = BlockSize::of(block.2).unwrap();
    Block { number: block.0, more: block.1 == 1, size }.write(&mut message.options, number);
    message
}

fn block(message: &Message, number: u16) -> Option<(u32, u32, usize)> {
    let block = Block::read(&message.options, number).unwrap()?;
    Some((block.number, u32::from(block.more), block.size.octets()))
}

fn testbed(takes: u64) -> Testbed {
    Testbed::new(Duration::from_secs(takes), Transmission::default(), perfect())
}

/// The conversation of RFC 7959 section 3.3, "Atomic Block-Wise POST with Block-Wise Response". The
/// RFC's server replies with 2.04; ESipa uses 2.05 for a response with a body.
#[tokio::test(start_paused = true)]
async fn an_atomic_post_with_a_response_in_blocks_is_that_of_rfc_7959() {
    let testbed = testbed(0);
    let peer = Peer::of(&testbed, blocks_of(128));
    let sent = body(3 * 128);
    for number in 0..3_u32 {
        let at = usize::try_from(number).unwrap() * 128;
        let more = u32::from(number < 2);
        let id = 1234 + u16::try_from(number).unwrap();
        let asked = with_block(request(id, sent.slice(at..at + 128)), option::BLOCK1, (number, more, 128));
        let answer = peer.ask(&asked).await;
        assert_eq!((answer.kind, answer.id), (Kind::Acknowledgement, id));
        assert_eq!(block(&answer, option::BLOCK1), Some((number, more, 128)));
        let expected = if more == 1 { Code::CONTINUE } else { Code::CONTENT };
        assert_eq!(answer.code, expected);
        if more == 0 {
            assert_eq!(block(&answer, option::BLOCK2), Some((0, 1, 128)));
            assert_eq!(answer.options.uint(option::SIZE2), Some(384));
        }
    }
    for number in 1..3_u32 {
        let id = 1236 + u16::try_from(number).unwrap();
        let asked = with_block(request(id, Bytes::new()), option::BLOCK2, (number, 0, 128));
        let answer = peer.ask(&asked).await;
        assert_eq!(block(&answer, option::BLOCK2), Some((number, u32::from(number < 2), 128)));
        let mut rest = sent.to_vec();
        rest.reverse();
        let at = usize::try_from(number).unwrap() * 128;
        assert_eq!(answer.payload, rest[at..at + 128]);
    }
    assert_eq!(testbed.executed(), 1);
}

// req: RFC.7959-2.5-Block1
/// RFC 7959 section 3.2, "Simple Atomic Block-Wise PUT with Negotiation": the server chooses smaller
/// blocks, and the peer goes on with the number in units of the new size.
#[tokio::test(start_paused = true)]
async fn a_server_negotiates_smaller_blocks_as_in_rfc_7959() {
    let testbed = testbed(0);
    let peer = Peer::of(&testbed, blocks_of(32));
    let sent = body(192);
    let asked = with_block(request(1234, sent.slice(..128)), option::BLOCK1, (0, 1, 128));
    let answer = peer.ask(&asked).await;
    assert_eq!((answer.code, block(&answer, option::BLOCK1)), (Code::CONTINUE, Some((0, 1, 32))));
    let asked = with_block(request(1235, sent.slice(128..160)), option::BLOCK1, (4, 1, 32));
    let answer = peer.ask(&asked).await;
    assert_eq!((answer.code, block(&answer, option::BLOCK1)), (Code::CONTINUE, Some((4, 1, 32))));
    let asked = with_block(request(1236, sent.slice(160..)), option::BLOCK1, (5, 0, 32));
    let answer = peer.ask(&asked).await;
    assert_eq!((answer.code, block(&answer, option::BLOCK2)), (Code::CONTENT, Some((0, 1, 32))));
    assert_eq!(testbed.executed(), 1);
}

// req: RFC.7252-5.2.2-Separate
/// The separate response of RFC 7252 section 5.2.2 and its figure 5, repeated until the peer
/// acknowledges it.
#[tokio::test(start_paused = true)]
async fn a_separate_response_is_repeated_until_it_is_acknowledged() {
    let testbed = testbed(10);
    let peer = Peer::of(&testbed, Transmission::default());
    let asked = request(0x7D38, body(5));
    assert_eq!(peer.ask(&asked).await, Message::empty(Kind::Acknowledgement, 0x7D38));
    // A duplicate of the request is acknowledged again and not executed again.
    assert_eq!(peer.ask(&asked).await, Message::empty(Kind::Acknowledgement, 0x7D38));
    let response = peer.receive().await;
    assert_eq!((response.kind, response.code), (Kind::Confirmable, Code::CONTENT));
    assert_eq!(response.token, asked.token);
    assert_eq!(peer.receive().await, response);
    peer.send(&Message::empty(Kind::Acknowledgement, response.id)).await;
    peer.receives_nothing().await;
    assert_eq!(testbed.executed(), 1);
    // A peer that acknowledges nothing gets the response five times.
    peer.send(&request(0x7D39, body(5))).await;
    let mut confirmable = 0;
    for _ in 0..6 {
        confirmable += u32::from(peer.receive().await.kind == Kind::Confirmable);
    }
    assert_eq!(confirmable, 5);
    peer.receives_nothing().await;
}

// req: RFC.7252-4.5-Deduplication
#[tokio::test(start_paused = true)]
async fn a_duplicate_gets_the_same_reply_and_after_247_seconds_its_id_is_free() {
    let testbed = testbed(0);
    let peer = Peer::of(&testbed, Transmission::default());
    let asked = request(7, body(5));
    let first = peer.ask(&asked).await;
    assert_eq!(peer.ask(&asked).await, first);
    assert_eq!(testbed.executed(), 1);
    tokio::time::sleep(Duration::from_secs(248)).await;
    peer.ask(&asked).await;
    assert_eq!(testbed.executed(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_second_request_during_the_first_is_told_to_wait() {
    let testbed = testbed(10);
    let peer = Peer::of(&testbed, Transmission::default());
    peer.send(&request(1, body(5))).await;
    let answer = peer.ask(&request(2, body(5))).await;
    assert_eq!((answer.id, answer.code), (2, Code::SERVICE_UNAVAILABLE));
    assert_eq!(answer.options.uint(option::MAX_AGE), Some(1));
    assert_eq!(testbed.executed(), 1);
}

// req: RFC.7252-5.4.1-Critical, RFC.7959-2.5-Block1
#[tokio::test(start_paused = true)]
async fn requests_that_break_a_rule_are_refused_with_the_code_of_the_rfc() {
    let testbed = testbed(0);
    let peer = Peer::of(&testbed, blocks_of(64));
    let with = |number, value: &[u8]| {
        let mut message = request(0, body(4));
        message.options.add(number, value.to_vec());
        message
    };
    let mut get = request(0, Bytes::new());
    get.code = Code::of(0, 1);
    let cases = [
        (get, Code::METHOD_NOT_ALLOWED),
        (with(9, b""), Code::BAD_OPTION),
        (with(65001, b""), Code::BAD_OPTION),
        (with(option::PROXY_URI, b"coap://x"), Code::PROXYING_NOT_SUPPORTED),
        (with(option::CONTENT_FORMAT, &[50]), Code::UNSUPPORTED_CONTENT_FORMAT),
        (with(option::URI_PATH, &[0xFF]), Code::BAD_OPTION),
        (with(option::URI_HOST, b"a\nb"), Code::BAD_OPTION),
        (with(option::BLOCK1, &[7]), Code::BAD_OPTION),
        (request(0, body(65)), Code::REQUEST_TOO_LARGE),
        // A block that does not follow the one before.
        (with_block(request(0, body(16)), option::BLOCK1, (1, 1, 16)), Code::REQUEST_INCOMPLETE),
        // A block that is not full, although others follow.
        (with_block(request(0, body(15)), option::BLOCK1, (0, 1, 16)), Code::BAD_REQUEST),
        // A block of a response that does not exist.
        (with_block(request(0, Bytes::new()), option::BLOCK2, (1, 0, 16)), Code::REQUEST_INCOMPLETE),
    ];
    for (id, (message, code)) in (1..).zip(cases) {
        let message = Message { id, ..message };
        let answer = peer.ask(&message).await;
        assert_eq!((answer.kind, answer.id, answer.code), (Kind::Acknowledgement, id, code), "{message:?}");
    }
    // The reply to a non-confirmable request is non-confirmable.
    let refused = Message { kind: Kind::NonConfirmable, id: 90, ..with(9, b"") };
    assert_eq!(peer.ask(&refused).await.kind, Kind::NonConfirmable);
    assert_eq!(testbed.executed(), 0);
    // An option that is not critical is ignored, and so is an unknown one with an even number.
    let ignored = Message { id: 91, ..with(65000, b"x") };
    assert_eq!(peer.ask(&ignored).await.code, Code::CONTENT);
}

/// RFC 7252 section 4.3: "CoAP ping".
#[tokio::test(start_paused = true)]
async fn a_ping_is_answered_with_a_reset() {
    let peer = Peer::of(&testbed(0), Transmission::default());
    let answer = peer.ask(&Message::empty(Kind::Confirmable, 5)).await;
    assert_eq!(answer, Message::empty(Kind::Reset, 5));
    // What is not a message, or is a response, is ignored.
    peer.0.send(Bytes::from_static(b"GET / HTTP/1.1\r\n\r\n")).await.unwrap();
    peer.send(&Message::new(Kind::Acknowledgement, Code::CONTENT, 6, Token::of(6))).await;
    peer.receives_nothing().await;
}
