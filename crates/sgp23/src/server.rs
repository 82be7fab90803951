//! The server under test and the links to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use certs::{Pki, TrustAnchors};
use http::Request;
use rsp::ids::Version;
use world::{BoxFuture, Link, World};

use crate::operator::Operator;
use crate::verdict::Stop;

/// The endpoint at which the SM-DP+ calls the operator (ES2+.HandleDownloadProgressInfo). It
/// answers every call with HTTP 204.
pub trait Inbox: Send + Sync {
    /// The address as `host:port`. The endpoint uses TLS with a certificate below a CI that the
    /// server trusts.
    fn address(&self) -> String;

    /// Returns the calls whose body contains this text, in order of arrival. Waits for a reasonable
    /// time until there are `count` of them.
    fn about<'a>(&'a self, text: &'a str, count: usize) -> BoxFuture<'a, Vec<Request<Bytes>>>;
}

/// Codes of orders that were placed before the run. They are used in turn.
#[derive(Debug, Default)]
pub struct CodeRotation {
    codes: Vec<String>,
    used: AtomicUsize,
}

impl From<Vec<String>> for CodeRotation {
    fn from(codes: Vec<String>) -> Self {
        Self { codes, used: AtomicUsize::default() }
    }
}

impl CodeRotation {
    /// True if there is no code.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Returns the next code, or `None` if there is none.
    pub fn next(&self) -> Option<&str> {
        let at = self.used.fetch_add(1, Ordering::Relaxed).checked_rem(self.codes.len())?;
        self.codes.get(at).map(String::as_str)
    }
}

/// An SM-DP+ under test. Cases that need a field that is `None` or empty are not run.
pub struct Server {
    /// The server address that the LPA uses.
    pub address: String,
    /// The certificates and keys of the tester, issued by CIs that the server trusts.
    pub pki: Pki,
    /// The link for an LPA: TLS without a client certificate.
    pub lpa: Link,
    /// An operator that the server accepts.
    pub operator: Option<Operator>,
    /// A second operator.
    pub second_operator: Option<Operator>,
    /// A link with a client certificate of a CI that the server does not trust.
    pub stranger: Option<Link>,
    /// The admin API.
    pub admin: Option<Link>,
    /// A profile type with an unlimited stock that can be ordered over ES2+. It is used if there is
    /// no admin API.
    pub profile_type: Option<String>,
    /// MatchingIDs of existing orders, used in turn.
    pub codes: CodeRotation,
    /// The endpoint at which the server can call the operator.
    pub inbox: Option<Arc<dyn Inbox>>,
    /// The SM-DS at which the server can register events.
    pub smds_address: Option<String>,
    /// The SGP.22 version of the LPA.
    pub version: Version,
    /// The clock and randomness of the tester.
    pub world: World,
}

impl Server {
    /// Returns the CIs that the tester trusts.
    ///
    /// # Errors
    /// Fails if the PKI has no CI.
    pub fn anchors(&self) -> Result<TrustAnchors, Stop> {
        Ok(self.pki.anchors()?)
    }
}
