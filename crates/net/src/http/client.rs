//! HTTP client: a [`Link`] over a socket.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, client::TlsStream};
use world::{BoxFuture, Fault, Link, LinkFault, LinkFaultKind, link_from};

use super::peer::{Peer, kind_of};
use crate::tls::{self, ClientTls};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Time after which an idle connection is closed. It is shorter than the idle time-out of most
/// servers, so that a request is seldom sent on a connection that the server is closing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// Factory of links to servers.
#[derive(Clone, Debug)]
pub struct Client {
    connect_to: HashMap<String, String>,
    answer_timeout: Duration,
}

impl Default for Client {
    fn default() -> Self {
        Self { connect_to: HashMap::new(), answer_timeout: ANSWER_TIMEOUT }
    }
}

impl Client {
    /// Maps `name` to `address` (`host:port`) for every requested port. The certificate is still
    /// verified for `name`. This is for names such as testsmdpplus1.example.com that have a
    /// certificate but no DNS entry.
    #[must_use]
    pub fn with_connect_to(mut self, name: &str, address: &str) -> Self {
        self.connect_to.insert(name.to_ascii_lowercase(), address.to_owned());
        self
    }

    /// Sets the time-out of a complete exchange, including the connection.
    #[must_use]
    pub fn with_answer_timeout(mut self, answer_timeout: Duration) -> Self {
        self.answer_timeout = answer_timeout;
        self
    }

    /// Returns the address to connect to for `host`, and the name of the peer in messages.
    pub(crate) fn route(&self, host: &str, port: u16) -> (String, String) {
        let own_address = match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        match self.connect_to.get(&host.to_ascii_lowercase()) {
            Some(other) if *other != own_address => (other.clone(), format!("{own_address} at {other}")),
            _ => (own_address.clone(), own_address),
        }
    }

    /// Returns a link to the server at `address` (`host` or `host:port`): https with `tls`, http
    /// without.
    ///
    /// Only path and query of a request's URI are used. Connections are reused.
    pub fn link(&self, address: &str, tls: Option<ClientTls>) -> Result<Link, Fault> {
        let authority: Authority = address.parse().map_err(|error| {
            Fault::usage_caused_by(
                error,
                format!("cannot use {address:?} as the address of a server"),
                "give host:port, such as 127.0.0.1:8443 or smdp.example.com",
            )
        })?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        let (connect_to, peer) = self.route(&host, port);
        let peer = Peer(peer.into());
        let scheme = if tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let tls = match tls {
            None => None,
            Some(tls) => {
                let name = ServerName::try_from(host.clone()).map_err(|error| {
                    Fault::usage_caused_by(
                        error,
                        format!("cannot verify a certificate for {host:?}"),
                        "give a DNS name or an IP address",
                    )
                })?;
                Some((TlsConnector::from(tls.config), name))
            }
        };
        let connector = Connector { connect_to: connect_to.into(), tls, peer: peer.clone() };
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build(connector);
        let server = Server { pool, scheme, authority, peer, answer_timeout: self.answer_timeout };
        Ok(link_from(tower::service_fn(move |request| {
            let server = server.clone();
            async move { server.send(request).await }
        })))
    }
}

#[derive(Clone)]
struct Server {
    pool: legacy::Client<Connector, Full<Bytes>>,
    scheme: Scheme,
    authority: Authority,
    peer: Peer,
    answer_timeout: Duration,
}

impl Server {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
        match timeout(self.answer_timeout, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => {
                let why = format!("no answer within {} s", self.answer_timeout.as_secs_f32());
                Err(self.peer.fault(LinkFaultKind::Timeout, why))
            }
        }
    }

    async fn exchange(&self, request: Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
        let (mut head, body) = request.into_parts();
        head.uri = self.absolute(&head.uri)?;
        // The client negotiates the version. A version set by the caller could only contradict the
        // negotiated one.
        head.version = http::Version::HTTP_11;
        let answer = self.pool.request(Request::from_parts(head, Full::new(body))).await;
        self.peer.read(answer.map_err(|error| self.peer.explain(&error))?).await
    }

    fn absolute(&self, uri: &Uri) -> Result<Uri, LinkFault> {
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|error| self.peer.fault(LinkFaultKind::Protocol, error))
    }
}

/// Opens connections to a fixed address and verifies the server name.
#[derive(Clone)]
struct Connector {
    connect_to: Arc<str>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    peer: Peer,
}

impl Connector {
    async fn connect(self) -> Result<Stream, LinkFault> {
        match timeout(CONNECT_TIMEOUT, self.clone().open()).await {
            Ok(stream) => stream,
            Err(_) => Err(self.peer.fault(LinkFaultKind::Timeout, "no connection")),
        }
    }

    async fn open(self) -> Result<Stream, LinkFault> {
        let addresses = tokio::net::lookup_host(&*self.connect_to).await;
        let addresses = addresses.map_err(|error| self.peer.fault(LinkFaultKind::Unresolved, error))?;
        let addresses: Vec<_> = addresses.collect();
        let stream = TcpStream::connect(&addresses[..]).await;
        let stream = stream.map_err(|error| self.peer.fault(kind_of(&error), error))?;
        // Requests are small and latency matters, so segments are sent without delay.
        stream.set_nodelay(true).map_err(|error| self.peer.fault(LinkFaultKind::Reset, error))?;
        let Some((connector, name)) = &self.tls else {
            return Ok(Stream::Plain(TokioIo::new(stream)));
        };
        match connector.connect(name.clone(), stream).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(TokioIo::new(stream)))),
            // A connection that ends during the handshake is not a TLS refusal.
            Err(error) => Err(self.peer.fault(kind_of(&error), tls::refusal(&error))),
        }
    }
}

impl tower::Service<Uri> for Connector {
    type Response = Stream;
    type Error = LinkFault;
    type Future = BoxFuture<'static, Result<Stream, LinkFault>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), LinkFault>> {
        Poll::Ready(Ok(()))
    }

    /// The URI is irrelevant, because each pool has one server.
    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().connect())
    }
}

enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Tls(stream) if stream.inner().get_ref().1.alpn_protocol() == Some(b"h2") => {
                Connected::new().negotiated_h2()
            }
            Self::Tls(_) | Self::Plain(_) => Connected::new(),
        }
    }
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_named_with_the_other_address_that_is_connected_to() {
        let client =
            Client::default().with_connect_to("Host", "127.0.0.1:8443").with_connect_to("own", "own:443");
        for (host, address, peer) in [
            ("HOST", "127.0.0.1:8443", "HOST:443 at 127.0.0.1:8443"),
            ("own", "own:443", "own:443"),
            ("other", "other:443", "other:443"),
            ("::1", "[::1]:443", "[::1]:443"),
        ] {
            assert_eq!(client.route(host, 443), (address.to_owned(), peer.to_owned()));
        }
    }
}
