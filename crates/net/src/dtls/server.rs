//! The DTLS server: one socket, and an association for each client.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coap::{Datagrams, Transmission};
use http::Request;
use openssl::error::ErrorStack;
use openssl::ex_data::Index;
use openssl::hash::MessageDigest;
use openssl::memcmp;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use openssl::ssl::{Ssl, SslContext, SslMethod, SslOptions, SslRef};
use openssl::x509::X509;
use tokio::net::UdpSocket;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tower::ServiceExt as _;
use world::{Fault, Link, PeerAddress, World, link_from};

use super::association::{Association, Carrier, DatagramLayer, HandshakeFailure, MAX_DATAGRAM};
use super::client_hello::ClientHello;
use super::engine::{self, Engine};
use crate::http::connections::{LogLimit, source_of};
use crate::http::server::cannot_listen;
use crate::tls::Identity;

/// Maximum number of associations. If there are more, the one that was idle for the longest time
/// ends. An association needs about 50 KiB, which OpenSSL keeps until its end.
pub const MAX_ASSOCIATIONS: usize = 1024;
/// Maximum number of associations of one IP address. It is large, because many devices share the
/// address of their operator's NAT.
pub const MAX_ASSOCIATIONS_PER_SOURCE: usize = 512;
/// Maximum time of a handshake.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);
/// Time without a datagram after which an association ends. It is longer than a device needs for
/// the steps of an order.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// Maximum number of datagrams of one client that wait to be processed. Further ones are lost.
const MAX_QUEUED: usize = 16;

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct DtlsLimits {
    /// Maximum number of associations.
    pub associations: usize,
    /// Maximum number of associations of one IP address.
    pub associations_per_source: usize,
    /// Maximum time of a handshake.
    pub handshake_timeout: Duration,
    /// Time without a datagram after which an association ends.
    pub idle_timeout: Duration,
}

impl Default for DtlsLimits {
    fn default() -> Self {
        Self {
            associations: MAX_ASSOCIATIONS,
            associations_per_source: MAX_ASSOCIATIONS_PER_SOURCE,
            handshake_timeout: HANDSHAKE_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
        }
    }
}

/// DTLS configuration of a server. Clones share it.
#[derive(Clone)]
pub struct ServerDtls {
    inner: Arc<Inner>,
    layer: Option<Arc<DatagramLayer>>,
}

struct Inner {
    context: SslContext,
    /// The key of the cookies.
    secret: PKey<Private>,
    /// The index under which an association stores its cookie.
    cookie: Index<Ssl, Vec<u8>>,
}

impl ServerDtls {
    /// Returns a configuration with this identity. `world` provides the key of the cookies.
    ///
    /// # Errors
    /// The certificate or its key is unusable.
    pub fn new(identity: &Identity, world: &World) -> Result<Self, Fault> {
        Self::of(identity, world).map_err(|error| {
            Fault::usage_caused_by(
                error,
                "cannot serve DTLS with this certificate",
                "check that it is a certificate on P-256 in DER, own certificate first, and that the key belongs to it",
            )
        })
    }

    fn of(identity: &Identity, world: &World) -> Result<Self, ErrorStack> {
        let mut builder = engine::context(SslMethod::dtls_server())?;
        builder.set_options(SslOptions::COOKIE_EXCHANGE);
        // A sleeping device resumes its session with fewer octets. Clients have no certificate, so that a
        // ticket stands for nothing but the keys.
        builder.clear_options(SslOptions::NO_TICKET);
        let mut chain = identity.chain.iter().map(|certificate| X509::from_der(certificate));
        if let Some(own) = chain.next() {
            builder.set_certificate(&*own?)?;
        }
        for issuer in chain {
            builder.add_extra_chain_cert(issuer?)?;
        }
        builder.set_private_key(&*PKey::private_key_from_pkcs8(&identity.key)?)?;
        builder.check_private_key()?;
        let cookie = Ssl::new_ex_index::<Vec<u8>>()?;
        builder.set_cookie_generate_cb(move |ssl: &mut SslRef, buffer: &mut [u8]| {
            let own = ssl.ex_data(cookie).map(Vec::as_slice).unwrap_or_default();
            Ok(match buffer.get_mut(..own.len()) {
                Some(to) => {
                    to.copy_from_slice(own);
                    own.len()
                }
                None => 0,
            })
        });
        builder.set_cookie_verify_cb(move |ssl: &mut SslRef, shown: &[u8]| {
            ssl.ex_data(cookie).is_some_and(|own| is_same(own, shown))
        });
        let secret = PKey::hmac(&world.random::<32>())?;
        let inner = Arc::new(Inner { context: builder.build(), secret, cookie });
        Ok(Self { inner, layer: None })
    }

