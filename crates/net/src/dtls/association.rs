//! An association over a socket, as [`coap::Datagrams`].

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use coap::Datagrams;
use tokio::net::UdpSocket;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::time::timeout;
use world::{BoxFuture, LinkFault};

use super::engine::{Engine, Handshake};
use crate::http::kind_of;

/// Maximum size of a datagram.
pub(crate) const MAX_DATAGRAM: usize = 2048;
/// Time between two looks at the timer of the handshake. OpenSSL repeats its messages after one
/// second, then after two, and so on.
const TICK: Duration = Duration::from_millis(250);

/// Wraps the datagrams of an association.
pub(crate) type DatagramLayer = dyn Fn(Arc<dyn Datagrams>) -> Arc<dyn Datagrams> + Send + Sync;

/// The datagrams of one peer.
pub(crate) enum Carrier {
    /// A socket of this peer only.
    Connected(UdpSocket),
    /// The socket of a server, which passes the datagrams of this peer on.
    Shared { socket: Arc<UdpSocket>, peer: SocketAddr, arrived: AsyncMutex<mpsc::Receiver<Bytes>> },
}

impl Carrier {
    async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match self {
            Self::Connected(socket) => socket.send(datagram).await?,
            Self::Shared { socket, peer, .. } => socket.send_to(datagram, *peer).await?,
        };
        Ok(())
    }

    async fn receive(&self) -> io::Result<Bytes> {
        match self {
            Self::Connected(socket) => {
                let mut datagram = vec![0; MAX_DATAGRAM];
                let length = socket.recv(&mut datagram).await?;
                datagram.truncate(length);
                Ok(datagram.into())
            }
            Self::Shared { arrived, .. } => {
                arrived.lock().await.recv().await.ok_or_else(|| io::ErrorKind::ConnectionAborted.into())
            }
        }
    }
}

/// An association.
pub(crate) struct Association {
    engine: Mutex<Engine>,
    carrier: Carrier,
    peer: String,
    idle: Option<Duration>,
}

/// Reason for which there is no association.
pub(crate) enum HandshakeFailure {
    Io(io::Error),
    Dtls(openssl::ssl::Error, openssl::x509::X509VerifyResult),
    Timeout,
}

impl Association {
    /// Completes the handshake within `limit`. `idle` is the time without a datagram after which the
    /// association is over.
    pub(crate) async fn establish(
        mut engine: Engine,
        carrier: Carrier,
        peer: String,
        limit: Duration,
        idle: Option<Duration>,
    ) -> Result<Self, HandshakeFailure> {
        match timeout(limit, shake_hands(&mut engine, &carrier)).await {
            Ok(Ok(())) => Ok(Self { engine: Mutex::new(engine), carrier, peer, idle }),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(HandshakeFailure::Timeout),
        }
    }

    /// Returns the certificate (DER) of the peer and its public key (SubjectPublicKeyInfo in DER).
    pub(crate) fn peer_certificate(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let certificate = self.engine().ssl().peer_certificate()?;
        let key = certificate.public_key().and_then(|key| key.public_key_to_der()).ok()?;
        Some((certificate.to_der().ok()?, key))
    }

    /// Tells the peer that the association is over.
    pub(crate) async fn close(&self) {
        let alerts = {
            let mut engine = self.engine();
            engine.close();
            engine.take()
        };
        for alert in alerts {
            // The association is over in any case.
            let _ = self.carrier.send(&alert).await;
        }
    }

    fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send_all(&self, datagrams: Vec<Bytes>) -> Result<(), LinkFault> {
        for datagram in datagrams {
            self.carrier.send(&datagram).await.map_err(|error| self.fault(&error))?;
        }
        Ok(())
    }

    fn fault(&self, error: &io::Error) -> LinkFault {
        LinkFault::new(kind_of(error), self.peer.as_str(), error.to_string())
    }
}

impl Datagrams for Association {
    fn send(&self, datagram: Bytes) -> BoxFuture<'_, Result<(), LinkFault>> {
        Box::pin(async move {
            let encrypted = {
                let mut engine = self.engine();
                engine.write(&datagram).map_err(|error| self.fault(&error))?;
                engine.take()
            };
            self.send_all(encrypted).await
        })
    }

    fn receive(&self) -> BoxFuture<'_, Result<Bytes, LinkFault>> {
        Box::pin(async move {
            loop {
                let (read, replies) = {
                    let mut engine = self.engine();
                    let read = engine.read();
                    // No await may come between the content and its return.
                    let replies = if matches!(read, Ok(Some(_))) { Vec::new() } else { engine.take() };
                    (read, replies)
                };
                // A repeated message of the handshake is answered again.
                self.send_all(replies).await?;
                if let Some(content) = read.map_err(|error| self.fault(&error))? {
                    return Ok(content);
                }
                let arrived = match self.idle {
                    None => self.carrier.receive().await,
                    Some(idle) => timeout(idle, self.carrier.receive()).await.unwrap_or_else(|_| {
                        Err(io::Error::new(io::ErrorKind::TimedOut, "the association was idle"))
                    }),
                };
                let datagram = arrived.map_err(|error| self.fault(&error))?;
                self.engine().put(datagram);
            }
        })
    }
}

async fn shake_hands(engine: &mut Engine, carrier: &Carrier) -> Result<(), HandshakeFailure> {
    loop {
        let state = engine.shake_hands();
        for datagram in engine.take() {
            carrier.send(&datagram).await.map_err(HandshakeFailure::Io)?;
        }
        match state {
            Ok(Handshake::Complete) => return Ok(()),
            Ok(Handshake::Waiting) => {}
            Err(error) => return Err(HandshakeFailure::Dtls(error, engine.ssl().verify_result())),
        }
        if let Ok(datagram) = timeout(TICK, carrier.receive()).await {
            engine.put(datagram.map_err(HandshakeFailure::Io)?);
        }
    }
}
