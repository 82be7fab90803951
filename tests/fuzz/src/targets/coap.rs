//! CoAP: datagrams, each with its length before it. A server gets them and must then answer an honest
//! request, and a client gets them as replies and must come to an end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coap::message::{Code, Kind, Message, Options, Token, option};
use coap::{Block, BlockSize, Client, Datagrams, DialDatagrams, MemoryDatagrams, Transmission, memory_pair};
use http::{Request, Response};
use rsp::sgp32::esipa::asn1::PATH;
use rsp::time::Timestamp;
use tokio::time::timeout;
use world::{BoxFuture, Link, LinkFault, ManualClock, SeededRandom, World, link_from};

/// The time, in virtual time, after which a client that does not come to an end counts as hanging.
const PATIENCE: Duration = Duration::from_secs(20 * 60);
/// The message ID of the honest request.
const HONEST: u16 = 0xBEEF;

pub(crate) fn run(octets: &[u8]) -> bool {
    let datagrams = split(octets);
    let mut accepted = false;
    for datagram in &datagrams {
        if let Ok(message) = Message::decode(datagram) {
            assert_eq!(Message::decode(&message.encode()).as_ref(), Ok(&message), "decoded again");
            for number in [option::BLOCK1, option::BLOCK2] {
                if let Ok(Some(block)) = Block::read(&message.options, number) {
                    let mut options = Options::default();
                    block.write(&mut options, number);
                    assert_eq!(Block::read(&options, number), Ok(Some(block)), "read again");
                }
            }
            accepted = true;
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        at_server(&datagrams).await;
        at_client(datagrams).await;
    });
    accepted
}

async fn at_server(datagrams: &[Bytes]) {
    let (client, server) = memory_pair("server");
    let serving =
        tokio::spawn(async move { coap::serve(&server, &mirror(), &world(), Transmission::default()).await });
    for datagram in datagrams {
        client.send(datagram.clone()).await.expect("the server goes on");
        while timeout(Duration::from_millis(1), client.receive()).await.is_ok() {}
    }
    // The server forgets all message IDs, and has given up all of its own messages.
    tokio::time::sleep(Duration::from_secs(300)).await;
    while timeout(Duration::from_millis(1), client.receive()).await.is_ok() {}
    let mut honest = Message::new(Kind::Confirmable, Code::POST, HONEST, Token::of(HONEST));
    honest.options.add(option::URI_PATH, "a");
    honest.payload = Bytes::from_static(b"honest");
    client.send(honest.encode()).await.expect("the server goes on");
    let answer = timeout(PATIENCE, client.receive()).await.expect("an answer").expect("an answer");
    let answer = Message::decode(&answer).expect("a message");
    assert_eq!((answer.code, answer.id, &answer.payload), (Code::CONTENT, HONEST, &honest.payload));
    serving.abort();
}

async fn at_client(replies: Vec<Bytes>) {
    let link = Client::new(Arc::new(Replies(replies)), "server", world(), small_blocks()).link();
    let request = Request::post(PATH).body(Bytes::from_static(&[7; 100])).expect("a request");
    let _ = timeout(PATIENCE, world::send(&link, request)).await.expect("the client comes to an end");
}

/// A server that sends these datagrams in answer to one each.
struct Replies(Vec<Bytes>);

impl DialDatagrams for Replies {
    fn dial(&self) -> BoxFuture<'_, Result<Arc<dyn Datagrams>, LinkFault>> {
        let (client, server) = memory_pair("server");
        tokio::spawn(reply(server, self.0.clone()));
        Box::pin(std::future::ready(Ok(Arc::new(client) as Arc<dyn Datagrams>)))
    }
}

/// The replies get the message ID and the token of the request, so that the client looks at them.
async fn reply(server: MemoryDatagrams, replies: Vec<Bytes>) {
    for reply in replies {
        let Ok(asked) = server.receive().await else { return };
        let matching = match (Message::decode(&asked), Message::decode(&reply)) {
            (Ok(Message { id, token, .. }), Ok(reply)) => Message { id, token, ..reply }.encode(),
            _ => Bytes::new(),
        };
        if server.send(reply).await.is_err() || server.send(matching).await.is_err() {
            return;
        }
    }
    // The client repeats its request until it gives up.
    while server.receive().await.is_ok() {}
}

fn mirror() -> Link {
    link_from(tower::service_fn(async |request: Request<Bytes>| {
        Ok::<_, LinkFault>(Response::new(request.into_body()))
    }))
}

fn world() -> World {
    World::new(ManualClock::at(Timestamp(0)), SeededRandom::from_text("CoAP"))
}

fn small_blocks() -> Transmission {
    let block_size = BlockSize::of(64).unwrap_or(BlockSize::MAX);
    Transmission { block_size, ..Transmission::default() }
}

fn split(mut octets: &[u8]) -> Vec<Bytes> {
    let mut datagrams = Vec::new();
    while let [high, low, rest @ ..] = octets {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (datagram, after) = rest.split_at(length);
        datagrams.push(Bytes::copy_from_slice(datagram));
        octets = after;
    }
    datagrams
}

fn joined(messages: &[Message]) -> Vec<u8> {
    let with_length = |message: &Message| {
        let datagram = message.encode();
        let length = u16::try_from(datagram.len()).unwrap_or(u16::MAX).to_be_bytes();
        [&length[..], &datagram].concat()
    };
    messages.iter().flat_map(with_length).collect()
}

pub(crate) fn samples() -> Vec<Vec<u8>> {
    let block = |number, more, octets| {
        BlockSize::of(octets).map(|size| Block { number, more, size }).unwrap_or(Block {
            number,
            more,
            size: BlockSize::MAX,
        })
    };
    let request = |id, at: Option<(u16, Block)>, payload: &'static [u8]| {
        let mut message = Message::new(Kind::Confirmable, Code::POST, id, Token::of(id));
        message.options.add(option::URI_HOST, "eim.example.com");
        for segment in ["gsma", "rsp2", "asn1"] {
            message.options.add(option::URI_PATH, segment);
        }
        message.options.add_uint(option::CONTENT_FORMAT, 42);
        if let Some((number, block)) = at {
            block.write(&mut message.options, number);
        }
        message.payload = Bytes::from_static(payload);
        message
    };
    let response = |code, number, block: Block, payload: &'static [u8]| {
        let mut message = Message::new(Kind::Acknowledgement, code, 1, Token::of(1));
        block.write(&mut message.options, number);
        message.payload = Bytes::from_static(payload);
        message
    };
    vec![
        joined(&[request(1, None, b"\xBF\x4F\x00"), request(1, None, b"\xBF\x4F\x00")]),
        joined(&[
            request(1, Some((option::BLOCK1, block(0, true, 16))), &[1; 16]),
            request(2, Some((option::BLOCK1, block(1, false, 16))), &[2; 9]),
            request(3, Some((option::BLOCK2, block(1, false, 16))), b""),
        ]),
        joined(&[Message::empty(Kind::Confirmable, 1), Message::empty(Kind::Reset, 2)]),
        joined(&[
            response(Code::CONTINUE, option::BLOCK1, block(0, true, 32), b""),
            response(Code::CONTINUE, option::BLOCK1, block(2, true, 32), b""),
            response(Code::CONTENT, option::BLOCK2, block(0, true, 16), &[3; 16]),
            response(Code::CONTENT, option::BLOCK2, block(1, false, 16), &[4; 3]),
        ]),
    ]
}
