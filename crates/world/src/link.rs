//! HTTP request -> HTTP response between any two parties.
//!
//! Live, a link is a TLS connection; in a simulation it is the other party's router, called directly. Delay, loss and
//! damage are `tower` layers around it, the same in both.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use crate::Fault;

/// A way to ask one peer. A clone asks the same peer.
pub type Link = BoxCloneSyncService<Request<Bytes>, Response<Bytes>, LinkFault>;

/// Makes a link of a router or any other service, in this process.
pub fn link_from<S>(service: S) -> Link
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = LinkFault> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    BoxCloneSyncService::new(service)
}

/// Asks once, over a clone of `link`.
pub async fn send(link: &Link, request: Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
    link.clone().oneshot(request).await
}

/// Request extension: the peer has shown this certificate in the TLS handshake (DER), and it has been verified.
///
/// Whoever accepts the connection puts it in; a router that needs mutual authentication refuses a request without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate(pub Vec<u8>);

/// Request extension: the peer has shown in the TLS handshake that it holds the pre-shared key of this identity.
///
/// Whoever accepts the connection puts it in; a router that needs one refuses a request without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PskIdentity(pub String);

/// Request extension: its answer goes over a socket, and can be a [`Drip`].
///
/// Whoever accepts the connection puts it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanDrip;

/// Response extension: its body is sent octet by octet, with such a pause between them. Only where the request [`CanDrip`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drip(pub Duration);

/// No answer came over a link.
///
/// An HTTP error status is an answer, not a fault of the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFault {
    /// What happened.
    pub kind: LinkFaultKind,
    /// Whom we asked: `host:port`, or the party's name.
    pub peer: String,
    /// The detail, in words.
    pub why: String,
}

/// The ways in which a link fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkFaultKind {
    /// The name has no address.
    Unresolved,
    /// Nobody listens at the address. The request was not delivered.
    Refused,
    /// The network has no way there. The request was not delivered.
    Unreachable,
    /// The TLS handshake failed: a certificate, a version or a cipher was not acceptable. The request was not delivered.
    Tls,
    /// No answer in time. The request may have been acted upon.
    Timeout,
    /// The connection broke off before the answer was whole. The request may have been acted upon.
    Reset,
    /// The answer is larger than we accept.
    TooLarge,
    /// What came is not HTTP, or breaks its rules.
    Protocol,
}

impl LinkFault {
    /// A fault of this kind on the way to `peer`.
    pub fn new(kind: LinkFaultKind, peer: impl Into<String>, why: impl Into<String>) -> Self {
        Self { kind, peer: peer.into(), why: why.into() }
    }

    /// What the reader can do about it.
    pub fn next(&self) -> &'static str {
        self.kind.next()
    }
}

impl LinkFaultKind {
    fn what(self) -> &'static str {
        match self {
            Self::Unresolved => "the name has no address",
            Self::Refused => "connection refused",
            Self::Unreachable => "not reachable",
            Self::Tls => "TLS handshake failed",
            Self::Timeout => "no answer in time",
            Self::Reset => "the connection broke off",
            Self::TooLarge => "the answer is too large",
            Self::Protocol => "the answer is not proper HTTP",
        }
    }

    fn next(self) -> &'static str {
        match self {
            Self::Unresolved => "check the name, or say where to connect for it",
            Self::Refused => "start the server, or correct the address and port",
            Self::Unreachable => "check the network and the address",
            Self::Tls => {
                "check that each side trusts the other's root, that the name matches and that the dates hold"
            }
            Self::Timeout => "ask again; if it stays, look at the server's log",
            Self::Reset => "ask again; if it stays, look at the server's log",
            Self::TooLarge | Self::Protocol => "check that the address is that of the right server",
        }
    }
}

impl fmt::Display for LinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.peer, self.kind.what(), self.why)
    }
}

impl std::error::Error for LinkFault {}

impl From<LinkFault> for Fault {
    fn from(fault: LinkFault) -> Self {
        let what = format!("no answer from {}", fault.peer);
        let why = format!("{} ({})", fault.kind.what(), fault.why);
        Self::new(what, why, fault.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_function_is_a_link() {
        let link = link_from(tower::service_fn(async |request: Request<Bytes>| {
            Ok::<_, LinkFault>(Response::new(request.into_body()))
        }));
        let answer = send(&link, Request::new(Bytes::from_static(b"hello"))).await.unwrap();
        assert_eq!(answer.body().as_ref(), b"hello");
    }

    #[test]
    fn a_link_fault_names_the_peer_the_kind_and_a_next_step() {
        let fault = LinkFault::new(LinkFaultKind::Refused, "127.0.0.1:1", "os error 111");
        assert_eq!(fault.to_string(), "127.0.0.1:1: connection refused (os error 111)");
        assert!(
            Fault::from(fault).to_string().ends_with("start the server, or correct the address and port")
        );
    }
}
