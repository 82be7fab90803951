//! The server that is held against the table, and the ways to it.

use std::sync::Arc;

use bytes::Bytes;
use certs::{Pki, TrustAnchors};
use http::Request;
use rsp::ids::Version;
use world::{BoxFuture, Link, World};

use crate::operator::Operator;
use crate::verdict::Stop;

/// Where the SM-DP+ calls the operator (ES2+.HandleDownloadProgressInfo). Every call is answered with HTTP 204.
pub trait Inbox: Send + Sync {
    /// `host:port`, over TLS with a certificate below a CI that the server trusts.
    fn address(&self) -> String;

    /// The calls in whose body this text stands, in the order in which they came: waits, as long as is reasonable, until
    /// there are so many.
    fn about<'a>(&'a self, text: &'a str, count: usize) -> BoxFuture<'a, Vec<Request<Bytes>>>;
}

/// An SM-DP+ under test. What is `None` or empty is not to be had, and the cases that need it are not run.
pub struct Server {
    /// The address that the LPA asks for.
    pub address: String,
    /// Certificates and keys of the tester, below CIs that the server trusts.
    pub pki: Pki,
    /// The way for an LPA: TLS without client certificate.
    pub lpa: Link,
    /// An operator that the server knows.
    pub operator: Option<Operator>,
    /// Another one.
    pub second_operator: Option<Operator>,
    /// The way with a client certificate of a CI that the server does not trust.
    pub stranger: Option<Link>,
    /// The admin API.
    pub admin: Option<Link>,
    /// The profile type that may be ordered on ES2+ without end, where there is no admin API.
    pub profile_type: Option<String>,
    /// MatchingIDs that wait already, used in turn.
    pub codes: Vec<String>,
    /// Where the server can call the operator.
    pub inbox: Option<Arc<dyn Inbox>>,
    /// The SM-DS at which the server can register events.
    pub smds_address: Option<String>,
    /// The version of SGP.22 that the LPA says it speaks.
    pub version: Version,
    /// The tester's clock and dice.
    pub world: World,
}

impl Server {
    /// The CIs that the tester trusts.
    ///
    /// # Errors
    /// The PKI has none.
    pub fn anchors(&self) -> Result<TrustAnchors, Stop> {
        Ok(self.pki.anchors()?)
    }
}
