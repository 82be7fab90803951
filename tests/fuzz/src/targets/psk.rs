//! The TLS-PSK server for cards: octets of one connection before the key agreement. The server must
//! end the connection after the octets have ended.

use std::convert::Infallible;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use crypto::Secret;
use http::{Request, Response};
use net::psk::PskServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;
use world::{BoxFuture, Fault};

/// Time after which a connection counts as hanging.
const PATIENCE: Duration = Duration::from_secs(20);

struct OneKey;

impl net::PskKeys for OneKey {
    fn key<'a>(&'a self, identity: &'a str) -> BoxFuture<'a, Result<Option<Secret<Vec<u8>>>, Fault>> {
        Box::pin(async move { Ok((identity == "card").then(|| vec![7; 16].into())) })
    }
}

static SERVER: LazyLock<(Runtime, PskServer)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    (runtime, PskServer::new(Arc::new(OneKey)).expect("OpenSSL can be used"))
});

pub(crate) fn run(octets: &[u8]) -> bool {
    let (runtime, server) = &*SERVER;
    let service = tower::service_fn(|_: Request<Bytes>| async {
        Ok::<_, Infallible>(Response::new(Bytes::from_static(b"ok")))
    });
    let (near, far) = tokio::io::duplex(1 << 16);
    let (mut from_server, mut to_server) = tokio::io::split(near);
    let answer = runtime.block_on(async {
        let client = async {
            let _ = to_server.write_all(octets).await;
            let _ = to_server.shutdown().await;
            let mut answer = Vec::new();
            let _ = from_server.read_to_end(&mut answer).await;
            answer
        };
        let both = async { tokio::join!(server.serve(far, service), client).1 };
        tokio::time::timeout(PATIENCE, both).await.expect("the server ends the connection")
    });
    // ServerHello is the answer to an acceptable ClientHello.
    answer.first() == Some(&22)
}

pub(crate) fn samples() -> Vec<Vec<u8>> {
    vec![hello(), [hello(), key_exchange(b"card")].concat(), [hello(), key_exchange(b"nobody")].concat()]
}

fn record(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap_or_default().to_be_bytes();
    [&[22, 3, 3][..], &length, message].concat()
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(body.len()).unwrap_or_default().to_be_bytes();
    record(&[&[kind][..], &length, body].concat())
}

/// ClientHello of TLS 1.2 with the two PSK suites and no extension but secure renegotiation.
fn hello() -> Vec<u8> {
    let suites = [0x00, 0x06, 0x00, 0xA8, 0x00, 0xAE, 0x00, 0xFF];
    handshake(1, &[&[3, 3][..], &[0x5A; 32], &[0], &suites, &[1, 0]].concat())
}

fn key_exchange(identity: &[u8]) -> Vec<u8> {
    let length = u16::try_from(identity.len()).unwrap_or_default().to_be_bytes();
    handshake(16, &[&length[..], identity].concat())
}
