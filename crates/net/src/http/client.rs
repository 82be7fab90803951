//! HTTP client: a [`Link`] over a socket.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsConnector, client::TlsStream};
use world::{BoxFuture, Fault, Link, LinkFault, LinkFaultKind, link_from};

use crate::tls::{self, ClientTls};

/// Maximum size of a response: a bound profile package with a margin.
pub const MAX_ANSWER: usize = 16 << 20;

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
        let peer: Arc<str> = peer.into();
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
        let connector = Connector { connect_to: connect_to.into(), tls, peer: Arc::clone(&peer) };
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
    peer: Arc<str>,
    answer_timeout: Duration,
}

impl Server {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
        match timeout(self.answer_timeout, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => {
                let why = format!("no answer within {} s", self.answer_timeout.as_secs_f32());
                Err(self.fault(LinkFaultKind::Timeout, why))
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
        let (head, body) = answer.map_err(|error| self.explain(&error))?.into_parts();
        if body.size_hint().lower() > u64::try_from(MAX_ANSWER).unwrap_or(u64::MAX) {
            return Err(self.too_large());
        }
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|error| self.explain(&*error))?.to_bytes();
        Ok(Response::from_parts(head, body))
    }

    fn absolute(&self, uri: &Uri) -> Result<Uri, LinkFault> {
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|error| self.fault(LinkFaultKind::Protocol, error.to_string()))
    }

    /// Finds the most specific cause in the error chain.
    fn explain(&self, error: &(dyn Error + 'static)) -> LinkFault {
        let mut kind = LinkFaultKind::Protocol;
        let mut why = error.to_string();
        let mut cause = Some(error);
        while let Some(error) = cause {
            why = error.to_string();
            if let Some(fault) = error.downcast_ref::<LinkFault>() {
                return fault.clone();
            }
            if error.is::<LengthLimitError>() {
                return self.too_large();
            }
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return self.fault(kind_of(error), error.to_string());
            }
            if let Some(error) = error.downcast_ref::<hyper::Error>() {
                let broken = error.is_incomplete_message() || error.is_canceled() || error.is_closed();
                kind = if broken { LinkFaultKind::Reset } else { LinkFaultKind::Protocol };
            }
            cause = error.source();
        }
        self.fault(kind, why)
    }

    fn too_large(&self) -> LinkFault {
        self.fault(LinkFaultKind::TooLarge, format!("more than {MAX_ANSWER} bytes"))
    }

    fn fault(&self, kind: LinkFaultKind, why: impl Into<String>) -> LinkFault {
        LinkFault::new(kind, &*self.peer, why)
    }
}

pub(crate) fn kind_of(error: &io::Error) -> LinkFaultKind {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => LinkFaultKind::Refused,
        io::ErrorKind::TimedOut => LinkFaultKind::Timeout,
        io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::AddrNotAvailable => LinkFaultKind::Unreachable,
        // rustls uses this kind for its errors; sockets do not. Under TLS 1.3, a server checks the
        // client's certificate after the client has completed its handshake, so a refusal can
        // arrive with the first read.
        io::ErrorKind::InvalidData => LinkFaultKind::Tls,
        _ => LinkFaultKind::Reset,
    }
}

/// Opens connections to a fixed address and verifies the server name.
#[derive(Clone)]
struct Connector {
    connect_to: Arc<str>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    peer: Arc<str>,
}

impl Connector {
    async fn connect(self) -> Result<Stream, LinkFault> {
        match timeout(CONNECT_TIMEOUT, self.clone().open()).await {
            Ok(stream) => stream,
            Err(_) => Err(self.fault(LinkFaultKind::Timeout, "no connection")),
        }
    }

    async fn open(self) -> Result<Stream, LinkFault> {
        let addresses = tokio::net::lookup_host(&*self.connect_to).await;
        let addresses = addresses.map_err(|error| self.fault(LinkFaultKind::Unresolved, error))?;
        let addresses: Vec<_> = addresses.collect();
        let stream = TcpStream::connect(&addresses[..]).await;
        let stream = stream.map_err(|error| self.fault(kind_of(&error), error))?;
        // Requests are small and latency matters, so segments are sent without delay.
        stream.set_nodelay(true).map_err(|error| self.fault(LinkFaultKind::Reset, error))?;
        let Some((connector, name)) = &self.tls else {
            return Ok(Stream::Plain(TokioIo::new(stream)));
        };
        match connector.connect(name.clone(), stream).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(TokioIo::new(stream)))),
            // A connection that ends during the handshake is not a TLS refusal.
            Err(error) => Err(self.fault(kind_of(&error), tls::refusal(&error))),
        }
    }

    fn fault(&self, kind: LinkFaultKind, why: impl ToString) -> LinkFault {
        LinkFault::new(kind, &*self.peer, why.to_string())
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
    fn a_failed_exchange_has_the_kind_of_its_cause() {
        use io::ErrorKind;
        for (error, kind) in [
            (ErrorKind::ConnectionRefused, LinkFaultKind::Refused),
            (ErrorKind::TimedOut, LinkFaultKind::Timeout),
            (ErrorKind::NetworkUnreachable, LinkFaultKind::Unreachable),
            (ErrorKind::HostUnreachable, LinkFaultKind::Unreachable),
            (ErrorKind::AddrNotAvailable, LinkFaultKind::Unreachable),
            (ErrorKind::InvalidData, LinkFaultKind::Tls),
            (ErrorKind::ConnectionReset, LinkFaultKind::Reset),
            (ErrorKind::BrokenPipe, LinkFaultKind::Reset),
        ] {
            assert_eq!(kind_of(&error.into()), kind, "{error:?}");
        }
    }
}
