//! HTTP server: passes requests from sockets to a service.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulConnection;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};
use tower::{Service, ServiceExt};
use world::{ByteStream, CanSendSlowly, Fault, PeerAddress, PeerCertificate};

use super::body::with_body;
use super::connections::{Activity, Connections, Limits, LogLimit, MAX_PLAIN_CONNECTIONS, Observed, Work};
use crate::tls::ServerTls;

/// Maximum size of a request body. Requests of cards and operators are far smaller; larger ones get
/// status 413.
pub const MAX_REQUEST: u64 = 1 << 20;
/// Maximum size of the head of a request. It bounds the read buffer of HTTP/1.1, too.
pub(crate) const MAX_HEAD: usize = 16 << 10;
/// Maximum number of concurrent requests on an HTTP/2 connection. A device has one; an operator
/// that has more waits.
const MAX_STREAMS: u32 = 32;
/// Flow-control window of an HTTP/2 request. It is the default of RFC 9113, and larger than the
/// requests of devices.
const STREAM_WINDOW: u32 = (64 << 10) - 1;
/// Flow-control window of an HTTP/2 connection: maximum number of octets of all its requests that
/// the server buffers before it reads them.
const CONNECTION_WINDOW: u32 = 256 << 10;

/// Maximum number of octets that are read and dropped so that the peer reads the response.
const MAX_DISCARDED: u64 = 16 << 20;
/// Maximum time in which a connection is closed gracefully.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Time for requests under way to finish after a shutdown.
const GRACE: Duration = Duration::from_secs(5);
/// Time for requests under way to finish on a connection that has reached its maximum age. It is
/// longer than a long poll.
const LAST_REQUESTS: Duration = Duration::from_secs(5 * 60);
/// Backlog of connections that the kernel has established but the server has not accepted. A
/// thousand devices can connect at the same moment, and a device that finds the queue full retries
/// a second later. The kernel has a limit of its own.
const BACKLOG: u32 = 4096;
/// Pause after a failed accept, which usually means that no file descriptor is left. Without the
/// pause the loop would use the whole processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Listens on `address` (`host:port`); port 0 selects a free port.
pub async fn listen(address: &str) -> Result<TcpListener, Fault> {
    bind(address).await.map_err(|error| cannot_listen(error, address))
}

/// Returns the fault of a port that cannot be opened.
pub(crate) fn cannot_listen(error: io::Error, address: &str) -> Fault {
    let next = match error.kind() {
        io::ErrorKind::AddrInUse => "stop the program that uses it, or choose another port",
        io::ErrorKind::PermissionDenied => "choose a port above 1023",
        io::ErrorKind::AddrNotAvailable => "choose an address that this machine has, such as 127.0.0.1",
        _ => "give an address as host:port, such as 127.0.0.1:8443",
    };
    Fault::usage_caused_by(error, format!("cannot listen on {address}"), next)
}

/// Binds the first usable address.
async fn bind(address: &str) -> io::Result<TcpListener> {
    let mut failed = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
    for address in tokio::net::lookup_host(address).await? {
        match listen_on(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted server must not wait until the kernel has forgotten old connections.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Passes every request on `listener` to `service` until `shutdown`. Requests under way are then
/// finished. The limits are those of [`Limits::default`], with [`MAX_PLAIN_CONNECTIONS`] without TLS.
///
/// A verified client certificate is a [`PeerCertificate`] extension of the requests. An error of
/// the service aborts the connection, which the peer sees as a link failure.
pub async fn serve<S>(
    listener: TcpListener,
    tls: Option<ServerTls>,
    service: S,
    shutdown: impl Future<Output = ()> + Send,
) where
    S: Service<Request<Bytes>, Response = Response<Bytes>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let limits = if tls.is_some() { Limits::default() } else { Limits::of(MAX_PLAIN_CONNECTIONS) };
    serve_within(limits, listener, tls, service, shutdown).await;
}

/// Serves as [`serve`] does, within these limits.
pub async fn serve_within<S>(
    limits: Limits,
    listener: TcpListener,
    tls: Option<ServerTls>,
    service: S,
    shutdown: impl Future<Output = ()> + Send,
) where
    S: Service<Request<Bytes>, Response = Response<Bytes>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let each = move |stream: TcpStream, activity, stopped| {
        // Responses are small and latency matters, so segments are sent without delay. An error means
        // that the connection has ended already, which `serve_stream` finds too. A future around that of
        // `serve_stream` would double the memory of a connection.
        let _ = stream.set_nodelay(true);
        serve_stream(stream, tls.clone(), service.clone(), activity, stopped)
    };
    serve_each(limits, listener, each, shutdown).await;
}

/// Passes every connection on `listener` to `each`, with its activity and a receiver that signals
/// the shutdown.
pub(crate) async fn serve_each<E, F>(
    limits: Limits,
    listener: TcpListener,
    each: E,
    shutdown: impl Future<Output = ()> + Send,
) where
    E: Fn(TcpStream, Arc<Activity>, watch::Receiver<bool>) -> F,
    F: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    let places = Connections::new(limits);
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut refusals = LogLimit::default();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
            // Removes finished connections from the set.
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => match places.admit(peer.ip()) {
                Some(place) => {
                    let connection = each(stream, Arc::clone(&place.activity), stopped.clone());
                    connections.spawn(async move {
                        let ended = tokio::select! {
                            ended = connection => ended,
                            () = place.evicted() => Err("it was idle, and another one needed its place".into()),
                        };
                        if let Err(error) = ended {
                            tracing::debug!(%peer, error = &*error as &dyn Error, "connection ended");
                        }
                    });
                }
                None => {
                    drop(stream);
                    if refusals.allows() {
                        tracing::warn!(%peer, ?limits, "connections are refused: all are in use");
                    }
                }
            },
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                places.evict();
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    // Sending fails if no connection is left, which is not an error.
    let _ = stop.send(true);
    let all_done = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, all_done).await.is_err() {
        connections.shutdown().await;
    }
}

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// Serves one connection that is not a socket, such as an in-memory stream, until it ends.
///
/// # Errors
/// The handshake failed, or the peer violated HTTP.
pub async fn serve_connected<S>(
    stream: impl ByteStream + 'static,
    tls: Option<ServerTls>,
    service: S,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (_stop, stopped) = watch::channel(false);
    serve_stream(stream, tls, service, Activity::of_single_connection(), stopped).await
}

