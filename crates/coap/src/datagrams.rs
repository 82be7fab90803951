//! The carrier of CoAP messages, and an in-memory version of it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, mpsc};
use world::{BoxFuture, LinkFault, LinkFaultKind};

/// Maximum number of datagrams on their way in one direction between two in-memory endpoints.
/// Further ones are lost.
const MAX_QUEUED: usize = 64;

/// An association with one peer, which carries datagrams in both directions. Datagrams can be lost,
/// duplicated and reordered.
pub trait Datagrams: Send + Sync {
    /// Sends a datagram. Success does not mean that it has arrived.
    ///
    /// # Errors
    /// The association is over.
    fn send(&self, datagram: Bytes) -> BoxFuture<'_, Result<(), LinkFault>>;

    /// Waits for a datagram of the peer. No datagram is lost if the future is dropped.
    ///
    /// # Errors
    /// The association is over.
    fn receive(&self) -> BoxFuture<'_, Result<Bytes, LinkFault>>;
}

/// Opens associations with one server.
pub trait DialDatagrams: Send + Sync {
    /// Opens an association.
    ///
    /// # Errors
    /// The server is unreachable, or the handshake fails.
    fn dial(&self) -> BoxFuture<'_, Result<Arc<dyn Datagrams>, LinkFault>>;
}

/// One end of a pair of queues.
pub struct MemoryDatagrams {
    outgoing: mpsc::Sender<Bytes>,
    incoming: Mutex<mpsc::Receiver<Bytes>>,
    peer: String,
}

/// Creates two connected ends: that of a client of `server`, and that of the server.
pub fn memory_pair(server: &str) -> (MemoryDatagrams, MemoryDatagrams) {
    let (to_server, from_client) = mpsc::channel(MAX_QUEUED);
    let (to_client, from_server) = mpsc::channel(MAX_QUEUED);
    let end = |outgoing, incoming, peer: &str| MemoryDatagrams {
        outgoing,
        incoming: Mutex::new(incoming),
        peer: peer.to_owned(),
    };
    (end(to_server, from_server, server), end(to_client, from_client, "client"))
}

impl MemoryDatagrams {
    fn over(&self) -> LinkFault {
        LinkFault::new(LinkFaultKind::Reset, self.peer.as_str(), "the association is over")
    }
}

impl Datagrams for MemoryDatagrams {
    fn send(&self, datagram: Bytes) -> BoxFuture<'_, Result<(), LinkFault>> {
        let sent = match self.outgoing.try_send(datagram) {
            // A datagram that does not fit into the queue is lost, as in a network.
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(self.over()),
        };
        Box::pin(std::future::ready(sent))
    }

    fn receive(&self) -> BoxFuture<'_, Result<Bytes, LinkFault>> {
        Box::pin(async { self.incoming.lock().await.recv().await.ok_or_else(|| self.over()) })
    }
}
