//! Octets in both directions between a device, for its card, and a server: what a TCP connection is.
//!
//! HTTP between parties is [`Link`](crate::Link). This is below it, for a card that speaks TLS itself and asks its
//! device for no more than a connection (TS 102 223 section 6.4.27, OPEN CHANNEL).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::sync::mpsc;

use crate::{BoxFuture, LinkFault, LinkFaultKind};

/// Octets in both directions. The end of either is told as it is on a socket.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// Any stream, with its type forgotten.
pub type BoxByteStream = Box<dyn ByteStream>;

/// Opens streams to servers.
pub trait Dial: Send + Sync {
    /// Connects to a port of a host, which is a name or an address.
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<BoxByteStream, LinkFault>>;
}

impl<D: Dial + ?Sized> Dial for Arc<D> {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<BoxByteStream, LinkFault>> {
        (**self).dial(host, port)
    }
}

/// Reaches nobody: for devices whose cards open no channels.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDial;

impl Dial for NoDial {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, Result<BoxByteStream, LinkFault>> {
        let why = "this device opens no connections for its card";
        let fault = LinkFault::new(LinkFaultKind::Unreachable, format!("{host}:{port}"), why);
        Box::pin(async { Err(fault) })
    }
}

/// Octets under way in one direction of a stream in memory.
const IN_FLIGHT: usize = 64 * 1024;

/// Connections that wait to be accepted.
const BACKLOG: usize = 64;

/// Hosts of a world in memory: whoever listens at an address there can be dialled. A clone is the same world.
#[derive(Clone, Default)]
pub struct MemoryHosts(Arc<Mutex<BTreeMap<String, mpsc::Sender<DuplexStream>>>>);

impl MemoryHosts {
    /// Listens at `host:port` until the listener is dropped; a former listener there hears nothing any more.
    pub fn listen(&self, address: impl Into<String>) -> MemoryListener {
        let (sender, incoming) = mpsc::channel(BACKLOG);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(address.into(), sender);
        MemoryListener(incoming)
    }

    fn connect(&self, address: &str) -> Result<BoxByteStream, LinkFault> {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = |why: &str| LinkFault::new(LinkFaultKind::Refused, address, why);
        let listener = hosts.get(address).ok_or_else(|| refused("nobody listens there"))?;
        let (own, theirs) = tokio::io::duplex(IN_FLIGHT);
        listener.try_send(theirs).map_err(|_| refused("nobody accepts there"))?;
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

/// Somebody who can be dialled in memory.
#[derive(Debug)]
pub struct MemoryListener(mpsc::Receiver<DuplexStream>);

impl MemoryListener {
    /// The next connection; none when another listens at the address now.
    pub async fn accept(&mut self) -> Option<DuplexStream> {
        self.0.recv().await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_stream_in_memory_carries_both_ways_and_ends() {
        let hosts = MemoryHosts::default();
        let mut listener = hosts.listen("sm-sr.example:443");
        let mut own = hosts.dial("sm-sr.example", 443).await.unwrap();
        let mut theirs = listener.accept().await.unwrap();
        own.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        theirs.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
        theirs.write_all(b"bye").await.unwrap();
        drop(theirs);
        let mut rest = Vec::new();
        own.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"bye");
    }

    #[tokio::test]
    async fn nobody_there_is_a_refusal() {
        let hosts = MemoryHosts::default();
        let refused = |result: Result<BoxByteStream, LinkFault>| result.err().map(|fault| fault.kind);
        assert_eq!(refused(hosts.dial("a", 1).await), Some(LinkFaultKind::Refused));
        drop(hosts.listen("a:1"));
        assert_eq!(refused(hosts.dial("a", 1).await), Some(LinkFaultKind::Refused));
        assert_eq!(refused(NoDial.dial("a", 1).await), Some(LinkFaultKind::Unreachable));
    }
}
