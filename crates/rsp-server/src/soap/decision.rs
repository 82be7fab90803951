//! Results of a party's decisions, and the peers that they concern.

use rsp::{
    ids::Oid,
    sgp02::{Namespace, status::Refusal},
};

/// A remote party.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Peer {
    /// OID in its TLS certificate.
    pub id: Oid,
    /// Address for messages: a URI such as `https://smsr.example:8443/sgp02`.
    pub endpoint: String,
    /// Namespace of messages sent to it. Responses to its calls use the namespace of the call.
    pub namespace: Namespace,
}

/// Reason why a function has no result.
pub type Rejection = crate::Rejection<Refusal>;

/// Result of a function.
pub type Decision<T> = Result<T, Rejection>;

/// Time at which a function is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer<R> {
    /// The response is available now.
    Now(R),
    /// The response is sent later by the [`Ticket`](super::Ticket) of the call; only for
    /// asynchronous functions.
    Later,
}

impl<R> From<R> for Answer<R> {
    fn from(response: R) -> Self {
        Self::Now(response)
    }
}
