//! Hostile peers on loopback, and an honest client beside them: it is answered within a second, or
//! refused at once.
//!
//! The default numbers are small. `LANDFALL_HOSTILE=full cargo test --release -p cli --test hostile
//! -- --nocapture` uses the large ones and prints the figures. It needs 10,000 open files and some
//! minutes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, and measure real time"
)]

#[path = "../common/mod.rs"]
mod common;
mod identities;

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use certs::Certificate;
use common::{Running, landfall};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rsp::{
    ids::Version,
    sgp22::{EuiccInfo1, es9plus, es9plus::InitiateAuthenticationRequest, json},
};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Time in which an honest client is answered.
const ANSWER: Duration = Duration::from_secs(1);
/// Maximum memory of the server. The debug build needs more for each connection.
const MEMORY_KIB: u64 = 256 << 10;
/// The address of the honest client, and the first of the hostile ones.
const HONEST: u8 = 1;
const HOSTILE: std::ops::Range<u8> = 2..10;

/// The sizes of a run.
struct Numbers {
    connections: usize,
    body_connections: usize,
    streams: usize,
    sessions: usize,
}

impl Numbers {
    fn of_environment() -> Self {
        match std::env::var("LANDFALL_HOSTILE").as_deref() {
            Ok("full") => Self { connections: 4_100, body_connections: 100, streams: 200, sessions: 100_000 },
            _ => Self { connections: 40, body_connections: 3, streams: 40, sessions: 100 },
        }
    }
}

/// What the peers of the SM-DP+ need to know.
struct Server {
    process: u32,
    tls: SocketAddr,
    admin: SocketAddr,
    root: Vec<u8>,
}

impl Server {
    /// Starts the SM-DP+ as a process of its own.
    fn start(folder: &std::path::Path) -> (Running, Arc<Self>) {
        let serve = ["--json", "sm-dp", "serve", "--listen", "127.0.0.1:0", "--listen-admin", "127.0.0.1:0"];
        let process = Running::start(landfall(folder).args(serve));
        let ready = process.out.json();
        let address = |name: &str| ready["addresses"][name].as_str().unwrap().parse().unwrap();
        let root = std::fs::read(ready["root_certificate"].as_str().unwrap()).unwrap();
        let server = Self { process: process.id(), tls: address("sm_dp"), admin: address("admin"), root };
        (process, Arc::new(server))
    }

    /// Returns the peak memory of the process in KiB.
    fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process)).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn connector(&self, alpn: &[&[u8]]) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone().into()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        TlsConnector::from(Arc::new(config))
    }

    /// A request that every eUICC of the PKI could send.
    fn initiation(&self) -> InitiateAuthenticationRequest {
        let ci = Certificate::from_der(self.root.clone()).unwrap().subject_key_id().unwrap().clone();
        InitiateAuthenticationRequest {
            euicc_challenge: [7; 16],
            smdp_address: "localhost".to_owned(),
            euicc_info1: EuiccInfo1 {
                svn: Version([2, 2, 2]),
                euicc_ci_pk_id_list_for_verification: vec![ci.clone()],
                euicc_ci_pk_id_list_for_signing: vec![ci],
            },
        }
    }

    fn request(&self) -> Request<Bytes> {
        let path = es9plus::path("initiateAuthentication");
        let mut request = json::request(&path, Version([2, 2, 2]), &self.initiation());
        *request.uri_mut() = format!("https://localhost{path}").parse().unwrap();
        request
    }
}

async fn tcp(source: u8, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, source], 0)))?;
    socket.connect(to).await
}

async fn tls(server: &Server, source: u8, alpn: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = tcp(source, server.tls).await?;
    server.connector(alpn).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// The answer to an honest client with a new connection: the HTTP status, or `None` if the server
/// closed the connection.
async fn honest(server: &Server) -> (Option<StatusCode>, Duration) {
    let begun = Instant::now();
    let exchange = async {
        let stream = tls(server, HONEST, &[b"h2"]).await.ok()?;
        let connection = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (mut sender, connection) = connection.await.ok()?;
        let driver = tokio::spawn(connection);
        let response = sender.send_request(server.request().map(Full::new)).await.ok()?;
        let status = response.status();
        response.into_body().collect().await.ok()?;
        driver.abort();
        Some(status)
    };
    let status = timeout(10 * ANSWER, exchange).await.unwrap_or_else(|_| panic!("no answer in time"));
    (status, begun.elapsed())
}

/// Checks honest clients beside a kind of hostile ones, and prints the figures.
async fn check_honest(server: &Server, kind: &str) {
    let mut slowest = Duration::ZERO;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let (status, after) = honest(server).await;
        slowest = slowest.max(after);
        statuses.push(status.map_or(0, |status| status.as_u16()));
    }
    let peak = server.peak_kib() >> 10;
    println!("{kind}: honest clients {statuses:?}, slowest {slowest:?}, peak memory {peak} MiB");
    assert!(slowest < ANSWER, "{kind}: {slowest:?}");
    assert!(statuses.iter().all(|status| [0, 200, 503].contains(status)), "{kind}: {statuses:?}");
}

fn hostile_source(number: usize) -> u8 {
    HOSTILE.clone().nth(number % HOSTILE.len()).unwrap()
}

