//! The door for cards: HTTP/1.1 over TLS 1.2 with pre-shared keys (SGP.02 section 2.4.4, GlobalPlatform Amendment B).
//!
//! Two suites and nothing beside them: PSK-AES128-GCM-SHA256 and PSK-AES128-CBC-SHA256. No other version of TLS, no
//! certificates, no tickets, no compression, no renegotiation. encrypt_then_mac is not acknowledged: cards are known
//! that break off if it is.
//!
//! OpenSSL asks for the key in the middle of the handshake and cannot be told to wait for the records. So the octets of
//! the handshake pass a gate on their way in (`psk/gate.rs`), which reads along until the card has named itself, has the key
//! looked up, and only then lets OpenSSL see the name.

mod gate;

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use crypto::Secret;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslOptions, SslRef, SslSessionCacheMode, SslVersion,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_openssl::SslStream;
use tower::Service;
use world::{BoxFuture, ByteStream, Fault, PskIdentity};

use crate::http::server::{BoxError, HANDSHAKE_TIMEOUT, HEADER_READ_TIMEOUT, answer, let_go, serve_each};
use gate::{Gate, Known};

/// Both of SGP.02, the better one first.
const SUITES: &str = "PSK-AES128-GCM-SHA256:PSK-AES128-CBC-SHA256";
/// SSL_OP_NO_ENCRYPT_THEN_MAC, which the openssl crate has no name for. The same in OpenSSL 1.1.1 and 3.
const NO_ENCRYPT_THEN_MAC: u64 = 1 << 19;

/// Knows the keys of those who may come in.
pub trait PskKeys: Send + Sync {
    /// The key of an identity; `None` when there is no such identity.
    fn key<'a>(&'a self, identity: &'a str) -> BoxFuture<'a, Result<Option<Secret<Vec<u8>>>, Fault>>;
}

/// What, when it is run, asks `service` for the answer to every request that comes to `listener` over TLS with a key that
/// `keys` knows, until `shutdown`; then lets the requests under way finish. Limits and times are those of
/// [`serve`](crate::serve).
///
/// The identity is a [`PskIdentity`] extension of the requests. Bodies of answers are sent chunked, as cards want them.
///
/// # Errors
/// OpenSSL cannot be had as it is needed. That is known before anybody is told of the door.
pub fn serve_psk<S>(
    listener: TcpListener,
    keys: Arc<dyn PskKeys>,
    service: S,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<impl Future<Output = ()> + Send, Fault>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let door = PskDoor::new(keys)?;
    let each = move |stream: TcpStream, stopped| {
        let (door, service) = (door.clone(), service.clone());
        async move {
            stream.set_nodelay(true)?;
            door.serve_until(stream, service, stopped).await
        }
    };
    Ok(serve_each(listener, each, shutdown))
}

/// The same door at streams that somebody else accepts, such as those of a world in memory. A clone is the same door.
#[derive(Clone)]
pub struct PskDoor {
    tls: Arc<PskTls>,
    keys: Arc<dyn PskKeys>,
}

impl PskDoor {
    /// For those whose keys `keys` knows.
    ///
    /// # Errors
    /// As those of [`serve_psk`].
    pub fn new(keys: Arc<dyn PskKeys>) -> Result<Self, Fault> {
        let tls = Arc::new(PskTls::new().map_err(|error| {
            Fault::caused_by(
                error,
                "cannot serve TLS with pre-shared keys",
                "check that OpenSSL 1.1.1 or 3 is installed and that its configuration allows the PSK suites",
            )
        })?);
        Ok(Self { tls, keys })
    }

    /// Asks `service` for the answer to every request on this stream, until it ends.
    ///
    /// # Errors
    /// What broke it off: the stream, TLS, HTTP or the service.
    pub async fn serve<S>(
        &self,
        stream: impl ByteStream,
        service: S,
    ) -> Result<(), Box<dyn Error + Send + Sync>>
    where
        S: Service<Request<Bytes>, Response = Response<Bytes>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (_never, stopped) = watch::channel(false);
        self.serve_until(stream, service, stopped).await
    }

    async fn serve_until<S>(
        &self,
        stream: impl ByteStream,
        service: S,
        stopped: watch::Receiver<bool>,
    ) -> Result<(), BoxError>
    where
        S: Service<Request<Bytes>, Response = Response<Bytes>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
    {
        let known = Known::default();
        let mut ssl = Ssl::new(&self.tls.context)?;
        ssl.set_ex_data(self.tls.known, known.clone());
        let mut stream = SslStream::new(ssl, Gate::new(stream, Arc::clone(&self.keys), known.clone()))?;
        if let Err(error) = timeout(HANDSHAKE_TIMEOUT, Pin::new(&mut stream).accept()).await? {
            let_go(stream.get_mut()).await;
            return Err(error.into());
        }
        let peer = known.identity().map(PskIdentity);
        serve_connection(stream, peer, service, stopped).await
    }
}

struct PskTls {
    context: SslContext,
    /// Where a connection keeps what its gate has learnt.
    known: Index<Ssl, Known>,
}

impl PskTls {
    fn new() -> Result<Self, ErrorStack> {
        let known = Ssl::new_ex_index::<Known>()?;
        let mut builder = SslContextBuilder::new(SslMethod::tls_server())?;
        builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        builder.set_max_proto_version(Some(SslVersion::TLS1_2))?;
        builder.set_cipher_list(SUITES)?;
        builder.set_session_cache_mode(SslSessionCacheMode::OFF);
        builder.set_options(
            SslOptions::NO_TICKET
                | SslOptions::NO_COMPRESSION
                | SslOptions::NO_RENEGOTIATION
                | SslOptions::CIPHER_SERVER_PREFERENCE
                | SslOptions::from_bits_retain(NO_ENCRYPT_THEN_MAC),
        );
        builder.set_psk_server_callback(move |ssl: &mut SslRef, identity, key| {
            // No key: OpenSSL tells the card that its identity is not known.
            Ok(ssl.ex_data(known).and_then(|known| known.copy_key(identity?, key)).unwrap_or(0))
        });
        Ok(Self { context: builder.build(), known })
    }
}

async fn serve_connection<S>(
    stream: SslStream<Gate<impl ByteStream>>,
    peer: Option<PskIdentity>,
    service: S,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), BoxError>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
{
    let answer = hyper::service::service_fn(move |request| {
        let (service, peer) = (service.clone(), peer.clone());
        async move {
            let answer = answer(request, peer, service).await;
            answer.map(|response| response.map(Chunked::new)).map_err(io::Error::other)
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), answer));
    tokio::select! {
        ended = &mut connection => return ended.map_err(Into::into),
        // An error means that the server itself has gone, which is the same news.
        _ = stopped.wait_for(|stopped| *stopped) => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await.map_err(Into::into)
}

/// A body that does not say how long it is, so that it is sent chunked; none at all stays none.
struct Chunked(Full<Bytes>);

impl Chunked {
    fn new(body: Bytes) -> Self {
        Self(Full::new(body))
    }
}

impl Body for Chunked {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.0.is_end_stream() { SizeHint::with_exact(0) } else { SizeHint::default() }
    }
}