async fn serve_stream<S>(
    stream: impl ByteStream + 'static,
    tls: Option<ServerTls>,
    service: S,
    activity: Arc<Activity>,
    stopped: watch::Receiver<bool>,
) -> Result<(), BoxError>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
{
    let stream = Observed::new(stream, Arc::clone(&activity));
    // A connection with HTTP needs more memory than one without a handshake, so its future is boxed.
    let Some(tls) = tls else {
        return Box::pin(serve_connection(stream, None, service, activity, stopped)).await;
    };
    let handshake = shake_hands(stream, &tls);
    let stream = match timeout(activity.limits.handshake_timeout, handshake).await? {
        Ok(stream) => stream,
        Err((error, stream)) => {
            if let Some(mut stream) = stream {
                close_gracefully(&mut stream).await;
            }
            return Err(error.into());
        }
    };
    let peer = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let peer = peer.map(|certificate| PeerCertificate(certificate.to_vec()));
    Box::pin(serve_connection(stream, peer, service, activity, stopped)).await
}

/// Completes a TLS handshake. The configuration is chosen after the ClientHello, so that a connection
/// without a ClientHello does not count as a handshake for the faults of certificates. An error
/// contains the stream if it can still be used, to send the alert.
async fn shake_hands<T: ByteStream>(
    stream: Observed<T>,
    tls: &ServerTls,
) -> Result<TlsStream<Observed<T>>, (io::Error, Option<Observed<T>>)> {
    let mut hello = LazyConfigAcceptor::new(Acceptor::default(), stream);
    let start = match (&mut hello).await {
        Ok(start) => start,
        Err(error) => return Err((error, hello.take_io())),
    };
    let handshake = start.into_stream(tls.for_handshake()).into_fallible();
    handshake.await.map_err(|(error, stream)| (error, Some(stream)))
}

/// Closes the connection so that the peer can read the TLS alert. If octets of the peer were unread
/// at the close, the kernel would send a reset, and the peer could lose the alert.
pub(crate) async fn close_gracefully(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let drain = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(MAX_DISCARDED), &mut tokio::io::sink()).await
    };
    // The result is irrelevant, because the connection is over.
    let _ = timeout(CLOSE_TIMEOUT, drain).await;
}

