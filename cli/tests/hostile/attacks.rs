//! Hostile clients without an identity: silent and slow connections, large bodies, sessions that
//! nobody continues, and guessed passwords.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{io::AsyncWriteExt, task::JoinSet};

use crate::{
    client::{Bind, BoxStream, HTTP_1, HTTP_2, HttpCall, smpp_status, tcp},
    doors::{Door, Honest},
    servers::ACCOUNT,
};

/// Last octets of the addresses of hostile clients.
const SOURCES: std::ops::Range<u8> = 2..10;
/// Handshakes at a time, as the test shares the processor with the servers.
pub(crate) const MAX_HANDSHAKES: usize = 32;

/// Returns the last octet of the address of this hostile client.
pub(crate) fn source(number: usize) -> u8 {
    SOURCES.clone().nth(number % SOURCES.len()).unwrap()
}

/// A kind of connection that sends a part of a request and then almost nothing.
pub(crate) struct Silence {
    pub(crate) name: &'static str,
    /// The application protocol, or `None` for a client that does not even begin TLS.
    alpn: Option<&'static [u8]>,
    first: Vec<u8>,
    /// Octets that are sent again and again.
    drip: &'static [u8],
    /// True if the honest client can be refused: the hostile one uses something that only one
    /// client can use at a time.
    pub(crate) takes_turn: bool,
}

impl Silence {
    fn new(
        name: &'static str,
        alpn: Option<&'static [u8]>,
        first: impl AsRef<[u8]>,
        drip: &'static [u8],
    ) -> Self {
        Self { name, alpn, first: first.as_ref().to_vec(), drip, takes_turn: false }
    }

    /// Returns the kinds for this door.
    pub(crate) fn kinds(door: &Door) -> Vec<Self> {
        const HALF_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";
        let (head, body) = match door.http_2() {
            Some(HttpCall { method, path, .. }) => {
                let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
                let body = format!("{head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{");
                (head, body)
            }
            None => Default::default(),
        };
        let before_tls = || Self::new("silent before TLS", None, "", b"");
        let octet_of_tls = || Self::new("one octet of TLS", None, b"\x16", b"");
        match &door.honest {
            Honest::Https(..) => vec![
                before_tls(),
                octet_of_tls(),
                Self::new("silent after TLS, HTTP/2", Some(HTTP_2), "", b""),
                Self::new("half a preface", Some(HTTP_2), HALF_PREFACE, b""),
                Self::new("silent after TLS, HTTP/1.1", Some(HTTP_1), "", b""),
                Self::new("slow head", Some(HTTP_1), head, b"a"),
                Self::new("slow body", Some(HTTP_1), body, b" "),
            ],
            Honest::Http(_) => vec![
                Self::new("silent", None, "", b""),
                Self::new("half a preface", None, HALF_PREFACE, b""),
                Self::new("slow head", None, head, b"a"),
                Self::new("slow body", None, body, b" "),
            ],
            Honest::Psk(..) => vec![
                before_tls(),
                octet_of_tls(),
                Self::new("slow ClientHello", None, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0"),
            ],
            Honest::Smpp(_) => vec![
                Self::new("silent", None, "", b""),
                Self::new("one octet", None, b"\0", b""),
                Self::new("slow PDU", None, b"\0\0\x10\0\0\0\0\x09\0\0\0\0\0\0\0\x01", b"a"),
            ],
            // `Datagrams` has the attacks on a UDP port.
            Honest::Coap(_) => Vec::new(),
            Honest::Card => vec![
                Self::new("silent", None, "", b""),
                Self::new("one octet", None, b"\0", b""),
                Self::new("slow command", None, b"\x01\0\0\xa4", b"\0"),
                Self { takes_turn: true, ..Self::new("silent after a reset", None, b"\0\0", b"") },
            ],
        }
    }

    /// Opens connections of this kind. Returns those that the server accepted.
    pub(crate) async fn open(&self, door: &Arc<Door>, count: usize) -> Vec<BoxStream> {
        let mut tasks = JoinSet::new();
        let mut open = Vec::new();
        for number in 0..count {
            let door = Arc::clone(door);
            let (alpn, first) = (self.alpn, self.first.clone());
            tasks.spawn(async move {
                let mut stream: BoxStream = match alpn {
                    None => Box::new(tcp(source(number), door.address).await.ok()?),
                    Some(alpn) => door.connect(source(number), alpn).await.ok()?,
                };
                stream.write_all(&first).await.ok()?;
                stream.flush().await.ok()?;
                Some(stream)
            });
            if tasks.len() >= MAX_HANDSHAKES {
                open.extend(tasks.join_next().await.unwrap().unwrap());
            }
        }
        open.extend(tasks.join_all().await.into_iter().flatten());
        open
    }

    /// Sends a little more on each connection. The server may have closed it.
    pub(crate) async fn drip(&self, open: &mut [BoxStream]) {
        if !self.drip.is_empty() {
            for stream in open {
                let _ = stream.write_all(self.drip).await;
                let _ = stream.flush().await;
            }
        }
    }
}

/// A body that never ends.
struct Unfinished(usize);

impl Body for Unfinished {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.0 == 0 {
            return Poll::Pending;
        }
        let length = self.0.min(16 << 10);
        self.0 -= length;
        Poll::Ready(Some(Ok(Frame::data(vec![0; length].into()))))
    }
}