    /// Wraps the CoAP messages of each association, such as with faults.
    #[must_use]
    pub fn with_layer(
        self,
        layer: impl Fn(Arc<dyn Datagrams>) -> Arc<dyn Datagrams> + Send + Sync + 'static,
    ) -> Self {
        Self { layer: Some(Arc::new(layer)), ..self }
    }

    /// Returns the cookie of a client.
    fn cookie(&self, peer: SocketAddr, hello: &ClientHello<'_>) -> Result<Vec<u8>, ErrorStack> {
        let mut signer = Signer::new(MessageDigest::sha256(), &self.inner.secret)?;
        signer.update(peer.to_string().as_bytes())?;
        for part in hello.content() {
            signer.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes())?;
            signer.update(part)?;
        }
        signer.sign_to_vec()
    }

    /// Starts a handshake with a client that has returned its cookie.
    fn accept(
        &self,
        cookie: Vec<u8>,
        hello: &ClientHello<'_>,
        datagram: Bytes,
    ) -> Result<Engine, ErrorStack> {
        let mut ssl = Ssl::new(&self.inner.context)?;
        ssl.set_ex_data(self.inner.cookie, cookie);
        let mut engine = Engine::new(ssl, true)?;
        engine.put(hello.first());
        // A failure repeats itself when the handshake continues.
        let _ = engine.shake_hands();
        // The client has the HelloVerifyRequest already.
        engine.take();
        engine.put(datagram);
        Ok(engine)
    }
}

impl fmt::Debug for ServerDtls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerDtls")
    }
}

fn is_same(own: &[u8], shown: &[u8]) -> bool {
    own.len() == shown.len() && memcmp::eq(own, shown)
}

/// Opens a UDP socket on `address` (`host:port`); port 0 selects a free port.
///
/// # Errors
/// The address cannot be used.
pub async fn listen_udp(address: &str) -> Result<UdpSocket, Fault> {
    UdpSocket::bind(address).await.map_err(|error| cannot_listen(error, &format!("{address} (UDP)")))
}

/// Passes every request that arrives over CoAP and DTLS on `socket` to `service` until `shutdown`.
/// Requests under way are then executed to their end, but not answered. The limits are those of
/// [`DtlsLimits::default`].
///
/// The address of the client is a [`PeerAddress`] extension of the requests. An error of the service
/// ends the association.
pub async fn serve_coap(
    socket: UdpSocket,
    dtls: ServerDtls,
    service: Link,
    world: World,
    shutdown: impl Future<Output = ()> + Send,
) {
    serve_coap_within(DtlsLimits::default(), socket, dtls, service, world, shutdown).await;
}

/// Serves as [`serve_coap`] does, within these limits.
pub async fn serve_coap_within(
    limits: DtlsLimits,
    socket: UdpSocket,
    dtls: ServerDtls,
    service: Link,
    world: World,
    shutdown: impl Future<Output = ()> + Send,
) {
    let mut server = Server {
        socket: Arc::new(socket),
        dtls,
        service,
        world,
        limits,
        clients: HashMap::new(),
        tasks: JoinSet::new(),
        evictions: LogLimit::default(),
    };
    let mut shutdown = std::pin::pin!(shutdown);
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            received = server.socket.recv_from(&mut buffer) => match received {
                Ok((length, peer)) => {
                    let datagram = Bytes::copy_from_slice(buffer.get(..length).unwrap_or_default());
                    server.receive(peer, datagram).await;
                }
                // An ICMP message about an earlier datagram.
                Err(error) => tracing::debug!(%error, "cannot receive a datagram"),
            },
            Some(ended) = server.tasks.join_next_with_id() => {
                let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                server.clients.retain(|_, client| client.task != id);
            }
        }
    }
}

struct Server {
    socket: Arc<UdpSocket>,
    dtls: ServerDtls,
    service: Link,
    world: World,
    limits: DtlsLimits,
    clients: HashMap<SocketAddr, Client>,
    tasks: JoinSet<()>,
    evictions: LogLimit,
}

/// A client with an association, or with a handshake under way.
struct Client {
    /// The datagrams of the client. The association ends when this is dropped.
    arrived: mpsc::Sender<Bytes>,
    cookie: Vec<u8>,
    task: Id,
    last: Instant,
}

