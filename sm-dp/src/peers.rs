//! The outgoing connections of the SM-DP+, which its environment supplies.

use rsp::ids::SmdpAddress;
use world::{Fault, Link};

/// The outgoing connections of the SM-DP+. They present the server's TLS certificate as the client
/// certificate.
pub trait Peers: Send + Sync {
    /// Returns a link to the ES2+ of an operator or to the ES12 of an SM-DS.
    ///
    /// # Errors
    /// Fails if no link to this address is possible.
    fn link(&self, address: &SmdpAddress) -> Result<Link, Fault>;

    /// Signals that a message was posted to the outbox and that
    /// [`SmDpPlus::deliver_due`](crate::SmDpPlus::deliver_due) must run.
    fn wake(&self) {}
}
