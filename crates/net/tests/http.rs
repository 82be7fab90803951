//! Tests of the HTTP server and client with each other, and with peers that misbehave, on loopback
//! without TLS.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a panic in a function of the test fails the test"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::{post, serve_mirror};
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use net::http::{MAX_ANSWER, MAX_REQUEST};
use net::{Client, listen, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use world::{CanSendSlowly, LinkFault, LinkFaultKind, SlowBody, send};

#[tokio::test]
async fn a_request_reaches_the_service_and_is_answered() {
    let (address, _server) = serve_mirror(None).await;
    let link = Client::default().link(&address, None).unwrap();
    for _ in 0..2 {
        let answer = send(&link, post("/gsma/rsp2/es9plus/x", "abc")).await.unwrap();
        assert_eq!(answer.body(), "HTTP/1.1 /gsma/rsp2/es9plus/x 3 nobody");
    }
}

/// In HTTP/2, the host of a request is in its URI. A browser uses HTTP/2 only with TLS, but another
/// program can forward a request of a page in this form.
#[tokio::test]
async fn a_request_in_cleartext_http2_has_the_host_that_its_client_named() {
    let listener = listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(|request: Request<Bytes>| async move {
        let status = match world::refuse_web_pages(&request, |_| false) {
            Ok(()) => StatusCode::OK,
            Err(refusal) => refusal.status(),
        };
        Ok::<_, LinkFault>(Response::builder().status(status).body(Bytes::new()).unwrap())
    });
    let server = tokio::spawn(serve(listener, None, service, std::future::pending()));
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let connection = tokio::spawn(connection);
    for (uri, expected) in [
        (format!("http://{address}/v1/devices"), StatusCode::OK),
        ("http://evil.example/v1/devices".to_owned(), StatusCode::FORBIDDEN),
    ] {
        let request = Request::get(&uri).version(http::Version::HTTP_2);
        let response = client.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!((response.version(), response.status()), (http::Version::HTTP_2, expected), "{uri}");
    }
    connection.abort();
    server.abort();
}

/// Sends a request, and closes the connection after the service has begun. Returns true if the
/// service executes the request to its end.
async fn is_executed_without_its_client(request: &[u8]) -> bool {
    let listener = listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (begun, client_is_gone) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (ended, mut has_ended) = tokio::sync::mpsc::unbounded_channel();
    let (service_begun, may_end) = (Arc::clone(&begun), Arc::clone(&client_is_gone));
    let service = tower::service_fn(move |_: Request<Bytes>| {
        let (begun, may_end, ended) = (Arc::clone(&service_begun), Arc::clone(&may_end), ended.clone());
        async move {
            // Reports the end of the request, whether it was executed or dropped.
            let mut report = ReportOnDrop { ended, is_executed: false };
            begun.notify_one();
            may_end.notified().await;
            report.is_executed = true;
            Ok::<_, LinkFault>(Response::new(Bytes::new()))
        }
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, None, service, async { drop(stopped.await) }));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    begun.notified().await;
    drop(stream);
    // The server ends when its connections have ended.
    stop.send(()).unwrap();
    server.await.unwrap();
    client_is_gone.notify_one();
    has_ended.recv().await.unwrap()
}

struct ReportOnDrop {
    ended: tokio::sync::mpsc::UnboundedSender<bool>,
    is_executed: bool,
}

impl Drop for ReportOnDrop {
    fn drop(&mut self) {
        // The test may have ended.
        let _ = self.ended.send(self.is_executed);
    }
}

#[tokio::test]
async fn only_a_request_that_can_change_something_is_executed_without_its_client() {
    assert!(
        is_executed_without_its_client(b"POST / HTTP/1.1\r\nHost: server\r\nContent-Length: 0\r\n\r\n").await
    );
    assert!(!is_executed_without_its_client(b"GET / HTTP/1.1\r\nHost: server\r\n\r\n").await);
}

#[tokio::test]
async fn a_dripping_response_arrives_octet_by_octet() {
    let listener = listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let dripping = tower::service_fn(|request: Request<Bytes>| async move {
        let mut answer = Response::new(Bytes::from_static(b"drip"));
        // Drips the body for clients that request it. No client waits for the second octet.
        let pause = Duration::from_secs(if request.uri().path() == "/slow" { 3600 } else { 0 });
        if request.extensions().get() == Some(&CanSendSlowly) {
            answer.extensions_mut().insert(SlowBody(pause));
        }
        Ok::<_, LinkFault>(answer)
    });
    let server = tokio::spawn(serve(listener, None, dripping, std::future::pending()));
    let _server = common::AbortOnDrop(server);
    let link = Client::default().link(&address.to_string(), None).unwrap();
    assert_eq!(send(&link, post("/", "")).await.unwrap().body(), "drip");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nHost: server\r\n\r\n").await.unwrap();
    let mut seen = Vec::new();
    while !seen.windows(4).any(|end| end == b"\r\n\r\n") || seen.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut seen).await.unwrap(), 0);
    }
    let seen = String::from_utf8(seen).unwrap();
    assert!(seen.contains("content-length: 4") && seen.ends_with("\r\n\r\nd"), "{seen}");
}

#[tokio::test]
async fn a_body_above_the_limit_is_answered_with_413() {
    let (address, _server) = serve_mirror(None).await;
    let link = Client::default().link(&address, None).unwrap();
    let limit = usize::try_from(MAX_REQUEST).unwrap();
    let fits = send(&link, post("/", vec![0; limit])).await.unwrap();
    assert_eq!(fits.status(), StatusCode::OK);
    for length in [limit + 1, 8 * limit] {
        let too_large = send(&link, post("/", vec![0; length])).await.unwrap();
        assert_eq!(too_large.status(), StatusCode::PAYLOAD_TOO_LARGE);
        let words = String::from_utf8(too_large.body().to_vec()).unwrap();
        assert!(words.contains(&MAX_REQUEST.to_string()), "{words}");
    }
}