/// Opens connections that send `first` and nothing else. Returns those that the server accepted.
async fn silent(
    server: &Arc<Server>,
    count: usize,
    alpn: Option<&'static [u8]>,
    first: &'static [u8],
) -> Vec<Box<dyn AsyncWrite + Send + Unpin>> {
    let mut tasks = JoinSet::new();
    let mut open = Vec::new();
    for number in 0..count {
        let server = Arc::clone(server);
        tasks.spawn(async move {
            let source = hostile_source(number);
            let mut stream: Box<dyn AsyncWrite + Send + Unpin> = match alpn {
                None => Box::new(tcp(source, server.tls).await.ok()?),
                Some(b"") => Box::new(tcp(source, server.admin).await.ok()?),
                Some(alpn) => Box::new(tls(&server, source, &[alpn]).await.ok()?),
            };
            stream.write_all(first).await.ok()?;
            stream.flush().await.ok()?;
            Some(stream)
        });
        // A bounded number of handshakes at a time, as the test shares the processor with the server.
        if tasks.len() >= 32 {
            open.extend(tasks.join_next().await.unwrap().unwrap());
        }
    }
    open.extend(tasks.join_all().await.into_iter().flatten());
    open
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

/// Sends bodies of almost 1 MiB that never end, on many streams of each connection.
async fn bodies(server: &Server, numbers: &Numbers) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for number in 0..numbers.body_connections {
        let Ok(stream) = tls(server, hostile_source(number), &[b"h2"]).await else { continue };
        let connection = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let Ok((sender, connection)) = connection.await else { continue };
        tasks.spawn(async move { drop(connection.await) });
        for _ in 0..numbers.streams {
            let mut sender = sender.clone();
            let request = server.request().map(|_| Unfinished((1 << 20) - 1));
            tasks.spawn(async move { drop(sender.send_request(request).await) });
        }
    }
    // The octets arrive while honest clients are served.
    tokio::time::sleep(Duration::from_millis(500)).await;
    tasks
}

/// Opens sessions. Returns the number of those that the server opened and of those that it refused.
async fn sessions(server: &Arc<Server>, count: usize) -> (usize, usize) {
    let mut tasks = JoinSet::new();
    for source in HOSTILE {
        let server = Arc::clone(server);
        tasks.spawn(async move {
            let (mut opened, mut refused) = (0, 0);
            let stream = tls(&server, source, &[b"http/1.1"]).await.unwrap();
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            for _ in 0..count.div_ceil(HOSTILE.len()) {
                let mut request = server.request();
                *request.uri_mut() = es9plus::path("initiateAuthentication").parse().unwrap();
                request.headers_mut().insert(http::header::HOST, "localhost".parse().unwrap());
                sender.ready().await.unwrap();
                let response = sender.send_request(request.map(Full::new)).await.unwrap();
                let status = response.status();
                let body = response.into_body().collect().await.unwrap().to_bytes();
                match status {
                    StatusCode::OK => {
                        assert!(body.windows(13).any(|name| name == b"transactionId"), "{body:?}");
                        opened += 1;
                    }
                    StatusCode::SERVICE_UNAVAILABLE => refused += 1,
                    other => panic!("HTTP {other}"),
                }
            }
            (opened, refused)
        });
    }
    let counts = tasks.join_all().await;
    counts.into_iter().fold((0, 0), |sum, (opened, refused)| (sum.0 + opened, sum.1 + refused))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_clients_are_answered_beside_hostile_ones() {
    let numbers = Numbers::of_environment();
    let folder = tempfile::tempdir().unwrap();
    let (_running, server) = Server::start(folder.path());
    check_honest(&server, "nobody else").await;
    const HEAD: &[u8] = b"POST /gsma/rsp2/es9plus/initiateAuthentication HTTP/1.1\r\nHost: localhost\r\n";
    const BODY: &[u8] = b"POST /gsma/rsp2/es9plus/initiateAuthentication HTTP/1.1\r\nHost: localhost\r\n\
        Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"euicc";
    for (kind, alpn, first) in [
        ("silent before TLS", None, &b""[..]),
        ("one octet of TLS", None, b"\x16"),
        ("silent after TLS, HTTP/2", Some(&b"h2"[..]), b""),
        ("half a preface", Some(b"h2"), b"PRI * HTTP/2.0\r\n"),
        ("silent after TLS, HTTP/1.1", Some(b"http/1.1"), b""),
        ("half a head", Some(b"http/1.1"), HEAD),
        ("half a body", Some(b"http/1.1"), BODY),
        ("silent at the admin API", Some(b""), b""),
        ("half a head at the admin API", Some(b""), HEAD),
    ] {
        let open = silent(&server, numbers.connections, alpn, first).await;
        check_honest(&server, &format!("{} x {kind}", open.len())).await;
        let begun = Instant::now();
        let mut admin = tcp(HONEST, server.admin).await.unwrap();
        admin
            .write_all(b"GET /admin/v1/stock HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        admin.read_to_end(&mut answer).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200") && begun.elapsed() < ANSWER, "{kind}");
    }
    let hostile = bodies(&server, &numbers).await;
    let kind = format!("{} x {} bodies of 1 MiB", numbers.body_connections, numbers.streams);
    check_honest(&server, &kind).await;
    drop(hostile);
    let begun = Instant::now();
    let (opened, refused) = sessions(&server, numbers.sessions).await;
    let took = begun.elapsed();
    check_honest(&server, &format!("{opened} sessions opened and {refused} refused in {took:?}")).await;
    assert!(server.peak_kib() < MEMORY_KIB, "{} KiB", server.peak_kib());
}
