//! Interface of a party that uses the SOAP shell: its decisions, and the events that the shell
//! reports to it.

use std::fmt;

use rsp::{
    finding::Finding,
    ids::Oid,
    sgp02::{Function, Message, soap::SoapFault},
    time::Timestamp,
};
use world::{BoxFuture, Fault, Link, Tx};

use super::{
    accepted::Accepted,
    call::{Call, Reply},
    decision::Peer,
    records::Ticket,
};

/// A party behind a shell. It decides inside the shell's transactions.
pub trait Party: Send + Sync {
    /// Returns the peer with this OID. An unknown caller gets a SOAP fault.
    ///
    /// # Errors
    /// Returns a fault if the records fail.
    fn peer<'a>(&'a self, tx: &'a mut Tx<'_>, id: &'a Oid) -> BoxFuture<'a, Result<Option<Peer>, Fault>>;

    /// Decides on a call, see [`dispatch!`](crate::soap_dispatch). It may run again after a
    /// conflict.
    ///
    /// # Errors
    /// Returns an internal fault; nothing is committed.
    fn decide<'a>(&'a self, tx: &'a mut Tx<'_>, call: &'a Call) -> BoxFuture<'a, Result<Reply, Fault>>;

    /// Handles the end of a call that this party sent. The changes are committed exactly once for
    /// each call.
    ///
    /// # Errors
    /// Returns an internal fault; nothing is committed, and the end is reported again.
    fn resumed<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        now: Timestamp,
        ended: &'a Ended,
    ) -> BoxFuture<'a, Result<(), Fault>>;

    /// Handles a received call whose validity period ended before it was answered. Returns true if
    /// the shell is to answer EXPIRED. A party that ends its functions itself returns false and
    /// answers with the ticket.
    ///
    /// # Errors
    /// Returns an internal fault; nothing is committed, and the expiry is reported again.
    fn expired<'a>(
        &'a self,
        _tx: &'a mut Tx<'_>,
        _now: Timestamp,
        _ticket: &'a Ticket,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(true) })
    }
}

/// Connections to peers. They present the party's own TLS certificate as the client certificate.
pub trait Peers: Send + Sync {
    /// Returns a link to `host:port`.
    ///
    /// # Errors
    /// Returns a fault if no link to this address is possible.
    fn link(&self, authority: &str) -> Result<Link, Fault>;

    /// Signals that a message was put into the outbox, so that [`Soap::due`](super::Soap::due) has
    /// work.
    fn wake(&self) {}
}

/// A sent call that has ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Continuation that was passed to [`Sender::call`](super::Sender::call).
    pub continuation: String,
    /// Name of the function, such as `ES3-CreateISDP`.
    pub function: String,
    /// OID of the peer that was called.
    pub peer: Oid,
    pub(super) outcome: Result<String, CallFailure>,
    /// Deviations of the response that were accepted.
    pub(super) accepted: Accepted,
}

impl Ended {
    /// Returns the deviations of the response that were accepted when it was decoded.
    pub fn findings(&self) -> Vec<Finding> {
        self.accepted.all()
    }

    /// Returns the response, which may report that the function failed.
    ///
    /// # Errors
    /// Returns the reason if there is no response, or if it is not a response of this function.
    pub fn response<F: Function>(&self) -> Result<F::Response, CallFailure> {
        let message = self.outcome.as_ref().map_err(Clone::clone)?;
        self.accepted
            .collect(|| F::Response::from_xml(message))
            .map(|(_, response)| response)
            .map_err(|e| CallFailure::Malformed(e.to_string()))
    }
}

/// Reason why a call has no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// No response arrived in time.
    Expired,
    /// The peer could not be reached.
    Unreachable(String),
    /// The peer answered with a SOAP fault.
    Fault(SoapFault),
    /// The answer is not a valid response.
    Malformed(String),
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("no answer came in time"),
            Self::Unreachable(why) => write!(f, "the peer could not be reached: {why}"),
            Self::Fault(fault) => fault.fmt(f),
            Self::Malformed(why) => write!(f, "the response is invalid: {why}"),
        }
    }
}

impl std::error::Error for CallFailure {}