#[tokio::test]
async fn the_longest_response_is_accepted() {
    let listener = listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let long = tower::service_fn(async |_| Ok::<_, LinkFault>(Response::new(vec![7; MAX_ANSWER].into())));
    let _server = common::AbortOnDrop(tokio::spawn(serve(listener, None, long, std::future::pending())));
    let link = Client::default().link(&address, None).unwrap();
    assert_eq!(send(&link, Request::default()).await.unwrap().body().len(), MAX_ANSWER);
}

#[tokio::test]
async fn a_busy_port_is_a_fault_that_names_it() {
    let first = listen("127.0.0.1:0").await.unwrap();
    let address = first.local_addr().unwrap().to_string();
    let fault = listen(&address).await.unwrap_err();
    assert_eq!(fault.what, format!("cannot listen on {address}"));
    assert_eq!(fault.next, "stop the program that uses it, or choose another port");
    assert!(listen("not an address").await.unwrap_err().next.contains("host:port"));
    // An address for documentation (RFC 5737).
    assert!(listen("192.0.2.1:0").await.unwrap_err().next.contains("that this machine has"));
}

#[tokio::test]
async fn a_request_under_way_is_finished_before_the_server_ends() {
    let listener = listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let service = {
        let (arrived, go_on) = (Arc::clone(&arrived), Arc::clone(&go_on));
        tower::service_fn(move |_: Request<Bytes>| {
            let (arrived, go_on) = (Arc::clone(&arrived), Arc::clone(&go_on));
            async move {
                arrived.notify_one();
                go_on.notified().await;
                Ok::<_, LinkFault>(Response::new(Bytes::from_static(b"finished")))
            }
        })
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, None, service, async {
        let _ = stopped.await;
    }));
    let link = Client::default().link(&address, None).unwrap();
    let answer = tokio::spawn(async move { send(&link, post("/", "")).await });
    arrived.notified().await;
    stop.send(()).unwrap();
    go_on.notify_one();
    assert_eq!(answer.await.unwrap().unwrap().body(), "finished");
    server.await.unwrap();
    assert!(TcpStream::connect(&address).await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn an_error_of_the_service_is_a_broken_connection() {
    let listener = listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let service = tower::service_fn(async |_: Request<Bytes>| {
        Err::<Response<Bytes>, _>(LinkFault::new(LinkFaultKind::Reset, "peer", "made to fail"))
    });
    tokio::spawn(serve(listener, None, service, std::future::pending()));
    assert_eq!(kind(&address).await, LinkFaultKind::Reset);
}

#[tokio::test]
async fn idle_connections_are_reused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(listener);
        while stream.read(&mut [0; 1000]).await.unwrap() > 0 {
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        }
    });
    let link = Client::default().link(&address, None).unwrap();
    for _ in 0..3 {
        assert_eq!(send(&link, Request::default()).await.unwrap().status(), StatusCode::NO_CONTENT);
    }
}

#[tokio::test]
async fn link_faults_are_distinguished() {
    let nobody = address_of_nobody().await;
    assert_eq!(kind(&nobody).await, LinkFaultKind::Refused);
    assert_eq!(kind(&peer_that(Behaviour::ClosesAtOnce).await).await, LinkFaultKind::Reset);
    assert_eq!(kind(&peer_that(Behaviour::StopsHalfway).await).await, LinkFaultKind::Reset);
    assert_eq!(kind(&peer_that(Behaviour::TalksNonsense).await).await, LinkFaultKind::Protocol);
    assert_eq!(kind(&peer_that(Behaviour::PromisesTooMuch).await).await, LinkFaultKind::TooLarge);
    assert_eq!(kind(&peer_that(Behaviour::SaysNothing).await).await, LinkFaultKind::Timeout);
    let unresolved =
        Client::default().with_connect_to("x.example", "no port").link("x.example", None).unwrap();
    let fault = send(&unresolved, Request::default()).await.unwrap_err();
    assert_eq!((fault.kind, fault.peer.as_str()), (LinkFaultKind::Unresolved, "x.example:80 at no port"));
}

#[test]
fn an_invalid_address_is_a_fault() {
    assert!(Client::default().link("http://x/y", None).unwrap_err().next.contains("host:port"));
}

async fn kind(address: &str) -> LinkFaultKind {
    // Long enough for every peer that sends something; only the silent peer reaches the time-out.
    let client = Client::default().with_answer_timeout(Duration::from_secs(1));
    let link = client.link(address, None).unwrap();
    send(&link, Request::default()).await.unwrap_err().kind
}

async fn address_of_nobody() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

#[derive(Clone, Copy)]
enum Behaviour {
    ClosesAtOnce,
    StopsHalfway,
    TalksNonsense,
    PromisesTooMuch,
    SaysNothing,
}

async fn peer_that(behaviour: Behaviour) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 1000]).await.unwrap() > 0);
            let answer: &[u8] = match behaviour {
                Behaviour::ClosesAtOnce => b"",
                Behaviour::StopsHalfway => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345",
                Behaviour::TalksNonsense => b"220 mail.example ESMTP\r\n\r\n",
                Behaviour::PromisesTooMuch => b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n12345",
                Behaviour::SaysNothing => {
                    std::future::pending::<()>().await;
                    b""
                }
            };
            stream.write_all(answer).await.unwrap();
        }
    });
    address
}