async fn serve_connection<S>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Option<PeerCertificate>,
    service: S,
    activity: Arc<Activity>,
    stopped: watch::Receiver<bool>,
) -> Result<(), BoxError>
where
    S: Service<Request<Bytes>, Response = Response<Bytes>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    let requests = Arc::clone(&activity);
    let answer = hyper::service::service_fn(move |request| {
        let (service, peer) = (service.clone().map_request(can_drip), peer.clone());
        let work = requests.begin();
        async move {
            let answer = answer(request, peer, service, work).await;
            // This is an io::Error, because with a boxed error the compiler cannot prove that the
            // future is `Send`.
            answer.map(with_body).map_err(io::Error::other)
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // The activity of the connection limits the time for a head, in both versions.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    run_until(builder.serve_connection(TokioIo::new(stream), answer), &activity, stopped).await
}

/// Serves requests on the connection until it ends, is idle, has reached its maximum age, or
/// `stopped` signals the shutdown. Requests under way are then finished.
pub(crate) async fn run_until<C>(
    connection: C,
    activity: &Activity,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), BoxError>
where
    C: GracefulConnection<Error: Into<BoxError>>,
{
    let mut connection = std::pin::pin!(connection);
    let time_to_finish = tokio::select! {
        ended = &mut connection => return ended.map_err(Into::into),
        () = activity.idle() => CLOSE_TIMEOUT,
        () = sleep(activity.limits.age) => LAST_REQUESTS,
        // An error means that the server has been dropped, which also ends the connection.
        _ = stopped.wait_for(|stopped| *stopped) => GRACE,
    };
    connection.as_mut().graceful_shutdown();
    timeout(time_to_finish, connection).await?.map_err(Into::into)
}

fn can_drip(mut request: Request<Bytes>) -> Request<Bytes> {
    request.extensions_mut().insert(CanSendSlowly);
    request
}

/// Passes a request to `service`, with `peer` as an extension. `work` counts the request as
/// activity of its connection.
///
/// A request that can change something is executed to its end, even if the connection ends before
/// the response. Otherwise the service could stop between a commit and the step after it, such as
/// the delivery of a message that it committed.
pub(crate) async fn answer<P, S>(
    request: Request<Incoming>,
    peer: Option<P>,
    service: S,
    mut work: Work,
) -> Result<Response<Bytes>, BoxError>
where
    P: Clone + Send + Sync + 'static,
    S: Service<Request<Bytes>, Response = Response<Bytes>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    let (mut head, body) = request.into_parts();
    let body = match read(&head, body, &mut work).await {
        Ok(body) => body,
        Err(unread) => return Ok(unread.response()),
    };
    let is_safe = head.method.is_safe();
    work.execute();
    // Only extensions of this crate are passed on, none of hyper.
    head.extensions.clear();
    if let Some(source) = work.source() {
        head.extensions.insert(PeerAddress(source));
    }
    if let Some(peer) = peer {
        head.extensions.insert(peer);
    }
    let request = Request::from_parts(head, body);
    let executed = async move {
        // The request counts, and keeps its memory, as long as it is executed.
        let _work = work;
        service.oneshot(request).await.map_err(Into::into)
    };
    if is_safe { executed.await } else { tokio::spawn(executed).await? }
}

/// Reason for a missing request body.
enum Unread {
    TooLarge,
    TooSlow(Duration),
    Incomplete,
    NoMemory,
}

impl Unread {
    fn response(&self) -> Response<Bytes> {
        let (status, why, next) = match self {
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("its body has more than {MAX_REQUEST} octets"),
                "send a smaller request",
            ),
            Self::TooSlow(limit) => (
                StatusCode::REQUEST_TIMEOUT,
                format!("its body did not arrive within {} seconds", limit.as_secs()),
                "send it again with a faster connection",
            ),
            Self::Incomplete => {
                (StatusCode::BAD_REQUEST, "its body is incomplete".to_owned(), "send it again")
            }
            Self::NoMemory => (
                StatusCode::SERVICE_UNAVAILABLE,
                "other requests take all memory for requests".to_owned(),
                "send it again later",
            ),
        };
        // The response is readable text for an operator, regardless of the protocol of the service.
        let fault = Fault::new("cannot accept the request", why, next);
        let mut response = Response::new(serde_json::to_vec(&fault).unwrap_or_default().into());
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

async fn read(head: &http::request::Parts, body: Incoming, work: &mut Work) -> Result<Bytes, Unread> {
    let limit = work.body_timeout();
    match timeout(limit, read_to_end(head, body, work)).await {
        Ok(read) => read,
        Err(_) => Err(Unread::TooSlow(limit)),
    }
}

/// Reads a body. The rest of a body that is refused is read and dropped up to [`MAX_DISCARDED`],
/// because most clients read the response only after they have sent the whole body.
async fn read_to_end(
    head: &http::request::Parts,
    mut body: Incoming,
    work: &mut Work,
) -> Result<Bytes, Unread> {
    let fields = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    let mut refused = if body.size_hint().lower() > MAX_REQUEST {
        Some(Unread::TooLarge)
    } else if work.reserve(fields.sum()) {
        None
    } else {
        Some(Unread::NoMemory)
    };
    let mut kept = BytesMut::new();
    let mut length: u64 = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Incomplete)?.into_data() else { continue };
        length += u64::try_from(data.len()).unwrap_or(u64::MAX);
        if refused.is_none() {
            if length > MAX_REQUEST {
                refused = Some(Unread::TooLarge);
            } else if !work.reserve(data.len()) {
                refused = Some(Unread::NoMemory);
            } else {
                kept.extend_from_slice(&data);
                continue;
            }
            kept = BytesMut::new();
            work.release();
        }
        if length > MAX_DISCARDED {
            break;
        }
    }
    refused.map_or_else(|| Ok(kept.freeze()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_cannot_be_opened_has_advice_for_its_cause() {
        use io::ErrorKind;
        for (error, next) in [
            (ErrorKind::AddrInUse, "stop the program"),
            (ErrorKind::PermissionDenied, "choose a port above 1023"),
            (ErrorKind::AddrNotAvailable, "choose an address that this machine has"),
            (ErrorKind::InvalidInput, "give an address as host:port"),
        ] {
            let fault = cannot_listen(error.into(), "127.0.0.1:80");
            assert!(
                fault.what.contains("127.0.0.1:80") && fault.next.starts_with(next),
                "{error:?}: {fault}"
            );
        }
    }
}
