//! HTTP client over one byte stream, for a client without sockets: HTTP/1.1 over TLS.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;
use world::{ByteStream, LinkFault, LinkFaultKind};

use super::peer::{Peer, kind_of};
use crate::tls::{self, ClientTls};

/// A connection to a server over a byte stream.
///
/// It needs neither a runtime nor a clock: its futures make progress whenever the stream does. The
/// caller sets the time limits. The connection ends when the client is dropped.
pub struct StreamClient {
    requests: SendRequest<Full<Bytes>>,
    connection: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
    host: HeaderValue,
    peer: Peer,
}

impl StreamClient {
    /// Performs the TLS handshake with the server `authority` over a stream to it.
    ///
    /// # Errors
    /// The stream ends, or the server cannot be verified.
    pub async fn connect(
        stream: impl ByteStream + 'static,
        authority: &Authority,
        tls: &ClientTls,
    ) -> Result<Self, LinkFault> {
        let peer = Peer(authority.as_str().into());
        let unusable = |why: &dyn fmt::Display| peer.fault(LinkFaultKind::Protocol, why);
        let host = HeaderValue::from_str(authority.as_str()).map_err(|error| unusable(&error))?;
        let name = authority.host().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name).map_err(|error| unusable(&error))?;
        let connector = TlsConnector::from(tls.http1());
        let stream = connector.connect(name, stream).await;
        // A connection that ends during the handshake is not a TLS refusal.
        let stream = stream.map_err(|error| peer.fault(kind_of(&error), tls::refusal(&error)))?;
        let connected = http1::handshake(TokioIo::new(stream)).await;
        let (requests, connection) = connected.map_err(|error| peer.explain(&error))?;
        Ok(Self { requests, connection: Box::pin(connection), host, peer })
    }

    /// True if the server has ended the connection, so that another request would fail.
    pub fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }

    /// Sends a request, and returns its answer. Only path and query of the URI are used.
    ///
    /// # Errors
    /// The connection ends before the answer, or the answer violates HTTP.
    pub async fn send(&mut self, request: Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
        let Self { requests, connection, host, peer } = self;
        let mut request = request.map(Full::new);
        request.headers_mut().insert(HOST, host.clone());
        let exchange = async {
            requests.ready().await.map_err(|error| peer.explain(&error))?;
            let answer = requests.send_request(request).await;
            peer.read(answer.map_err(|error| peer.explain(&error))?).await
        };
        let mut exchange = std::pin::pin!(exchange);
        tokio::select! {
            // Fixed order instead of tokio's random one, so that the same input gives the same run.
            biased;
            answer = &mut exchange => answer,
            ended = connection => {
                // The answer may have arrived together with the end of the connection.
                match (ended, ready_now(exchange.as_mut())) {
                    (_, Some(answer)) => answer,
                    (Err(error), None) => Err(peer.explain(&error)),
                    (Ok(()), None) => {
                        Err(peer.fault(LinkFaultKind::Reset, "the server closed the connection"))
                    }
                }
            }
        }
    }
}

/// Returns the result of a future if it is ready now.
fn ready_now<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
    match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

impl fmt::Debug for StreamClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamClient({})", self.peer.0)
    }
}
