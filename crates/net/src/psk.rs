//! HTTP/1.1 over TLS 1.2 with pre-shared keys for cards (SGP.02 section 2.4.4, GlobalPlatform
//! Amendment B).
//!
//! Only the suites PSK-AES128-GCM-SHA256 and PSK-AES128-CBC-SHA256 are supported. There are no
//! other TLS versions, no certificates, tickets, compression or renegotiation. encrypt_then_mac is
//! not acknowledged, because some cards abort if it is.
//!
//! OpenSSL requests the key during the handshake in a synchronous callback, which cannot wait for
//! the records. The incoming octets therefore pass a gate (`psk/gate.rs`). The gate reads the
//! identity of the card, looks up the key, and only then passes the identity on to OpenSSL.

mod gate;

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use crypto::Secret;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Frame};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslOptions, SslRef, SslVersion};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_openssl::SslStream;
use tower::Service;
use world::{BoxFuture, ByteStream, Fault, PskIdentity};

use crate::http::connections::{Activity, Limits, Observed};
use crate::http::server::{BoxError, MAX_HEAD, answer, close_gracefully, run_until, serve_each};
use crate::openssl_context::one_version;
use gate::{Gate, Known};

/// The two suites of SGP.02 in order of preference.
const SUITES: &str = "PSK-AES128-GCM-SHA256:PSK-AES128-CBC-SHA256";
/// SSL_OP_NO_ENCRYPT_THEN_MAC, which the openssl crate does not define. The value is the same in
/// OpenSSL 1.1.1 and 3.
const NO_ENCRYPT_THEN_MAC: u64 = 1 << 19;

/// Maximum number of connections of the port of cards, half of them from one address. OpenSSL takes
/// 43 KiB for a connection that has begun its handshake (debug build). With as many connections as
/// other ports have, an SM-SR would need more than 256 MiB for both of its ports.
pub const MAX_PSK_CONNECTIONS: usize = 1024;

/// Source of pre-shared keys.
pub trait PskKeys: Send + Sync {
    /// Returns the key of an identity, or `None` if the identity is unknown.
    fn key<'a>(&'a self, identity: &'a str) -> BoxFuture<'a, Result<Option<Secret<Vec<u8>>>, Fault>>;
}

/// Returns a future that serves requests over TLS-PSK: it passes every request on `listener` to
/// `service` until `shutdown`. Requests under way are then finished. Clients are authenticated
/// with the keys of `keys`. The limits and time-outs are those of [`serve`](crate::serve), except
/// [`MAX_PSK_CONNECTIONS`].
///
/// The identity is a [`PskIdentity`] extension of the requests. Response bodies are sent chunked,
/// as cards require.
///
/// # Errors
/// OpenSSL is unusable. The error occurs before the server accepts connections.
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
    let server = PskServer::new(keys)?;
    let each = move |stream: TcpStream, activity, stopped| {
        let (server, service) = (server.clone(), service.clone());
        async move {
            stream.set_nodelay(true)?;
            server.serve_until(stream, service, activity, stopped).await
        }
    };
    Ok(serve_each(Limits::of(MAX_PSK_CONNECTIONS), listener, each, shutdown))
}

/// A TLS-PSK server for streams that the caller accepts, such as in-memory streams. Clones share
/// the configuration.
#[derive(Clone)]
pub struct PskServer {
    tls: Arc<PskTls>,
    keys: Arc<dyn PskKeys>,
}

impl PskServer {
    /// Returns a server that authenticates clients with these keys.
    ///
    /// # Errors
    /// The same as those of [`serve_psk`].
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

    /// Passes every request on this stream to `service` until the stream ends.
    ///
    /// # Errors
    /// The stream, TLS, HTTP or the service failed.
    pub async fn serve<S>(
        &self,
        stream: impl ByteStream + 'static,
        service: S,
    ) -> Result<(), Box<dyn Error + Send + Sync>>
    where
        S: Service<Request<Bytes>, Response = Response<Bytes>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (_never, stopped) = watch::channel(false);
        self.serve_until(stream, service, Activity::of_single_connection(), stopped).await
    }

    async fn serve_until<S>(
        &self,
        stream: impl ByteStream + 'static,
        service: S,
        activity: Arc<Activity>,
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
        let stream = Observed::new(stream, Arc::clone(&activity));
        let mut stream = SslStream::new(ssl, Gate::new(stream, Arc::clone(&self.keys), known.clone()))?;
        if let Err(error) = timeout(activity.limits.handshake_timeout, Pin::new(&mut stream).accept()).await?
        {
            close_gracefully(stream.get_mut()).await;
            return Err(error.into());
        }
        let peer = known.identity().map(PskIdentity);
        serve_connection(stream, peer, service, activity, stopped).await
    }
}

struct PskTls {
    context: SslContext,
    /// The index under which a connection stores the result of its gate.
    known: Index<Ssl, Known>,
}

impl PskTls {
    fn new() -> Result<Self, ErrorStack> {
        let known = Ssl::new_ex_index::<Known>()?;
        let mut builder = one_version(SslMethod::tls_server(), SslVersion::TLS1_2, SUITES)?;
        builder.set_options(SslOptions::from_bits_retain(NO_ENCRYPT_THEN_MAC));
        builder.set_psk_server_callback(move |ssl: &mut SslRef, identity, key| {
            // Without a key, OpenSSL tells the card that its identity is unknown.
            Ok(ssl.ex_data(known).and_then(|known| known.copy_key(identity?, key)).unwrap_or(0))
        });
        Ok(Self { context: builder.build(), known })
    }
}

async fn serve_connection<S>(
    stream: SslStream<Gate<Observed<impl ByteStream + 'static>>>,
    peer: Option<PskIdentity>,
    service: S,
    activity: Arc<Activity>,
    stopped: watch::Receiver<bool>,
) -> Result<(), BoxError>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
{
    let requests = Arc::clone(&activity);
    let answer = hyper::service::service_fn(move |request| {
        let (service, peer) = (service.clone(), peer.clone());
        let work = requests.begin();
        async move {
            let answer = answer(request, peer, service, work).await;
            answer.map(|response| response.map(Chunked::new)).map_err(io::Error::other)
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(MAX_HEAD);
    run_until(builder.serve_connection(TokioIo::new(stream), answer), &activity, stopped).await
}

/// A body without a declared length, so that it is sent chunked. An empty body stays empty.
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
}
