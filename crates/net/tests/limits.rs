//! Limits of the servers: each test fails without one limit. The clock is paused, so that time-outs
//! take no time.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic in a function of the test fails the test"
)]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{AbortOnDrop, Ca, mirror, server_tls};
use crypto::Secret;
use http::{Request, Response};
use net::http::{
    BODY_READ_TIMEOUT, HANDSHAKE_TIMEOUT, IDLE_TIMEOUT, Limits, MAX_AGE, MAX_PLAIN_CONNECTIONS, serve,
    serve_within,
};
use net::{ClientAuth, PskKeys, ServerTls, listen};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use world::{BoxFuture, Fault, LinkFault, SlowBody};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame of HTTP/2.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
/// Longer than every limit.
const FOR_EVER: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The time in which a client is to see the end of a connection whose time is over.
const MARGIN: Duration = Duration::from_secs(2);

struct Server {
    address: SocketAddr,
    _running: AbortOnDrop,
}

async fn server(limits: Limits, tls: Option<ServerTls>) -> Server {
    let listener = listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = serve_within(limits, listener, tls, tower::service_fn(mirror), std::future::pending());
    Server { address, _running: AbortOnDrop(tokio::spawn(serving)) }
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Connects from another address of the loopback interface.
async fn connect_from(source: &str, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{source}:0").parse().unwrap()).unwrap();
    socket.connect(address).await.unwrap()
}

/// Returns the octets that the server sends until it ends the connection.
async fn received(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut received = Vec::new();
    // A reset is an end, too.
    let _ = timeout(FOR_EVER, stream.read_to_end(&mut received)).await.unwrap();
    String::from_utf8_lossy(&received).into_owned()
}

/// Asserts that the server ends the connection when `limit` is over, and not earlier.
async fn assert_ends_after(limit: Duration, stream: &mut (impl AsyncRead + Unpin), kind: &str) {
    let begun = Instant::now();
    received(stream).await;
    let after = begun.elapsed();
    assert!((limit - MARGIN..limit + MARGIN).contains(&after), "{kind}: after {after:?}, not {limit:?}");
}

async fn get(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Option<String> {
    stream.write_all(b"GET /x HTTP/1.1\r\nHost: server\r\n\r\n").await.ok()?;
    let mut seen = Vec::new();
    while !seen.ends_with(b"nobody") {
        if timeout(FOR_EVER, stream.read_buf(&mut seen)).await.ok()?.ok()? == 0 {
            return None;
        }
    }
    Some(String::from_utf8(seen).unwrap())
}

async fn tls_to(address: SocketAddr, root: &[u8], alpn: &[&[u8]]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(root.to_vec().into()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_details(provider, Arc::new(At2026));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let connector = TlsConnector::from(Arc::new(config));
    connector.connect(ServerName::try_from("server").unwrap(), connect(address).await).await.unwrap()
}

#[derive(Debug)]
struct At2026;

impl rustls::time_provider::TimeProvider for At2026 {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let seconds = u64::try_from(common::time("2026-11-01T00:00:00Z").seconds()).unwrap();
        Some(rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

#[tokio::test(start_paused = true)]
async fn a_tls_client_without_a_complete_handshake_is_disconnected() {
    let ca = Ca::new("ca");
    let server = server(Limits::default(), Some(server_tls(&ca.leaf("server"), &ClientAuth::None))).await;
    for first in [&b""[..], &[22], &[22, 3, 1, 2, 0, 1]] {
        let mut silent = connect(server.address).await;
        silent.write_all(first).await.unwrap();
        assert_ends_after(HANDSHAKE_TIMEOUT, &mut silent, &format!("{first:?}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_tls_client_without_a_complete_request_is_disconnected() {
    let ca = Ca::new("ca");
    let server = server(Limits::default(), Some(server_tls(&ca.leaf("server"), &ClientAuth::None))).await;
    for alpn in [&[][..], &[&b"h2"[..]], &[&b"http/1.1"[..]]] {
        for first in silent_starts() {
            let mut silent = tls_to(server.address, &ca.root, alpn).await;
            silent.write_all(&first).await.unwrap();
            let kind = format!("{alpn:?} {}", String::from_utf8_lossy(&first));
            assert_ends_after(IDLE_TIMEOUT, &mut silent, &kind).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_complete_request_is_disconnected() {
    let server = server(Limits::default(), None).await;
    for first in silent_starts() {
        let mut silent = connect(server.address).await;
        silent.write_all(&first).await.unwrap();
        assert_ends_after(IDLE_TIMEOUT, &mut silent, &String::from_utf8_lossy(&first)).await;
    }
}

/// The ways to begin a connection without a request.
fn silent_starts() -> Vec<Vec<u8>> {
    vec![
        vec![],
        b"P".to_vec(),
        PREFACE[..12].to_vec(),
        [PREFACE, &SETTINGS].concat(),
        b"POST /x HTTP/1.1\r\nHost: server\r\nX-Long: ".to_vec(),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_head_that_arrives_octet_by_octet_is_not_awaited() {
    let server = server(Limits::default(), None).await;
    let (mut read, mut write) = connect(server.address).await.into_split();
    let dripping = tokio::spawn(async move {
        write.write_all(b"GET /x HTTP/1.1\r\nHost: server\r\nX-Long: ").await.unwrap();
        while write.write_all(b"x").await.is_ok() {
            sleep(Duration::from_secs(5)).await;
        }
    });
    assert_ends_after(IDLE_TIMEOUT, &mut read, "dripping head").await;
    dripping.abort();
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed() {
    let server = server(Limits::default(), None).await;
    let mut stream = connect(server.address).await;
    for _ in 0..3 {
        sleep(IDLE_TIMEOUT - MARGIN).await;
        assert!(get(&mut stream).await.is_some());
    }
    assert_ends_after(IDLE_TIMEOUT, &mut stream, "idle").await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_answered_with_408() {
    let server = server(Limits::default(), None).await;
    let mut stream = connect(server.address).await;
    stream.write_all(b"POST /x HTTP/1.1\r\nHost: server\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
    let begun = Instant::now();
    let mut seen = vec![0; 12];
    timeout(FOR_EVER, stream.read_exact(&mut seen)).await.unwrap().unwrap();
    assert_eq!(seen, b"HTTP/1.1 408");
    assert!(begun.elapsed() < BODY_READ_TIMEOUT + MARGIN, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_busy_connection_is_closed_at_its_maximum_age() {
    let server = server(Limits::default(), None).await;
    let mut stream = connect(server.address).await;
    let begun = Instant::now();
    while get(&mut stream).await.is_some() {
        sleep(IDLE_TIMEOUT / 2).await;
        assert!(begun.elapsed() < 2 * MAX_AGE, "the connection is still open");
    }
    assert!(begun.elapsed() >= MAX_AGE, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_slow_response_and_a_slow_decision_are_not_idle() {
    let listener = listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let slow = tower::service_fn(|_: Request<Bytes>| async {
        sleep(2 * IDLE_TIMEOUT).await;
        let mut answer = Response::new(Bytes::from_static(b"drip"));
        answer.extensions_mut().insert(SlowBody(IDLE_TIMEOUT - MARGIN));
        Ok::<_, LinkFault>(answer)
    });
    let serving = serve_within(Limits::default(), listener, None, slow, std::future::pending());
    let _server = AbortOnDrop(tokio::spawn(serving));
    let mut stream = connect(address).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(received(&mut stream).await.ends_with("\r\n\r\ndrip"));
}

#[tokio::test(start_paused = true)]
async fn silent_connections_keep_nobody_out() {
    let limits = Limits { connections: 20, connections_per_source: 10, ..Limits::default() };
    let server = server(limits, None).await;
    let mut silent = Vec::new();
    for n in 0..60 {
        silent.push(connect_from(&format!("127.0.0.{}", 2 + n % 3), server.address).await);
    }
    let begun = Instant::now();
    assert!(get(&mut connect(server.address).await).await.is_some());
    assert!(get(&mut connect_from("127.0.0.2", server.address).await).await.is_some());
    assert!(begun.elapsed() < Duration::from_secs(1));
    // The first ones have lost their places.
    assert_ends_after(MARGIN, &mut silent[0], "evicted").await;
}

#[tokio::test]
async fn a_port_without_tls_has_fewer_connections() {
    let listener = listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = serve(listener, None, tower::service_fn(mirror), std::future::pending());
    let _running = AbortOnDrop(tokio::spawn(serving));
    let mut first = connect(address).await;
    let mut others = Vec::new();
    for _ in 0..MAX_PLAIN_CONNECTIONS / 2 {
        others.push(connect(address).await);
    }
    assert_eq!(timeout(IDLE_TIMEOUT / 2, received(&mut first)).await, Ok(String::new()));
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_refused_at_once_if_all_others_have_work() {
    let listener = listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let arrived = Arc::new(Notify::new());
    let notify = Arc::clone(&arrived);
    let stuck = tower::service_fn(move |_: Request<Bytes>| {
        notify.notify_one();
        std::future::pending::<Result<Response<Bytes>, LinkFault>>()
    });
    let limits = Limits { connections: 4, connections_per_source: 2, ..Limits::default() };
    let _server =
        AbortOnDrop(tokio::spawn(serve_within(limits, listener, None, stuck, std::future::pending())));
    let mut busy = Vec::new();
    for source in ["127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2"] {
        let mut stream = connect_from(source, address).await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: server\r\n\r\n").await.unwrap();
        arrived.notified().await;
        busy.push(stream);
        if busy.len() == 2 {
            let mut of_same_source = connect_from(source, address).await;
            assert_ends_after(MARGIN, &mut of_same_source, "same source").await;
        }
    }
    let mut other = connect_from("127.0.0.3", address).await;
    assert_ends_after(MARGIN, &mut other, "other source").await;
}

#[tokio::test(start_paused = true)]
async fn bodies_share_a_limited_memory_that_small_requests_can_always_use() {
    let memory = 512 << 10;
    let limits = Limits { request_memory: memory, ..Limits::default() };
    let server = server(limits, None).await;
    let post = async |length: usize, sent: usize| {
        let mut stream = connect(server.address).await;
        let head = format!("POST /x HTTP/1.1\r\nHost: server\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![0; sent]).await.unwrap();
        stream
    };
    let mut unfinished = Vec::new();
    for _ in 0..10 {
        unfinished.push(post(200_000, 199_999).await);
    }
    // A small request is answered while the large ones are under way.
    let mut small = post(1000, 1000).await;
    let mut seen = [0; 12];
    small.read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, b"HTTP/1.1 200");
    let mut statuses = Vec::new();
    for mut stream in unfinished {
        stream.write_all(&[0]).await.unwrap();
        stream.read_exact(&mut seen).await.unwrap();
        statuses.push(String::from_utf8_lossy(&seen[9..]).into_owned());
    }
    let busy = statuses.iter().filter(|status| *status == "503").count();
    assert!(busy >= 8, "{memory} octets hold one or two of these bodies: {statuses:?}");
    assert!(statuses.iter().any(|status| status == "200"), "{statuses:?}");
    // Everything is free again.
    let mut stream = post(200_000, 200_000).await;
    stream.read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, b"HTTP/1.1 200");
}

#[tokio::test(start_paused = true)]
async fn a_request_without_its_client_keeps_its_memory_while_it_is_executed() {
    let (begun, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (in_service, end) = (Arc::clone(&begun), Arc::clone(&may_end));
    let service = tower::service_fn(move |request: Request<Bytes>| {
        let (begun, may_end) = (Arc::clone(&in_service), Arc::clone(&end));
        async move {
            if request.uri().path() == "/blocked" {
                begun.notify_one();
                may_end.notified().await;
                begun.notify_one();
            }
            Ok::<_, LinkFault>(Response::new(Bytes::new()))
        }
    });
    let limits = Limits { request_memory: 100_000, ..Limits::default() };
    let listener = listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = serve_within(limits, listener, None, service, std::future::pending());
    let _running = AbortOnDrop(tokio::spawn(serving));
    let post = async |path: &str, length: usize| {
        let mut stream = connect(address).await;
        let head = format!("POST {path} HTTP/1.1\r\nHost: server\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![0; length]).await.unwrap();
        stream
    };
    let status = async |length: usize| {
        let mut seen = [0; 12];
        post("/x", length).await.read_exact(&mut seen).await.unwrap();
        String::from_utf8_lossy(&seen[9..]).into_owned()
    };
    let client = post("/blocked", 60_000).await;
    begun.notified().await;
    drop(client);
    // After an answer to a later client, the server has noticed the end of the connection.
    assert_eq!(status(10).await, "200");
    assert_eq!(status(60_000).await, "503");
    may_end.notify_one();
    begun.notified().await;
    assert_eq!(status(60_000).await, "200");
}

#[tokio::test(start_paused = true)]
async fn heads_count_as_memory_of_requests() {
    let limits = Limits { request_memory: 8000, ..Limits::default() };
    let server = server(limits, None).await;
    for (length, expected) in [(7900, b"HTTP/1.1 200"), (8000, b"HTTP/1.1 503")] {
        let mut stream = connect(server.address).await;
        let head = format!("GET /x HTTP/1.1\r\nHost: server\r\nX-Long: {}\r\n\r\n", "x".repeat(length));
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut seen = [0; 12];
        stream.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, expected, "{length}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_head_is_refused() {
    let server = server(Limits::default(), None).await;
    let mut stream = connect(server.address).await;
    let head = format!("GET /x HTTP/1.1\r\nHost: server\r\nX-Long: {}\r\n\r\n", "x".repeat(20_000));
    // The server may close the connection before it has read everything.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut seen = [0; 12];
    stream.read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, b"HTTP/1.1 431");
}

/// Parameters of the SETTINGS frame: RFC 9113 section 6.5.2.
#[tokio::test(start_paused = true)]
async fn http2_announces_few_streams_small_windows_and_short_heads() {
    let server = server(Limits::default(), None).await;
    let mut stream = connect(server.address).await;
    stream.write_all(&[PREFACE, &SETTINGS].concat()).await.unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    let [0, 0, length, 4, ..] = head else { panic!("no SETTINGS: {head:?}") };
    let mut payload = vec![0; length.into()];
    stream.read_exact(&mut payload).await.unwrap();
    let settings: std::collections::BTreeMap<u16, u32> = payload
        .chunks_exact(6)
        .map(|each| {
            (u16::from_be_bytes([each[0], each[1]]), u32::from_be_bytes(each[2..].try_into().unwrap()))
        })
        .collect();
    assert_eq!(settings.get(&3), Some(&32), "concurrent streams: {settings:?}");
    assert_eq!(settings.get(&4).copied().unwrap_or(65_535), 65_535, "window of a stream: {settings:?}");
    assert_eq!(settings.get(&6), Some(&(16 << 10)), "size of a head: {settings:?}");
    // The acknowledgement of the client's settings, and an increment of the connection's window of
    // 65535 octets.
    let mut frames = [0; 9 + 13];
    stream.read_exact(&mut frames).await.unwrap();
    let update = frames.windows(9).position(|head| head == [0, 0, 4, 8, 0, 0, 0, 0, 0]).unwrap();
    let window = 65_535 + u32::from_be_bytes(frames[update + 9..update + 13].try_into().unwrap());
    assert_eq!(window, 256 << 10);
}

struct NoKeys;

impl PskKeys for NoKeys {
    fn key<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Secret<Vec<u8>>>, Fault>> {
        Box::pin(async { Ok(None) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_card_without_a_complete_handshake_is_disconnected() {
    let listener = listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving =
        net::serve_psk(listener, Arc::new(NoKeys), tower::service_fn(mirror), std::future::pending());
    let _server = AbortOnDrop(tokio::spawn(serving.unwrap()));
    for first in [&b""[..], &[22], &[22, 3, 3, 0, 9, 1]] {
        let mut silent = connect(address).await;
        silent.write_all(first).await.unwrap();
        assert_ends_after(HANDSHAKE_TIMEOUT, &mut silent, &format!("{first:?}")).await;
    }
}
