//! Byte streams in both directions between a device, on behalf of its card, and a server: the
//! equivalent of a TCP connection.
//!
//! HTTP between parties uses [`Link`](crate::Link). This is the layer below, for a card that
//! implements TLS itself and needs only a connection from its device (TS 102 223 section 6.4.27,
//! OPEN CHANNEL).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::sync::mpsc;

use crate::{BoxFuture, LinkFault, LinkFaultKind};

/// A byte stream in both directions. The end of either direction is reported as on a socket.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// A boxed byte stream of any type.
pub type BoxByteStream = Box<dyn ByteStream>;

/// A connector that opens streams to servers.
pub trait Dial: Send + Sync {
    /// Connects to a port of a host, given as a name or an address.
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<BoxByteStream, LinkFault>>;
}

impl<D: Dial + ?Sized> Dial for Arc<D> {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<BoxByteStream, LinkFault>> {
        (**self).dial(host, port)
    }
}

/// A connector that reaches no host, for devices whose cards open no channels.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDial;

impl Dial for NoDial {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<BoxByteStream, LinkFault>> {
        let why = "this device opens no connections for its card";
        let fault = LinkFault::new(LinkFaultKind::Unreachable, format!("{host}:{port}"), why);
        Box::pin(async { Err(fault) })
    }
}

/// Buffer size per direction of an in-memory stream.
const IN_FLIGHT: usize = 64 * 1024;

/// Maximum number of connections that wait to be accepted.
const BACKLOG: usize = 64;

/// Hosts in memory. A connection can be opened to every address with a listener. A clone has the
/// same hosts.
#[derive(Clone, Default)]
pub struct MemoryHosts(Arc<Mutex<BTreeMap<String, mpsc::Sender<DuplexStream>>>>);

impl MemoryHosts {
    /// Listens at `host:port` until the listener is dropped. An earlier listener at the address
    /// receives no further connections.
    pub fn listen(&self, address: impl Into<String>) -> MemoryListener {
        let (sender, incoming) = mpsc::channel(BACKLOG);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(address.into(), sender);
        MemoryListener(incoming)
    }

    fn connect(&self, address: &str) -> Result<BoxByteStream, LinkFault> {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = |why: &str| LinkFault::new(LinkFaultKind::Refused, address, why);
        let listener = hosts.get(address).ok_or_else(|| refused("no listener at this address"))?;
        let (own, peer) = tokio::io::duplex(IN_FLIGHT);
        listener.try_send(peer).map_err(|_| refused("the listener accepts no connections"))?;
        Ok(Box::new(own))
    }
}

impl Dial for MemoryHosts {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<BoxByteStream, LinkFault>> {
        Box::pin(async move { self.connect(&format!("{host}:{port}")) })
    }
}

impl fmt::Debug for MemoryHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(hosts.keys()).finish()
    }
}

/// A listener for in-memory connections.
#[derive(Debug)]
pub struct MemoryListener(mpsc::Receiver<DuplexStream>);

impl MemoryListener {
    /// Waits for the next connection. Returns `None` if another listener has taken over the
    /// address.
    pub async fn accept(&mut self) -> Option<DuplexStream> {
        self.0.recv().await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn an_in_memory_stream_transports_both_directions_and_their_end() {
        let hosts = MemoryHosts::default();
        let mut listener = hosts.listen("sm-sr.example:443");
        let mut own = hosts.dial("sm-sr.example", 443).await.unwrap();
        let mut peer = listener.accept().await.unwrap();
        own.write_all(b"hello").await.unwrap();
        let mut received = [0; 5];
        peer.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"hello");
        peer.write_all(b"bye").await.unwrap();
        drop(peer);
        let mut rest = Vec::new();
        own.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"bye");
    }

    #[tokio::test]
    async fn a_connection_without_a_listener_is_refused() {
        let hosts = MemoryHosts::default();
        let refused = |result: Result<BoxByteStream, LinkFault>| result.err().map(|fault| fault.kind);
        assert_eq!(refused(hosts.dial("a", 1).await), Some(LinkFaultKind::Refused));
        drop(hosts.listen("a:1"));
        assert_eq!(refused(hosts.dial("a", 1).await), Some(LinkFaultKind::Refused));
        assert_eq!(refused(NoDial.dial("a", 1).await), Some(LinkFaultKind::Unreachable));
    }
}