fn request<B>(call: &HttpCall, uri: String, body: B) -> Request<B> {
    let builder = Request::builder().method(call.method).uri(uri);
    let builder = call.headers.iter().fold(builder, |builder, (name, value)| builder.header(name, value));
    builder.body(body).unwrap()
}

/// Sends bodies of almost 1 MiB that never end, on many HTTP/2 streams of each connection. Dropping
/// the set closes the connections.
pub(crate) async fn bodies(door: &Door, call: &HttpCall, connections: usize, streams: usize) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for number in 0..connections {
        let Ok(stream) = door.connect(source(number), HTTP_2).await else { continue };
        let connection = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let Ok((sender, connection)) = connection.await else { continue };
        tasks.spawn(async move { drop(connection.await) });
        for _ in 0..streams {
            let mut sender = sender.clone();
            let uri = format!("https://localhost{}", call.path);
            let call = HttpCall { method: "POST", ..call.clone() };
            tasks.spawn(async move {
                let request = request(&call, uri, Unfinished((1 << 20) - 1));
                drop(sender.send_request(request).await);
            });
        }
    }
    tasks
}

/// Opens sessions with one connection of each hostile address. Returns the number of those that the
/// server opened, and of those that it refused.
pub(crate) async fn sessions(door: &Arc<Door>, call: &HttpCall, count: usize) -> (usize, usize) {
    let mut tasks = JoinSet::new();
    for source in SOURCES {
        let (door, call) = (Arc::clone(door), call.clone());
        tasks.spawn(async move {
            let (mut opened, mut refused) = (0, 0);
            let stream = door.connect(source, HTTP_1).await.unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            for _ in 0..count.div_ceil(SOURCES.len()) {
                let body = Full::new(Bytes::from(call.body.clone()));
                let mut request = request(&call, call.path.clone(), body);
                request.headers_mut().insert(http::header::HOST, "localhost".parse().unwrap());
                sender.ready().await.unwrap();
                let response = sender.send_request(request).await.unwrap();
                let status = response.status();
                let body = response.into_body().collect().await.unwrap().to_bytes();
                match status {
                    StatusCode::OK if body.windows(13).any(|name| name == b"transactionId") => opened += 1,
                    // The eIM answers that its SM-DP+ refuses.
                    StatusCode::OK | StatusCode::SERVICE_UNAVAILABLE => refused += 1,
                    other => panic!("HTTP {other}"),
                }
            }
            (opened, refused)
        });
    }
    let counts = tasks.join_all().await;
    counts.into_iter().fold((0, 0), |sum, (opened, refused)| (sum.0 + opened, sum.1 + refused))
}

/// Guesses passwords of an SMPP account. Returns the number of those that the SMSC checked, and of
/// those that it refused without a check.
pub(crate) async fn passwords(door: &Door, count: usize) -> (usize, usize) {
    const ESME_RINVPASWD: u32 = 0x0E;
    const ESME_RTHROTTLED: u32 = 0x58;
    let (mut checked, mut refused) = (0, 0);
    for source in SOURCES {
        let mut stream = tcp(source, door.address).await.unwrap();
        for number in 0..count.div_ceil(SOURCES.len()) {
            let bind = Bind::new(ACCOUNT, format!("{number:x}"));
            match smpp_status(&mut stream, &bind.to_bytes()).await.unwrap() {
                ESME_RINVPASWD => checked += 1,
                ESME_RTHROTTLED => refused += 1,
                other => panic!("command_status {other:08X}"),
            }
        }
    }
    (checked, refused)
}
