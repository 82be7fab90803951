//! Who uses the shell: what a party must say, and what it hears.

use std::fmt;

use rsp::{
    ids::Oid,
    sgp02::{Function, Message, Namespace, soap::SoapFault, status::Refusal},
    time::Timestamp,
};
use world::{BoxFuture, Fault, Link, Tx};

use super::{
    call::{Call, Reply},
    records::Ticket,
};

/// Somebody with whom we speak.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Peer {
    /// Who it is: the OID in its TLS certificate.
    pub id: Oid,
    /// Where it takes messages: a URI such as `https://smsr.example:8443/sgp02`.
    pub endpoint: String,
    /// In which namespace we ask it; it is answered in its own.
    pub namespace: Namespace,
}

/// A party behind a shell: what it decides, inside the shell's transactions.
pub trait Party: Send + Sync {
    /// Who has this OID. A caller that is nobody gets a SOAP fault.
    ///
    /// # Errors
    /// The records fail.
    fn peer<'a>(&'a self, tx: &'a mut Tx<'_>, id: &'a Oid) -> BoxFuture<'a, Result<Option<Peer>, Fault>>;

    /// Decides on a call, see [`dispatch!`](crate::soap_dispatch). It may run again after a conflict.
    ///
    /// # Errors
    /// A fault of ours; nothing is committed.
    fn decide<'a>(&'a self, tx: &'a mut Tx<'_>, call: &'a Call) -> BoxFuture<'a, Result<Reply, Fault>>;

    /// A call of ours has ended, exactly once.
    ///
    /// # Errors
    /// A fault of ours; nothing is committed, and it is told again.
    fn resumed<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        now: Timestamp,
        ended: &'a Ended,
    ) -> BoxFuture<'a, Result<(), Fault>>;

    /// The validity period of a call has run out before it was answered: whether the shell is to answer EXPIRED. A party
    /// that ends its functions itself says no, and answers by the ticket.
    ///
    /// # Errors
    /// A fault of ours; nothing is committed, and it is told again.
    fn expired<'a>(
        &'a self,
        _tx: &'a mut Tx<'_>,
        _now: Timestamp,
        _ticket: &'a Ticket,
    ) -> BoxFuture<'a, Result<bool, Fault>> {
        Box::pin(async { Ok(true) })
    }
}

/// The way to others. It shows the party's own TLS certificate as the client's.
pub trait Peers: Send + Sync {
    /// A link to `host:port`.
    ///
    /// # Errors
    /// There can be none to this address.
    fn link(&self, authority: &str) -> Result<Link, Fault>;

    /// Something has been put into the outbox: [`Soap::due`](super::Soap::due) has something to give.
    fn wake(&self) {}
}

/// A call of ours that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What was given to [`Sender::ask`](super::Sender::ask).
    pub continuation: String,
    /// The function, such as `ES3-CreateISDP`.
    pub function: String,
    /// Who was asked.
    pub peer: Oid,
    pub(super) outcome: Result<String, NoAnswer>,
}

impl Ended {
    /// The response, which may well say that the function has failed.
    ///
    /// # Errors
    /// There is none, or it is none of this function.
    pub fn response<F: Function>(&self) -> Result<F::Response, NoAnswer> {
        let message = self.outcome.as_ref().map_err(Clone::clone)?;
        F::Response::from_xml(message)
            .map(|(_, response)| response)
            .map_err(|e| NoAnswer::Malformed(e.to_string()))
    }
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// None came in time.
    Expired,
    /// The peer could not be reached.
    Unreachable(String),
    /// The peer has taken it for no message.
    Fault(SoapFault),
    /// What came is no response.
    Malformed(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("no answer came in time"),
            Self::Unreachable(why) => write!(f, "the peer could not be reached: {why}"),
            Self::Fault(fault) => fault.fmt(f),
            Self::Malformed(why) => write!(f, "what came is no response: {why}"),
        }
    }
}

impl std::error::Error for NoAnswer {}

/// Why a function has no result.
#[derive(Debug)]
pub enum Rejection {
    /// The protocol's answer. What was written is committed.
    Refusal(Refusal),
    /// Ours. Nothing is committed.
    Fault(Fault),
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A function's result.
pub type Decision<T> = Result<T, Rejection>;

/// When a function answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<R> {
    /// This is the answer.
    Now(R),
    /// It comes by the [`Ticket`] of the call; only where the function is asynchronous.
    Later,
}

impl<R> From<R> for Answer<R> {
    fn from(response: R) -> Self {
        Self::Now(response)
    }
}
