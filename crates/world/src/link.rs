//! HTTP requests and responses between any two parties.
//!
//! In production a link is a TLS connection; in a simulation it is the other party's router, called
//! directly. Delay, loss and corruption are `tower` layers around it, the same in both cases.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceExt};

use crate::{Fault, FaultKind};

/// A client for one peer. A clone has the same peer.
pub type Link = BoxCloneSyncService<Request<Bytes>, Response<Bytes>, LinkFault>;

/// Creates a link to a router or any other service in this process.
pub fn link_from<S>(service: S) -> Link
where
    S: Service<Request<Bytes>, Response = Response<Bytes>, Error = LinkFault> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    BoxCloneSyncService::new(service)
}

/// Sends one request over a clone of `link`.
pub async fn send(link: &Link, request: Request<Bytes>) -> Result<Response<Bytes>, LinkFault> {
    link.clone().oneshot(request).await
}

/// Request extension: the certificate (DER) that the peer has presented in the TLS handshake, after
/// verification.
///
/// The code that accepts the connection inserts it. A router that requires mutual authentication
/// refuses requests without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate(pub Vec<u8>);

/// Creates a link whose requests contain this certificate (DER), for a server in this process.
#[must_use]
pub fn with_peer_certificate(link: Link, certificate: Vec<u8>) -> Link {
    link_from(link.map_request(move |mut request: Request<Bytes>| {
        request.extensions_mut().insert(PeerCertificate(certificate.clone()));
        request
    }))
}

/// Request extension: the identity of the pre-shared key that the peer has proved in the TLS
/// handshake.
///
/// The code that accepts the connection inserts it. A router that requires a pre-shared key refuses
/// requests without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PskIdentity(pub String);

/// Request extension: the address of the peer, for limits. Of an IPv6 address, only the part that
/// stands for a customer is set.
///
/// The code that accepts the connection inserts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);

/// Request extension: the response is sent over a socket, so it can be a [`SlowBody`].
///
/// The code that accepts the connection inserts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanSendSlowly;

/// Response extension: the body is sent octet by octet with this delay in between. Valid only if
/// the request has [`CanSendSlowly`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowBody(pub Duration);

/// A failure to obtain a response over a link.
///
/// An HTTP error status is a response and therefore not a link fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkFault {
    /// The kind of failure.
    pub kind: LinkFaultKind,
    /// The peer: `host:port`, or the name of the party.
    pub peer: String,
    /// The details.
    pub why: String,
}

/// The kinds of link failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkFaultKind {
    /// The host name cannot be resolved.
    Unresolved,
    /// The connection was refused. The request was not delivered.
    Refused,
    /// There is no route to the host. The request was not delivered.
    Unreachable,
    /// The TLS handshake failed: a certificate, a version or a cipher was not acceptable. The
    /// request was not delivered.
    Tls,
    /// There was no response in time. The request may have been executed.
    Timeout,
    /// The connection was closed before the response was complete. The request may have been
    /// executed.
    Reset,
    /// The response exceeds the size limit.
    TooLarge,
    /// The response violates the rules of HTTP.
    Protocol,
}

impl LinkFault {
    /// Creates a fault of this kind for a request to `peer`.
    pub fn new(kind: LinkFaultKind, peer: impl Into<String>, why: impl Into<String>) -> Self {
        Self { kind, peer: peer.into(), why: why.into() }
    }

    /// Returns advice to the reader.
    pub fn next(&self) -> &'static str {
        self.kind.next()
    }
}

impl LinkFaultKind {
    fn what(self) -> &'static str {
        match self {
            Self::Unresolved => "the host name cannot be resolved",
            Self::Refused => "connection refused",
            Self::Unreachable => "not reachable",
            Self::Tls => "TLS handshake failed",
            Self::Timeout => "no response in time",
            Self::Reset => "the connection was closed early",
            Self::TooLarge => "the response is too large",
            Self::Protocol => "the response is not valid HTTP",
        }
    }

    fn next(self) -> &'static str {
        match self {
            Self::Unresolved => "check the name, or specify the address to connect to",
            Self::Refused => "start the server, or correct the address and port",
            Self::Unreachable => "check the network and the address",
            Self::Tls => {
                "check that each side trusts the other's root, that the name matches and that no certificate has expired"
            }
            Self::Timeout => "retry; if the problem persists, check the server's log",
            Self::Reset => "retry; if the problem persists, check the server's log",
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
        let next = fault.next();
        Self::new(what, why, next).of_kind(FaultKind::Unreachable).with_source(fault)
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