impl Server {
    async fn receive(&mut self, peer: SocketAddr, datagram: Bytes) {
        if let Some(hello) = ClientHello::read(&datagram) {
            let Ok(cookie) = self.dtls.cookie(peer, &hello) else { return };
            // req: RFC.6347-4.2.1-Cookie
            if !is_same(&cookie, hello.cookie) {
                // A datagram that cannot be sent is lost.
                let _ = self.socket.send_to(&hello.verify_request(&cookie), peer).await;
                return;
            }
            // A repeated ClientHello belongs to the handshake under way. Another one is that of a
            // client that has lost its association: RFC 6347 section 4.2.8.
            if self.clients.get(&peer).is_none_or(|client| client.cookie != cookie) {
                if hello.is_second() {
                    self.open(peer, cookie, &hello, datagram.clone());
                }
                return;
            }
        }
        if let Some(client) = self.clients.get_mut(&peer) {
            client.last = Instant::now();
            // Datagrams that do not fit into the queue are lost.
            let _ = client.arrived.try_send(datagram);
        }
    }

    fn open(&mut self, peer: SocketAddr, cookie: Vec<u8>, hello: &ClientHello<'_>, datagram: Bytes) {
        self.clients.remove(&peer);
        self.make_room(peer);
        let engine = match self.dtls.accept(cookie.clone(), hello, datagram) {
            Ok(engine) => engine,
            Err(error) => return tracing::warn!(%error, "cannot start a DTLS handshake"),
        };
        let (arrived, queue) = mpsc::channel(MAX_QUEUED);
        let socket = Arc::clone(&self.socket);
        let carrier = Carrier::Shared { socket, peer, arrived: AsyncMutex::new(queue) };
        let service = with_peer_address(self.service.clone(), source_of(peer.ip()));
        let layer = self.dtls.layer.clone();
        let serving = serve_client(engine, carrier, peer, layer, service, self.world.clone(), self.limits);
        let task = self.tasks.spawn(serving).id();
        self.clients.insert(peer, Client { arrived, cookie, task, last: Instant::now() });
    }

    /// Makes room for a client at this address. If all associations are in use, the one that was idle
    /// for the longest time ends: one of the same source, if the source has its maximum.
    fn make_room(&mut self, peer: SocketAddr) {
        let source = source_of(peer.ip());
        let is_same_source = |other: &SocketAddr| source_of(other.ip()) == source;
        let of_source = self.clients.keys().filter(|other| is_same_source(other)).count();
        let is_crowded = of_source >= self.limits.associations_per_source;
        if !is_crowded && self.clients.len() < self.limits.associations {
            return;
        }
        if self.evictions.allows() {
            tracing::warn!(%peer, limits = ?self.limits, "idle DTLS associations are ended: all are in use");
        }
        let candidates = self.clients.iter().filter(|(other, _)| !is_crowded || is_same_source(other));
        let idle = candidates.min_by_key(|(_, client)| client.last).map(|(other, _)| *other);
        idle.map(|idle| self.clients.remove(&idle));
    }
}

async fn serve_client(
    engine: Engine,
    carrier: Carrier,
    peer: SocketAddr,
    layer: Option<Arc<DatagramLayer>>,
    service: Link,
    world: World,
    limits: DtlsLimits,
) {
    let (handshake, idle) = (limits.handshake_timeout, Some(limits.idle_timeout));
    match Association::establish(engine, carrier, peer.to_string(), handshake, idle).await {
        Ok(association) => {
            let association = Arc::new(association);
            let mut datagrams: Arc<dyn Datagrams> = association.clone();
            if let Some(layer) = layer {
                datagrams = layer(datagrams);
            }
            let ended = coap::serve(&*datagrams, &service, &world, Transmission::default()).await;
            association.close().await;
            tracing::debug!(%peer, %ended, "DTLS association ended");
        }
        Err(HandshakeFailure::Timeout) => tracing::debug!(%peer, "DTLS handshake not completed in time"),
        Err(HandshakeFailure::Io(error)) => tracing::debug!(%peer, %error, "DTLS handshake failed"),
        Err(HandshakeFailure::Dtls(error, _)) => tracing::debug!(%peer, %error, "DTLS handshake failed"),
    }
}

fn with_peer_address(service: Link, address: IpAddr) -> Link {
    link_from(service.map_request(move |mut request: Request<Bytes>| {
        request.extensions_mut().insert(PeerAddress(address));
        request
    }))
}
