//! Hostile clients at the UDP port of an eIM: ClientHellos without a cookie, handshakes that never
//! end, and associations that stay silent.

use std::{net::SocketAddr, sync::Arc};

use tokio::{net::UdpSocket, task::JoinSet, time::timeout};
use world::Link;

use crate::{
    attacks::{MAX_HANDSHAKES, source},
    doors::{ANSWER, CoapClient},
};

/// A socket or an association that an attack keeps open.
pub(crate) enum Held {
    Socket { _socket: UdpSocket },
    Association { _link: Link },
}

/// A kind of hostile client.
#[derive(Clone, Copy)]
pub(crate) enum Datagrams {
    /// A ClientHello without a cookie.
    NoCookie,
    /// A handshake that ends after the ClientHello with the cookie.
    Unfinished,
    /// An association that is silent after one request.
    Silent,
}

impl Datagrams {
    pub(crate) const ALL: [Self; 3] = [Self::NoCookie, Self::Unfinished, Self::Silent];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NoCookie => "ClientHello without a cookie",
            Self::Unfinished => "unfinished handshake",
            Self::Silent => "silent association",
        }
    }

    /// Starts this number of hostile clients. Returns those that the server answered.
    pub(crate) async fn open(self, client: &Arc<CoapClient>, count: usize) -> Vec<Held> {
        let mut tasks = JoinSet::new();
        let mut open = Vec::new();
        for number in 0..count {
            let client = Arc::clone(client);
            tasks.spawn(async move { self.start(&client, number).await });
            if tasks.len() >= MAX_HANDSHAKES {
                open.extend(tasks.join_next().await.unwrap().unwrap());
            }
        }
        open.extend(tasks.join_all().await.into_iter().flatten());
        open
    }

    async fn start(self, client: &CoapClient, number: usize) -> Option<Held> {
        if let Self::Silent = self {
            let link = client.link();
            client.poll(&link).await.ok()?.ok()?;
            return Some(Held::Association { _link: link });
        }
        let socket = connected(source(number), client.address).await;
        let cookie = verify_request(&socket, &client_hello(number, 0, &[])).await?;
        if let Self::Unfinished = self {
            // The answer is the flight of the server from ServerHello to ServerHelloDone.
            exchange(&socket, &client_hello(number, 1, &cookie)).await?;
        }
        Some(Held::Socket { _socket: socket })
    }
}

async fn connected(source: u8, to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(SocketAddr::from(([127, 0, 0, source], 0))).await.unwrap();
    socket.connect(to).await.unwrap();
    socket
}

/// Sends a datagram. Returns the next one from the server, or `None` if there is none in time. A lost
/// datagram is repeated once.
async fn exchange(socket: &UdpSocket, datagram: &[u8]) -> Option<Vec<u8>> {
    for _ in 0..2 {
        socket.send(datagram).await.ok()?;
        let mut answer = vec![0; 2048];
        if let Ok(received) = timeout(ANSWER, socket.recv(&mut answer)).await {
            answer.truncate(received.ok()?);
            return Some(answer);
        }
    }
    None
}

/// Returns the cookie of the server.
async fn verify_request(socket: &UdpSocket, hello: &[u8]) -> Option<Vec<u8>> {
    let answer = exchange(socket, hello).await?;
    // The headers of record and message, the version, and the length of the cookie.
    let [22, .., 3] = answer.get(..14)? else { return None };
    Some(answer.get(28..)?.to_vec())
}

/// Returns a ClientHello (RFC 6347 section 4.2.1) with a random value of its own. `message` is the
/// number of the message in the handshake.
fn client_hello(number: usize, message: u8, cookie: &[u8]) -> Vec<u8> {
    const VERSION: [u8; 2] = [0xFE, 0xFD];
    // ECDHE with ECDSA and AES-128-GCM, no compression.
    const SUITES: [u8; 6] = [0, 2, 0xC0, 0x2B, 1, 0];
    // secp256r1, uncompressed points, ECDSA with SHA-256.
    const EXTENSIONS: [u8; 24] =
        [0, 22, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3];
    let mut random = [0x5A; 32];
    random[..8].copy_from_slice(&u64::try_from(number).unwrap().to_be_bytes());
    let length = u8::try_from(cookie.len()).unwrap();
    let body = [&VERSION[..], &random, &[0, length], cookie, &SUITES, &EXTENSIONS].concat();
    let [_, size @ ..] = u32::try_from(body.len()).unwrap().to_be_bytes();
    let content = [&[1][..], &size, &[0, message, 0, 0, 0], &size, &body].concat();
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[22, 0xFE, 0xFF, 0, 0, 0, 0, 0, 0, 0, message][..], &length, &content].concat()
}
